"""Write a session NWB file with the layout of the Allen Brain Observatory.

AllenSDK's writer requires internal services and is slow; this one fills the same tables column by
column.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.io.writing import atomic

_SAMPLING_HZ = 30_000.0
_START = datetime(2019, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Recording:
    """All contents of the file.

    Parameters
    ----------
    session_id : int
    channels : DataFrame
        Index: channel id. Columns probe_id, probe_name, local_index,
        probe_vertical_position, probe_horizontal_position, location (structure acronym or
        ``"None"`` outside the brain), x, y, z (CCF, microns).
    units : DataFrame
        Index: unit id. Columns peak_channel_id, local_index, cluster_id, quality,
        isi_violations, presence_ratio, amplitude_cutoff, snr, waveform_duration (ms).
    spike_times : mapping of int to ndarray
        Spike times in seconds for every unit id.
    stimuli : mapping of str to DataFrame
        Presentations by stimulus name; see `meiflow.session.schedule`.
    running_times, running_speed : ndarray
        Sample times in seconds and speed in cm/s.
    end_s : float
        End of the recording.
    """

    session_id: int
    channels: pd.DataFrame
    units: pd.DataFrame
    spike_times: Mapping[int, NDArray]
    stimuli: Mapping[str, pd.DataFrame]
    running_times: NDArray
    running_speed: NDArray
    end_s: float


def _column(name: str, data: Any) -> Any:
    from hdmf.common import VectorData

    return VectorData(name=name, description=name.replace("_", " "), data=data)


def _ragged(name: str, pieces: list[NDArray]) -> list[Any]:
    from hdmf.common import VectorIndex

    data = _column(name, np.concatenate(pieces))
    ends = np.cumsum([len(p) for p in pieces])
    return [data, VectorIndex(name=f"{name}_index", target=data, data=ends)]


def _add_probes(nwbfile: Any, channels: pd.DataFrame) -> None:
    from meiflow.session.sdk import ecephys_nwb_classes

    classes = ecephys_nwb_classes()
    groups = {}
    for probe_id, name in channels[["probe_id", "probe_name"]].drop_duplicates().to_numpy():
        probe = classes.EcephysProbe(
            name=name,
            description="simulated probe",
            manufacturer="simulated",
            probe_id=int(probe_id),
            sampling_rate=_SAMPLING_HZ,
        )
        group = classes.EcephysElectrodeGroup(
            name=name,
            description="simulated electrode group",
            probe_id=int(probe_id),
            location="See electrode locations",
            device=probe,
            lfp_sampling_rate=1250.0,
            has_lfp_data=False,
        )
        nwbfile.add_device(probe)
        nwbfile.add_electrode_group(group)
        groups[probe_id] = group
    table = channels.assign(
        imp=np.nan,
        filtering="AP band: 500 Hz high-pass; LFP band: 1000 Hz low-pass",
        valid_data=True,
        group=[groups[p] for p in channels["probe_id"]],
        group_name=channels["probe_name"],
    ).drop(columns="probe_name")
    from pynwb.ecephys import ElectrodesTable

    nwbfile.electrodes = ElectrodesTable(
        columns=[_column(c, table[c].to_list()) for c in table.columns],
        id=table.index.to_list(),
    )


def _add_units(nwbfile: Any, recording: Recording, rng: np.random.Generator) -> None:
    from pynwb.misc import Units

    ids = recording.units.index.to_list()
    trains = [np.asarray(recording.spike_times[i], float) for i in ids]
    rate = [len(t) / recording.end_s for t in trains]
    channels_per_probe = int(recording.channels.groupby("probe_id").size().max())
    shape = -np.exp(-0.5 * ((np.arange(82) - 20) / 4.0) ** 2)
    waveforms, amplitudes = [], []
    for (_, unit), train in zip(recording.units.iterrows(), trains, strict=True):
        distance = np.arange(channels_per_probe) - unit["local_index"]
        waveforms.append(1e2 * np.exp(-0.5 * (distance / 2.0) ** 2)[:, None] * shape[None, :])
        amplitudes.append(1e-4 * np.exp(0.1 * rng.standard_normal(len(train))))
    metrics = recording.units.assign(firing_rate=rate)
    nwbfile.units = Units(
        name="units",
        description="sorted units",
        columns=[_column(c, metrics[c].to_list()) for c in metrics.columns]
        + _ragged("spike_times", trains)
        + _ragged("spike_amplitudes", amplitudes)
        + _ragged("waveform_mean", waveforms),
        id=ids,
    )


def _add_stimuli(nwbfile: Any, stimuli: Mapping[str, pd.DataFrame]) -> None:
    from pynwb.epoch import TimeIntervals

    for index, (name, table) in enumerate(stimuli.items()):
        full = table.assign(stimulus_name=name, stimulus_index=float(index))
        if "color" in full:  # AllenSDK expects text, because other stimuli have triplets
            full = full.astype({"color": str})
        nwbfile.add_time_intervals(
            TimeIntervals(
                name=f"{name}_presentations",
                description=f"presentations of {name}",
                columns=[_column(c, full[c].to_list()) for c in full.columns],
                id=list(range(len(full))),
            )
        )


def _add_running(nwbfile: Any, times: NDArray, speed: NDArray) -> None:
    from pynwb import ProcessingModule, TimeSeries

    module = ProcessingModule("running", "running speed of the subject")
    ends = np.append(times[1:], 2 * times[-1] - times[-2])
    for name, stamps, unit, data in (
        ("running_speed", times, "cm/s", speed),
        ("running_speed_end_times", ends, "cm/s", speed),
    ):
        module.add(TimeSeries(name=name, timestamps=stamps, data=data, unit=unit))
    nwbfile.add_processing_module(module)


def write_nwb(recording: Recording, path: str | Path, seed: int) -> None:
    """Write `recording` to `path`; no file is left if writing fails.

    Notes
    -----
    The contents depend only on `recording` and `seed`, but the bytes differ between runs because
    NWB files contain random object ids.
    """
    from pynwb import NWBHDF5IO, NWBFile

    from meiflow.session.sdk import ecephys_nwb_classes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nwbfile = NWBFile(
            session_description="simulated Visual Coding Neuropixels session",
            identifier=str(recording.session_id),
            session_id=str(recording.session_id),
            session_start_time=_START,
            file_create_date=_START,
            institution="simulated by meiflow",
            stimulus_notes="brain_observatory_1.1"
            if "natural_scenes" in recording.stimuli
            else "functional_connectivity",
        )
        nwbfile.subject = ecephys_nwb_classes().EcephysSpecimen(
            specimen_name="simulated",
            age_in_days=100.0,
            strain="simulated",
            genotype="simulated",
            sex="F",
            species="Mus musculus",
            subject_id="0",
            age="P100D",
        )
        _add_probes(nwbfile, recording.channels)
        _add_units(nwbfile, recording, np.random.default_rng(seed))
        _add_stimuli(nwbfile, recording.stimuli)
        _add_running(nwbfile, recording.running_times, recording.running_speed)
        with atomic(path) as temporary, NWBHDF5IO(str(temporary), "w") as io:
            io.write(nwbfile)

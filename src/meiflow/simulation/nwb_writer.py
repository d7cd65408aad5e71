"""Write a session NWB file with the layout of the Allen Brain Observatory.

AllenSDK's writer requires internal services and is slow; this one fills the same tables column by
column.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.io.writing import atomic

_SAMPLING_HZ = 30_000.0
_DISTANCE_CM = 15.0  # of the monitor
_START = datetime(2019, 1, 1, tzinfo=UTC)
# Types of the extension with which AllenSDK's files are written: base, and types of the attributes.
_EXTENSION, _EXTENSION_VERSION = "ndx-aibs-ecephys", "0.2.0"
_TYPES = {
    "EcephysProbe": ("Device", {"sampling_rate": "float64", "probe_id": "int"}),
    "EcephysElectrodeGroup": (
        "ElectrodeGroup",
        {"has_lfp_data": "bool", "probe_id": "int", "lfp_sampling_rate": "float64"},
    ),
    "EcephysSpecimen": (
        "Subject",
        {"specimen_name": "text", "age_in_days": "float", "strain": "text"},
    ),
}


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
    eye_times, gaze_deg : ndarray, optional
        Sample times in seconds, and azimuth and elevation of gaze (samples, 2), if the eye was
        recorded.
    """

    session_id: int
    channels: pd.DataFrame
    units: pd.DataFrame
    spike_times: Mapping[int, NDArray]
    stimuli: Mapping[str, pd.DataFrame]
    running_times: NDArray
    running_speed: NDArray
    end_s: float
    eye_times: NDArray | None = None
    gaze_deg: NDArray | None = None


def _column(name: str, data: Any) -> Any:
    from hdmf.common import VectorData

    return VectorData(name=name, description=name.replace("_", " "), data=data)


def _ragged(name: str, pieces: list[NDArray]) -> list[Any]:
    from hdmf.common import VectorIndex

    data = _column(name, np.concatenate(pieces))
    ends = np.cumsum([len(p) for p in pieces])
    return [data, VectorIndex(name=f"{name}_index", target=data, data=ends)]


@cache
def _with_extension() -> Any:
    """A type map of PyNWB that also has the types of AllenSDK's extension, without AllenSDK.

    It is a copy, so that AllenSDK can load its own in the same process.
    """
    from pynwb import get_type_map
    from pynwb.spec import NWBAttributeSpec, NWBGroupSpec, NWBNamespaceBuilder

    builder = NWBNamespaceBuilder(
        doc="types of AllenSDK's session files",
        name=_EXTENSION,
        version=_EXTENSION_VERSION,
        author="meiflow",
        contact="none",
    )
    builder.include_namespace("core")
    for name, (base, attributes) in _TYPES.items():
        given = [NWBAttributeSpec(n, n.replace("_", " "), dtype=t) for n, t in attributes.items()]
        spec = NWBGroupSpec(
            f"{base} of AllenSDK",
            neurodata_type_def=name,
            neurodata_type_inc=base,
            attributes=given,
        )
        builder.add_spec(f"{_EXTENSION}.extension.yaml", spec)
    types = get_type_map()
    with TemporaryDirectory() as folder:
        file = f"{_EXTENSION}.namespace.yaml"
        builder.export(file, outdir=folder)
        types.load_namespaces(str(Path(folder, file)))
    return types


def _add_probes(nwbfile: Any, channels: pd.DataFrame, class_of: Callable[[str], Any]) -> None:
    groups = {}
    for probe_id, name in channels[["probe_id", "probe_name"]].drop_duplicates().to_numpy():
        probe = class_of("EcephysProbe")(
            name=name,
            description="simulated probe",
            manufacturer="simulated",
            probe_id=int(probe_id),
            sampling_rate=_SAMPLING_HZ,
        )
        group = class_of("EcephysElectrodeGroup")(
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


def _add_gaze(nwbfile: Any, times: NDArray, gaze_deg: NDArray) -> None:
    """Gaze in the columns from which AllenSDK reads it: y, then x."""
    from pynwb import ProcessingModule, TimeSeries

    area = np.where(np.isnan(gaze_deg[:, 0]), np.nan, 1000.0)
    at = gaze_deg[:, ::-1]
    for kind in ("raw", "filtered"):
        module = ProcessingModule(f"{kind}_gaze_mapping", f"{kind} gaze of the subject")
        for name, unit, data in (
            ("eye_area", "Pixels ^ 2", 4 * area),
            ("pupil_area", "Pixels ^ 2", area),
            ("screen_coordinates", "Centimeters", _DISTANCE_CM * np.tan(np.deg2rad(at))),
            ("screen_coordinates_spherical", "Degrees", at),
        ):
            module.add(TimeSeries(name=name, timestamps=times, data=data, unit=unit))
        nwbfile.add_processing_module(module)


def write_nwb(recording: Recording, path: str | Path, seed: int) -> None:
    """Write `recording` to `path`; no file is left if writing fails.

    Notes
    -----
    The contents depend only on `recording` and `seed`, but the bytes differ between runs because
    NWB files contain random object ids.
    """
    from hdmf.build import BuildManager
    from pynwb import NWBHDF5IO, NWBFile

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
        types = _with_extension()

        def class_of(name: str) -> Any:
            return types.get_dt_container_cls(name, _EXTENSION)

        nwbfile.subject = class_of("EcephysSpecimen")(
            specimen_name="simulated",
            age_in_days=100.0,
            strain="simulated",
            genotype="simulated",
            sex="F",
            species="Mus musculus",
            subject_id="0",
            age="P100D",
        )
        _add_probes(nwbfile, recording.channels, class_of)
        _add_units(nwbfile, recording, np.random.default_rng(seed))
        _add_stimuli(nwbfile, recording.stimuli)
        _add_running(nwbfile, recording.running_times, recording.running_speed)
        if recording.eye_times is not None and recording.gaze_deg is not None:
            _add_gaze(nwbfile, recording.eye_times, recording.gaze_deg)
        manager = BuildManager(types)
        with atomic(path) as temporary, NWBHDF5IO(str(temporary), "w", manager=manager) as io:
            io.write(nwbfile)

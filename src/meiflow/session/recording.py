"""Open a session NWB through AllenSDK and take from it what the tables need."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config import Quality
from meiflow.errors import MeiflowError, closest

UNIT_COLUMNS = {
    "ecephys_structure_acronym": "area",
    "probe_description": "probe",
    "probe_vertical_position": "probe_vertical_position_um",
    "firing_rate": "firing_rate_hz",
    "isi_violations": "isi_violations",
    "amplitude_cutoff": "amplitude_cutoff",
    "presence_ratio": "presence_ratio",
    "snr": "snr",
}


@dataclass(frozen=True)
class RecordedSession:
    """Units of the areas asked for, their spikes and the stimuli they saw.

    ``units`` is indexed by neuron id; ``spike_times`` holds sorted seconds in the same
    order; ``scenes`` (index: presentation id; columns start_time, stop_time, frame) and
    ``gabors`` (start_time, stop_time, x_position, y_position, orientation) are empty
    tables where the session did not show them.
    """

    units: pd.DataFrame
    spike_times: list[NDArray[np.float64]]
    scenes: pd.DataFrame
    gabors: pd.DataFrame


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pynwb import NWBHDF5IO

    if not path.is_file():
        raise MeiflowError(f"session.nwb: {path} is not a file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            io = NWBHDF5IO(str(path), "r", load_namespaces=True)
            nwbfile = io.read()
    except Exception as error:  # h5py and pynwb raise many kinds for a damaged file
        reason = " ".join(str(error).split())[:200]
        raise MeiflowError(
            f"session.nwb: {path} is not a readable NWB file ({reason}); download it again "
            "or give another file"
        ) from None
    try:
        yield nwbfile
    finally:
        io.close()


def _numbers(table: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    return table.assign(**{c: pd.to_numeric(table[c]) for c in columns})


def read_session(
    path: str | Path, areas: tuple[str, ...] | None, quality: Quality
) -> RecordedSession:
    """Read units, spikes and presentations with AllenSDK, opening the file once.

    Parameters
    ----------
    path : path
        Session NWB.
    areas : tuple of str or None
        Structure acronyms wanted; None for all.
    quality : Quality
        Unit filters, applied by AllenSDK.

    Raises
    ------
    MeiflowError
        If the file is not a session, an area is unknown or has no unit left, or the
        session showed no natural scenes.
    """
    from meiflow.session.sdk import open_session

    path = Path(path)
    with _opened(path) as nwbfile, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if nwbfile.units is None or nwbfile.electrodes is None or not len(nwbfile.units):
            raise MeiflowError(f"session.nwb: {path} holds no sorted units")
        session = open_session(
            nwbfile,
            amplitude_cutoff_maximum=quality.amplitude_cutoff_max,
            presence_ratio_minimum=quality.presence_ratio_min,
            isi_violations_maximum=quality.isi_violations_max,
        )
        units = session.units
        present = sorted(session.channels["ecephys_structure_acronym"].dropna().unique())
        for area in areas or ():
            if area not in present:
                raise MeiflowError(
                    f"session.area: {area!r} was not recorded in {path.name}; it has "
                    f"{', '.join(present)}{closest(area, present)}"
                )
            if not (units["ecephys_structure_acronym"] == area).any():
                raise MeiflowError(
                    f"session.area: no unit of {area} in {path.name} passes session.quality; "
                    "loosen the filters or choose another area"
                )
        if areas is not None:
            units = units[units["ecephys_structure_acronym"].isin(areas)]
        units = units.sort_index()
        if units.empty:
            raise MeiflowError(f"session.quality: no unit of {path.name} passes the filters")
        names = session.stimulus_names
        if "natural_scenes" not in names:
            raise MeiflowError(
                f"session.nwb: {path.name} showed no natural_scenes (only "
                f"{', '.join(n for n in names if n)}); choose a session that did"
            )
        scenes = _numbers(session.get_stimulus_table("natural_scenes"), ("frame",))
        scenes = scenes[["start_time", "stop_time", "frame"]].astype({"frame": int})
        keys = ("x_position", "y_position", "orientation")
        if "gabors" in names:
            gabors = _numbers(session.get_stimulus_table("gabors"), keys)
            gabors = gabors[["start_time", "stop_time", *keys]]
        else:
            gabors = pd.DataFrame(columns=["start_time", "stop_time", *keys], dtype=float)
        trains = session.spike_times
        return RecordedSession(
            units=units.rename(columns=UNIT_COLUMNS)[list(UNIT_COLUMNS.values())],
            spike_times=[np.sort(trains[unit]) for unit in units.index],
            scenes=scenes,
            gabors=gabors,
        )

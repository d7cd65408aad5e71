"""Read the data needed for the tables from a session NWB file, with AllenSDK."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.progress import logger, note
from meiflow.session.movie_passes import MoviePasses, bin_presentations, regular_passes
from meiflow.session.nwb_checks import (
    check_ids,
    check_presentations,
    check_trains,
    require_self_contained,
    unreadable,
)
from meiflow.session.stimulus_tables import blocks, parameters, runs
from meiflow.session.unit_filters import Step, units_in_file, units_of

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

# Kept under their AllenSDK names, if present in the file.
FURTHER_METRICS = (
    "d_prime",
    "isolation_distance",
    "L_ratio",
    "nn_hit_rate",
    "nn_miss_rate",
    "silhouette_score",
    "max_drift",
    "cumulative_drift",
    "waveform_amplitude",
    "waveform_duration",
    "waveform_halfwidth",
    "waveform_PT_ratio",
    "waveform_recovery_slope",
    "waveform_repolarization_slope",
    "waveform_spread",
    "waveform_velocity_above",
    "waveform_velocity_below",
    "anterior_posterior_ccf_coordinate",
    "dorsal_ventral_ccf_coordinate",
    "left_right_ccf_coordinate",
)


@dataclass(frozen=True)
class RecordedSession:
    """Units in the requested areas, their spikes and the stimuli shown.

    Parameters
    ----------
    units : DataFrame
        Unit table, indexed by neuron id.
    spike_times : list of ndarray
        Sorted spike times in seconds, in the order of `units`.
    scenes : DataFrame
        Natural scenes, indexed by presentation id; columns start_time, stop_time, block, frame,
        running_speed_cm_s and, if the eye was recorded, pupil_area_px. Without scenes, the bins of
        the movies; see `meiflow.session.movie_passes.bin_presentations`.
    conditions : dict of str to DataFrame
        Presentations of each stimulus of `PARAMETRIC` in the session: start_time, stop_time and
        parameters.
    movies : list of MoviePasses
        Regular passes through the requested natural movies.
    lost : ndarray, shape (n, 2)
        Intervals in seconds in which a probe of these units missed spikes.
    found : tuple of int
        Number of units in the file and in the requested areas, before filtering.
    filters : list of Step
        Number of units in the areas that each filter excludes.
    shown : dict of str to int
        Number of presentations of every stimulus in the file.
    has_scenes : bool
        Whether natural scenes were shown.
    """

    units: pd.DataFrame
    spike_times: list[NDArray[np.float64]]
    scenes: pd.DataFrame
    conditions: dict[str, pd.DataFrame]
    movies: list[MoviePasses]
    lost: NDArray[np.float64]
    found: tuple[int, int]
    filters: list[Step]
    shown: dict[str, int]
    has_scenes: bool = True


def _reason(error: Exception) -> str:
    """Text of an exception on one line, keeping its start and its end."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:60]} ... {text[-130:]}"


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from pynwb import NWBHDF5IO

    require_self_contained(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            io = NWBHDF5IO(str(path), "r", load_namespaces=True)
            nwbfile = io.read()
    except Exception as error:  # h5py and pynwb raise many types for damaged files
        raise unreadable(path, "NWB", _reason(error)) from None
    try:
        yield nwbfile
    finally:
        io.close()


@contextmanager
def open_recording(path: Path) -> Iterator[Any]:
    """Open a session file and yield an AllenSDK ``EcephysSession``."""
    from meiflow.session.sdk import UNIT_COLUMNS_NEEDED, open_session

    with _opened(path) as nwbfile:
        if nwbfile.units is None or not len(nwbfile.units):
            raise MeiflowError(f"session.nwb: {path} contains no sorted units")
        lacks = sorted(set(UNIT_COLUMNS_NEEDED) - set(nwbfile.units.colnames))
        groups = nwbfile.electrode_groups.values()
        if nwbfile.electrodes is None or not all(hasattr(g, "probe_id") for g in groups):
            lacks.append("electrodes on probes with a probe_id")
        if lacks:
            raise MeiflowError(
                f"session.nwb: {path} does not have the layout of an Allen Brain Observatory "
                f"session (it lacks {', '.join(lacks)}); use session.source tables for other "
                "recordings"
            )
        check_ids(nwbfile, path)
        yield open_session(nwbfile)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Convert any error of AllenSDK and its libraries on an odd file into one line."""
    try:
        yield
    except MeiflowError:
        raise
    except Exception as error:
        raise MeiflowError(
            f"session.nwb: {path} cannot be read as an Allen session "
            f"({type(error).__name__}: {_reason(error)}); it may be damaged or have another layout"
        ) from error


def _presentations(session: Any, name: str, keys: list[str], path: Path) -> pd.DataFrame:
    """Presentations of a stimulus with numeric `keys`; blanks, which have none, are omitted."""
    table = session.get_stimulus_table(name)
    numbers, complete = parameters(table, keys, name, path.name)
    for c in ("start_time", "stop_time"):
        numbers[c] = pd.to_numeric(table[c], errors="coerce") if c in table else np.nan
    untimed = numbers[["start_time", "stop_time"]].isna().any(axis=1)
    if untimed.any():
        raise MeiflowError(
            f"session.nwb: presentation {numbers.index[untimed][0]} of {name} in {path.name} has "
            "no start time or no stop time"
        )
    check_presentations(numbers, name, path)
    if not complete.all():
        note(
            f"{name}: excluded {(~complete).sum()} of {len(complete)} presentations without "
            "parameters"
        )
    return numbers.loc[complete, ["start_time", "stop_time", *keys]]


def _blocks(session: Any, scenes: pd.DataFrame) -> NDArray[np.float64]:
    """Block of every presentation, from the order of the stimuli where the file has none."""
    shown = session.stimulus_presentations
    shown = shown[shown["stimulus_name"] != "invalid_presentation"]
    recorded = shown.get("stimulus_block")
    here = shown.index.isin(scenes.index)
    recorded = None if recorded is None else pd.to_numeric(recorded[here], errors="coerce")
    missing = len(scenes) if recorded is None else int(recorded.isna().sum())
    if missing:
        note(
            f"natural_scenes: {missing} of {len(scenes)} presentations have no stimulus_block; it "
            "is determined from the order in which the stimuli were shown"
        )
    return blocks(recorded, runs(shown["stimulus_name"])[here])


def read_session(
    path: str | Path,
    areas: tuple[str, ...] | None,
    quality: Quality,
    any_area: bool = False,
    movies: Sequence[str] = (),
    frames_per_bin: int = 8,
) -> RecordedSession:
    """Read units, spikes and presentations with AllenSDK, opening the file once.

    Parameters
    ----------
    path : path
        Session NWB file.
    areas : tuple of str or None
        Requested structure acronyms; None for all.
    quality : Quality
        Unit filters, in addition to those of AllenSDK by label, channel and structure.
    any_area : bool
        Whether units in one of the areas are sufficient; few of many sessions have all areas.
    movies : sequence of str
        Names of natural movies; those that were not shown are skipped.
    frames_per_bin : int
        Number of movie frames in a bin, where movies take the role of natural scenes.

    Raises
    ------
    MeiflowError
        If the file is not a session, an area is unknown or has no units left, or the
        session has neither natural scenes nor one of the movies.
    """
    path = Path(path)
    with (
        _explained(path),
        open_recording(path) as session,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        units, filters = units_of(session, areas, quality, path, any_area)
        tables = session.api.nwbfile.intervals or {}
        names = [n.removesuffix("_presentations") for n in tables]
        if {"natural_scenes", *movies} & set(names):  # AllenSDK fails without any
            names = session.stimulus_names
        has_scenes = "natural_scenes" in names
        if not (has_scenes or set(movies) & set(names)):
            shown = ", ".join(n for n in names if n) or "nothing"
            raise MeiflowError(
                f"session.nwb: {path.name} has no valid natural_scenes and none of the movies of "
                f"session.movies.shown whose frames are known (only {shown}); choose a session "
                "that has one of them, or name its movies"
            )
        masked = (session.stimulus_presentations["stimulus_name"] == "invalid_presentation").sum()
        if masked:
            note(f"AllenSDK excluded {masked} presentations during which the stimulus failed")
        lost = _lost_intervals(session, units)
        passes = _movies(session, [name for name in movies if name in names], lost, path)
        if has_scenes:
            scenes = _scenes(session, path)
        elif passes:
            scenes = bin_presentations(passes, frames_per_bin)
        else:
            raise MeiflowError(
                f"session.nwb: {path.name} has no natural scenes, and no usable pass of a movie of "
                "session.movies.shown; choose another session"
            )
        trains = session.api.spike_times_of(units.index)
        check_trains(session.api.nwbfile, units.index, trains, path)
        return RecordedSession(
            units=_unit_table(units),
            spike_times=trains,
            scenes=scenes.assign(**_behaviour(session, scenes)),
            conditions={
                name: _presentations(session, name, keys, path)
                for name, keys in PARAMETRIC.items()
                if name in names
            },
            movies=passes,
            lost=lost,
            found=units_in_file(session.api.nwbfile, areas),
            filters=filters,
            shown=session.stimulus_presentations["stimulus_name"].value_counts().to_dict(),
            has_scenes=has_scenes,
        )


def _scenes(session: Any, path: Path) -> pd.DataFrame:
    """Presentations of natural scenes: start_time, stop_time, block, frame."""
    scenes = _presentations(session, "natural_scenes", ["frame"], path)
    odd = (scenes["frame"] != scenes["frame"].round()) | ~scenes["frame"].between(-1, 10**6)
    if odd.any():
        raise MeiflowError(
            f"session.nwb: natural scene {scenes.index[odd][0]} in {path.name} has frame "
            f"{scenes.loc[odd, 'frame'].iloc[0]:g}; expected a whole number, -1 for the blank"
        )
    scenes = scenes.assign(block=_blocks(session, scenes))
    return scenes[["start_time", "stop_time", "block", "frame"]].astype({"frame": int})


def _movies(session: Any, names: list[str], lost: NDArray, path: Path) -> list[MoviePasses]:
    """Passes of the movies; one without a regular pass is left out."""
    found = []
    for name in names:
        table = _presentations(session, name, ["frame"], path)
        block = pd.to_numeric(session.stimulus_presentations["stimulus_block"], errors="coerce")
        if block.loc[table.index].notna().all():
            table = table.assign(stimulus_block=block.loc[table.index])
        try:
            found.append(regular_passes(table, lost, name))
        except MeiflowError as error:
            logger.info(str(error))
    return found


def _unit_table(units: pd.DataFrame) -> pd.DataFrame:
    further = [c for c in FURTHER_METRICS if c in units and units[c].notna().any()]
    return units.rename(columns=UNIT_COLUMNS)[[*UNIT_COLUMNS.values(), *further]]


def _lost_intervals(session: Any, units: pd.DataFrame) -> NDArray[np.float64]:
    """Intervals in which a probe of these units missed spikes; AllenSDK only warns about them.

    Intervals in which the *stimulus* failed are not included, because AllenSDK excludes their
    presentations. An interval without an end extends to the end of the recording.
    """
    invalid = session.invalid_times
    if not len(invalid):
        return np.empty((0, 2))
    scopes = {*units["probe_description"], "all_probes"}
    keep = [bool(scopes & set(tags)) for tags in invalid["tags"]]
    start = invalid["start_time"].fillna(-np.inf)
    stop = invalid["stop_time"].fillna(np.inf)
    return np.column_stack([start, stop])[keep]


def _behaviour(session: Any, scenes: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Running speed and pupil area during each presentation, if they were recorded."""
    found = {}
    windows = scenes["start_time"].to_numpy(), scenes["stop_time"].to_numpy()
    try:
        running = session.running_speed
    except KeyError:
        running = None
    if running is not None:
        centre = (running["start_time"] + running["end_time"]).to_numpy() / 2
        speed = running["velocity"].to_numpy()
        found["running_speed_cm_s"] = mean_within(centre, speed, *windows)
    with contextlib.redirect_stdout(None):  # AllenSDK prints if there is no eye tracking
        pupil = session.get_pupil_data()
    if pupil is not None:
        area = (np.pi / 4 * pupil["pupil_width"] * pupil["pupil_height"]).to_numpy()
        found["pupil_area_px"] = mean_within(pupil.index.to_numpy(), area, *windows)
    return found


def mean_within(
    times: NDArray, values: NDArray, starts: NDArray, stops: NDArray
) -> NDArray[np.float64]:
    """Mean of the samples in each window, or the interpolated value if there are none.

    Samples that are not finite are excluded; NaN if there are no samples at all.
    """
    good = np.isfinite(times) & np.isfinite(values)
    if not good.any():
        return np.full(len(starts), np.nan)
    order = np.argsort(times[good], kind="stable")
    times, values = times[good][order], values[good][order]
    total = np.concatenate([[0.0], np.cumsum(values)])
    first, last = np.searchsorted(times, [starts, stops])
    n = last - first
    between = np.interp((starts + stops) / 2, times, values)
    return np.where(n > 0, (total[last] - total[first]) / np.maximum(n, 1), between)

"""Read the data needed for the tables from a session NWB file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.columns import Columns
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Quality
from meiflow.errors import MeiflowError
from meiflow.progress import logger, note
from meiflow.session.movie_passes import MoviePasses, bin_presentations, regular_passes
from meiflow.session.nwb_checks import check_presentations, explained
from meiflow.session.presentations import INVALID
from meiflow.session.reader import SessionReader, open_reader
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
        running_speed_cm_s and, if the eye was recorded, pupil_area_px, gaze_x_deg, gaze_y_deg.
        Without scenes, the bins of the movies; see
        `meiflow.session.movie_passes.bin_presentations`.
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
    light : DataFrame or None
        Epochs of optogenetic stimulation; None if there were none.
    genotype : str or None
        Genotype of the animal, if the file names it.
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
    light: pd.DataFrame | None = None
    genotype: str | None = None


def _presentations(session: SessionReader, name: str, keys: list[str], path: Path) -> pd.DataFrame:
    """Presentations of a stimulus with numeric `keys`; blanks, which have none, are omitted."""
    table = session.stimulus(name)
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


def _blocks(session: SessionReader, scenes: pd.DataFrame) -> NDArray[np.float64]:
    """Block of every presentation, from the order of the stimuli where the file has none."""
    shown = session.presentations
    shown = shown[shown["stimulus_name"] != INVALID]
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
    columns: Columns = Columns(),  # noqa: B008
) -> RecordedSession:
    """Read units, spikes and presentations.

    Parameters
    ----------
    path : path
        Session file of any layout that `meiflow.session.reader` reads.
    areas : tuple of str or None
        Requested structure acronyms; None for all.
    quality : Quality
        Unit filters, in addition to those by label, channel and structure.
    any_area : bool
        Whether units in one of the areas are sufficient; few of many sessions have all areas.
    movies : sequence of str
        Names of natural movies; those that were not shown are skipped.
    frames_per_bin : int
        Number of movie frames in a bin, where movies take the role of natural scenes.
    columns : Columns
        Names in the file, where they differ from those of the Allen Brain Observatory.

    Raises
    ------
    MeiflowError
        If the file is not a session, an area is unknown or has no units left, or the
        session has neither natural scenes nor one of the movies.
    """
    path = Path(path)
    with (
        explained(path),
        open_reader(path, columns) as session,
    ):
        units, filters = units_of(session, areas, quality, path, any_area)
        names = session.stimulus_names
        has_scenes = "natural_scenes" in names
        if not names:
            raise MeiflowError(
                f"session.nwb: {path} has neither natural_scenes nor another table of "
                "presentations in intervals; count its spikes by your own list of onsets, and use "
                "session.source tables"
            )
        if not (has_scenes or set(movies) & set(names)):
            shown = ", ".join(n for n in names if n) or "nothing"
            raise MeiflowError(
                f"session.nwb: {path.name} has no valid natural_scenes and none of the movies of "
                f"session.movies.shown whose frames are known (only {shown}); choose a session "
                "that has one of them, or name its movies"
            )
        masked = (session.presentations["stimulus_name"] == INVALID).sum()
        if masked:
            note(f"excluded {masked} presentations during which the stimulus failed")
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
        trains = session.spike_times(units.index)
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
            found=units_in_file(session, areas),
            filters=filters,
            shown=session.presentations["stimulus_name"].value_counts().to_dict(),
            has_scenes=has_scenes,
            light=session.light,
            genotype=session.genotype,
        )


def _scenes(session: SessionReader, path: Path) -> pd.DataFrame:
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


def _movies(
    session: SessionReader, names: list[str], lost: NDArray, path: Path
) -> list[MoviePasses]:
    """Passes of the movies; one without a regular pass is left out."""
    found = []
    for name in names:
        table = _presentations(session, name, ["frame"], path)
        block = pd.to_numeric(session.presentations["stimulus_block"], errors="coerce")
        if block.loc[table.index].notna().all():
            table = table.assign(stimulus_block=block.loc[table.index])
        try:
            found.append(regular_passes(table, lost, name))
        except MeiflowError as error:
            logger.info(str(error))
    return found


def _unit_table(units: pd.DataFrame) -> pd.DataFrame:
    further = [c for c in FURTHER_METRICS if c in units and units[c].notna().any()]
    units = units.reindex(columns=[*dict.fromkeys([*UNIT_COLUMNS, *units.columns])])
    return units.rename(columns=UNIT_COLUMNS)[[*UNIT_COLUMNS.values(), *further]]


def _lost_intervals(session: SessionReader, units: pd.DataFrame) -> NDArray[np.float64]:
    """Intervals in which a probe of these units missed spikes.

    Intervals in which the *stimulus* failed are not included, because their presentations are
    excluded. An interval without an end extends to the end of the recording.
    """
    invalid = session.invalid_times
    if not len(invalid):
        return np.empty((0, 2))
    scopes = {*units["probe_description"], "all_probes"}
    keep = [bool(scopes & set(tags)) for tags in invalid["tags"]]
    start = invalid["start_time"].fillna(-np.inf)
    stop = invalid["stop_time"].fillna(np.inf)
    return np.column_stack([start, stop])[keep]


def _behaviour(session: SessionReader, scenes: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
    """Running speed, pupil area and gaze during each presentation, where they were recorded."""
    found = {}
    windows = scenes["start_time"].to_numpy(), scenes["stop_time"].to_numpy()
    running, pupil, gaze = session.running, session.pupil, session.gaze
    if running is not None:
        centre = (running["start_time"] + running["end_time"]).to_numpy() / 2
        speed = running["velocity"].to_numpy()
        found["running_speed_cm_s"] = mean_within(centre, speed, *windows)
    if pupil is not None:
        area = (np.pi / 4 * pupil["pupil_width"] * pupil["pupil_height"]).to_numpy()
        found["pupil_area_px"] = mean_within(pupil.index.to_numpy(), area, *windows)
    if gaze is not None:
        times = gaze.index.to_numpy()
        for axis in ("x", "y"):
            angle = gaze[f"raw_screen_coordinates_spherical_{axis}_deg"].to_numpy(float)
            found[f"gaze_{axis}_deg"] = mean_within(times, angle, *windows, interpolated=False)
    return found


def mean_within(
    times: NDArray,
    values: NDArray,
    starts: NDArray,
    stops: NDArray,
    interpolated: bool = True,
) -> NDArray[np.float64]:
    """Mean of the samples in each window, or the interpolated value (or NaN) if there are none.

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
    between = np.interp((starts + stops) / 2, times, values) if interpolated else np.nan
    return np.where(n > 0, (total[last] - total[first]) / np.maximum(n, 1), between)

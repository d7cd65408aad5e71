"""The tables stage: CSVs and image stack of a session, from which all other stages start."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError, shorten
from meiflow.io.files import map_array, read_csv, write_array, write_arrays, write_csv, write_text
from meiflow.progress import logger
from meiflow.results.layout import Layout
from meiflow.session.images import given_images, load_images
from meiflow.session.movie_frames import movie_bins
from meiflow.tables.conditions import (
    STEMS,
    Conditions,
    condition_columns,
    conditions_from_table,
)
from meiflow.tables.counts import (
    BLANK,
    TRIAL_COLUMNS,
    Trials,
    count_spikes,
    counting_windows,
    mean_responses,
    outside,
    responses_table,
    trials_from_table,
)
from meiflow.tables.drifting import modulation_ratios
from meiflow.tables.image_spikes import ImageSpikes
from meiflow.tables.movies import (
    MOVIE_COLUMNS,
    MovieCounts,
    bin_trials,
    movie_table,
    movies_from_table,
    neurons_of_movies,
)
from meiflow.tables.raster import Raster
from meiflow.tables.stack import BinnedMovie, StackInfo
from meiflow.tables.tuning import tuning_table
from meiflow.tables.validate import axis_note, numbering_note, pixel_note, unshown_note

_FASTEST_HZ = 2000.0
_LONGEST_S = 10.0
# Stimuli whose spikes are counted during the whole presentation, not in session.window_s.
_WHOLE = ("drifting_gratings",)
# Stimuli that are used for recorded tuning only, so that all presentations may be lost.
_TUNING_ONLY = ("drifting_gratings", "flashes")
# Tables that only some sessions have, by their names in the layout.
_OPTIONAL = (
    "presentations",
    *(f"{stem}_{kind}" for stem in STEMS.values() for kind in ("responses", "trials")),
    "tuning",
)


@dataclass(frozen=True)
class _Session:
    """Data of a session before it is written; ``found`` contains numbers of units."""

    trials: Trials
    raster: Raster
    spikes: ImageSpikes | None
    units: pd.DataFrame
    found: dict[str, int]
    conditions: dict[str, Conditions]
    movies: list[MovieCounts]
    movie_frames: dict[str, int]
    further: dict[str, pd.DataFrame]
    f1_f0: NDArray[np.float64] | None = None
    binned: tuple[BinnedMovie, ...] = ()  # movies whose bins are the images


def _of_table(config: Config) -> _Session:
    if config.session.trials is None:
        return _of_movies(config)
    origin = str(config.session.trials)
    trials = trials_from_table(read_csv(origin, TRIAL_COLUMNS), origin)
    _check_rates(trials, config.session.window_s, origin)
    movies, frames = _movies_of_table(config, trials.neuron_ids)
    return _of_trials(config, trials, movies, frames)


def _of_movies(config: Config) -> _Session:
    """Tables without `session.trials`: the bins of the movies are the images."""
    shown = config.session.movies
    origin = str(shown.counts)
    neurons = neurons_of_movies(read_csv(origin, MOVIE_COLUMNS), origin)
    movies, frames = _movies_of_table(config, neurons)
    bin_s = shown.frames_per_bin / shown.frame_rate_hz
    binned = tuple(BinnedMovie(m.name, len(m.first_frames), bin_s) for m in movies)
    return _of_trials(config, bin_trials(movies, neurons), movies, frames, binned)


def _of_trials(
    config: Config,
    trials: Trials,
    movies: list[MovieCounts],
    frames: dict[str, int],
    binned: tuple[BinnedMovie, ...] = (),
) -> _Session:
    units = pd.DataFrame({"neuron_id": trials.neuron_ids})
    found = dict.fromkeys(("in_file", "in_areas", "passed"), len(units))
    conditions = {}
    for name in PARAMETRIC:
        path = getattr(config.session, name)
        if path is not None:
            geometry, option = config.image.geometry, f"session.{name}"
            table = read_csv(path, condition_columns(name))
            shown = conditions_from_table(table, path, name, trials.neuron_ids, geometry, option)
            _check_rates(shown, config.session.window_s, path, whole=name in _WHOLE)
            conditions[name] = shown
    raster = Raster.of_trials(trials)
    return _Session(
        trials, raster, None, units, found, conditions, movies, frames, {}, binned=binned
    )


def _movies_of_table(
    config: Config, neuron_ids: list[str]
) -> tuple[list[MovieCounts], dict[str, int]]:
    movies = config.session.movies
    if movies.counts is None or not movies.shown:
        return [], {}
    table = read_csv(movies.counts, MOVIE_COLUMNS)
    return movies_from_table(table, movies.counts, movies.shown, movies.frames_per_bin, neuron_ids)


def _check_rates(
    trials: Trials | Conditions,
    window_s: tuple[float, float | None],
    origin: str,
    whole: bool = False,
) -> None:
    """Reject counts of more than one spike that are impossibly high for the window.

    Presentations that are counted as a `whole` have an unknown length, of at most 10 s.
    """
    if window_s[1] is None:
        raise MeiflowError("session.window_s: with a trial CSV, both ends must be given in seconds")
    length, window = window_s[1] - window_s[0], " of session.window_s"
    if whole:
        length, window = _LONGEST_S, " that a presentation may last"
    trial, neuron = np.unravel_index(trials.counts.argmax(), trials.counts.shape)
    most = trials.counts[trial, neuron]
    if most > 1 + _FASTEST_HZ * length:
        raise MeiflowError(
            f"{origin}: trial {trials.trial_ids[trial]}, neuron {trials.neuron_ids[neuron]} has "
            f"{most} spikes in the {length:g} s{window}, more than {_FASTEST_HZ:g} per second; "
            f"correct {'' if whole else 'the counting window or '}the counts"
        )


def _of_recording(config: Config, nwb: Path, any_area: bool, movies: bool) -> _Session:
    from meiflow.session.recording import read_session

    chosen = config.session.movies
    recording = read_session(
        nwb,
        config.session.areas,
        config.session.quality,
        any_area,
        chosen.shown if movies else (),
        chosen.frames_per_bin,
    )
    window, trains = config.session.window_s, recording.spike_times
    windows = dict.fromkeys(_WHOLE, (0.0, None))
    neuron_ids = [str(i) for i in recording.units.index]

    def counts(presentations: pd.DataFrame, name: str = "natural_scenes") -> NDArray[np.int64]:
        return count_spikes(trains, *counting_windows(presentations, windows.get(name, window)))

    def valid(presentations: pd.DataFrame, name: str) -> pd.DataFrame:
        required = name not in _TUNING_ONLY
        return outside(presentations, windows.get(name, window), recording.lost, name, required)

    movie_counts = [
        MovieCounts.of(trains, passes, chosen.frames_per_bin, chosen.lag_s)
        for passes in recording.movies
    ]
    binned: tuple[BinnedMovie, ...] = ()
    if recording.has_scenes:
        scenes = valid(recording.scenes, "natural_scenes")
        shown_counts = counts(scenes)
    else:
        scenes = recording.scenes
        shown_counts = bin_trials(movie_counts, neuron_ids).counts
        bin_s = float((scenes["stop_time"] - scenes["start_time"]).median())
        binned = tuple(BinnedMovie(m.name, len(m.first_frames), bin_s) for m in movie_counts)
    frames = scenes["frame"].to_numpy()
    names = {"start_time": "start_s", "stop_time": "stop_s", "frame": "image_id"}
    conditions, f1_f0 = {}, None
    for name, presented in recording.conditions.items():
        shown = valid(presented, name).sort_values("start_time", kind="stable")
        found = Conditions.of(shown[PARAMETRIC[name]], counts(shown, name), neuron_ids)
        conditions[name] = found
        if name == "drifting_gratings":
            f1_f0 = modulation_ratios(trains, shown, found.condition, found.means)
    if config.session.source == "allen":
        # the workflow expects the tables of all stimuli of `PARAMETRIC` before it knows which of
        # the two kinds of session it downloads: those of stimuli that were not shown are empty
        for name in PARAMETRIC.keys() - conditions.keys():
            nothing = pd.DataFrame(columns=PARAMETRIC[name], dtype=float)
            conditions[name] = Conditions.of(nothing, np.empty((0, len(trains)), int), neuron_ids)
    in_file, in_areas = recording.found
    return _Session(
        Trials(scenes.index.to_numpy(), neuron_ids, frames, shown_counts),
        Raster.of_blocks(trains, scenes, neuron_ids),
        ImageSpikes.of(trains, scenes["start_time"], frames, neuron_ids),
        recording.units.rename_axis("neuron_id").reset_index(),
        {"in_file": in_file, "in_areas": in_areas, "passed": len(neuron_ids)},
        conditions,
        movie_counts,
        {passes.name: passes.starts.shape[1] for passes in recording.movies},
        {"presentations": scenes.rename_axis("trial_id").reset_index().rename(columns=names)},
        f1_f0,
        binned,
    )


def build_tables(
    config: Config,
    results: Layout,
    images: Path | None,
    nwb: Path | None,
    any_area: bool = False,
    movies: Path | None = None,
) -> None:
    """Count spikes per trial and write the tables and the image stack.

    Parameters
    ----------
    config : Config
    results : Layout
    images : path or None
        Folder of frame images or ``.npy`` stack; not used if no natural scenes were shown, so that
        the bins of the movies are the images.
    nwb : path or None
        Session file; None for the trial CSV in ``session.trials``.
    any_area : bool
        Whether units in one of the areas are sufficient.
    movies : path, optional
        Folder with the frames of the natural movies; without it, movies are not used.
    """
    if (nwb is None) != (config.session.source == "tables"):
        wrong = "needs a session file (--nwb)" if nwb is None else "uses session.trials, not --nwb"
        raise MeiflowError(f"session.source: {config.session.source} {wrong}")
    session = (
        _of_table(config)
        if nwb is None
        else _of_recording(config, nwb, any_area, movies is not None)
    )
    trials = session.trials
    further = session.further | _condition_tables(
        session.conditions, trials.neuron_ids, session.f1_f0
    )
    image_ids, means = mean_responses(trials)
    seen = image_ids != BLANK
    if seen.sum() < 4:
        where = "nwb" if nwb is not None else "movies" if session.binned else "trials"
        raise MeiflowError(
            f"session.{where}: only {int(seen.sum())} different images were shown; at least 4 are "
            "required"
        )
    geometry = config.image.geometry
    of_movies = None if movies is None else _movie_images(config, session, movies)
    if session.binned:
        assert of_movies is not None
        stack = of_movies
        logger.info(
            f"no natural scenes were shown: the {len(stack)} bins of "
            f"{shorten(movie.name for movie in session.binned)} are used as images"
        )
    elif images is None:
        raise MeiflowError("session.images: the session shows natural scenes; give their images")
    else:
        stack = load_images(images, geometry.shape, image_ids[seen].tolist())[1]
    info = StackInfo.of(stack, image_ids[seen], geometry, session.binned)
    names = trials.neuron_ids
    write_csv(trials.to_frame(), results.trials)
    write_csv(responses_table(image_ids[seen], means[seen], names), results.responses)
    write_csv(responses_table(image_ids[~seen], means[~seen], names), results.blank_responses)
    write_csv(session.units, results.units)
    write_text(info.to_json(), results.image_info)
    write_array(stack, results.images)
    write_text(json.dumps(session.found, indent=1) + "\n", results.unit_counts)
    notes = []
    if images is not None and not session.binned:
        notes += _image_notes(config, images, image_ids[seen], stack, means[seen])
    notes += _movie_notes(config, session, movies)
    write_text(json.dumps(notes, indent=1) + "\n", results.notes)
    for note in notes:
        logger.warning(f"note: {note}")
    write_arrays(session.raster.arrays(), results.raster)
    _write_movies(session, results, of_movies)
    if session.spikes is not None:
        write_arrays(session.spikes.arrays(), results.image_spikes)
    else:  # left by another session in this folder
        results.image_spikes.unlink(missing_ok=True)
    for name in _OPTIONAL:
        path = getattr(results, name)
        if name in further:
            write_csv(further[name], path)
        else:
            path.unlink(missing_ok=True)
    repeats = np.unique(trials.image_ids[trials.image_ids != BLANK], return_counts=True)[1]
    if 1 < repeats.max() != repeats.min() == 1:
        logger.info(f"tables: {(repeats > 1).sum()} of {len(repeats)} images were repeated")
    logger.info(
        f"tables: {len(trials.neuron_ids)} neurons, {len(trials.trial_ids)} trials of "
        f"{int(seen.sum())} images ({repeats.min()} to {repeats.max()} repeats)"
    )


def _image_notes(
    config: Config, source: Path, image_ids: NDArray, stack: NDArray, means: NDArray
) -> list[str]:
    """What may be wrong with the images and their numbers."""
    numbers, first = given_images(source)
    image = config.image
    notes = unshown_note(numbers, image_ids.tolist())
    notes += pixel_note(first.shape[1:], image.width_deg, image.height_deg)
    notes += axis_note(first) if len(first) > 1 else []
    notes += numbering_note(stack, image_ids, means)
    return [f"{source}: {note}" for note in notes]


def _movie_notes(config: Config, session: _Session, folder: Path | None) -> list[str]:
    """What may be wrong with the frames of the movies, of which neighbours may be alike."""
    notes = []
    for movie in session.movies if folder is not None else ():
        path = Path(str(folder)) / f"{movie.name}.npy"
        shape = map_array(path).shape[1:]
        notes += [f"{path}: {note}" for note in pixel_note(shape, *config.session.movies.size_deg)]
    return notes


def _movie_images(config: Config, session: _Session, folder: Path) -> NDArray[np.float32]:
    """Mean frame of every bin of all movies."""
    if not session.movies:
        raise MeiflowError(
            "session.movies.shown: the session has no usable pass of "
            f"{shorten(config.session.movies.shown)}; name the movies that it shows, or none: []"
        )
    chosen, geometry = config.session.movies, config.image.geometry
    return np.concatenate(
        [
            movie_bins(
                folder / f"{movie.name}.npy",
                session.movie_frames[movie.name],
                movie.per_bin,
                *chosen.size_deg,
                geometry,
            )
            for movie in session.movies
        ]
    )


def _write_movies(session: _Session, results: Layout, stack: NDArray | None) -> None:
    """Write counts and images of the movies, or remove those of another session."""
    if stack is None:
        for path in results.named(
            "movie_responses", "movie_errors", "movie_counts", "movie_images"
        ):
            path.unlink(missing_ok=True)
        return
    names = session.trials.neuron_ids
    write_csv(movie_table(session.movies, names), results.movie_responses)
    write_csv(movie_table(session.movies, names, errors=True), results.movie_errors)
    write_arrays({m.name: m.counts for m in session.movies}, results.movie_counts)
    write_array(stack, results.movie_images)
    for movie in session.movies:
        passes, bins, _ = movie.counts.shape
        logger.info(f"{movie.name}: {bins} bins of {movie.per_bin} frames, {passes} passes")


def _condition_tables(
    conditions: dict[str, Conditions],
    neuron_ids: list[str],
    f1_f0: NDArray[np.float64] | None,
) -> dict[str, pd.DataFrame]:
    tables: dict[str, pd.DataFrame] = {}
    for name, recorded in conditions.items():
        tables[f"{STEMS[name]}_responses"] = recorded.mean_table()
        tables[f"{STEMS[name]}_trials"] = recorded.trial_table()
    if conditions:
        responses = [tables.get(f"{STEMS[name]}_responses") for name in PARAMETRIC]
        gabors, gratings, moving, flashes = (
            None if table is None or table.empty else table for table in responses
        )
        tables["tuning"] = tuning_table(neuron_ids, gabors, gratings, moving, flashes, f1_f0)
    return tables

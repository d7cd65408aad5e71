"""The tables stage: CSVs and image stack of a session, from which all other stages start."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError, shorten
from meiflow.io.files import map_array, read_csv, write_array, write_arrays, write_csv, write_text
from meiflow.progress import collect_notes, logger, note
from meiflow.results.layout import Layout
from meiflow.session.images import given_images, load_images
from meiflow.session.movie_frames import movie_bins
from meiflow.session.schedule import PARAMETRIC
from meiflow.tables.checks import (
    count_notes,
    image_notes,
    repeat_notes,
    require_images,
    silent_notes,
)
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
from meiflow.tables.image_spikes import ImageSpikes
from meiflow.tables.movies import MOVIE_COLUMNS, MovieCounts, movie_table, movies_from_table
from meiflow.tables.raster import Raster
from meiflow.tables.stack import StackInfo
from meiflow.tables.tuning import tuning_table
from meiflow.tables.validate import axis_note, numbering_note, pixel_note, unshown_note

_FASTEST_HZ = 2000.0
# Tables that only some sessions have, by their names in the layout.
_OPTIONAL = (
    "presentations",
    *(f"{stem}_{kind}" for stem in STEMS.values() for kind in ("responses", "trials")),
    "tuning",
)


@dataclass(frozen=True)
class SessionTables:
    """Data of a session before it is written.

    ``found`` contains numbers of units, ``about`` a line on the unit filters, and ``shown`` the
    number of presentations of every stimulus in the file.
    """

    trials: Trials
    raster: Raster
    spikes: ImageSpikes | None
    units: pd.DataFrame
    found: dict[str, int]
    conditions: dict[str, Conditions]
    movies: list[MovieCounts]
    movie_frames: dict[str, int]
    further: dict[str, pd.DataFrame]
    about: dict[str, str] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)


def _of_table(config: Config) -> SessionTables:
    origin = str(config.session.trials)
    trials = trials_from_table(read_csv(origin, TRIAL_COLUMNS), origin)
    _check_rates(trials, config.session.window_s, origin)
    units = pd.DataFrame({"neuron_id": trials.neuron_ids})
    found = dict.fromkeys(("in_file", "in_areas", "passed"), len(units))
    conditions = {}
    for name in PARAMETRIC:
        path = getattr(config.session, name)
        if path is not None:
            geometry, option = config.image.geometry, f"session.{name}"
            table = read_csv(path, condition_columns(name))
            shown = conditions_from_table(table, path, name, trials.neuron_ids, geometry, option)
            _check_rates(shown, config.session.window_s, path)
            conditions[name] = shown
    movies, frames = _movies_of_table(config, trials.neuron_ids)
    raster = Raster.of_trials(trials)
    return SessionTables(trials, raster, None, units, found, conditions, movies, frames, {})


def _movies_of_table(
    config: Config, neuron_ids: list[str]
) -> tuple[list[MovieCounts], dict[str, int]]:
    movies = config.session.movies
    if movies.counts is None or not movies.shown:
        return [], {}
    table = read_csv(movies.counts, MOVIE_COLUMNS)
    return movies_from_table(table, movies.counts, movies.shown, movies.frames_per_bin, neuron_ids)


def _check_rates(
    trials: Trials | Conditions, window_s: tuple[float, float | None], origin: str
) -> None:
    """Reject counts of more than one spike that are impossibly high for the window."""
    if window_s[1] is None:
        raise MeiflowError("session.window_s: with a trial CSV, both ends must be given in seconds")
    length = window_s[1] - window_s[0]
    trial, neuron = np.unravel_index(trials.counts.argmax(), trials.counts.shape)
    most = trials.counts[trial, neuron]
    if most > 1 + _FASTEST_HZ * length:
        raise MeiflowError(
            f"{origin}: trial {trials.trial_ids[trial]}, neuron {trials.neuron_ids[neuron]} has "
            f"{most} spikes in the {length:g} s of session.window_s, more than {_FASTEST_HZ:g} "
            "per second; correct the counting window or the counts"
        )


def _of_recording(config: Config, nwb: Path, any_area: bool, movies: bool) -> SessionTables:
    from meiflow.session.recording import read_session

    chosen = config.session.movies
    recording = read_session(
        nwb,
        config.session.areas,
        config.session.quality,
        any_area,
        chosen.shown if movies else (),
    )
    window, trains = config.session.window_s, recording.spike_times
    neuron_ids = [str(i) for i in recording.units.index]

    def counts(presentations: pd.DataFrame) -> NDArray[np.int64]:
        return count_spikes(trains, *counting_windows(presentations, window))

    def valid(presentations: pd.DataFrame, name: str) -> pd.DataFrame:
        return outside(presentations, window, recording.lost, name)

    scenes = valid(recording.scenes, "natural_scenes")
    frames = scenes["frame"].to_numpy()
    names = {"start_time": "start_s", "stop_time": "stop_s", "frame": "image_id"}
    conditions = {}
    for name, presented in recording.conditions.items():
        shown = valid(presented, name).sort_values("start_time", kind="stable")
        conditions[name] = Conditions.of(shown[PARAMETRIC[name]], counts(shown), neuron_ids)
    in_file, in_areas = recording.found
    return SessionTables(
        Trials(scenes.index.to_numpy(), neuron_ids, frames, counts(scenes)),
        Raster.of_blocks(trains, scenes, neuron_ids),
        ImageSpikes.of(trains, scenes["start_time"], frames, neuron_ids),
        recording.units.rename_axis("neuron_id").reset_index(),
        {"in_file": in_file, "in_areas": in_areas, "passed": len(neuron_ids)},
        conditions,
        [
            MovieCounts.of(trains, passes, chosen.frames_per_bin, chosen.lag_s)
            for passes in recording.movies
        ],
        {passes.name: passes.starts.shape[1] for passes in recording.movies},
        {"presentations": scenes.rename_axis("trial_id").reset_index().rename(columns=names)},
        {
            "units": f"{in_file} in the file, {in_areas} in the areas; "
            + "; ".join(str(step) for step in recording.filters if step.excluded),
        },
        recording.shown,
    )


def read_tables(
    config: Config,
    images: Path,
    nwb: Path | None,
    any_area: bool = False,
    movies: Path | None = None,
) -> tuple[SessionTables, NDArray[np.float32]]:
    """Read and check all inputs; see `build_tables`.

    Returns
    -------
    session : SessionTables
    stack : ndarray, shape (images, height, width)
        The images that were shown, by increasing id.
    """
    if (nwb is None) != (config.session.source == "tables"):
        wrong = "needs a session file (--nwb)" if nwb is None else "uses session.trials, not --nwb"
        raise MeiflowError(f"session.source: {config.session.source} {wrong}")
    session = (
        _of_table(config)
        if nwb is None
        else _of_recording(config, nwb, any_area, movies is not None)
    )
    key = "trials" if nwb is None else "nwb"
    image_ids = np.unique(session.trials.image_ids)
    shown = image_ids[image_ids != BLANK]
    if len(shown) < 4:
        raise MeiflowError(
            f"session.{key}: only {len(shown)} different images were shown; at least 4 are required"
        )
    if not session.trials.counts.any() and not any_area:
        raise MeiflowError(
            f"session.{key}: no neuron has any spike in any trial; correct the counts or "
            "session.window_s"
        )
    stack = load_images(images, config.image.geometry.shape, shown.tolist())[1]
    require_images(stack, "session.images", images)
    for text in (
        *image_notes(stack, shown),
        *_image_notes(
            config, images, shown, stack, mean_responses(session.trials)[1][-len(shown) :]
        ),
        *_movie_notes(config, session, movies),
        *_notes(session, config, nwb),
    ):
        note(text)
    return session, stack


def window_s(config: Config) -> float | None:
    """Length of the counting window, if it is the same for all presentations."""
    start, stop = config.session.window_s
    return None if stop is None else stop - start


def _notes(session: SessionTables, config: Config, nwb: Path | None) -> list[str]:
    """Notes on the counts of all tables."""
    names, length = session.trials.neuron_ids, window_s(config)
    where = "trials" if nwb is not None else str(config.session.trials)
    counts = session.trials.counts
    found = repeat_notes(session.trials) + silent_notes(counts, names, where)
    tables = {where: counts}
    if nwb is None:
        tables |= {name: shown.counts for name, shown in session.conditions.items()}
        tables |= {movie.name: movie.counts.reshape(-1, len(names)) for movie in session.movies}
    for origin, table in tables.items():
        found += count_notes(table, names, length, origin)
    return found


def build_tables(
    config: Config,
    results: Layout,
    images: Path,
    nwb: Path | None,
    any_area: bool = False,
    movies: Path | None = None,
) -> None:
    """Count spikes per trial and write the tables and the image stack.

    Parameters
    ----------
    config : Config
    results : Layout
    images : path
        Folder of frame images or ``.npy`` stack.
    nwb : path or None
        Session file; None for the trial CSV in ``session.trials``.
    any_area : bool
        Whether units in one of the areas are sufficient.
    movies : path, optional
        Folder with the frames of the natural movies; without it, movies are not used.
    """
    with collect_notes() as notes:
        session, stack = read_tables(config, images, nwb, any_area, movies)
    trials = session.trials
    further = session.further | _condition_tables(session.conditions, trials.neuron_ids)
    image_ids, means = mean_responses(trials)
    seen = image_ids != BLANK
    geometry = config.image.geometry
    info = StackInfo.of(stack, image_ids[seen], geometry)
    names = trials.neuron_ids
    write_csv(trials.to_frame(), results.trials)
    write_csv(responses_table(image_ids[seen], means[seen], names), results.responses)
    write_csv(responses_table(image_ids[~seen], means[~seen], names), results.blank_responses)
    write_csv(session.units, results.units)
    write_text(info.to_json(), results.image_info)
    write_array(stack, results.images)
    write_text(json.dumps(session.found, indent=1) + "\n", results.unit_counts)
    write_text(json.dumps(notes, indent=1) + "\n", results.notes)
    write_arrays(session.raster.arrays(), results.raster)
    _write_movies(config, session, results, movies)
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


def _movie_notes(config: Config, session: SessionTables, folder: Path | None) -> list[str]:
    """What may be wrong with the frames of the movies, of which neighbours may be alike."""
    notes = []
    for movie in session.movies if folder is not None else ():
        path = Path(str(folder)) / f"{movie.name}.npy"
        shape = map_array(path).shape[1:]
        notes += [f"{path}: {note}" for note in pixel_note(shape, *config.session.movies.size_deg)]
    return notes


def _write_movies(
    config: Config, session: SessionTables, results: Layout, folder: Path | None
) -> None:
    """Write counts and images of the movies, or remove those of another session."""
    paths = results.named("movie_responses", "movie_errors", "movie_counts", "movie_images")
    if folder is None:
        for path in paths:
            path.unlink(missing_ok=True)
        return
    if not session.movies:
        raise MeiflowError(
            "session.movies.shown: the session has no usable pass of "
            f"{shorten(config.session.movies.shown)}; name the movies that it shows, or none: []"
        )
    chosen, geometry = config.session.movies, config.image.geometry
    stack = np.concatenate(
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
    require_images(stack, "session.movies.stacks", folder)
    names = session.trials.neuron_ids
    write_csv(movie_table(session.movies, names), results.movie_responses)
    write_csv(movie_table(session.movies, names, errors=True), results.movie_errors)
    write_arrays({m.name: m.counts for m in session.movies}, results.movie_counts)
    write_array(stack, results.movie_images)
    for movie in session.movies:
        passes, bins, _ = movie.counts.shape
        logger.info(f"{movie.name}: {bins} bins of {movie.per_bin} frames, {passes} passes")


def _condition_tables(
    conditions: dict[str, Conditions], neuron_ids: list[str]
) -> dict[str, pd.DataFrame]:
    tables: dict[str, pd.DataFrame] = {}
    for name, recorded in conditions.items():
        tables[f"{STEMS[name]}_responses"] = recorded.mean_table()
        tables[f"{STEMS[name]}_trials"] = recorded.trial_table()
    if conditions:
        responses = [tables.get(f"{stem}_responses") for stem in STEMS.values()]
        tables["tuning"] = tuning_table(neuron_ids, *responses)
    return tables

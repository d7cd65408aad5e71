"""What the tables stage reads: the inputs of a session, checked, and what is unusual about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.config import require_angle
from meiflow.config.parametric import PARAMETRIC
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError, shorten
from meiflow.io.files import map_array, read_csv
from meiflow.progress import logger, note
from meiflow.selection.optotagging import with_optotags
from meiflow.session.images import given_images, load_images
from meiflow.session.movie_frames import movie_bins
from meiflow.session.sensorium import picture_shape
from meiflow.tables.checks import (
    count_notes,
    gaze_notes,
    image_notes,
    outlier_notes,
    repeat_notes,
    require_images,
    silent_notes,
)
from meiflow.tables.conditions import (
    Conditions,
    condition_columns,
    conditions_from_table,
)
from meiflow.tables.counts import (
    BLANK,
    Trials,
    count_spikes,
    counting_windows,
    mean_responses,
    outside,
    trial_columns,
    trials_from_table,
)
from meiflow.tables.drifting import modulation_ratios
from meiflow.tables.image_spikes import ImageSpikes
from meiflow.tables.movies import (
    MovieCounts,
    MovieWindows,
    bin_trials,
    movie_columns,
    movies_from_table,
    neurons_of_movies,
)
from meiflow.tables.raster import Raster
from meiflow.tables.stack import BinnedMovie
from meiflow.tables.validate import axis_note, numbering_note, pixel_note, unshown_note

_FASTEST_HZ = 2000.0
_LONGEST_S = 10.0
# Stimuli whose spikes are counted during the whole presentation, not in session.window_s.
_WHOLE = ("drifting_gratings",)
# Stimuli that are used for recorded tuning only, so that all presentations may be lost.
_TUNING_ONLY = ("drifting_gratings", "flashes")


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
    f1_f0: NDArray[np.float64] | None = None
    movie_windows: MovieWindows | None = None
    binned: tuple[BinnedMovie, ...] = ()  # movies whose bins are the images
    about: dict[str, str] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    stack: NDArray[np.float32] | None = None  # images of a source that contains them
    tests: tuple[int, ...] = ()  # ids of images for testing only


def _of_table(config: Config) -> SessionTables:
    if config.session.trials is None:
        return _of_movies(config)
    origin, response = str(config.session.trials), config.session.response_type
    trials = trials_from_table(read_csv(origin, trial_columns(response)), origin, response)
    _check_rates(trials, config.session.window_s, origin)
    movies, frames = _movies_of_table(config, trials.neuron_ids)
    return _of_trials(config, trials, movies, frames)


def _of_movies(config: Config) -> SessionTables:
    """Tables without `session.trials`: the bins of the movies are the images."""
    shown = config.session.movies
    origin = str(shown.counts)
    columns = movie_columns(config.session.response_type)
    neurons = neurons_of_movies(read_csv(origin, columns), origin)
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
) -> SessionTables:
    units = pd.DataFrame({"neuron_id": trials.neuron_ids})
    found = dict.fromkeys(("in_file", "in_areas", "passed"), len(units))
    conditions = {}
    for name in PARAMETRIC:
        path = getattr(config.session, name)
        if path is not None:
            geometry, option = config.image.geometry, f"session.{name}"
            response, neurons = trials.response, trials.neuron_ids
            table = read_csv(path, condition_columns(name, response))
            given = table, path, name, neurons, geometry, option, response
            shown = conditions_from_table(*given)
            _check_rates(shown, config.session.window_s, path, whole=name in _WHOLE)
            conditions[name] = shown
    raster = Raster.of_trials(trials)
    return SessionTables(
        trials, raster, None, units, found, conditions, movies, frames, {}, binned=binned
    )


def _movies_of_table(
    config: Config, neuron_ids: list[str]
) -> tuple[list[MovieCounts], dict[str, int]]:
    movies = config.session.movies
    if movies.counts is None or not movies.shown:
        return [], {}
    response = config.session.response_type
    table = read_csv(movies.counts, movie_columns(response))
    given = table, movies.counts, movies.shown, movies.frames_per_bin, neuron_ids
    return movies_from_table(*given, response)


def _check_rates(
    trials: Trials | Conditions,
    window_s: tuple[float, float | None],
    origin: str,
    whole: bool = False,
) -> None:
    """Reject counts of more than one spike that are impossibly high for the window.

    Presentations that are counted as a `whole` have an unknown length, of at most 10 s. Real
    numbers have no limit.
    """
    if trials.counts.dtype.kind == "f":
        return
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


def _of_recording(config: Config, nwb: Path, any_area: bool, movies: bool) -> SessionTables:
    from meiflow.session.recording import read_session

    chosen = config.session.movies
    recording = read_session(
        nwb,
        config.session.areas,
        config.session.quality,
        any_area,
        chosen.shown if movies else (),
        chosen.frames_per_bin,
        config.session.columns,
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
    if config.session.downloaded:
        # the workflow expects the tables of all stimuli of `PARAMETRIC` before it knows which of
        # the two kinds of session it downloads: those of stimuli that were not shown are empty
        for name in PARAMETRIC.keys() - conditions.keys():
            nothing = pd.DataFrame(columns=PARAMETRIC[name], dtype=float)
            conditions[name] = Conditions.of(nothing, np.empty((0, len(trains)), int), neuron_ids)
    in_file, in_areas = recording.found
    light = recording.light, recording.genotype, recording.lost
    return SessionTables(
        Trials(scenes.index.to_numpy(), neuron_ids, frames, shown_counts),
        Raster.of_blocks(trains, scenes, neuron_ids),
        ImageSpikes.of(trains, scenes["start_time"], frames, neuron_ids),
        with_optotags(recording.units, trains, *light).rename_axis("neuron_id").reset_index(),
        {"in_file": in_file, "in_areas": in_areas, "passed": len(neuron_ids)},
        conditions,
        movie_counts,
        {passes.name: passes.starts.shape[1] for passes in recording.movies},
        {"presentations": scenes.rename_axis("trial_id").reset_index().rename(columns=names)},
        f1_f0,
        MovieWindows.of(trains, recording.movies, chosen.frames_per_bin, chosen.windows)
        if chosen.windows and recording.movies
        else None,
        binned,
        {
            "units": f"{in_file} in the file, {in_areas} in the areas; "
            + "; ".join(str(step) for step in recording.filters if step.excluded),
        },
        recording.shown,
    )


def read_tables(
    config: Config,
    images: Path | None,
    nwb: Path | None,
    any_area: bool = False,
    movies: Path | None = None,
) -> tuple[SessionTables, NDArray[np.float32]]:
    """Read and check all inputs; see `meiflow.stages.tables.build_tables`.

    Returns
    -------
    session : SessionTables
    stack : ndarray, shape (images, height, width)
        The images that were shown, by increasing id.
    """
    from meiflow.stages.read_sensorium import tables_of_sensorium

    sensorium = config.session.source == "sensorium"
    if (nwb is None) != config.session.custom_tables:
        wrong = "needs a session file (--nwb)" if nwb is None else "uses session.trials, not --nwb"
        raise MeiflowError(f"session.source: {config.session.source} {wrong}")
    require_angle(config)
    session = (
        tables_of_sensorium(config)
        if sensorium
        else _of_table(config)
        if nwb is None
        else _of_recording(config, nwb, any_area, movies is not None)
    )
    key = "movies" if session.binned else "trials" if nwb is None else "nwb"
    key = "sensorium" if sensorium else key
    image_ids = np.unique(session.trials.image_ids)
    shown = image_ids[image_ids != BLANK]
    if len(shown) < 4:
        raise MeiflowError(
            f"session.{key}: only {len(shown)} different images were shown; at least 4 are required"
        )
    real = session.trials.response.real
    if real and not np.ptp(session.trials.counts, axis=0).any():
        raise MeiflowError(
            f"session.{key}: the response of every neuron is the same in all trials; correct the "
            "column response"
        )
    if not session.trials.counts.any() and not any_area:
        raise MeiflowError(
            f"session.{key}: no neuron has any spike in any trial; correct the counts or "
            "session.window_s"
        )
    if session.binned:
        assert movies is not None
        stack, notes = movie_images(config, session, movies), []
        logger.info(
            f"no natural scenes were shown: the {len(stack)} bins of "
            f"{shorten(movie.name for movie in session.binned)} are used as images"
        )
        require_images(stack, "session.movies", movies)
    elif session.stack is not None:
        folder, screen = str(config.session.sensorium.folder), config.image.geometry
        stack, notes = session.stack, image_notes(session.stack, shown)
        require_images(stack, "session.sensorium.folder", folder)
        notes += [
            f"{folder}: {text}"
            for text in pixel_note(picture_shape(folder), screen.width_deg, screen.height_deg)
        ]
    elif images is None:
        raise MeiflowError("session.images: the session shows natural scenes; give their images")
    else:
        stack = load_images(images, config.image.geometry.shape, shown.tolist())[1]
        require_images(stack, "session.images", images)
        means = mean_responses(session.trials)[1][-len(shown) :]
        notes = image_notes(stack, shown) + _image_notes(config, images, shown, stack, means)
    if config.session.source in ("nwb", "dandi") and config.image.width_deg is None:
        screen = config.image.geometry
        notes.append(
            "image.width_deg and height_deg are not given: all angles assume the monitor of the "
            f"Allen Brain Observatory, {screen.width_deg:g} x {screen.height_deg:g} degrees"
        )
    for text in (*notes, *_movie_notes(config, session, movies), *_notes(session, config, nwb)):
        note(text)
    return session, stack


def window_s(config: Config) -> float | None:
    """Length of the counting window, if it is the same for all presentations."""
    start, stop = config.session.window_s
    return None if stop is None else stop - start


def trial_length_s(config: Config, session: SessionTables) -> float | None:
    """Length of the counting window of the trials, which may be bins of movies."""
    bins = sum(movie.bins for movie in session.binned)
    if bins:
        return sum(movie.bins * movie.bin_s for movie in session.binned) / bins
    return window_s(config)


def _notes(session: SessionTables, config: Config, nwb: Path | None) -> list[str]:
    """Notes on the counts of all tables."""
    names, length = session.trials.neuron_ids, window_s(config)
    own = config.session.movies.counts if session.binned else config.session.trials
    where = "trials" if nwb is not None else str(own)
    counts = session.trials.counts
    real = session.trials.response.real
    found = gaze_notes(session.further.get("presentations", pd.DataFrame()))
    found += repeat_notes(session.trials) + silent_notes(counts, names, where, real)
    if real:
        return found + outlier_notes(session.trials, where)
    found += count_notes(counts, names, trial_length_s(config, session), where)
    tables: dict[str, NDArray[np.int64]] = {}
    if nwb is None:
        tables |= {name: shown.counts for name, shown in session.conditions.items()}
    if nwb is None and not session.binned:  # otherwise they are the trials
        tables |= {movie.name: movie.counts.reshape(-1, len(names)) for movie in session.movies}
    for origin, table in tables.items():
        found += count_notes(table, names, length, origin)
    return found


def _image_notes(
    config: Config, source: Path, image_ids: NDArray, stack: NDArray, means: NDArray
) -> list[str]:
    """What may be wrong with the images and their numbers."""
    numbers, first = given_images(source)
    screen = config.image.geometry
    notes = unshown_note(numbers, image_ids.tolist())
    notes += pixel_note(first.shape[1:], screen.width_deg, screen.height_deg)
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


def movie_images(config: Config, session: SessionTables, folder: Path) -> NDArray[np.float32]:
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

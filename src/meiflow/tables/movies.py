"""Responses to natural movies: counts, or means of real numbers, in bins of frames, by pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.response_type import COUNTS, ResponseType
from meiflow.session.movie_passes import MoviePasses
from meiflow.tables.columns import line_of, real_numbers, whole_numbers
from meiflow.tables.counts import (
    MOST_COUNTS,
    Trials,
    check_names,
    count_spikes,
    identifier,
)

_ROW = ("movie", "repeat", "frame", "neuron_id")
MOVIE_COLUMNS = (*_ROW, "spike_count")
BIN_COLUMNS = ("movie", "first_frame", "last_frame", "repeats")


@dataclass(frozen=True)
class MovieCounts:
    """Counts in every bin of every pass through a movie.

    Parameters
    ----------
    name : str
    first_frames : ndarray of int, shape (bins,)
        First frame of every bin.
    per_bin : int
        Number of frames in a bin.
    counts : ndarray, shape (passes, bins, neurons)
        Whole numbers, or the real numbers of `response`.
    response : ResponseType
    """

    name: str
    first_frames: NDArray[np.int64]
    per_bin: int
    counts: NDArray
    response: ResponseType = COUNTS

    @classmethod
    def of(
        cls, trains: list[NDArray], passes: MoviePasses, per_bin: int, lag_s: float
    ) -> MovieCounts:
        """Count spikes from the onset of the first frame to the end of the last one, delayed.

        Parameters
        ----------
        trains : list of ndarray
            Sorted spike times of every neuron, in seconds.
        passes : MoviePasses
        per_bin : int
            Number of frames in a bin; an incomplete last bin is left out.
        lag_s : float
            Delay of the counting windows in seconds.

        Examples
        --------
        >>> onsets = np.arange(4.0)[None] / 10
        >>> passes = MoviePasses("one", onsets, onsets + 0.1)
        >>> MovieCounts.of([np.array([0.04, 0.06, 0.21, 0.27])], passes, 2, 0.05).counts
        array([[[2],
                [1]]])
        """
        n, frames = passes.starts.shape
        first = np.arange(0, frames - per_bin + 1, per_bin)
        begin = (passes.starts[:, first] + lag_s).ravel()
        end = (passes.stops[:, first + per_bin - 1] + lag_s).ravel()
        counts = count_spikes(trains, begin, end).reshape(n, len(first), len(trains))
        return cls(passes.name, first, per_bin, counts)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean counts (bins, neurons), or the average that `response` asks for."""
        average = np.median if self.response.average == "median" else np.mean
        return np.asarray(average(self.counts, axis=0))

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors of the means over passes; NaN for a single pass."""
        n = len(self.counts)
        if n == 1:
            return np.full(self.counts.shape[1:], np.nan)
        return np.asarray(self.counts.std(axis=0, ddof=1) / np.sqrt(n))


@dataclass(frozen=True)
class MovieWindows:
    """Mean counts of all movie bins in several counting windows.

    Parameters
    ----------
    lag_s, width_s : ndarray, shape (windows,)
        Delay behind the first frame of a bin and length, in seconds.
    means : ndarray, shape (windows, bins, neurons)
        Mean counts, in spikes per duration of the bin.
    """

    lag_s: NDArray[np.float64]
    width_s: NDArray[np.float64]
    means: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        trains: list[NDArray],
        movies: Sequence[MoviePasses],
        per_bin: int,
        windows: Sequence[tuple[float, float | None]],
    ) -> MovieWindows:
        """Count in every window of every bin; see `MovieCounts.of`.

        Parameters
        ----------
        windows : sequence of tuple
            Delay and length in seconds; None for the duration of the frames.

        Examples
        --------
        >>> onsets = np.arange(4.0)[None] / 10
        >>> passes = MoviePasses("one", onsets, onsets + 0.1)
        >>> trains = [np.array([0.04, 0.06, 0.21, 0.27])]
        >>> found = MovieWindows.of(trains, [passes], 2, [(0.05, None), (0.0, 0.1)])
        >>> found.width_s, found.means[..., 0]
        (array([0.2, 0.1]), array([[2., 1.],
               [4., 4.]]))
        """
        widths, means = [], []
        for lag, width in windows:
            parts, lengths = [], []
            for passes in movies:
                n, frames = passes.starts.shape
                first = np.arange(0, frames - per_bin + 1, per_bin)
                begin = (passes.starts[:, first] + lag).ravel()
                length = (passes.stops[:, first + per_bin - 1] - passes.starts[:, first]).ravel()
                own = length if width is None else np.full_like(length, width)
                counts = count_spikes(trains, begin, begin + own) * (length / own)[:, None]
                parts.append(counts.reshape(n, len(first), -1).mean(axis=0))
                lengths.append(own)
            means.append(np.concatenate(parts))
            widths.append(np.median(np.concatenate(lengths)))
        lags = [lag for lag, _ in windows]
        return cls(np.array(lags, float), np.array(widths).round(6), np.stack(means))


def bin_trials(movies: list[MovieCounts], neuron_ids: list[str]) -> Trials:
    """Every bin of every pass as a trial, for sessions without natural scenes.

    Image ids are the running numbers of the bins over all movies; trials are in the order of
    movies, passes and bins, as in `meiflow.session.movie_passes.bin_presentations`.

    Examples
    --------
    >>> counts = np.arange(6).reshape(2, 3, 1)
    >>> trials = bin_trials([MovieCounts("one", np.array([0, 8, 16]), 8, counts)], ["a"])
    >>> trials.image_ids, trials.counts.ravel()
    (array([0, 1, 2, 0, 1, 2]), array([0, 1, 2, 3, 4, 5]))
    """
    images, counts, first = [], [], 0
    for movie in movies:
        passes, bins, neurons = movie.counts.shape
        images.append(np.tile(first + np.arange(bins), passes))
        counts.append(movie.counts.reshape(passes * bins, neurons))
        first += bins
    image_ids = np.concatenate(images)
    values = np.concatenate(counts)
    return Trials(np.arange(len(image_ids)), neuron_ids, image_ids, values, movies[0].response)


def neurons_of_movies(table: pd.DataFrame, origin: str) -> list[str]:
    """Neurons of a user's long table, in the order of their first rows."""
    known = table["neuron_id"].dropna()
    neuron_ids = list(dict.fromkeys(known.map(identifier)))
    check_names((), neuron_ids, origin)
    return neuron_ids


def movie_table(
    movies: list[MovieCounts], neuron_ids: list[str], *, errors: bool = False
) -> pd.DataFrame:
    """Columns `BIN_COLUMNS`, then one column per neuron of mean counts, or of standard errors."""
    parts = []
    for movie in movies:
        bins = pd.DataFrame(
            {
                "movie": movie.name,
                "first_frame": movie.first_frames,
                "last_frame": movie.first_frames + movie.per_bin - 1,
                "repeats": len(movie.counts),
            }
        )
        values = movie.errors if errors else movie.means
        parts.append(pd.concat([bins, pd.DataFrame(values, columns=neuron_ids)], axis=1))
    return pd.concat(parts, ignore_index=True)


def movie_columns(response: ResponseType = COUNTS) -> tuple[str, ...]:
    """Columns of a long table of responses to movies.

    Examples
    --------
    >>> movie_columns(ResponseType(real=True))
    ('movie', 'repeat', 'frame', 'neuron_id', 'response')
    """
    return (*_ROW, response.column)


def movies_from_table(
    table: pd.DataFrame,
    origin: str,
    names: list[str],
    per_bin: int,
    neuron_ids: list[str],
    response: ResponseType = COUNTS,
) -> tuple[list[MovieCounts], dict[str, int]]:
    """Responses in a user's long table with the columns `movie_columns`.

    Neurons without a row in a frame are silent there; the counts of the frames of a bin are added.
    Real numbers are averaged over the frames of a bin, and need a row for every neuron.

    Parameters
    ----------
    table : DataFrame
    origin : str
        Path of the table, used in messages.
    names : list of str
        Movies that are used; others are ignored.
    per_bin : int
    neuron_ids : list of str
        Neurons of the session.
    response : ResponseType

    Returns
    -------
    movies : list of MovieCounts
    frames : dict of str to int
        Number of frames of every movie.

    Raises
    ------
    MeiflowError
        If a column contains something else, a row occurs twice, a neuron is unknown, a repeat
        lacks frames, or there is none of the movies.
    """
    movie = table["movie"].astype(str)
    table, movie = table[movie.isin(names)], movie[movie.isin(names)]
    if table.empty:
        raise MeiflowError(
            f"{origin}: contains none of the movies of session.movies.shown ({shorten(names)})"
        )
    neuron = _neurons(table, origin, neuron_ids)
    numbers = {name: whole_numbers(table, name, origin) for name in ("repeat", "frame")}
    read = real_numbers if response.real else whole_numbers
    rows = pd.DataFrame(
        {
            "movie": movie,
            **numbers,
            "neuron": neuron,
            "value": read(table, response.column, origin),
        },
        index=table.index,
    )
    twice = rows.duplicated(["movie", "repeat", "frame", "neuron"]).to_numpy()
    if twice.any():
        raise MeiflowError(
            f"{origin}: row {line_of(rows, twice)} is a second row for the same movie, repeat, "
            "frame and neuron; keep one"
        )
    movies, lengths = [], {}
    for name in names:
        own = rows[rows["movie"] == name]
        if own.empty:
            continue
        values = _by_pass(own, f"{origin}: {name}", neuron_ids, response.real)
        frames = values.shape[1]
        first = np.arange(0, frames - per_bin + 1, per_bin)
        binned = values[:, : len(first) * per_bin].reshape(len(values), len(first), per_bin, -1)
        of_bins = binned.mean(axis=2) if response.real else binned.sum(axis=2)
        movies.append(MovieCounts(name, first, per_bin, of_bins, response))
        lengths[name] = frames
    return movies, lengths


def _neurons(table: pd.DataFrame, origin: str, neuron_ids: list[str]) -> NDArray[np.int64]:
    """Number of the neuron of every row."""
    empty = table["neuron_id"].isna().to_numpy()
    if empty.any():
        raise MeiflowError(
            f"{origin}: neuron_id is empty in row {line_of(table, empty)}; every row needs a value"
        )
    codes, raw = pd.factorize(table["neuron_id"])
    found = [identifier(value) for value in raw]
    unknown = sorted(set(found) - set(neuron_ids))
    if unknown:
        raise MeiflowError(
            f"{origin}: neuron {shorten(unknown, 3)} does not occur in session.trials; provide the "
            "same neurons"
        )
    return np.asarray(pd.Index(neuron_ids).get_indexer(found)[codes])


def _by_pass(rows: pd.DataFrame, where: str, neuron_ids: list[str], real: bool) -> NDArray:
    """Responses (passes, frames, neurons) to one movie."""
    repeats, code = np.unique(rows["repeat"], return_inverse=True)
    frames = int(rows["frame"].max()) + 1
    size = len(repeats), frames, len(neuron_ids)
    if (cells := len(repeats) * frames * len(neuron_ids)) > MOST_COUNTS:
        raise MeiflowError(
            f"{where}: {size[0]} repeats of {size[1]} frames and {size[2]} neurons are {cells:,} "
            f"responses, more than {MOST_COUNTS:,}; leave out neurons"
        )
    values = np.full(size, np.nan) if real else np.zeros(size, np.int64)
    values[code, rows["frame"], rows["neuron"]] = rows["value"]
    seen = np.zeros(size[:2], bool)
    seen[code, rows["frame"]] = True
    if not seen.all():
        which, frame = np.argwhere(~seen)[0]
        needs = "a row for every neuron" if real else "zeros for silent neurons"
        raise MeiflowError(
            f"{where} has no row for frame {frame} of repeat {repeats[which]}; every "
            f"repeat needs every frame, with {needs}"
        )
    if real and np.isnan(values).any():
        which, frame, neuron = np.argwhere(np.isnan(values))[0]
        raise MeiflowError(
            f"{where} has no row for frame {frame} of repeat {repeats[which]}, neuron "
            f"{neuron_ids[neuron]}; real responses need a row for every frame and neuron"
        )
    return values

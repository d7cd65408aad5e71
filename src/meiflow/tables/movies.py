"""Responses to natural movies: counts in bins of several frames, by pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.session.movie_passes import MoviePasses
from meiflow.tables.columns import line_of, whole_numbers
from meiflow.tables.counts import (
    Trials,
    check_names,
    count_spikes,
    identifier,
)

MOVIE_COLUMNS = ("movie", "repeat", "frame", "neuron_id", "spike_count")
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
    counts : ndarray of int, shape (passes, bins, neurons)
    """

    name: str
    first_frames: NDArray[np.int64]
    per_bin: int
    counts: NDArray[np.int64]

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
        """Mean counts (bins, neurons)."""
        return np.asarray(self.counts.mean(axis=0))

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors of `means`; NaN for a single pass."""
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
    return Trials(np.arange(len(image_ids)), neuron_ids, image_ids, np.concatenate(counts))


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


def movies_from_table(
    table: pd.DataFrame, origin: str, names: list[str], per_bin: int, neuron_ids: list[str]
) -> tuple[list[MovieCounts], dict[str, int]]:
    """Counts of a user's long table with the columns `MOVIE_COLUMNS`.

    Neurons without a row in a frame are silent there; the counts of the frames of a bin are added.

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
    table = table[table["movie"].astype(str).isin(names)]
    if table.empty:
        raise MeiflowError(
            f"{origin}: contains none of the movies of session.movies.shown ({shorten(names)})"
        )
    for column in ("repeat", "frame", "spike_count"):
        table = table.assign(**{column: whole_numbers(table, column, origin)})
    empty = table["neuron_id"].isna().to_numpy()
    if empty.any():
        raise MeiflowError(
            f"{origin}: neuron_id is empty in row {line_of(table, empty)}; every row needs a value"
        )
    table = table.assign(neuron_id=table["neuron_id"].map(identifier))
    unknown = sorted(set(table["neuron_id"]) - set(neuron_ids))
    if unknown:
        raise MeiflowError(
            f"{origin}: neuron {shorten(unknown, 3)} does not occur in session.trials; provide the "
            "same neurons"
        )
    twice = table.duplicated(list(MOVIE_COLUMNS[:-1])).to_numpy()
    if twice.any():
        raise MeiflowError(
            f"{origin}: row {line_of(table, twice)} is a second row for the same movie, repeat, "
            "frame and neuron; keep one"
        )
    movies, lengths = [], {}
    for name in names:
        own = table[table["movie"].astype(str) == name]
        if own.empty:
            continue
        repeats, code = np.unique(own["repeat"], return_inverse=True)
        frames = int(own["frame"].max()) + 1
        counts = np.zeros((len(repeats), frames, len(neuron_ids)), np.int64)
        neuron = pd.Index(neuron_ids).get_indexer(own["neuron_id"])
        counts[code, own["frame"], neuron] = own["spike_count"]
        seen = np.zeros((len(repeats), frames), bool)
        seen[code, own["frame"]] = True
        if not seen.all():
            which, frame = np.argwhere(~seen)[0]
            raise MeiflowError(
                f"{origin}: {name} has no row for frame {frame} of repeat {repeats[which]}; every "
                "repeat needs every frame, with zeros for silent neurons"
            )
        first = np.arange(0, frames - per_bin + 1, per_bin)
        binned = counts[:, : len(first) * per_bin].reshape(len(repeats), len(first), per_bin, -1)
        movies.append(MovieCounts(name, first, per_bin, binned.sum(axis=2)))
        lengths[name] = frames
    return movies, lengths

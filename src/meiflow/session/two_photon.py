"""Responses of a two-photon experiment of the Allen Brain Observatory to its stimuli."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError

INDEXED, PARAMETRIC = ("natural_scenes",), ("static_gratings", "drifting_gratings")
MOVIES = ("natural_movie_one", "natural_movie_two", "natural_movie_three")


@dataclass(frozen=True)
class TwoPhotonExperiment:
    """Traces of all cells, and when which stimulus was shown.

    Parameters
    ----------
    cells : ndarray of int, shape (cells,)
        Cell specimen ids.
    time_s : ndarray, shape (frames,)
        Time of every imaging frame.
    dff : ndarray, shape (cells, frames)
    stimuli : dict of str to DataFrame
        ``frame`` (natural scenes; -1 is the blank), ``frame`` and ``repeat`` (natural movies), or
        the parameters of gratings (missing for blanks), and the imaging frames ``start`` and
        ``end``.
    scenes : ndarray of uint8, shape (images, height, width), or None
        Natural scenes, if the file contains them.
    events : ndarray, shape (cells, frames), or None
        Events of the cells, if the file contains them (some in NWB 2).
    shown : tuple of str
        Names of all stimuli of the experiment, including those that are not read.
    notes : tuple of str
        What was left out because the file stores it wrongly.
    """

    cells: NDArray[np.int64]
    time_s: NDArray[np.float64]
    dff: NDArray[np.float32]
    stimuli: dict[str, pd.DataFrame]
    scenes: NDArray[np.uint8] | None = None
    events: NDArray[np.float64] | None = None
    shown: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def only(self, movies: Collection[str]) -> TwoPhotonExperiment:
        """The same experiment with these natural movies only."""
        kept = {n: t for n, t in self.stimuli.items() if n not in MOVIES or n in movies}
        return replace(self, stimuli=kept)


def responses(
    traces: NDArray, table: pd.DataFrame, time_s: NDArray, window_s: tuple[float, float]
) -> NDArray[np.float64]:
    """Mean of the traces in a window after every onset, (presentations, cells).

    Parameters
    ----------
    traces : ndarray, shape (cells, frames)
    table : DataFrame
        With the column ``start``.
    time_s : ndarray, shape (frames,)
    window_s : tuple of float
        Start and stop of the window after the onset; frames whose time is in [start, stop) count,
        at least one.

    Returns
    -------
    ndarray, shape (presentations, cells)
        NaN where the recording ends before the window.

    Examples
    --------
    >>> time_s = np.arange(12) / 4
    >>> shown = pd.DataFrame({"start": [0, 4, 11]})
    >>> responses(np.arange(12.0)[None], shown, time_s, (0.25, 0.75)).ravel()
    array([1.5, 5.5, nan])
    """
    edges = _onsets(table, time_s)[:, None] + np.asarray(window_s) - 1e-6
    first, last = np.searchsorted(time_s, edges).T
    last = np.maximum(last, first + 1)
    inside = last <= traces.shape[1]
    sums = np.concatenate([np.zeros((len(traces), 1)), np.cumsum(traces, axis=1, dtype=float)], 1)
    found = np.full((len(table), len(traces)), np.nan)
    rows = np.flatnonzero(inside)
    length = last[rows] - first[rows]
    found[rows] = ((sums[:, last[rows]] - sums[:, first[rows]]) / length).T
    return found


def numbered_passes(table: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Presentations of the frames of a movie with a column ``repeat``, in whole passes.

    Parameters
    ----------
    table : DataFrame
        In order of time, with the column ``frame``; a pass begins at frame 0.

    Returns
    -------
    table : DataFrame
        Without passes in which a frame is missing or occurs twice.
    left_out : int
        Number of these.

    Examples
    --------
    >>> shown = pd.DataFrame({"frame": [0, 1, 2, 0, 2, 0, 1, 2], "start": range(8)})
    >>> found, left_out = numbered_passes(shown)
    >>> found["start"].tolist(), found["repeat"].tolist(), left_out
    ([0, 1, 2, 5, 6, 7], [0, 0, 0, 1, 1, 1], 1)
    """
    frame = table["frame"].to_numpy()
    number = np.cumsum(np.diff(frame, prepend=np.inf) < 0)
    expected = np.arange(frame.max(initial=-1) + 1)
    whole = [p for p in np.unique(number) if np.array_equal(frame[number == p], expected)]
    kept = table[np.isin(number, whole)].reset_index(drop=True)
    repeat = np.repeat(np.arange(len(whole)), len(expected))
    return kept.assign(repeat=repeat), len(np.unique(number)) - len(whole)


def trial_tables(
    experiment: TwoPhotonExperiment,
    window_s: tuple[float, float],
    traces: NDArray | None = None,
) -> Mapping[str, pd.DataFrame]:
    """Tables for source tables, by key of the section session, with a column ``response``.

    Parameters
    ----------
    experiment : TwoPhotonExperiment
    window_s : tuple of float
        As for `responses`; for drifting gratings the stop is the end of the presentation plus the
        start of the window.
    traces : ndarray, shape (cells, frames), optional
        Traces in place of dF/F, such as events.

    Returns
    -------
    dict of str to DataFrame
        ``trials``, ``static_gratings``, ``drifting_gratings`` and ``movies``, of those that were
        shown. Cells with a missing value (NaN) are left out of all. ``movies`` has a row for every
        frame of every pass: the response in a window that begins ``window_s[0]`` after the frame
        and is as long as a frame, so that the mean over the frames of a bin is that in one window.
    """
    given = experiment.dff if traces is None else traces
    if given.shape != experiment.dff.shape:
        raise MeiflowError(
            f"events: shape {given.shape}; expected {experiment.dff.shape}, (cells, imaging frames)"
        )
    kept = np.isfinite(given).all(axis=1)
    cells = experiment.cells[kept].astype(str)
    time_s, found, movies = experiment.time_s, {}, []
    for name, table in experiment.stimuli.items():
        shown = table.dropna() if name in PARAMETRIC else table
        window = window_s
        if name in MOVIES:
            window = window_s[0], window_s[0] + _frame_s(shown, time_s)
        elif name == "drifting_gratings" and len(shown):
            ends = np.minimum(shown["end"], len(time_s) - 1)
            window = (
                window_s[0],
                window_s[0] + float(np.median(time_s[ends] - _onsets(shown, time_s))),
            )
        values = responses(given[kept], shown, time_s, window)
        whole = np.isfinite(values).all(axis=1)
        if name in MOVIES:
            lost = shown.loc[~whole, "repeat"]
            whole &= ~shown["repeat"].isin(lost).to_numpy()
            movies.append(_long_table(shown[whole], values[whole], cells))
            movies[-1].insert(0, "movie", name)
            continue
        own = shown[whole].rename(columns={"frame": "image_id"})
        long = _long_table(own, values[whole], cells)
        long.insert(0, "trial_id", np.repeat(np.flatnonzero(whole), len(cells)))
        found["trials" if name in INDEXED else name] = long
    if movies:
        found["movies"] = pd.concat(movies, ignore_index=True)
    return found


def _onsets(shown: pd.DataFrame, time_s: NDArray) -> NDArray[np.float64]:
    return np.asarray(time_s[np.minimum(shown["start"].to_numpy(), len(time_s) - 1)])


def _frame_s(shown: pd.DataFrame, time_s: NDArray) -> float:
    """Duration of a frame of a movie: median interval between onsets, by pass."""
    onsets = pd.Series(_onsets(shown, time_s)).groupby(shown["repeat"].to_numpy())
    lengths, frames = onsets.agg(np.ptp), onsets.size() - 1
    return float(np.median(lengths / np.maximum(frames, 1)))


def _long_table(shown: pd.DataFrame, values: NDArray, cells: NDArray) -> pd.DataFrame:
    """One row per presentation and cell: neuron_id, response, and what was shown."""
    parameters = shown.drop(columns=["start", "end"])
    long = parameters.iloc[np.repeat(np.arange(len(shown)), len(cells))].reset_index(drop=True)
    long.insert(0, "neuron_id", np.tile(cells, len(shown)))
    long.insert(1, "response", values.ravel())
    return long

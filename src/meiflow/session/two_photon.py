"""Responses of a two-photon experiment of the Allen Brain Observatory to its stimuli."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError

INDEXED, PARAMETRIC = ("natural_scenes",), ("static_gratings", "drifting_gratings")


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
        ``frame`` (natural scenes; -1 is the blank) or the parameters of gratings, in columns
        (missing for blanks), and the imaging frames ``start`` and ``end``.
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
    onset = time_s[np.minimum(table["start"].to_numpy(), len(time_s) - 1)]
    edges = onset[:, None] + np.asarray(window_s) - 1e-6
    first, last = np.searchsorted(time_s, edges).T
    last = np.maximum(last, first + 1)
    inside = last <= traces.shape[1]
    sums = np.concatenate([np.zeros((len(traces), 1)), np.cumsum(traces, axis=1, dtype=float)], 1)
    found = np.full((len(table), len(traces)), np.nan)
    rows = np.flatnonzero(inside)
    length = last[rows] - first[rows]
    found[rows] = ((sums[:, last[rows]] - sums[:, first[rows]]) / length).T
    return found


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
        ``trials``, ``static_gratings`` and ``drifting_gratings``, of those that were shown. Cells
        with a missing value (NaN) are left out of all.
    """
    given = experiment.dff if traces is None else traces
    if given.shape != experiment.dff.shape:
        raise MeiflowError(
            f"events: shape {given.shape}; expected {experiment.dff.shape}, (cells, imaging frames)"
        )
    kept = np.isfinite(given).all(axis=1)
    cells = experiment.cells[kept].astype(str)
    found = {}
    for name, table in experiment.stimuli.items():
        shown = table.dropna() if name in PARAMETRIC else table
        window = window_s
        if name == "drifting_gratings" and len(shown):
            ends = np.minimum(shown["end"], len(experiment.time_s) - 1)
            length = experiment.time_s[ends] - experiment.time_s[shown["start"]]
            window = window_s[0], window_s[0] + float(np.median(length))
        values = responses(given[kept], shown, experiment.time_s, window)
        whole = np.isfinite(values).all(axis=1)
        parameters = (
            shown[whole].drop(columns=["start", "end"]).rename(columns={"frame": "image_id"})
        )
        long = parameters.iloc[np.repeat(np.arange(whole.sum()), len(cells))].reset_index(drop=True)
        long.insert(0, "trial_id", np.repeat(np.flatnonzero(whole), len(cells)))
        long.insert(1, "neuron_id", np.tile(cells, whole.sum()))
        long.insert(2, "response", values[whole].ravel())
        found["trials" if name in INDEXED else name] = long
    return found

"""Two-photon experiments of the Allen Brain Observatory (NWB 1), without AllenSDK.

Stimulus tables are in imaging frames, as those of AllenSDK's ``BrainObservatoryNwbDataSet``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.session.nwb_checks import require_self_contained

_PIPELINE = "processing/brain_observatory_pipeline"
_SHOWN = "stimulus/presentation"
_SCENES = "stimulus/templates/natural_scenes_image_stack/data"
_INDEXED, _PARAMETRIC = ("natural_scenes",), ("static_gratings", "drifting_gratings")


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
    """

    cells: NDArray[np.int64]
    time_s: NDArray[np.float64]
    dff: NDArray[np.float32]
    stimuli: dict[str, pd.DataFrame]
    scenes: NDArray[np.uint8] | None = None


def read_two_photon(path: str | Path) -> TwoPhotonExperiment:
    """Read an experiment file, as downloaded by AllenSDK's ``BrainObservatoryCache``.

    Raises
    ------
    MeiflowError
        If the file cannot be opened, or lacks a data set; what it lacks is named.
    """
    import h5py

    require_self_contained(Path(path))
    with h5py.File(path, "r") as file:
        traces = _group(file, f"{_PIPELINE}/DfOverF/imaging_plane_1", path)
        dff, time_s = traces["data"][()], traces["timestamps"][()]
        cells = _group(file, f"{_PIPELINE}/ImageSegmentation/cell_specimen_ids", path)[()]
        shown = _group(file, _SHOWN, path)
        stimuli = {}
        for name in (*_INDEXED, *_PARAMETRIC):
            group = shown.get(name, shown.get(f"{name}_stimulus"))
            if group is not None:
                stimuli[name] = _table(group, name, path)
        scenes = file[_SCENES][()] if _SCENES in file else None
    if dff.shape != (len(cells), len(time_s)):
        raise MeiflowError(
            f"{path}: DfOverF has shape {dff.shape} for {len(cells)} cells and {len(time_s)} "
            "imaging frames"
        )
    return TwoPhotonExperiment(cells.astype(np.int64), time_s, dff, stimuli, scenes)


def _group(file: Any, name: str, path: str | Path) -> Any:
    if name not in file:
        raise MeiflowError(
            f"{path}: {name} is missing; expected a two-photon experiment (NWB 1) of the Allen "
            f"Brain Observatory, but the file has {shorten(file, 6)}"
        )
    return file[name]


def _table(group: Any, name: str, path: str | Path) -> pd.DataFrame:
    values, frames = group["data"][()], group["frame_duration"][()]
    if name in _INDEXED:
        table = pd.DataFrame({"frame": values.astype(np.int64)})
    else:
        features = [f.decode() if isinstance(f, bytes) else str(f) for f in group["features"][()]]
        table = pd.DataFrame(values, columns=features)
    if frames.shape != (len(table), 2):
        raise MeiflowError(
            f"{path}: frame_duration of {name} has shape {frames.shape} for {len(table)} "
            "presentations; expected (presentations, 2)"
        )
    table["start"], table["end"] = frames.T.astype(np.int64)
    return table.sort_values(["start", "end"]).reset_index(drop=True)


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
        shown = table.dropna() if name in _PARAMETRIC else table
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
        found["trials" if name in _INDEXED else name] = long
    return found

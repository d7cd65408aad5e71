"""Passes of a natural movie, from one presentation per frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.progress import logger

_ODD_DURATION = 0.25  # relative to the median


@dataclass(frozen=True)
class MoviePasses:
    """Times of the frames in every regular pass through a movie.

    Parameters
    ----------
    name : str
    starts, stops : ndarray, shape (passes, frames)
        Onset and end of every frame in seconds.
    blocks : ndarray, shape (passes,), optional
        Stimulus block of every pass.
    """

    name: str
    starts: NDArray[np.float64]
    stops: NDArray[np.float64]
    blocks: NDArray[np.float64] | None = None


def regular_passes(table: pd.DataFrame, lost: NDArray, name: str) -> MoviePasses:
    """Divide presentations of single frames into passes through the movie.

    A pass begins where the frame number does not increase. Passes that lack frames, pause, have
    frames of unusual duration, or during which spikes were lost are left out, with a message.

    Parameters
    ----------
    table : DataFrame
        start_time and stop_time in seconds, frame, starting at 0, and possibly stimulus_block.
    lost : ndarray, shape (n, 2)
        Intervals in seconds in which spikes were lost.
    name : str
        Name of the movie, used in messages.

    Raises
    ------
    MeiflowError
        If no pass is regular, or frame numbers are not whole numbers from 0.

    Examples
    --------
    >>> shown = pd.DataFrame({"frame": [0, 1, 2, 0, 1, 2, 0, 2], "start_time": np.arange(8) / 30})
    >>> shown["stop_time"] = shown["start_time"] + 1 / 30
    >>> regular_passes(shown, np.empty((0, 2)), "natural_movie_one").starts.round(3)
    array([[0.   , 0.033, 0.067],
           [0.1  , 0.133, 0.167]])
    """
    table = table.sort_values("start_time", kind="stable")
    frame = table["frame"].to_numpy(float)
    odd = (frame != np.round(frame)) | (frame < 0)
    if odd.any() or not len(frame):
        value = f"frame {frame[odd][0]:g}" if odd.any() else "no frame"
        raise MeiflowError(f"{name}: has {value}; expected whole numbers from 0")
    start, stop = (table[c].to_numpy(float) for c in ("start_time", "stop_time"))
    frames = int(frame.max()) + 1
    usual = float(np.median(stop - start))
    first = np.flatnonzero(np.append(True, np.diff(frame) <= 0))
    kept, whole = [], np.arange(frames)
    for begin, end in zip(first, np.append(first[1:], len(frame)), strict=True):
        own = slice(begin, end)
        durations, pauses = stop[own] - start[own], start[own][1:] - stop[own][:-1]
        if (
            np.array_equal(frame[own], whole)
            and (np.abs(durations - usual) <= _ODD_DURATION * usual).all()
            and (np.abs(pauses) <= _ODD_DURATION * usual).all()
            and not ((lost[:, 0] < stop[end - 1]) & (lost[:, 1] > start[begin])).any()
        ):
            kept.append(own)
    if len(kept) < len(first):
        logger.info(
            f"{name}: excluded {len(first) - len(kept)} of {len(first)} passes, which lack frames, "
            "pause, have frames of unusual duration, or during which spikes were lost"
        )
    if not kept:
        raise MeiflowError(
            f"{name}: none of {len(first)} passes shows its {frames} frames without a fault; "
            "it is not used"
        )
    begins = [own.start for own in kept]
    block = table["stimulus_block"].to_numpy(float)[begins] if "stimulus_block" in table else None
    starts, stops = (np.stack([times[own] for own in kept]) for times in (start, stop))
    return MoviePasses(name, starts, stops, block)


def bin_presentations(movies: Sequence[MoviePasses], per_bin: int) -> pd.DataFrame:
    """Bins of several frames as presentations of images, one for every bin of every pass.

    Parameters
    ----------
    movies : sequence of MoviePasses
    per_bin : int
        Number of consecutive frames in a bin; an incomplete last bin is left out.

    Returns
    -------
    DataFrame
        start_time, stop_time, block and frame, the running number of the bin over all movies; in
        the order of movies, passes and bins.

    Examples
    --------
    >>> onsets = np.arange(4.0)[None] / 10
    >>> bin_presentations([MoviePasses("one", onsets, onsets + 0.1)], 2)
       start_time  stop_time  block  frame
    0         0.0        0.2    0.0      0
    1         0.2        0.4    0.0      1
    """
    parts, bins, first_block = [], 0, 0.0
    for movie in movies:
        passes, frames = movie.starts.shape
        first = np.arange(0, frames - per_bin + 1, per_bin)
        block = np.full(passes, first_block) if movie.blocks is None else movie.blocks
        parts.append(
            pd.DataFrame(
                {
                    "start_time": movie.starts[:, first].ravel(),
                    "stop_time": movie.stops[:, first + per_bin - 1].ravel(),
                    "block": np.repeat(block, len(first)),
                    "frame": np.tile(bins + np.arange(len(first)), passes),
                }
            )
        )
        bins, first_block = bins + len(first), first_block + 1
    return pd.concat(parts, ignore_index=True)

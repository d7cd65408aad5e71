"""Eye movements of a simulated session, and responses to scenes as they fall on the retina."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.retina import gaze_pixels, seen_images
from meiflow.simulation.rates import DISPLAY, Rates

_STEP_S = 1 / 30  # of the camera
_FIXATION_S = 4.0
_BLINKS = 0.02  # fraction of the samples
_AT_ONCE = 300


def eye_movements(
    end_s: float, sd_deg: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fixations of a few seconds around the centre, as saccades of mice separate them.

    Parameters
    ----------
    end_s : float
        End of the recording in seconds.
    sd_deg : float
        Standard deviation of azimuth in degrees; that of elevation is half of it.
    rng : Generator

    Returns
    -------
    times : ndarray, shape (samples,)
        Seconds.
    gaze_deg : ndarray, shape (samples, 2)
        Azimuth to the right and elevation upwards.

    Examples
    --------
    >>> times, gaze = eye_movements(2000.0, 4.0, np.random.default_rng(0))
    >>> gaze.std(axis=0).round()
    array([4., 2.])
    """
    times = np.arange(0.0, end_s, _STEP_S)
    ends = np.cumsum(rng.exponential(_FIXATION_S, int(2 * end_s / _FIXATION_S) + 20))
    at = rng.standard_normal((len(ends) + 1, 2)) * [sd_deg, sd_deg / 2]
    return times, at[np.searchsorted(ends, times)]


def with_blinks(gaze_deg: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """What a camera records: nothing during blinks, which are distributed at random."""
    return np.where(rng.uniform(size=(len(gaze_deg), 1)) < _BLINKS, np.nan, gaze_deg)


def scene_rates(
    rates: Rates, frames: NDArray, shown: pd.DataFrame, times: NDArray, gaze_deg: NDArray
) -> NDArray[np.float64]:
    """Rate in Hz of every unit during every presentation of a scene: (presentations, units).

    The eye rests during a presentation where it is in the middle of it.

    Parameters
    ----------
    rates : callable
        Rates to images on the display.
    frames : ndarray, shape (frames, height, width)
        Scenes on the display.
    shown : DataFrame
        Presentations: start_time, stop_time and frame, -1 for the blank.
    times, gaze_deg : ndarray
        From `eye_movements`.
    """
    middle = (shown["start_time"] + shown["stop_time"]).to_numpy(float) / 2
    pixels = gaze_pixels(gaze_deg[np.searchsorted(times, middle).clip(max=len(times) - 1)], DISPLAY)
    frame = shown["frame"].to_numpy().astype(int)
    different, which = np.unique(np.column_stack([frame, pixels]), axis=0, return_inverse=True)
    every = np.concatenate([frames, np.full((1, *DISPLAY.shape), 0.5, frames.dtype)])
    found = [
        rates(seen_images(every[part[:, 0]], part[:, 1:]))
        for part in np.array_split(different, -(-len(different) // _AT_ONCE))
    ]
    return np.concatenate(found)[which.ravel()]

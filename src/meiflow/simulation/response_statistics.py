"""Rates, drive and variability of simulated units, distributed as in a recorded session.

The distributions were matched by eye to the released metrics of the 135 units in VISam of session
798911424 that pass the filters (rate, Fano factor, lifetime sparseness and image selectivity for
natural scenes): `benchmarks.simulated_statistics` compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.simulation.spikes import ornstein_uhlenbeck

_RATE_SD = 1.15  # of the log rate over units
_SHARE = 1.0, 1.8  # beta distribution of the part of the rate that depends on the image
_GAIN, _GAIN_SPREAD = 0.38, 0.6  # median sd of a unit's own log gain, and its spread over units
_GAIN_TAU_S = 0.5
_GAIN_STEP_S = 0.05
_LATEST_S = 0.04  # a unit's latency beyond the shortest


@dataclass(frozen=True)
class ResponseStatistics:
    """What distinguishes the units of a session, apart from what they prefer; one value per unit.

    Parameters
    ----------
    drive_hz : ndarray
        Mean stimulus-driven rate during natural images.
    baseline_hz : ndarray
        Rate that does not depend on the image.
    gain_sd : ndarray
        Standard deviation of the unit's own log gain, which no other unit shares.
    delay_s : ndarray
        Latency beyond that of the session.
    """

    drive_hz: NDArray[np.float64]
    baseline_hz: NDArray[np.float64]
    gain_sd: NDArray[np.float64]
    delay_s: NDArray[np.float64]


def as_recorded(
    tuned: NDArray[np.bool_], median_hz: float, rng: np.random.Generator
) -> ResponseStatistics:
    """Draw statistics as recorded in VISam.

    Most of the rate of most units does not depend on the image, and responses vary more than
    Poisson counts.

    Parameters
    ----------
    tuned : ndarray of bool, shape (units,)
        Units whose rate depends on the image at all.
    median_hz : float
        Median rate.
    rng : numpy.random.Generator

    Examples
    --------
    >>> drawn = as_recorded(np.ones(2000, bool), 3.2, np.random.default_rng(0))
    >>> rate = drawn.drive_hz + drawn.baseline_hz
    >>> np.quantile(rate, [0.1, 0.5, 0.9]).round(1), np.median(drawn.drive_hz / rate).round(1)
    (array([ 0.7,  3.1, 13.8]), np.float64(0.3))
    """
    n = len(tuned)
    rate = median_hz * np.exp(_RATE_SD * rng.standard_normal(n))
    share = np.where(tuned, rng.beta(*_SHARE, n), 0.0)
    gain = _GAIN * np.exp(_GAIN_SPREAD * rng.standard_normal(n))
    return ResponseStatistics(rate * share, rate * (1 - share), gain, rng.uniform(0, _LATEST_S, n))


def own_gain(times: NDArray, sd: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gain of one unit at some times (s), with mean 1; it changes within half a second."""
    grid = np.arange(0.0, float(times[-1]) + 2 * _GAIN_STEP_S, _GAIN_STEP_S)
    log_gain = sd * ornstein_uhlenbeck(len(grid), _GAIN_STEP_S, _GAIN_TAU_S, rng)
    return np.asarray(np.exp(np.interp(times, grid, log_gain) - sd**2 / 2))

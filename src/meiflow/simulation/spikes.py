"""Spike trains of simulated units: inhomogeneous Poisson with shared gain and refractoriness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

REFRACTORY_S = 0.0015
_RUNNING_STEP_S = 0.1


def ornstein_uhlenbeck(
    n: int, step_s: float, tau_s: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Stationary Gaussian process with unit variance and correlation time `tau_s`."""
    from scipy.signal import lfilter

    decay = np.exp(-step_s / tau_s)
    noise = rng.standard_normal(n) * np.sqrt(1 - decay**2)
    noise[0] = rng.standard_normal()
    return lfilter([1.0], [1.0, -decay], noise)


def running_speed(end_s: float, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Sample times (s) and speed (cm/s): bouts of running between rests."""
    times = np.arange(0.0, end_s, _RUNNING_STEP_S)
    drive = ornstein_uhlenbeck(len(times), _RUNNING_STEP_S, 15.0, rng)
    jitter = ornstein_uhlenbeck(len(times), _RUNNING_STEP_S, 0.5, rng)
    return times, np.maximum(drive - 0.3, 0) * 20 + 0.3 * jitter


def shared_gain(
    times: NDArray, speed: NDArray, drift: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Log gain shared by all units at `times`: slow drift, plus arousal related to running.

    Its standard deviation is about `drift`.
    """
    slow = ornstein_uhlenbeck(len(times), float(times[1] - times[0]), 200.0, rng)
    arousal = (speed - speed.mean()) / max(float(speed.std()), 1e-9)
    return drift * (0.8 * slow + 0.6 * arousal)


def poisson_train(
    edges: NDArray, rates_hz: NDArray, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Spike times of a Poisson process with a dead time.

    Parameters
    ----------
    edges : ndarray, shape (bins + 1,)
        Bin edges in seconds, increasing.
    rates_hz : ndarray, shape (bins,)
        Effective rate in each bin, i.e. *after* losses due to the dead time.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray
        Increasing spike times with intervals of at least `REFRACTORY_S`.

    Notes
    -----
    A Poisson process of rate ``r / (1 - r d)`` thinned by a dead time ``d`` fires at rate r
    (Gerstner & Kistler 2002).
    """
    widths = np.diff(edges)
    rates = np.minimum(rates_hz, 0.5 / REFRACTORY_S)
    counts = rng.poisson(rates / (1 - rates * REFRACTORY_S) * widths)
    times = np.repeat(edges[:-1], counts) + rng.uniform(size=counts.sum()) * np.repeat(
        widths, counts
    )
    times.sort()
    # The first spike of a close pair always survives, so repeatedly removing only the first
    # violation of each run is equivalent to processing the train in order.
    while True:
        close = np.diff(times) < REFRACTORY_S
        first = close & ~np.concatenate([[False], close[:-1]])
        if not first.any():
            return times
        times = np.delete(times, np.flatnonzero(first) + 1)

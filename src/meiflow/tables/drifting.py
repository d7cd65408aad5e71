"""Recorded tuning to drifting gratings and full-field flashes.

Definitions follow AllenSDK's ``DriftingGratings`` and ``Flashes``
(``tests/tables/test_drifting.py`` compares them), except for the whole cycles of
`modulation_ratios`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

COLUMNS = (
    "pref_direction_deg",
    "pref_temporal_frequency_hz",
    "direction_selectivity",
    "drifting_orientation_selectivity",
    "f1_f0",
)
# A cycle counts as whole if at most this fraction of it is missing.
_TOLERANCE = 0.1


def drifting_preferences(
    gratings: pd.DataFrame, neuron_ids: list[str]
) -> dict[str, NDArray[np.float64]]:
    r"""Preferred direction and temporal frequency, direction and orientation selectivity.

    Each preference is the value with the highest mean over all conditions that share it. With mean
    counts :math:`r_\theta` at the preferred temporal frequency, direction selectivity is
    :math:`|\sum_\theta r_\theta e^{i\theta}| / \sum_\theta r_\theta` and orientation selectivity
    :math:`|\sum_\theta r_\theta e^{2i\theta}| / \sum_\theta r_\theta` (Ringach et al. 2002), both
    from 0 to 1. All are NaN for a neuron that never fired.

    Parameters
    ----------
    gratings : DataFrame
        The table drifting_responses.csv.
    neuron_ids : list of str

    Examples
    --------
    >>> gratings = pd.DataFrame({"orientation": [0.0, 90.0, 180.0], "temporal_frequency": 2.0})
    >>> found = drifting_preferences(gratings.assign(a=[3.0, 0.0, 1.0]), ["a"])
    >>> {key: round(float(value[0]), 3) for key, value in found.items()
    ...  }  # doctest: +NORMALIZE_WHITESPACE
    {'pref_direction_deg': 0.0, 'pref_temporal_frequency_hz': 2.0,
     'direction_selectivity': 0.5, 'drifting_orientation_selectivity': 1.0}
    """
    counts = gratings[neuron_ids].to_numpy(float)
    silent = (counts == 0).all(axis=0)
    direction, frequency = (
        np.where(silent, np.nan, gratings.groupby(key)[neuron_ids].mean().idxmax())
        for key in ("orientation", "temporal_frequency")
    )
    chosen = gratings["temporal_frequency"].to_numpy()[:, None] == frequency
    curve = np.where(chosen, counts, 0.0)
    angle = 1j * np.deg2rad(gratings["orientation"].to_numpy(float))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        selectivity = [
            np.abs((np.exp(n * angle) * curve).sum(axis=0)) / curve.sum(axis=0) for n in (1, 2)
        ]
    return {
        "pref_direction_deg": direction,
        "pref_temporal_frequency_hz": frequency,
        "direction_selectivity": selectivity[0],
        "drifting_orientation_selectivity": selectivity[1],
    }


def modulation_ratio(
    spike_times: NDArray[np.float64], starts: ArrayLike, frequency_hz: float, duration_s: float
) -> float:
    """F1/F0 of a spike train: modulation at the frequency of the stimulus relative to the mean.

    Parameters
    ----------
    spike_times : ndarray
        Sorted spike times of a neuron, in seconds.
    starts : array_like, shape (presentations,)
        Onsets of the presentations of one condition, in seconds.
    frequency_hz : float
        Temporal frequency of the stimulus.
    duration_s : float
        Duration of a presentation, of which the whole cycles are used.

    Returns
    -------
    float
        Mean of ``F1 / F0`` over the presentations with spikes, 0 to 2; NaN without spikes or
        without a whole cycle.

    Notes
    -----
    The definition is that of AllenSDK's ``f1_f0``: the ratio is formed for every presentation and
    then averaged, so few spikes per presentation bias it upwards: a single spike gives 2, and n
    spikes of an unmodulated Poisson process about sqrt(pi / n). Bins are not needed: with n spikes
    at times t, F1 / F0 is ``2 |sum exp(2 pi i f t)| / n``.

    Examples
    --------
    >>> train = np.arange(0.005, 2.0, 0.01)
    >>> round(modulation_ratio(train, [0.0], 1.0, 2.0), 6)
    0.0
    >>> round(modulation_ratio(train[np.sin(2 * np.pi * train) > 0], [0.0], 1.0, 2.0), 2)
    1.27
    """
    cycles = np.floor(frequency_hz * duration_s + _TOLERANCE)
    if not cycles >= 1:
        return np.nan
    onset = np.asarray(starts, float)
    first, last = np.searchsorted(
        spike_times, [onset, onset + cycles / frequency_hz], side="right"
    ).astype(int)
    ratios = []
    for start, a, b in zip(onset, first, last, strict=True):
        if b > a:
            turns = np.exp(2j * np.pi * frequency_hz * (spike_times[a:b] - start))
            ratios.append(2 * np.abs(turns.mean()))
    return float(np.mean(ratios)) if ratios else np.nan


def modulation_ratios(
    spike_times: Sequence[NDArray[np.float64]],
    presentations: pd.DataFrame,
    condition: NDArray[np.int64],
    means: NDArray[np.float64],
) -> NDArray[np.float64]:
    """F1/F0 of every neuron at the drifting grating with its highest mean count.

    Parameters
    ----------
    spike_times : sequence of ndarray
        Sorted spike times of every neuron, in seconds.
    presentations : DataFrame
        start_time, stop_time and temporal_frequency of every presentation.
    condition : ndarray of int, shape (presentations,)
        Condition of each presentation.
    means : ndarray, shape (conditions, neurons)
        Mean counts.

    Returns
    -------
    ndarray, shape (neurons,)
        NaN for a neuron that never fired.

    Examples
    --------
    >>> times = {"start_time": [0.0, 3.0], "stop_time": [2.0, 5.0]}
    >>> shown = pd.DataFrame(times).assign(temporal_frequency=[1.0, 4.0])
    >>> trains = [np.array([0.2, 1.2, 4.0]), np.array([3.1, 3.225, 4.6])]
    >>> modulation_ratios(trains, shown, np.array([0, 1]), np.array([[2, 0], [1, 3]])).round(3)
    array([2.   , 0.667])
    """
    found = np.full(len(spike_times), np.nan)
    if not len(means):
        return found
    starts = presentations["start_time"].to_numpy(float)
    lengths = presentations["stop_time"].to_numpy(float) - starts
    frequencies = presentations["temporal_frequency"].to_numpy(float)
    for neuron, best in enumerate(means.argmax(axis=0)):
        if means[best, neuron] > 0:
            shown = condition == best
            frequency = frequencies[shown][0]
            length = float(np.median(lengths[shown]))
            found[neuron] = modulation_ratio(spike_times[neuron], starts[shown], frequency, length)
    return found


def on_off_ratio(flashes: pd.DataFrame, neuron_ids: list[str]) -> NDArray[np.float64]:
    """Mean count for bright flashes divided by that for dark ones.

    NaN without a spike for dark flashes, or if one of the flashes was not shown.

    Parameters
    ----------
    flashes : DataFrame
        The table flash_responses.csv.
    neuron_ids : list of str

    Examples
    --------
    >>> flashes = pd.DataFrame({"color": [-1.0, 1.0], "a": [2.0, 3.0], "b": [0.0, 1.0]})
    >>> on_off_ratio(flashes, ["a", "b"])
    array([1.5, nan])
    """
    dark, bright = (
        flashes.loc[flashes["color"] == color, neuron_ids].to_numpy(float) for color in (-1, 1)
    )
    if not len(dark) or not len(bright):
        return np.full(len(neuron_ids), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(dark[0] > 0, bright[0] / dark[0], np.nan)

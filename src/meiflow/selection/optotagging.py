"""Units that light drives directly: optotagging."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.progress import logger, note
from meiflow.selection.corrected import holm
from meiflow.tables.counts import count_spikes

_SHORT_S = (0.004, 0.012)  # durations of pulses of 5 and 10 ms, as they were measured
_WINDOW_S = (0.001, 0.008)  # after onset
_ARTEFACT_S = 0.001  # after the offset of the light
_BASELINES, _STEP_S = 10, 0.01
_LEVEL, _RATIO = 0.05, 2.0
_WILD_TYPE = re.compile(r"\s*(wt(/wt)?|wild[ -]?type)\s*", re.IGNORECASE)


def short_pulses(epochs: pd.DataFrame, lost: ArrayLike = ()) -> pd.DataFrame:
    """Pulses of 5 and 10 ms of which the response and the baseline can be counted.

    Parameters
    ----------
    epochs : DataFrame
        start_time, stop_time and duration of every epoch of light, in seconds.
    lost : array_like, shape (intervals, 2)
        Start and stop of intervals in which a probe missed spikes, in seconds.

    Returns
    -------
    DataFrame
        The rows of pulses with no other light in the 100 ms before them, and no lost interval from
        there to 8 ms after onset.

    Examples
    --------
    >>> starts, durations = np.array([1.0, 3.0, 3.05, 6.0]), np.array([0.01, 0.005, 0.005, 1.0])
    >>> epochs = pd.DataFrame({"start_time": starts, "duration": durations})
    >>> short_pulses(epochs.assign(stop_time=starts + durations)).index.tolist()
    [0, 1]
    """
    start = epochs["start_time"].to_numpy(float)
    stop = epochs["stop_time"].to_numpy(float)
    good = epochs["duration"].between(*_SHORT_S).to_numpy()
    before = start - _BASELINES * _STEP_S
    for i in np.flatnonzero(good):
        lit = (start < start[i]) & (stop > before[i])
        good[i] = not lit.any()
    for first, last in np.asarray(lost, dtype=float).reshape(-1, 2):
        good &= (start + _WINDOW_S[1] <= first) | (before >= last)
    return epochs[good]


def light_responses(
    spike_times: Sequence[NDArray], onsets: ArrayLike, durations: ArrayLike
) -> pd.DataFrame:
    """Responses of units to short pulses of light, and whether they exceed chance.

    Spikes are counted from 1 to 8 ms after onset, without the first millisecond after the light
    goes off: photoelectric artefacts at its onset and offset look like spikes (Siegle et al. 2021;
    Allen's tutorial on optotagging). Ten windows of the same shape in the 100 ms before the pulse
    are the baseline. If light does nothing, each of the eleven windows of a pulse is equally
    likely to be that of the response; the distribution of the total over pulses under this
    hypothesis is computed exactly, without resampling, and corrected over units (Holm 1979).

    Parameters
    ----------
    spike_times : sequence of ndarray
        Sorted spike times of each unit, in seconds.
    onsets, durations : array_like, shape (pulses,)
        Of at least one pulse, in seconds.

    Returns
    -------
    DataFrame, a row per unit
        ``opto_evoked_hz``, the rate minus that in the baseline; ``opto_baseline_hz``;
        ``opto_latency_ms``, the median time of the first spike in the window, over the pulses with
        a spike; ``opto_p_holm``, one-sided; ``optotagged``: p below 0.05, and a rate above twice
        that of the baseline plus 1 Hz (the threshold of Allen's tutorial).

    Examples
    --------
    >>> onsets = np.arange(1.0, 11.0)
    >>> silent, driven = np.array([0.5, 2.5]), onsets + 0.003
    >>> light_responses([silent, driven], onsets, np.full(10, 0.01)).round(1).T
                          0      1
    opto_evoked_hz      0.0  142.9
    opto_baseline_hz    0.0    0.0
    opto_latency_ms     NaN    3.0
    opto_p_holm         1.0    0.0
    optotagged        False   True
    """
    onset, duration = np.asarray(onsets, float), np.asarray(durations, float)
    trains = list(spike_times)
    shifts = -_STEP_S * np.arange(_BASELINES + 1)
    counts = np.stack([_counts(trains, onset + shift, duration) for shift in shifts])
    first, last = _left_out(duration)
    counted_s = (_WINDOW_S[1] - _WINDOW_S[0] - (last - first)).sum()
    rate = counts[0].sum(axis=0) / counted_s
    baseline = counts[1:].sum(axis=(0, 1)) / (_BASELINES * counted_s)
    p = holm(_exact_p(counts))
    return pd.DataFrame(
        {
            "opto_evoked_hz": rate - baseline,
            "opto_baseline_hz": baseline,
            "opto_latency_ms": [1000 * _latency(train, onset, duration) for train in trains],
            "opto_p_holm": p,
            "optotagged": (p < _LEVEL) & (rate > _RATIO * (baseline + 1)),
        }
    )


def _left_out(duration: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Part of the window of each pulse in which the light goes off, in seconds after onset."""
    return np.clip(duration, *_WINDOW_S), np.clip(duration + _ARTEFACT_S, *_WINDOW_S)


def _counts(trains: list[NDArray], onset: NDArray, duration: NDArray) -> NDArray[np.int64]:
    """Spikes in the window, by pulse and unit, without those at the offset of the light."""
    first, last = _left_out(duration)
    whole = count_spikes(trains, onset + _WINDOW_S[0], onset + _WINDOW_S[1])
    return whole - count_spikes(trains, onset + first, onset + last)


def _latency(train: NDArray, onset: NDArray, duration: NDArray) -> float:
    """Median time of the first spike that counts, in seconds after onset."""
    first = np.full(len(onset), np.inf)
    for i, (start, length) in enumerate(zip(onset, duration, strict=True)):
        low, high = np.searchsorted(train, start + np.array(_WINDOW_S), side="right")
        after = train[low:high] - start
        after = after[(after <= length) | (after > length + _ARTEFACT_S)]
        if len(after):
            first[i] = after[0]
    found = first[np.isfinite(first)]
    return float(np.median(found)) if len(found) else np.nan


def _exact_p(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of a total at least as high if one window of every pulse is drawn at random.

    Parameters
    ----------
    counts : ndarray, shape (windows, pulses, units)
        The first window is that of the response.
    """
    units = counts.shape[2]
    most = int(counts.max(axis=0).sum(axis=0).max())
    totals = np.zeros((units, most + 1))
    totals[:, 0] = 1
    for own in counts.swapaxes(0, 1):
        drawn = np.zeros_like(totals)
        for count in np.unique(own):
            share = (own == count).mean(axis=0)
            drawn[:, count:] += share[:, None] * totals[:, : most + 1 - count]
        totals = drawn
    at_least = np.arange(most + 1) >= counts[0].sum(axis=0)[:, None]
    return np.minimum((totals * at_least).sum(axis=1), 1)


def with_optotags(
    units: pd.DataFrame,
    spike_times: Sequence[NDArray],
    epochs: pd.DataFrame | None,
    genotype: str | None,
    lost: ArrayLike = (),
) -> pd.DataFrame:
    """Add responses to light to a table of units; the same table without epochs of light.

    Parameters
    ----------
    units : DataFrame
        A row per unit.
    spike_times : sequence of ndarray
        Sorted spike times of these units, in seconds.
    epochs, lost
        As in `short_pulses`; None if no light was delivered.
    genotype : str or None
        Of the animal. In a wild type, which has no opsin, no unit is labelled.

    Returns
    -------
    DataFrame
        With the columns of `light_responses` and, if it is known, ``genotype``.
    """
    if epochs is None:
        return units
    pulses = short_pulses(epochs, lost)
    if not len(pulses):
        note(
            f"optotagging: none of {len(epochs)} epochs of light is a pulse of 5 or 10 ms with a "
            "baseline; no unit is tested"
        )
        return units
    found = light_responses(spike_times, pulses["start_time"], pulses["duration"])
    logger.info(
        f"optotagging: {found['optotagged'].sum()} of {len(units)} units respond to "
        f"{len(pulses)} pulses of light"
    )
    if genotype is not None:
        found["genotype"] = genotype
        if _WILD_TYPE.fullmatch(genotype):
            note(f"optotagging: {genotype} has no opsin; no unit is labelled as optotagged")
            found["optotagged"] = None
    return units.join(found.set_index(units.index))

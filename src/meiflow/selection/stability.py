"""Stability of a neuron over the session: stimulus blocks, and running."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.selection.reliability import TrialGroups

# A unit is considered lost below this fraction of the rate in its strongest block.
LOST_SHARE = 0.2
_CHANCE = 0.001


@dataclass(frozen=True)
class Stability:
    """Differences between stimulus blocks, one value per neuron.

    ``lowest_share`` is the mean count of the weakest block divided by that of the strongest, 0 to
    1; ``drift`` the Spearman correlation of the residuals (counts minus the mean of their image)
    with time; ``is_stable`` is false for a unit that nearly stops firing during a whole block, more
    than expected by chance.
    """

    lowest_share: NDArray[np.float64]
    drift: NDArray[np.float64]
    is_stable: NDArray[np.bool_]


def block_stability(
    counts: NDArray, groups: TrialGroups, blocks: NDArray, real: bool = False
) -> Stability:
    """Compare the blocks of a session.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
        Counts in temporal order.
    groups : TrialGroups
        Images of the trials; their mean counts are subtracted before computing the drift.
    blocks : ndarray, shape (trials,)
    real : bool
        Whether the counts are real numbers, which have neither a share of a rate nor Poisson noise.

    Returns
    -------
    Stability
        NaN for silent neurons; ``lowest_share`` also with a single block and for real numbers, all
        of which are considered stable.
    """
    from scipy.stats import poisson

    values = np.asarray(counts, dtype=float)
    in_block = TrialGroups.of(blocks)
    means = in_block.means(values)
    top = means.max(axis=0)
    single = len(means) < 2
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where((top > 0) & (not single), means.min(axis=0) / top, np.nan)
    drift = _rank_correlation(values - groups.means(values)[groups.codes])
    if real:
        return Stability(np.full_like(drift, np.nan), drift, np.ones(len(drift), bool))
    # a unit with few spikes has empty blocks by chance (Poisson)
    spikes = in_block.sums(values)
    expected = in_block.repeats[:, None] * values.mean(axis=0)
    by_chance = poisson.cdf(spikes, expected).min(axis=0) >= _CHANCE
    return Stability(share, drift, ~((share < LOST_SHARE) & ~by_chance))


def _rank_correlation(residuals: NDArray) -> NDArray[np.float64]:
    """Spearman correlation of every column with its row number; NaN for a constant column."""
    from scipy.stats import rankdata

    time = np.arange(len(residuals), dtype=float)
    time -= time.mean()
    # rounding of the means must not affect the ranks of equal trials
    ranks = rankdata(np.round(residuals, 9), axis=0)
    ranks -= ranks.mean(axis=0)
    norm = np.sqrt((ranks**2).sum(axis=0) * (time**2).sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(norm > 0, time @ ranks / norm, np.nan)


def running_modulation(
    counts: NDArray, speed_cm_s: NDArray, threshold_cm_s: float = 1.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Relative difference between counts while running and at rest, and its p value.

    ``(run - rest) / max(run, rest)`` of the means, -1 to 1, and the p value of Welch's t test, as
    in AllenSDK. AllenSDK uses only trials of the preferred image; using all trials gives a more
    stable estimate.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    speed_cm_s : ndarray, shape (trials,)
        Running speed; trials without a speed are excluded.
    threshold_cm_s : float
        Minimum speed that counts as running.

    Returns
    -------
    modulation, p : ndarray, shape (neurons,)
        NaN with fewer than two trials of either kind, and for silent neurons.
    """
    from scipy.stats import ttest_ind

    known = np.isfinite(speed_cm_s)
    values = np.asarray(counts, dtype=float)[known]
    running = speed_cm_s[known] >= threshold_cm_s
    if min(running.sum(), (~running).sum()) < 2:
        nan = np.full(values.shape[1], np.nan)
        return nan, nan
    run, rest = values[running], values[~running]
    mean_run, mean_rest = run.mean(axis=0), rest.mean(axis=0)
    top = np.maximum(mean_run, mean_rest)
    with np.errstate(invalid="ignore", divide="ignore"):
        modulation = np.where(top > 0, (mean_run - mean_rest) / top, np.nan)
        varies = values.std(axis=0) > 0
        p = np.full(values.shape[1], np.nan)
        if varies.any():
            p[varies] = ttest_ind(run[:, varies], rest[:, varies], equal_var=False).pvalue
    return modulation, p

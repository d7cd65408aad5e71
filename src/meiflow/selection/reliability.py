"""How reliably a neuron responds to the images: oracle correlation and signal power.

Counts come as an array (trials, neurons) with the image of every trial; repeats may be
unequal. Every measure is vectorised over neurons.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Groups:
    """Trials grouped by image: ``codes`` (trials,) and ``repeats`` (images,)."""

    codes: NDArray[np.int64]
    repeats: NDArray[np.int64]

    @classmethod
    def of(cls, image_ids: NDArray) -> Groups:
        """Group trials by the image they show."""
        _, codes, repeats = np.unique(image_ids, return_inverse=True, return_counts=True)
        return cls(codes, repeats)

    def sums(self, values: NDArray) -> NDArray[np.float64]:
        """Sum of `values` (trials, neurons) over the trials of each image."""
        out = np.zeros((len(self.repeats), values.shape[1]))
        np.add.at(out, self.codes, values)
        return out


def oracle_correlation(counts: NDArray, groups: Groups) -> NDArray[np.float64]:
    """Jackknife oracle correlation of every neuron (Walker et al. 2019).

    The Pearson correlation, over all trials, between a trial's count and the mean of the
    other trials of the same image. Images shown once have no other trial and are left out.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    groups : Groups

    Returns
    -------
    ndarray, shape (neurons,)
        In [-1, 1]; NaN for a neuron whose counts, or whose oracles, do not vary.
    """
    values = np.asarray(counts, dtype=float)
    return _oracle_from_sums(groups.sums(values), groups.sums(values**2), groups.repeats)


def _oracle_from_sums(sums: NDArray, squares: NDArray, repeats: NDArray) -> NDArray[np.float64]:
    """Oracle correlation from each image's sum and sum of squares over its trials."""
    repeated = repeats > 1
    r = repeats[repeated, None].astype(float)
    s, q = sums[repeated], squares[repeated]
    n = r.sum()
    if n == 0:
        return np.full(sums.shape[1], np.nan)
    # Over the trials of one image the oracle is (s - x) / (r - 1); its mean is that of x.
    mean = s.sum(0) / n
    var_x = q.sum(0) / n - mean**2
    var_o = (((r - 2) * s**2 + q) / (r - 1) ** 2).sum(0) / n - mean**2
    covariance = ((s**2 - q) / (r - 1)).sum(0) / n - mean**2
    # Rounding leaves the variance of a constant neuron at 1e-16 of its squared mean.
    floor = 1e-12 * np.maximum(mean**2, 1e-300)
    product = np.where((var_x > floor) & (var_o > floor), var_x * var_o, np.nan)
    return np.clip(covariance / np.sqrt(product), -1, 1)


def oracle_p_values(
    counts: NDArray, groups: Groups, shuffles: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Chance of an oracle correlation as high when trials belong to no image.

    Trials are dealt to the images at random, `shuffles` times, all neurons alike, and
    ``p = (1 + shuffles as high) / (1 + shuffles)``. NaN where the oracle is NaN.
    """
    observed = oracle_correlation(counts, groups)
    starts = np.concatenate([[0], np.cumsum(groups.repeats)[:-1]])
    values = np.asarray(counts, dtype=float)
    squares = values**2
    above = np.zeros(counts.shape[1])
    for _ in range(shuffles):
        dealt = rng.permutation(len(values))
        sums = np.add.reduceat(values[dealt], starts, axis=0)
        sums_of_squares = np.add.reduceat(squares[dealt], starts, axis=0)
        above += _oracle_from_sums(sums, sums_of_squares, groups.repeats) >= observed
    return np.where(np.isnan(observed), np.nan, (1 + above) / (1 + shuffles))


@dataclass(frozen=True)
class SignalPower:
    """Ceilings of predictability, one value per neuron; see `signal_power`."""

    signal: NDArray[np.float64]
    cc_max: NDArray[np.float64]
    fev: NDArray[np.float64]
    noise_variance: NDArray[np.float64]


def signal_power(counts: NDArray, groups: Groups) -> SignalPower:
    """Signal power, CC_max and fraction of explainable variance.

    With m the mean and v the unbiased variance over repeats of an image, the signal power
    is the unbiased variance of m over images minus the noise left in it, mean(v / r); for
    equal repeats this is the estimator of Sahani & Linden (2003) and Schoppe et al. (2016).

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    groups : Groups
        Images shown once are left out.

    Returns
    -------
    SignalPower
        ``signal`` may be negative by chance; then ``cc_max = sqrt(signal / Var(m))`` is NaN.
        ``fev = (total - noise) / total`` variance over trials (Cadena et al. 2019),
        unclipped. ``noise_variance`` is mean(v). All NaN with fewer than two repeated images.
    """
    values = np.asarray(counts, dtype=float)
    repeated = groups.repeats > 1
    n_neurons = values.shape[1]
    if repeated.sum() < 2:
        nan = np.full(n_neurons, np.nan)
        return SignalPower(nan, nan, nan, nan)
    r = groups.repeats[repeated, None].astype(float)
    means = groups.sums(values)[repeated] / r
    within = (groups.sums(values**2)[repeated] - r * means**2) / (r - 1)
    noise = within.mean(0)
    var_means = means.var(0, ddof=1)
    signal = var_means - (within / r).mean(0)
    # CC_max relates the true signal to the means actually measured.
    with np.errstate(divide="ignore", invalid="ignore"):
        cc_max = np.where(signal > 0, np.sqrt(np.maximum(signal, 0) / var_means), np.nan)
        total = values[repeated[groups.codes]].var(0, ddof=1)
        fev = np.where(total > 0, (total - noise) / total, np.nan)
    return SignalPower(signal, cc_max, fev, noise)

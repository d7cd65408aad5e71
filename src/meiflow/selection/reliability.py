"""Reliability of the responses to images: oracle correlation.

Counts are arrays (trials, neurons) with an image for every trial; the number of repeats may
differ between images. All measures are vectorised over neurons.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-10


@dataclass(frozen=True)
class TrialGroups:
    """Trials grouped by image: ``codes`` (trials,) and ``repeats`` (images,)."""

    codes: NDArray[np.int64]
    repeats: NDArray[np.int64]

    @classmethod
    def of(cls, image_ids: NDArray) -> TrialGroups:
        """Group trials by image."""
        _, codes, repeats = np.unique(image_ids, return_inverse=True, return_counts=True)
        return cls(codes, repeats)

    @cached_property
    def _order(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Trials sorted by image, and the start of each image."""
        starts = np.concatenate([[0], np.cumsum(self.repeats)[:-1]])
        return np.argsort(self.codes, kind="stable"), starts

    def sums(self, values: NDArray) -> NDArray[np.float64]:
        """Sum of `values` (trials, neurons) over the trials of each image."""
        order, starts = self._order
        return np.add.reduceat(np.asarray(values, dtype=float)[order], starts, axis=0)

    def means(self, values: NDArray) -> NDArray[np.float64]:
        """Mean of `values` (trials, neurons) over the trials of each image."""
        return self.sums(values) / self.repeats[:, None]


def oracle_correlation(counts: NDArray, groups: TrialGroups) -> NDArray[np.float64]:
    """Jackknife oracle correlation of every neuron (Walker et al. 2019).

    The Pearson correlation, over all trials, between a trial's count and the mean of the
    other trials of the same image. Images shown only once are excluded.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    groups : TrialGroups

    Returns
    -------
    ndarray, shape (neurons,)
        Correlation in [-1, 1]; NaN if the counts or the oracles are constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shown = np.repeat(np.arange(100), 10)
    >>> rates = rng.gamma(1.0, 3.0, 100)[shown]
    >>> counts = np.column_stack([rng.poisson(rates), rng.poisson(3.0, 1000)])
    >>> oracle_correlation(counts, TrialGroups.of(shown)).round(2)
    array([ 0.87, -0.05])
    """
    values = np.asarray(counts, dtype=float)
    return _oracle_from_sums(groups.sums(values), groups.sums(values**2), groups.repeats)


def movie_oracle(movies: Mapping[str, NDArray]) -> NDArray[np.float64]:
    """`oracle_correlation` of every neuron over all bins of natural movies, with passes as trials.

    Parameters
    ----------
    movies : mapping of str to ndarray, shape (passes, bins, neurons)
        Counts by name of the movie.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rates = rng.gamma(1.0, 3.0, (100, 2)) * [1, 0] + [0, 3]
    >>> movie_oracle({"one": rng.poisson(rates, (10, 100, 2))}).round(1) + 0.0
    array([0.8, 0. ])
    """
    bins, counts, first = [], [], 0
    for movie in movies.values():
        passes, length, neurons = movie.shape
        bins.append(np.tile(np.arange(first, first + length), passes))
        counts.append(movie.reshape(passes * length, neurons))
        first += length
    return oracle_correlation(np.concatenate(counts), TrialGroups.of(np.concatenate(bins)))


def _oracle_from_sums(sums: NDArray, squares: NDArray, repeats: NDArray) -> NDArray[np.float64]:
    """Oracle correlation from the sum and the sum of squares over trials of each image."""
    if not (repeats > 1).any():
        return np.full(sums.shape[1], np.nan)
    return _pooled_oracle(*(part.sum(0) for part in _image_moments(sums, squares, repeats)))


def _image_moments(
    sums: NDArray, squares: NDArray, repeats: NDArray
) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Contribution of each repeated image: trials, and sums of x, x^2, o^2 and x o.

    For the trials of an image the oracle is o = (s - x) / (r - 1); its mean is that of x.
    """
    repeated = repeats > 1
    r = repeats[repeated, None].astype(float)
    s, q = sums[repeated], squares[repeated]
    return r, s, q, ((r - 2) * s**2 + q) / (r - 1) ** 2, (s**2 - q) / (r - 1)


def _pooled_oracle(
    n: NDArray, x: NDArray, xx: NDArray, oo: NDArray, xo: NDArray
) -> NDArray[np.float64]:
    """Correlation between trials and oracles from moments summed over images."""
    mean = x / n
    var_x = xx / n - mean**2
    var_o = oo / n - mean**2
    covariance = xo / n - mean**2
    # rounding gives a constant neuron a variance of 1e-16 of its squared mean
    floor = 1e-12 * np.maximum(mean**2, 1e-300)
    product = np.where((var_x > floor) & (var_o > floor), var_x * var_o, np.nan)
    return np.clip(covariance / np.sqrt(product), -1, 1)


def oracle_interval(
    counts: NDArray,
    groups: TrialGroups,
    resamples: int,
    rng: np.random.Generator,
    level: float = 0.95,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bootstrap percentile interval of the oracle correlation (Efron & Tibshirani 1993).

    Images are resampled with all their trials, because the oracle of a trial depends on the other
    trials of the image.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    groups : TrialGroups
    resamples : int
    rng : numpy.random.Generator
    level : float
        Fraction of the resamples in the interval.

    Returns
    -------
    low, high : ndarray, shape (neurons,)
        NaN if the oracle is NaN, or with fewer than two repeated images.

    Notes
    -----
    With 118 images the 95 % interval covers the asymptotic value (infinitely many images) in about
    93 % of sessions if all images drive the neuron to some extent, and in about 85 % if very few
    images do, because these may be missing from the session.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shown = np.repeat(np.arange(100), 10)
    >>> counts = rng.poisson(rng.gamma(1.0, 3.0, 100)[shown])[:, None]
    >>> low, high = oracle_interval(counts, TrialGroups.of(shown), 1000, rng)
    >>> low.round(2), high.round(2)
    (array([0.82]), array([0.91]))
    """
    values = np.asarray(counts, dtype=float)
    n_images = int((groups.repeats > 1).sum())
    if n_images < 2:
        nan = np.full(values.shape[1], np.nan)
        return nan, nan
    moments = _image_moments(groups.sums(values), groups.sums(values**2), groups.repeats)
    times = rng.multinomial(n_images, np.full(n_images, 1 / n_images), resamples).astype(float)
    drawn = _pooled_oracle(*(times @ part for part in moments))
    drawn[:, np.isnan(oracle_correlation(values, groups))] = np.nan
    defined = ~np.isnan(drawn).all(axis=0)
    low, high = np.full((2, values.shape[1]), np.nan)
    tails = [(1 - level) / 2, (1 + level) / 2]
    if defined.any():
        low[defined], high[defined] = np.nanquantile(drawn[:, defined], tails, axis=0)
    return low, high


def oracle_null(
    counts: NDArray, groups: TrialGroups, shuffles: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Null distribution of the oracle correlation.

    Trials are permuted across images `shuffles` times, in the same way for all neurons.

    Returns
    -------
    p : ndarray, shape (neurons,)
        p value, ``(1 + number of permutations at least as high) / (1 + shuffles)``.
    high : ndarray, shape (neurons,)
        95th percentile of the null. Both are NaN if the oracle is NaN.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shown = np.repeat(np.arange(100), 10)
    >>> rates = rng.gamma(1.0, 3.0, 100)[shown]
    >>> counts = np.column_stack([rng.poisson(rates), rng.poisson(3.0, 1000)])
    >>> p, high = oracle_null(counts, TrialGroups.of(shown), 500, rng)
    >>> p.round(3), high.round(2)
    (array([0.002, 0.844]), array([0.07, 0.07]))
    """
    observed = oracle_correlation(counts, groups)
    starts = np.concatenate([[0], np.cumsum(groups.repeats)[:-1]])
    # single precision halves the memory traffic; integers are exact up to 2^24
    values = np.asarray(counts, dtype=np.float32)
    squares = values**2
    drawn = np.empty((shuffles, values.shape[1]))
    for i in range(shuffles):
        dealt = rng.permutation(len(values))
        sums = np.add.reduceat(values[dealt], starts, axis=0).astype(float)
        sums_of_squares = np.add.reduceat(squares[dealt], starts, axis=0).astype(float)
        drawn[i] = _oracle_from_sums(sums, sums_of_squares, groups.repeats)
    # undefined and (up to rounding) equal values count as high, which is conservative
    p = (1 + (~(drawn < observed - _TIE)).sum(axis=0)) / (1 + shuffles)
    known = ~np.isnan(observed) & ~np.isnan(drawn).all(axis=0)
    high = np.full(values.shape[1], np.nan)
    if known.any():
        high[known] = np.nanquantile(drawn[:, known], 0.95, axis=0)
    return np.where(np.isnan(observed), np.nan, p), high

"""Descriptive measures of spike counts: entropy, correlations, anomalies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.selection.reliability import TrialGroups


def response_entropy(counts: NDArray) -> NDArray[np.float64]:
    """Entropy in bits of the distribution of spike counts over trials.

    Of real numbers, it is that of a histogram whose bins are half a standard deviation wide, which
    is 3.05 bits for a Gaussian and less for rare, high responses.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
        Whole numbers; other types of array are treated as real numbers.

    Returns
    -------
    ndarray, shape (neurons,)
        Plug-in entropy with one bin per count, plus the Miller-Madow (1955) correction for
        a finite number of trials. 0 if the count is constant.

    Examples
    --------
    >>> coin = np.random.default_rng(0).integers(0, 2, (1000, 1))
    >>> response_entropy(np.hstack([coin, np.zeros_like(coin)])).round(2)
    array([1., 0.])
    >>> noise = np.random.default_rng(0).standard_normal((20000, 1))
    >>> response_entropy(np.hstack([noise, noise**4])).round(1)
    array([3.1, 1.2])
    """
    if counts.dtype.kind == "f":
        spread = counts.std(axis=0)
        spread[spread <= 1e-12 * np.abs(counts).max(axis=0, initial=0)] = np.inf
        counts = np.floor((counts - counts.mean(axis=0)) / (spread / 2))
    out = np.empty(counts.shape[1])
    for column, values in enumerate(np.asarray(counts).T):
        occupied = np.unique(values, return_counts=True)[1]
        p = occupied / len(values)
        correction = (len(p) - 1) / (2 * len(values))
        out[column] = (correction - (p * np.log(p)).sum()) / np.log(2)
    return np.maximum(out, 0.0)


@dataclass(frozen=True)
class Partners:
    """Index and correlation of the most and least correlated partner of each neuron.

    Indices are -1 and correlations NaN if there is no partner with a defined correlation.
    """

    most: NDArray[np.int64]
    highest: NDArray[np.float64]
    least: NDArray[np.int64]
    lowest: NDArray[np.float64]


def pairwise_correlations(values: NDArray) -> NDArray[np.float64]:
    """Pearson correlation of every pair of columns; NaN if one is constant.

    Parameters
    ----------
    values : ndarray, shape (n, neurons)
        Mean counts over images give signal correlations; counts minus the mean of their image
        give noise correlations (Cohen & Kohn 2011).

    Examples
    --------
    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> pairwise_correlations(np.column_stack([x, -x, np.ones(4)])).round(2)
    array([[ 1., -1., nan],
           [-1.,  1., nan],
           [nan, nan, nan]])
    """
    if not len(values):
        return np.full((values.shape[1], values.shape[1]), np.nan)
    unit = _unit_columns(values)
    return np.clip(unit.T @ unit, -1, 1)


def column_correlations(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Pearson correlation of each column of `a` with that of `b`; NaN if one is constant.

    Parameters
    ----------
    a, b : ndarray, shape (n, neurons)

    Examples
    --------
    >>> x = np.array([[1.0, 1.0], [3.0, 1.0], [2.0, 1.0]])
    >>> column_correlations(x, 2 * x).round(3)
    array([ 1., nan])
    """
    return np.clip((_unit_columns(a) * _unit_columns(b)).sum(axis=0), -1, 1)


def _unit_columns(values: NDArray) -> NDArray[np.float64]:
    """Columns minus their mean, with a norm of one; NaN for constant ones."""
    values = np.asarray(values, dtype=float)
    centred = values - values.mean(0)
    norm = np.sqrt((centred**2).sum(0))
    scale = np.maximum(np.abs(values).max(0, initial=0), 1e-300) * np.sqrt(len(values))
    return np.asarray(centred / np.where(norm <= 1e-12 * scale, np.nan, norm))


def residuals(counts: NDArray, groups: TrialGroups) -> NDArray[np.float64]:
    """Counts (trials, neurons) minus the mean of their image, for repeated images.

    Examples
    --------
    >>> shown = np.array([0, 0, 1, 1])
    >>> residuals(np.array([[1], [3], [5], [9]]), TrialGroups.of(shown)).ravel()
    array([-1.,  1., -2.,  2.])
    """
    means = groups.means(counts)
    repeated = groups.repeats[groups.codes] > 1
    return (counts - means[groups.codes])[repeated]


def mean_with_others(correlation: NDArray) -> NDArray[np.float64]:
    """Mean correlation of each neuron with all others; NaN if none is defined."""
    apart = np.array(correlation)
    np.fill_diagonal(apart, np.nan)
    known = ~np.isnan(apart)
    n = known.sum(axis=0)
    total = np.where(known, apart, 0).sum(axis=0)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def correlated_partners(correlation: NDArray) -> Partners:
    """Find the most and the least correlated other neuron.

    Parameters
    ----------
    correlation : ndarray, shape (neurons, neurons)
        Output of `pairwise_correlations`.
    """
    correlation = np.array(correlation)
    np.fill_diagonal(correlation, np.nan)
    rows = np.arange(len(correlation))
    defined = ~np.isnan(correlation).all(axis=1)
    most = np.where(np.isnan(correlation), -np.inf, correlation).argmax(1)
    least = np.where(np.isnan(correlation), np.inf, correlation).argmin(1)
    return Partners(
        np.where(defined, most, -1),
        np.where(defined, correlation[rows, most], np.nan),
        np.where(defined, least, -1),
        np.where(defined, correlation[rows, least], np.nan),
    )


def anomalies(features: NDArray, seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Isolation forest (Liu, Ting & Zhou 2008) on standardised features.

    Parameters
    ----------
    features : ndarray, shape (neurons, features)
        Features; NaN is replaced by the median of the feature.
    seed : int

    Returns
    -------
    score : ndarray, shape (neurons,)
        Negative for anomalies, as in scikit-learn's ``decision_function``.
    is_anomaly : ndarray of bool

    Examples
    --------
    >>> features = np.random.default_rng(0).standard_normal((50, 3))
    >>> features[7] = 8.0
    >>> score, is_anomaly = anomalies(features, seed=0)
    >>> int(score.argmin()), bool(is_anomaly[7])
    (7, True)
    """
    from sklearn.ensemble import IsolationForest

    filled = np.array(features, dtype=float)
    for column in filled.T:
        known = column[~np.isnan(column)]
        column[np.isnan(column)] = np.median(known) if len(known) else 0.0
    spread = filled.std(0)
    standard = (filled - filled.mean(0)) / np.where(spread > 0, spread, 1.0)
    forest = IsolationForest(n_estimators=100, contamination="auto", random_state=seed)
    forest.fit(standard)
    return forest.decision_function(standard), forest.predict(standard) < 0

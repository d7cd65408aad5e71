"""Clusters of neurons with similar responses, and how many of them are reproducible."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_COMPONENTS = 20
_HALVES = 10
_STARTS, _FINAL_STARTS = 4, 20
_FEWEST = 3  # neurons per cluster and half


@dataclass(frozen=True)
class NeuronClusters:
    """Clusters of neurons.

    Parameters
    ----------
    labels : ndarray of int, shape (neurons,)
        Cluster of every neuron, 0 for the largest.
    stability : ndarray, shape (neurons,)
        Fraction of clusterings of half of the neurons that assign the neuron to the same cluster.
    agreement : ndarray, shape (numbers,)
        For 2, 3, ... clusters, the adjusted Rand index between clusterings of two halves of the
        neurons, mean over divisions.
    """

    labels: NDArray[np.int64]
    stability: NDArray[np.float64]
    agreement: NDArray[np.float64]

    @property
    def number(self) -> int:
        """Number of clusters."""
        return int(self.labels.max()) + 1


def cluster_neurons(
    responses: NDArray, most: int = 15, stability: float = 0.8, seed: int = 0
) -> NeuronClusters:
    """Cluster neurons by k-means of their responses.

    The number of clusters is the largest for which clusterings of two halves of the neurons agree:
    the neurons of each half are also assigned to the centres of the other half, and the adjusted
    Rand index between the two assignments must reach `stability` on average, as for the prediction
    strength of Tibshirani & Walther (2005). If none does, there is one cluster.

    Parameters
    ----------
    responses : ndarray, shape (neurons, stimuli)
        Responses of every neuron to the same stimuli, relative to its highest.
    most : int
        Maximum number of clusters; with few neurons it is less, because a half must have three
        neurons per cluster on average.
    stability : float
    seed : int

    Returns
    -------
    NeuronClusters

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(np.eye(3), 10, axis=0)
    >>> found = cluster_neurons(centres + rng.normal(0, 0.1, (30, 3)))
    >>> found.number, found.labels.reshape(3, 10).std(axis=1).tolist()
    (3, [0.0, 0.0, 0.0])
    """
    points = _reduced(np.asarray(responses, float))
    n = len(points)
    halves = _halves(n, seed)
    numbers = range(2, min(most, n // (2 * _FEWEST)) + 1)
    agreement = np.array([_agreement(points, number, halves, seed) for number in numbers])
    stable = np.flatnonzero(agreement >= stability)
    if not len(stable):
        return NeuronClusters(np.zeros(n, np.int64), np.ones(n), agreement)
    number = int(stable[-1]) + 2
    labels = by_size(_fitted(points, number, seed, _FINAL_STARTS).labels_)
    return NeuronClusters(labels, _stability(points, labels, halves, seed), agreement)


def by_size(labels: NDArray) -> NDArray[np.int64]:
    """Number clusters from the largest to the smallest.

    Examples
    --------
    >>> by_size(np.array([5, 2, 2, 7, 2, 7])).tolist()
    [2, 0, 0, 1, 0, 1]
    """
    names, first, inverse, counts = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(names), np.int64)
    rank[np.lexsort((first, -counts))] = np.arange(len(names))
    return rank[inverse]


def assign(responses: NDArray, labels: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cluster whose mean responses are nearest to those of each neuron, and the margin.

    Parameters
    ----------
    responses : ndarray, shape (neurons, stimuli)
    labels : ndarray of int, shape (neurons,)
        Clusters from 0; those that lose all of their neurons keep their number.

    Returns
    -------
    labels : ndarray of int, shape (neurons,)
    margin : ndarray, shape (neurons,)
        One minus the distance to the nearest mean divided by that to the second nearest: 0 halfway
        between two clusters, 1 at the mean of one. NaN with a single cluster.

    Examples
    --------
    >>> responses = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.2, 0.8]])
    >>> nearest, margin = assign(responses, np.array([0, 0, 1, 1]))
    >>> nearest.tolist(), margin.round(2).tolist()
    ([0, 0, 1, 1], [0.94, 0.94, 0.89, 0.87])
    """
    responses, labels = np.asarray(responses, float), np.asarray(labels)
    present = np.unique(labels)
    means = np.stack([responses[labels == label].mean(axis=0) for label in present])
    distance = np.linalg.norm(responses[:, None] - means[None], axis=2)
    nearest = present[distance.argmin(axis=1)]
    if len(present) == 1:
        return nearest, np.full(len(responses), np.nan)
    ordered = np.sort(distance, axis=1)
    return nearest, 1 - ordered[:, 0] / np.maximum(ordered[:, 1], 1e-12)


def _reduced(responses: NDArray) -> NDArray[np.float64]:
    """Principal components, whose signs do not matter here."""
    from sklearn.decomposition import PCA

    components = min(_COMPONENTS, len(responses) - 1, responses.shape[1])
    if components < 1:
        return responses
    return np.asarray(PCA(components, svd_solver="full").fit_transform(responses))


def _halves(n: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(n) for _ in range(_HALVES)]
    return [(np.sort(order[: n // 2]), np.sort(order[n // 2 :])) for order in orders]


def _fitted(points: NDArray, number: int, seed: int, starts: int = _STARTS):  # type: ignore[no-untyped-def]
    from sklearn.cluster import KMeans

    return KMeans(number, n_init=starts, random_state=seed).fit(points)


def _agreement(points: NDArray, number: int, halves: list, seed: int) -> float:  # type: ignore[type-arg]
    """Adjusted Rand index of clusters of a half and those predicted by the other half."""
    from sklearn.metrics import adjusted_rand_score

    values = []
    for one, other in halves:
        first, second = (_fitted(points[half], number, seed) for half in (one, other))
        values.append(adjusted_rand_score(first.predict(points[other]), second.labels_))
        values.append(adjusted_rand_score(second.predict(points[one]), first.labels_))
    return float(np.mean(values))


def _stability(points: NDArray, labels: NDArray, halves: list, seed: int) -> NDArray[np.float64]:  # type: ignore[type-arg]
    """How often clusterings of half of the neurons give each neuron the same cluster."""
    from scipy.optimize import linear_sum_assignment

    number = int(labels.max()) + 1
    same = []
    for half in (half for pair in halves for half in pair):
        predicted = _fitted(points[half], number, seed).predict(points)
        table = np.zeros((number, number))
        np.add.at(table, (predicted, labels), 1)
        rows, columns = linear_sum_assignment(-table)
        same.append(columns[np.argsort(rows)][predicted] == labels)
    return np.asarray(np.mean(same, axis=0))

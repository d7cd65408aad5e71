"""Clusters of neurons with similar responses, and how many of them are reproducible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

_COMPONENTS = 20
_SAMPLES, _PART = 16, 0.65
_STARTS, _FINAL_STARTS = 4, 10
_FEWEST = 4  # neurons in a cluster
ENOUGH = 12  # neurons to be clustered


@dataclass(frozen=True)
class NeuronClusters:
    """Clusters of neurons.

    Parameters
    ----------
    labels : ndarray of int, shape (neurons,)
        Cluster of every neuron, 0 for the largest.
    stability : ndarray, shape (neurons,)
        Fraction of clusterings of a part of the neurons that assign the neuron to its cluster.
    reproduced : ndarray, shape (numbers,)
        For 2, 3, ... clusters, how well parts of the neurons reproduce the least stable cluster.
    """

    labels: NDArray[np.int64]
    stability: NDArray[np.float64]
    reproduced: NDArray[np.float64]

    @property
    def number(self) -> int:
        """Number of clusters."""
        return int(self.labels.max()) + 1


def cluster_neurons(
    responses: NDArray, most: int = 15, stability: float = 0.75, seed: int = 0
) -> NeuronClusters:
    """Cluster neurons by k-means of their responses.

    The number of clusters is the largest at which every cluster is stable (Hennig 2007): parts of
    65 % of the neurons, drawn at random, are clustered alone; the Jaccard index between a cluster
    of all neurons and the most similar one of a part is averaged over parts, and must reach
    `stability` for all clusters, none of which may have fewer than four neurons. If no number does,
    there is one cluster.

    Parameters
    ----------
    responses : ndarray, shape (neurons, stimuli)
        Responses of every neuron to the same stimuli, relative to its highest.
    most : int
        Maximum number of clusters.
    stability : float
        Above 0.85 clusters are highly stable, below 0.6 they should not be trusted.
    seed : int

    Returns
    -------
    NeuronClusters

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> centres = np.repeat(np.eye(3, 12), 10, axis=0)
    >>> found = cluster_neurons(centres + rng.normal(0, 0.1, (30, 12)))
    >>> found.number, found.labels.reshape(3, 10).std(axis=1).tolist()
    (3, [0.0, 0.0, 0.0])
    """
    points = _reduced(np.asarray(responses, float))
    n, rng = len(points), np.random.default_rng(seed)
    samples = [np.sort(rng.permutation(n)[: round(_PART * n)]) for _ in range(_SAMPLES)]
    numbers = range(2, min(most, n // _FEWEST) + 1)
    found = [_reproduced(points, number, samples, seed) for number in numbers]
    reproduced = np.array([lowest for lowest, _, _ in found])
    large = np.array([np.bincount(labels).min() >= _FEWEST for _, labels, _ in found], bool)
    stable = np.flatnonzero(large & (reproduced >= stability))
    if not len(stable):
        return NeuronClusters(np.zeros(n, np.int64), np.ones(n), reproduced)
    _, labels, certain = found[stable[-1]]
    return NeuronClusters(labels, certain, reproduced)


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


def _fitted(points: NDArray, number: int, seed: int, starts: int) -> KMeans:
    from sklearn.cluster import KMeans

    fitted: KMeans = KMeans(number, n_init=starts, random_state=seed).fit(points)
    return fitted


def _reproduced(
    points: NDArray, number: int, samples: list[NDArray[np.int64]], seed: int
) -> tuple[float, NDArray[np.int64], NDArray[np.float64]]:
    """Jaccard index of the least stable cluster, labels, and stability of every neuron."""
    from scipy.optimize import linear_sum_assignment

    labels = by_size(_fitted(points, number, seed, _FINAL_STARTS).labels_)
    jaccard, same = [], []
    for rows in samples:
        model = _fitted(points[rows], number, seed, _STARTS)
        table = _counts(labels[rows], model.labels_, number)
        union = table.sum(axis=1)[:, None] + table.sum(axis=0)[None] - table
        jaccard.append((table / np.maximum(union, 1)).max(axis=1))
        predicted = model.predict(points)
        matched = linear_sum_assignment(-_counts(predicted, labels, number))[1]
        same.append(matched[predicted] == labels)
    return float(np.mean(jaccard, axis=0).min()), labels, np.asarray(np.mean(same, axis=0))


def _counts(rows: NDArray, columns: NDArray, number: int) -> NDArray[np.float64]:
    table = np.zeros((number, number))
    np.add.at(table, (rows, columns), 1)
    return table

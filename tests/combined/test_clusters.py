"""Clusters of neurons with known centres."""

import numpy as np
import pytest

from meiflow.combined.clusters import assign, by_size, cluster_neurons


def groups(sizes, noise, seed, separation=1.0):
    rng = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(sizes)), sizes)
    centres = separation * np.eye(len(sizes), 12)
    return kinds, centres[kinds] + rng.normal(0, noise, (len(kinds), 12))


@pytest.mark.parametrize("sizes", [(10, 20), (12, 12, 12, 12), (30, 20, 15, 12, 10)])
def test_the_number_of_clusters_is_found(sizes):
    kinds, points = groups(sizes, 0.1, seed=len(sizes))
    found = cluster_neurons(points)
    assert found.number == len(sizes)
    np.testing.assert_array_equal(found.labels, by_size(kinds))
    assert (found.stability == 1).all()


@pytest.mark.parametrize("n", [1, 5, 40, 300])
def test_neurons_without_groups_are_one_cluster(n):
    found = cluster_neurons(np.random.default_rng(n).normal(size=(n, 12)))
    assert found.number == 1
    assert (found.labels == 0).all()


def test_a_neuron_between_two_clusters_is_not_stable():
    kinds, points = groups((15, 15), 0.1, seed=2)
    between = points[kinds == 0].mean(0) / 2 + points[kinds == 1].mean(0) / 2
    found = cluster_neurons(np.vstack([points, between]), most=2)
    assert found.stability[-1] < 0.9 <= found.stability[:-1].min()
    assert assign(np.vstack([points, between]), found.labels)[1].argmin() == 30


def test_the_same_seed_gives_the_same_clusters():
    _, points = groups((10, 10, 10), 0.4, seed=3)
    first, second = (cluster_neurons(points, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.labels, second.labels)
    np.testing.assert_array_equal(first.reproduced, second.reproduced)

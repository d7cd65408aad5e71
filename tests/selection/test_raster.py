import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.selection.raster import (
    climb,
    leaf_order,
    matching_score,
    matching_weights,
    raster_order,
)


def all_moves(n):
    for i in range(n):
        for j in range(i + 1, n):
            for k in range(j + 1, n + 1):
                yield np.r_[:i, j:k, i:j, k:n].astype(int)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 9))
def test_climbing_ends_where_no_move_gains(seed, n):
    similarity = np.random.default_rng(seed).normal(size=(n, n))
    weights = matching_weights(n)
    order = climb(similarity, weights)
    assert sorted(order) == list(range(n))
    reached = similarity[np.ix_(order, order)]
    best = max(matching_score(reached[np.ix_(m, m)], weights) for m in all_moves(n))
    assert best <= matching_score(reached, weights) + 2e-3
    assert matching_score(reached, weights) >= matching_score(similarity, weights) - 1e-9


def test_neurons_on_a_line_come_out_in_line():
    """Shuffled neurons whose activity travels along a line: the order is found again."""
    rng = np.random.default_rng(0)
    time, place = np.arange(3000), np.linspace(0, 10, 40)
    centre = 5 + 5 * np.sin(time / 40)[:, None]
    rate = 0.2 + 4 * np.exp(-0.5 * ((centre - place) / 0.8) ** 2)
    shuffled = rng.permutation(40)
    order = raster_order(rng.poisson(rate)[:, shuffled])
    assert abs(np.corrcoef(shuffled[order], np.arange(40))[0, 1]) > 0.99


def test_order_beats_chance_and_repeats_itself(rng):
    drive = rng.normal(size=(500, 5)) @ rng.normal(size=(5, 60))
    counts = rng.poisson(np.exp(0.3 * drive))
    order = raster_order(counts)
    assert sorted(order) == list(range(60))
    correlation = np.corrcoef(counts.T)

    def beside(o):
        return correlation[o[:-1], o[1:]].mean()

    assert beside(order) > 3 * abs(beside(rng.permutation(60)))
    np.testing.assert_array_equal(order, raster_order(counts))


@pytest.mark.parametrize("neurons", [1, 2, 3])
def test_few_and_silent_neurons(neurons, rng):
    counts = rng.poisson(2.0, (50, neurons))
    assert sorted(raster_order(counts)) == list(range(neurons))
    counts[:, 0] = 0
    assert raster_order(counts)[-1] == 0
    assert leaf_order(np.eye(neurons)).tolist() == list(range(neurons)) or neurons == 3


def test_more_neurons_than_are_climbed(rng, monkeypatch):
    from meiflow.selection import raster

    monkeypatch.setattr(raster, "MOST_NEURONS", 10)
    assert sorted(raster_order(rng.poisson(2.0, (80, 25)))) == list(range(25))

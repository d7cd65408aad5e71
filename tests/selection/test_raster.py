import logging
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.errors import MeiflowError
from meiflow.selection import rastermap
from meiflow.selection.raster import (
    improve_order,
    leaf_order,
    matching_score,
    matching_weights,
    raster_order,
)
from meiflow.selection.rastermap import _package, rastermap_order

BOTH = pytest.mark.parametrize("method", ["rastermap", "clustering"])


def all_moves(n):
    for i in range(n):
        for j in range(i + 1, n):
            for k in range(j + 1, n + 1):
                yield np.r_[:i, j:k, i:j, k:n].astype(int)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 9))
def test_climbing_ends_when_no_move_gains(seed, n):
    similarity = np.random.default_rng(seed).normal(size=(n, n))
    weights = matching_weights(n)
    order = improve_order(similarity, weights)
    assert sorted(order) == list(range(n))
    reached = similarity[np.ix_(order, order)]
    best = max(matching_score(reached[np.ix_(m, m)], weights) for m in all_moves(n))
    assert best <= matching_score(reached, weights) + 2e-3
    assert matching_score(reached, weights) >= matching_score(similarity, weights) - 1e-9


def shuffled_line(neurons):
    """Counts of neurons along a line on which activity moves back and forth, and positions."""
    rng = np.random.default_rng(0)
    time, place = np.arange(3000), np.linspace(0, 10, neurons)
    centre = 5 + 5 * np.sin(time / 40)[:, None]
    rate = 0.2 + 4 * np.exp(-0.5 * ((centre - place) / 0.8) ** 2)
    shuffled = rng.permutation(neurons)
    return rng.poisson(rate)[:, shuffled], shuffled


@pytest.mark.parametrize(
    ("method", "neurons"), [("rastermap", 30), ("rastermap", 120), ("clustering", 40)]
)
def test_neurons_on_a_line_come_out_in_line(method, neurons):
    counts, place = shuffled_line(neurons)
    order = raster_order(counts, method)
    assert sorted(order) == list(range(neurons))
    assert abs(np.corrcoef(place[order], np.arange(neurons))[0, 1]) > 0.99
    np.testing.assert_array_equal(order, raster_order(counts, method))


def test_few_neurons_are_ordered_as_by_the_notebooks_call():
    """Its settings, except for fewer components than neurons; it had 135 neurons."""
    from rastermap import Rastermap
    from scipy.stats import zscore

    counts, _ = shuffled_line(25)
    spikes = zscore(counts.T.astype(float), axis=1)
    model = Rastermap(
        n_clusters=None, n_PCs=24, locality=0.15, time_lag_window=15, grid_upsample=0, verbose=False
    )
    with pytest.warns(UserWarning, match="<= 50 samples"):
        model.fit(spikes)
    np.testing.assert_array_equal(raster_order(counts), model.isort)


@pytest.mark.parametrize(("method", "neurons"), [("rastermap", 30), ("clustering", 60)])
def test_order_beats_chance_and_repeats_itself(method, neurons, rng):
    drive = rng.normal(size=(500, 5)) @ rng.normal(size=(5, neurons))
    counts = rng.poisson(np.exp(0.3 * drive))
    order = raster_order(counts, method, seed=3)
    assert sorted(order) == list(range(neurons))
    correlation = np.corrcoef(counts.T)

    def neighbours(o):
        return correlation[o[:-1], o[1:]].mean()

    assert neighbours(order) > 3 * abs(neighbours(rng.permutation(neurons)))
    np.testing.assert_array_equal(order, raster_order(counts, method, seed=3))


def test_rounding_does_not_change_rastermaps_order(rng):
    """With as many components as neurons it did: the last one is amplified rounding error."""
    z = rng.normal(size=(300, 20))
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    other = z * (1 + 1e-12 * rng.normal(size=z.shape))
    np.testing.assert_array_equal(rastermap_order(z), rastermap_order(other))


@BOTH
@pytest.mark.parametrize("neurons", [1, 2, 3, 4])
def test_few_silent_and_undefined_neurons(method, neurons, rng):
    counts = rng.poisson(2.0, (50, neurons)).astype(float)
    assert sorted(raster_order(counts, method)) == list(range(neurons))
    counts[:, 0] = 0.1  # its standard deviation is a rounding error
    assert raster_order(counts, method)[-1] == 0
    counts[:, 0] = rng.poisson(2.0, 50)
    for odd in (np.nan, np.inf):
        counts[7, 0] = odd
        assert raster_order(counts, method)[-1] == 0
    assert leaf_order(np.eye(neurons)).tolist() == list(range(neurons)) or neurons >= 3


@BOTH
def test_fewer_bins_than_lags_and_neurons_that_are_the_same(method, rng):
    assert sorted(raster_order(rng.poisson(2.0, (6, 20)), method)) == list(range(20))
    same = np.repeat(rng.poisson(2.0, (80, 1)), 5, axis=1)
    assert sorted(raster_order(same, method)) == list(range(5))


def test_more_neurons_than_are_optimised(rng, monkeypatch):
    from meiflow.selection import raster

    monkeypatch.setattr(raster, "MOST_NEURONS", 10)
    assert sorted(raster_order(rng.poisson(2.0, (80, 25)), "clustering")) == list(range(25))


def test_rastermap_runs_on_one_thread_and_leaves_nothing_behind(rng, monkeypatch):
    """By default it seeds numpy's global generator and adds a handler to the root logger."""
    import numba

    monkeypatch.setattr(rastermap, "MOST_SINGLE", 20)
    monkeypatch.setattr(rastermap, "CLUSTERS", 12)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(numba, "get_num_threads", lambda: 7)
    threads = []
    monkeypatch.setattr(numba, "set_num_threads", threads.append)
    np.random.seed(5)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    z = rng.normal(size=(90, 60))  # the package uses no clusters for up to 50
    kept = z.copy()
    rastermap_order(z)
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert threads == [1, 7]
    assert not logging.getLogger().handlers
    np.testing.assert_array_equal(z, kept)


def test_what_rastermap_cannot_order_is_explained(rng):
    z = np.repeat(rng.normal(size=(80, 1)), 120, axis=1)
    with pytest.raises(MeiflowError, match=r"these 120 neurons .*set selection.raster to cluster"):
        rastermap_order(z)


def test_rastermap_is_compiled_also_where_no_cache_can_be_written(tmp_path, monkeypatch):
    """A stand-in that fails like numba: at import, unless a folder is configured."""
    import numba

    (tmp_path / "rastermap.py").write_text(
        "import numba, os\n"
        "if not numba.config.CACHE_DIR:\n"
        "    raise RuntimeError('cannot cache function: no locator available')\n"
        "writable = os.access(numba.config.CACHE_DIR, os.W_OK)\n"
    )
    monkeypatch.delitem(sys.modules, "rastermap", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    try:
        assert _package().writable
    finally:
        sys.modules.pop("rastermap")
    assert numba.config.CACHE_DIR == ""

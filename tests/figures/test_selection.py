"""The correlation map and the scatter of measures show the given numbers."""

import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from meiflow.figures.selection import correlation_maps, measure_scatters
from meiflow.figures.style import BLUE, as_svg


@pytest.fixture
def table(rng):
    return pd.DataFrame(
        {
            "entropy": rng.uniform(1, 4, 30),
            "variance": rng.lognormal(size=30),
            "oracle": rng.uniform(-0.1, 0.9, 30),
            "selected": np.arange(30) % 3 == 0,
            "is_anomaly": np.arange(30) > 25,
        }
    )


def test_correlations_are_drawn_in_the_given_order(rng):
    signal, noise = (np.corrcoef(rng.normal(size=(60, 80))) for _ in range(2))
    order, selected = rng.permutation(60)[:55], rng.random(60) < 0.5
    figure = correlation_maps(signal, noise, order, selected)
    for ax, matrix in zip(figure.axes[:2], (signal, noise), strict=True):
        [mesh] = ax.collections
        expected = matrix[np.ix_(order, order)]
        off = ~np.eye(55, dtype=bool)
        np.testing.assert_array_equal(np.asarray(mesh.get_array())[off], expected[off])
        assert np.ma.getmaskarray(mesh.get_array()).sum() == 55  # the diagonal
        assert mesh.norm.vmin == -mesh.norm.vmax
        assert ax.yaxis_inverted()
        [marks] = ax.lines
        np.testing.assert_array_equal(marks.get_ydata(), 0.5 + np.flatnonzero(selected[order]))
        assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "10", "20", "30", "40", "50"]
    svg = as_svg(figure)
    assert svg.count("<path") < 300  # not one for each of 3,025 pairs
    assert ">signal correlation</text>" in svg
    assert svg == as_svg(correlation_maps(signal, noise, order, selected))


@pytest.mark.parametrize("neurons", [0, 1, 2])
def test_hardly_any_correlation_is_defined(neurons):
    unknown = np.full((3, 3), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_svg(correlation_maps(unknown, unknown, np.arange(neurons), np.ones(3, bool)))


def test_scatters_show_every_neuron_once_and_count_the_kinds(table):
    figure = measure_scatters(table)
    for ax, (x, y) in zip(
        figure.axes,
        (("entropy", "variance"), ("entropy", "oracle"), ("variance", "oracle")),
        strict=True,
    ):
        dots, crosses = ax.collections
        np.testing.assert_array_equal(dots.get_offsets(), table[[x, y]])
        np.testing.assert_array_equal(crosses.get_offsets(), table[table["is_anomaly"]][[x, y]])
        blue = np.array([to_hex(c).upper() == BLUE for c in dots.get_facecolors()])
        np.testing.assert_array_equal(blue, table["selected"])
        assert (ax.get_xscale() == "log") == (x == "variance")
    [legend] = figure.legends
    names = [t.get_text() for t in legend.get_texts()]
    assert names == ["not selected (20)", "selected (10)", "anomaly (4)"]
    assert as_svg(figure) == as_svg(measure_scatters(table))

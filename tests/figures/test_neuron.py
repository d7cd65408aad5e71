"""Figures of one neuron: their content and column width, also in odd cases."""

import io
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from meiflow.figures.models import neuron_scores
from meiflow.figures.neuron import (
    ascent_figure,
    mei_figure,
    prediction_figure,
    reliability_figure,
    responses_figure,
    rivals_figure,
)
from meiflow.figures.style import COLUMN, as_svg
from meiflow.figures.trials import PresentedImage, psth, raster_figure, strip_figure


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 20))
def test_the_psth_contains_every_spike_once(seed, trials):
    rng = np.random.default_rng(seed)
    spikes = [rng.uniform(-0.1, 0.5, rng.integers(0, 9)) for _ in range(trials)]
    edges, rate = psth(spikes, -0.1, 0.5)
    np.testing.assert_allclose(np.diff(edges), 0.02)
    assert rate.sum() * 0.02 * trials == pytest.approx(sum(map(len, spikes)))


def test_a_constant_rate_gives_a_flat_psth(rng):
    spikes = [np.sort(rng.uniform(-0.1, 0.5, rng.poisson(0.6 * 20))) for _ in range(4000)]
    assert psth(spikes, -0.1, 0.5)[1] == pytest.approx(np.full(30, 20), rel=0.1)
    assert psth([], -0.1, 0.5)[1].tolist() == [0.0] * 30


def shown(grid, rng, spikes=True):
    times = tuple(np.sort(rng.uniform(-0.1, 0.5, 4)) for _ in range(5)) if spikes else ()
    image = rng.uniform(0, 1, grid.shape)
    return [PresentedImage(f"image {i}", image, np.arange(5), times, i < 2) for i in range(4)]


def test_the_raster_has_a_tick_for_every_spike(grid, rng):
    images = shown(grid, rng)
    figure = raster_figure(images, psth(images[0].spikes, -0.1, 0.5), (0.0, 0.25), grid)
    raster = figure.axes[4]
    x = raster.lines[0].get_xdata()
    ticks = x[::3]
    np.testing.assert_allclose(np.sort(ticks), np.sort(np.concatenate(images[0].spikes)))
    low, high = figure.axes[8].get_ylim()
    assert {figure.axes[k].get_ylim() for k in (8, 9, 10, 11)} == {(low, high)}  # one scale
    assert "time after onset (s)" in as_svg(figure)


def test_every_trial_has_a_circle_at_its_count(grid, rng):
    images = shown(grid, rng, spikes=False)
    figure = strip_figure(images, 1.5, grid)
    strip = figure.axes[-1]
    circles = [line for line in strip.lines if line.get_marker() == "o"]
    assert [sorted(line.get_ydata()) for line in circles] == [[0, 1, 2, 3, 4]] * 4


def comparison(names):
    return pd.DataFrame(
        {
            "stimulus": names,
            "predicted_response": np.linspace(5, 1, len(names)),
            "matched": [i != 1 for i in range(len(names))],
            "mei_ratio": np.linspace(1, 5, len(names)),
            "mei_ratio_low": np.nan,
            "mei_ratio_high": np.nan,
        }
    )


@pytest.mark.parametrize("names", [["mei", "best_gabor", "best_natural"], ["mei"]])
def test_figures_of_stimuli_are_a_column_wide_and_have_words(grid, rng, names):
    images = {name: rng.uniform(0, 1, grid.shape) for name in names}
    table = comparison(names)
    trace = pd.DataFrame({"step": [0, 1], "response": [1.0, 2.0]})
    figures = [
        mei_figure(images["mei"], np.zeros(grid.shape), (0.0, 0.0), grid),
        mei_figure(np.full(grid.shape, 0.5), np.ones(grid.shape), (np.nan, np.nan), grid),
        rivals_figure(images, table, grid),
        responses_figure(table, {}),
        responses_figure(table, {"mei": 0.9}),
        ascent_figure(trace),
    ]
    for figure in figures:
        assert figure.get_size_inches()[0] == COLUMN
        svg = as_svg(figure)
        sizes = [float(v) for v in re.findall(r"font(?:-size)?: ?([\d.]+)px", svg)]
        assert sizes
        assert min(sizes) >= 6
        assert max(sizes) <= 8
    assert "elevation (deg)" in as_svg(figures[0])
    if len(names) > 1:
        assert "lower contrast" in as_svg(figures[2])


def test_one_trial_per_image_has_no_second_half(rng):
    halves = np.stack([np.arange(6.0), np.full(6, np.nan)])
    figure = reliability_figure(halves, np.arange(6.0), np.full(6, np.nan))
    assert not figure.axes[0].get_title()
    as_svg(figure)
    same = np.tile(np.arange(6.0), (2, 1))
    assert "r = 1.00, 6 images" in reliability_figure(same, same[0], same[0]).axes[0].get_title()


def test_prediction_and_scores(rng):
    counts = rng.uniform(0, 3, 10)
    axes = {"y_deg": np.linspace(3, -3, 3), "x_deg": np.linspace(-6, 6, 4)}
    score = xr.DataArray(rng.uniform(0, 1, (3, 4)), axes, list(axes))
    figure = prediction_figure(counts, counts, score, (0.0, 0.0))
    assert figure.axes[1].images[0].get_extent() == [-8, 8, -4.5, 4.5]
    np.testing.assert_allclose(figure.axes[0].lines[1].get_ydata(), counts)
    scores = pd.DataFrame(
        {"model": ["model", "v1"], "cc_norm": [0.9, 0.5], "cc_norm_low": 0.4, "cc_norm_high": 1.0}
    )
    curve = pd.DataFrame(
        {"images": [20, 10], "cc_norm": [0.4, 0.2], "cc_norm_low": 0.1, "cc_norm_high": 0.5}
    ).assign(model="v1_window")
    both = neuron_scores(scores, curve)
    line = both.axes[1].lines[0]
    assert line.get_xdata().tolist() == [10, 20]
    assert line.get_ydata().tolist() == [0.2, 0.4]
    assert both.axes[1].get_ylabel() == "CC_norm (V1, window)"
    assert len(neuron_scores(scores, curve[:0]).axes) == 1


def test_pictures_in_a_figure_are_grey_and_their_pixels_are_kept(grid, rng):
    """Not resampled: the pixels of the file are those of the image, in one channel."""
    import base64

    image = rng.uniform(0.2, 0.8, grid.shape)
    svg = as_svg(mei_figure(image, np.zeros(grid.shape), (0.0, 0.0), grid))
    pictures = [
        Image.open(io.BytesIO(base64.b64decode(text)))
        for text in re.findall(r"data:image/png;base64,([^\"]+)", svg)
    ]
    found = next(p for p in pictures if p.size[::-1] == grid.shape)
    assert found.mode == "L"
    pixels = np.asarray(found).astype(float)
    best = max(np.corrcoef(pixels.ravel(), one.ravel())[0, 1] for one in (image, image[::-1]))
    assert best > 0.9999
    assert as_svg(mei_figure(image, np.zeros(grid.shape), (0.0, 0.0), grid)) == svg

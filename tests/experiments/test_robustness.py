"""Experiments with a scaled, rotated and cropped MEI, against the closed forms of a Gabor."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import j0

from meiflow.config.sections import Experiments
from meiflow.experiments import run, standard_experiments, summarise_experiments
from meiflow.experiments.standard import Preferred
from meiflow.images.geometry import Geometry

GRID = Geometry(90, 120, 120.0, 90.0)
SIGMA, WAVE = 8.0, 20.0
BEST = Preferred(GRID, 4.0, -3.0, WAVE, 30.0, 90.0, SIGMA)  # odd, so that it has no mean
FIELD = BEST.gabor()
NAMES = ["mei_scale", "mei_rotation", "mei_crop"]


def linear(images):
    return ((images - 0.5) * FIELD).sum((1, 2))


@pytest.fixture(scope="module")
def tables():
    made = standard_experiments(BEST, Experiments(make=NAMES, sizes=24), 0.5 + 0.05 * FIELD)
    return {name: run(experiment, linear) for name, experiment in made.items()}


def product(sigma, k, other_sigma, other_k, away):
    """Integral of two odd Gabors at an angle, up to a factor."""
    both = sigma**2 * other_sigma**2 / (sigma**2 + other_sigma**2)
    square = k**2 + other_k**2
    cross = 2 * k * other_k * np.cos(away)
    return both * (np.exp(-both * (square - cross) / 2) - np.exp(-both * (square + cross) / 2))


def cosine(scale, away):
    k = 2 * np.pi / WAVE
    own = product(SIGMA, k, SIGMA, k, 0.0)
    other = product(scale * SIGMA, k / scale, scale * SIGMA, k / scale, 0.0)
    return product(SIGMA, k, scale * SIGMA, k / scale, away) / np.sqrt(own * other)


def test_a_rotated_gabor_follows_the_closed_form(tables):
    table = tables["mei_rotation"]
    expected = cosine(1.0, np.deg2rad(table["rotation_deg"]))
    found = table["response"] / table["response"].max()
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_a_scaled_gabor_follows_the_closed_form(tables):
    table = tables["mei_scale"]
    table = table[table["size_octaves"].between(-1, 1)]  # smaller ones have too few pixels
    expected = cosine(2.0 ** table["size_octaves"], 0.0)
    found = table["response"] / table["response"].max()
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_a_cropped_gabor_follows_the_closed_form(tables):
    k = 2 * np.pi / WAVE

    def ring(r):
        return r * np.exp(-((r / SIGMA) ** 2)) * (1 - j0(2 * k * r))

    table = tables["mei_crop"]
    whole = quad(ring, 0, 6 * SIGMA)[0]
    expected = [quad(ring, 0, size / 2)[0] / whole for size in table["diameter_deg"]]
    found = table["response"] / table["response"].max()
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_widths_are_those_of_the_closed_forms(tables):
    row = summarise_experiments(tables, grey=0.0)
    turns = np.deg2rad(np.linspace(-90, 90, 100_001))
    rotation = 180 * (cosine(1.0, turns) >= 0.5).mean()
    assert row["mei_rotation_deg"] == pytest.approx(rotation, abs=1.0)
    octaves = np.linspace(-2, 2, 100_001)
    scale = 4 * (cosine(2.0**octaves, 0.0) >= 0.5).mean()
    assert row["mei_scale_octaves"] == pytest.approx(scale, abs=0.05)
    crop = tables["mei_crop"]
    half = np.interp(0.5 * crop["response"].iloc[-1], crop["response"], crop["diameter_deg"])
    assert row["mei_crop_deg"] == pytest.approx(half, abs=0.1)


def test_all_have_the_contrast_of_the_mei_and_nothing_is_measured_of_an_untuned_neuron():
    made = standard_experiments(BEST, Experiments(make=NAMES), 0.45 + 0.05 * FIELD)
    for name in ("mei_scale", "mei_rotation"):
        experiment = made[name]
        (axis,) = experiment.axes
        shown = experiment.render(**{axis: np.asarray(experiment.axes[axis])[::9]})
        np.testing.assert_allclose(shown.mean((1, 2)), 0.45, atol=1e-3)
        np.testing.assert_allclose(shown.std((1, 2)), shown.std((1, 2))[0], rtol=0.05)
    tables = {
        name: run(one, lambda images: np.full(len(images), 2.0)) for name, one in made.items()
    }
    row = summarise_experiments(tables, grey=2.0)
    assert np.isnan([row["mei_scale_octaves"], row["mei_rotation_deg"], row["mei_crop_deg"]]).all()
    assert "mei_crop" not in standard_experiments(BEST)
    with pytest.raises(ValueError, match="mei_scale: the MEI is uniform"):
        standard_experiments(BEST, Experiments(make=NAMES), np.full(GRID.shape, 0.5))

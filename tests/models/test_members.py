"""Each base model fitted to a neuron that it describes exactly."""

import numpy as np
import pytest
import torch

from meiflow.config.sections import GaborEnergy, LinearNonlinear
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.gabor_energy import GaborEnergyFitter, Grid, filters
from meiflow.models.jobs import Jobs, fit_in_chunks
from meiflow.models.ln import LnFitter
from meiflow.models.members import build_member
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves

GRID = Geometry(30, 48, 60.6, 47.4)
PLACE = (10.0, -6.0)


@pytest.fixture(scope="module")
def images():
    frames = [dead_leaves((60, 78), np.random.default_rng([9, i])) for i in range(160)]
    return resize(np.stack(frames) / 255.0, GRID.shape)


def jobs_for(rates, train=100, starts=((9.0, -5.0, 10.0, 45.0, 0.0), (0.0, 0.0, 10.0, 135.0, 0.0))):
    rates = np.atleast_2d(rates)
    seen = np.zeros(rates.shape, bool)
    seen[:, :train] = True
    n = len(rates)
    return Jobs(
        rates,
        seen,
        np.full(n, PLACE[0]),
        np.full(n, PLACE[1]),
        np.tile(np.array(starts), (n, 1, 1)),
    )


def project(images, pattern):
    return (images - GREY).reshape(len(images), -1).astype(float) @ pattern.ravel()


def test_ln_recovers_a_filter_that_is_not_a_gabor(images):
    shape = patterns.corner(GRID, *(np.array([v]) for v in (*PLACE, 12.0, 30.0)))[0]
    drive = project(images, shape)
    rate = 0.5 + np.maximum(drive / drive.std() - 0.4, 0)
    fit = LnFitter(images, np.ones(len(images)), GRID, LinearNonlinear())
    held_out = fit(jobs_for(rate)).predictions[0, 100:]
    assert np.corrcoef(held_out, rate[100:])[0, 1] > 0.85
    state = fit(jobs_for(rate, train=160)).states[0]
    found = state["filter"].numpy()
    assert np.corrcoef(found.ravel(), shape.ravel())[0, 1] > 0.7
    # a linear regression at the true position does worse: it has no threshold
    line = np.polyfit(drive[:100], rate[:100], 1)
    assert np.corrcoef(np.polyval(line, drive[100:]), rate[100:])[0, 1] < 0.93


@pytest.mark.parametrize("cell", ["simple", "complex"])
def test_gabor_energy_recovers_its_gabor(images, cell):
    pair = patterns.gabor(
        GRID, *(np.full(2, v) for v in PLACE), 12.0, 60.0, np.array([0.0, 90.0]), 5.0
    )
    even, odd = (project(images, p) for p in pair)
    rate = np.maximum(even, 0) if cell == "simple" else np.hypot(even, odd)
    rate = 0.3 + rate / rate.mean()
    fit = GaborEnergyFitter(images, np.ones(len(images)), GRID, GaborEnergy())
    fits = fit(jobs_for(rate))
    assert np.corrcoef(fits.predictions[0, 100:], rate[100:])[0, 1] > 0.97
    found = fits.states[0]["parameters"]
    assert np.hypot(found["x"] - PLACE[0], found["y"] - PLACE[1]) < 2
    assert np.exp(found["log_wavelength"]) == pytest.approx(12, rel=0.15)
    assert np.rad2deg(found["orientation"]) % 180 == pytest.approx(60, abs=6)


def test_gabor_energy_draws_the_gabors_of_the_package():
    """Same position, orientation and aspect: longer across the stripes than along them."""
    wavelength, orientation, sigma, aspect = 8.0, 30.0, 3.2, 2.0
    values = {"x": 6.0, "y": -3.0, "log_wavelength": np.log(wavelength)}
    values |= {"orientation": np.deg2rad(orientation), "log_aspect": np.log(aspect)}
    values |= {"log_envelope": np.log(sigma / wavelength)}
    p = {name: torch.tensor([value], dtype=torch.float32) for name, value in values.items()}
    even, odd, window = (drawn[0].numpy() for drawn in filters(p, Grid.of(GRID)))
    shape = (6.0, -3.0, wavelength, orientation, np.array([0.0, 90.0]), sigma, aspect)
    for ours, expected in zip((even, odd), patterns.gabor(GRID, *shape), strict=True):
        assert np.corrcoef(ours, expected.ravel())[0, 1] > 0.999
    along, across = patterns.rotated_axes(GRID, 6.0, -3.0, orientation)
    spread = [np.sqrt((window * (w**2).ravel()).sum()) for w in (along, across)]
    assert spread == pytest.approx([1.5 * sigma, 1.5 * sigma * aspect], rel=0.05)


@pytest.mark.parametrize("fitter", [LnFitter, GaborEnergyFitter])
def test_an_image_counts_as_often_as_it_was_shown(fitter):
    """If all images are the same, the fit is the mean over trials, not over images."""
    grey = np.full((12, *GRID.shape), 0.4, np.float32)
    response, trials = np.tile([1.0, 5.0], 6), np.tile([1.5, 0.5], 6)
    config = LinearNonlinear() if fitter is LnFitter else GaborEnergy(steps=2)
    fits = fitter(grey, trials, GRID, config)(jobs_for(response, train=12))
    assert fits.predictions[0] == pytest.approx(2.0, rel=0.05)


def test_modules_are_what_was_fitted(images):
    rate = 1 + np.maximum(project(images, patterns.gabor(GRID, *PLACE, 12.0, 60.0, 0.0, 5.0)), 0)
    jobs = jobs_for(rate, train=160)
    contrast = torch.as_tensor(images - GREY).reshape(len(images), -1)
    weights = np.ones(len(images))
    for fitter in (
        LnFitter(images, weights, GRID, LinearNonlinear()),
        GaborEnergyFitter(images, weights, GRID, GaborEnergy(steps=20)),
    ):
        fits = fitter(jobs)
        module = build_member(fits.states[0], GRID)
        with torch.no_grad():
            np.testing.assert_allclose(module(contrast), fits.predictions[0], rtol=2e-3, atol=2e-3)


def test_a_fit_sees_its_training_images_alone(images):
    """The fit is the same to the last bit, whatever the responses to other images are."""
    rng = np.random.default_rng(1)
    rate = rng.uniform(0, 4, len(images))
    other = rate.copy()
    other[100:] = 99.0
    for fitter in (
        LnFitter(images, np.ones(len(images)), GRID, LinearNonlinear()),
        GaborEnergyFitter(images, np.ones(len(images)), GRID, GaborEnergy(steps=10)),
    ):
        first, second = fitter(jobs_for(rate)), fitter(jobs_for(other))
        np.testing.assert_array_equal(first.predictions, second.predictions)


def test_odd_sizes_and_neurons_that_never_fire(images):
    """Nothing is undefined: a silent neuron is predicted to be silent."""
    grid = Geometry(61, 97, 60.6, 47.4)
    odd = resize(images[:40].astype(float), grid.shape).astype(np.float32)
    rates = np.vstack([np.zeros(40), np.full(40, 3.0)])
    for fitter in (
        LnFitter(odd, np.ones(40), grid, LinearNonlinear()),
        GaborEnergyFitter(odd, np.ones(40), grid, GaborEnergy(steps=10)),
    ):
        predictions = fitter(jobs_for(rates, train=30)).predictions
        assert np.isfinite(predictions).all()
        assert (predictions >= 0).all()
        assert predictions[0].max() < 0.05
        assert predictions[1] == pytest.approx(3, abs=0.5)


def test_chunks_do_not_change_a_thing(images):
    rng = np.random.default_rng(3)
    jobs = jobs_for(rng.uniform(0, 4, (5, len(images))))
    fitter = LnFitter(images, np.ones(len(images)), GRID, LinearNonlinear())
    one, many = (fit_in_chunks(fitter, jobs, 2, threads, "test") for threads in (1, 3))
    np.testing.assert_array_equal(one.predictions, many.predictions)
    assert len(many.states) == 5

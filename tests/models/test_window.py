"""The V1 front end read through a window, and hyperparameters shared by a population."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from meiflow.config.base_models import Window
from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.empirical_bayes import candidate_weights
from meiflow.models.front_end import FrontEnd, features_at
from meiflow.models.jobs import Jobs
from meiflow.models.members import build_member
from meiflow.models.window import WindowFitter
from meiflow.models.window_front_end import WindowFrontEnd

SCREEN = Geometry(30, 47, 60.6, 47.4)
CONFIG = Model(wavelengths_deg=[10.0, 20.0], orientations=4, centre_sigmas_deg=[3.0, 5.0])
FRONT_END = FrontEnd.from_config(CONFIG)


def smooth_images(rng, n):
    spectrum = np.fft.rfft2(rng.standard_normal((n, *SCREEN.shape)))
    fy, fx = np.fft.fftfreq(30)[:, None], np.fft.rfftfreq(47)
    images = np.fft.irfft2(spectrum / (0.05 + np.hypot(fy, fx)), SCREEN.shape)
    return np.clip(0.5 + 0.2 * images / images.std(), 0, 1).astype(np.float32)


def test_channels_are_those_of_the_front_end_at_each_position(rng):
    """Up to the coarser sampling; the screen is not a whole number of blocks wide."""
    images = smooth_images(rng, 40)
    windows = WindowFrontEnd(FRONT_END, SCREEN, 8.0)
    found = windows(torch.as_tensor(images).flatten(1) - GREY).numpy()
    gabors, centres = len(FRONT_END.gabors[0]), len(FRONT_END.centre_sigmas)
    half = FRONT_END.n_channels // 2
    kept = np.r_[4 * gabors : 5 * gabors + 2 * centres]
    for position in (0, found.shape[1] // 2, found.shape[1] - 1):
        at = windows.x[position], windows.y[position]
        expected = features_at(FRONT_END, images, SCREEN, *at)[:, np.r_[kept, half + kept]]
        for channel in range(expected.shape[1]):
            got = found[:, position, channel]
            assert np.corrcoef(got, expected[:, channel])[0, 1] > 0.9
            assert got.mean() == pytest.approx(expected[:, channel].mean(), rel=0.2, abs=0.05)


def jobs_of(responses, train):
    n = len(responses)
    return Jobs(responses, np.tile(train, (n, 1)), np.zeros(n), np.zeros(n), np.zeros((n, 1, 5)))


@pytest.fixture(scope="module")
def pooled():
    """Neurons that pool the energy of one orientation around (8, -5) degrees, with noise."""
    rng = np.random.default_rng(0)
    images = smooth_images(rng, 120)
    windows = WindowFrontEnd(FRONT_END, SCREEN, 8.0)
    channels = windows(torch.as_tensor(images).flatten(1) - GREY).numpy()
    near = np.exp(-0.5 * ((windows.x - 8) ** 2 + (windows.y + 5) ** 2) / 8**2)
    drive = np.einsum("ipc,p->ci", channels[..., :6], near)
    drive = 5 + (drive - drive.mean(1, keepdims=True)) / drive.std(1, keepdims=True)
    noisy = drive + 0.7 * rng.standard_normal(drive.shape)
    train = np.arange(120) < 90
    return images, drive, noisy, train, WindowFitter(images, windows, CONFIG.window)


def test_pooled_energies_are_predicted_and_the_module_agrees(pooled):
    images, drive, noisy, train, fitter = pooled
    fits = fitter(jobs_of(noisy, train))
    held_out = [
        np.corrcoef(p[~train], d[~train])[0, 1]
        for p, d in zip(fits.predictions, drive, strict=True)
    ]
    assert np.mean(held_out) > 0.65
    contrast = torch.as_tensor(images).flatten(1) - GREY
    for state, predicted in zip(fits.states[:2], fits.predictions, strict=False):
        module = build_member(state, SCREEN)
        np.testing.assert_allclose(module(contrast).detach(), predicted, rtol=1e-4, atol=1e-4)


def test_held_out_responses_do_not_matter(pooled):
    _, _, noisy, train, fitter = pooled
    changed = np.where(train, noisy, 99.0)
    found = [fitter(jobs_of(responses, train)).predictions for responses in (noisy, changed)]
    np.testing.assert_array_equal(*found)


def test_one_candidate_is_ridge_regression_with_the_window_as_prior(monkeypatch):
    """scikit-learn, on channels scaled by the square root of the prior variance."""
    rng = np.random.default_rng(1)
    images, train = smooth_images(rng, 50), np.arange(50) < 40
    wide = {"sigmas_deg": [360.0], "penalties": [0.3], "rank": 512, "spacing_deg": 16.0}
    monkeypatch.setattr("meiflow.models.window.KEPT", 1.0)
    fitter = WindowFitter(images, WindowFrontEnd(FRONT_END, SCREEN, 16.0), Window(**wide))
    responses = 50 + rng.standard_normal((1, 50))
    features = fitter.channels * fitter.scale(train) / np.sqrt(fitter.channels.shape[1])
    features = features.reshape(50, -1)
    ridge = Ridge(alpha=0.3).fit(features[train], responses[0, train])
    found = fitter(jobs_of(responses, train)).predictions[0]
    np.testing.assert_allclose(found, ridge.predict(features), atol=2e-3)


def test_a_noisy_neuron_chooses_what_suits_the_others(rng):
    errors = 1 - 0.3 * (np.arange(20) == 7)[:, None] + 0.01 * rng.standard_normal((20, 12))
    errors[:, -1] = 1 + 0.01 * rng.standard_normal(20)
    weights = candidate_weights(errors, 100)
    np.testing.assert_allclose(weights.sum(axis=0), 1)
    assert weights.argmax(axis=0).tolist() == [7] * 12
    # a single neuron is not its own prior
    likelihood = np.exp(-25 * (errors[:, -1] - errors[:, -1].min()))
    np.testing.assert_allclose(
        candidate_weights(errors[:, -1:], 100)[:, 0], likelihood / likelihood.sum()
    )

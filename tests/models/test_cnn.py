"""The convolutional network with pyramid readouts, trained on all neurons together."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from meiflow.config.model import Cnn
from meiflow.images.luminance import GREY
from meiflow.models.cnn import CnnFitter
from meiflow.models.members import build_member
from meiflow.models.readouts import PyramidReadout, SmallPyramidReadout
from meiflow.models.window import WindowFitter
from meiflow.models.window_front_end import WindowFrontEnd
from tests.models.test_window import CONFIG, FRONT_END, SCREEN, jobs_of, smooth_images

FAST = Cnn(channels=8, networks=2, epochs=60)


@pytest.fixture(scope="module")
def conjunctions():
    """Neurons that respond where two orientations meet, at different places, with noise."""
    rng = np.random.default_rng(0)
    images = smooth_images(rng, 200)
    windows = WindowFrontEnd(FRONT_END, SCREEN, 8.0)
    fitter = WindowFitter(images, windows, CONFIG.window)
    x, y = rng.uniform(-16, 16, 24), rng.uniform(-10, 10, 24)
    near = np.hypot(windows.x - x[:, None], windows.y - y[:, None]).argmin(axis=1)
    pairs = fitter.channels[:, near][..., [0, 2]]
    drive = np.minimum(*(pairs / pairs.mean(axis=0)).transpose(2, 1, 0))
    drive = 5 + (drive - drive.mean(1, keepdims=True)) / drive.std(1, keepdims=True)
    noisy = np.maximum(drive + 0.7 * rng.standard_normal(drive.shape), 0)
    train = np.arange(200) < 150
    return drive, replace(jobs_of(noisy, train), x=x, y=y), fitter


def network(window, config=FAST):
    return CnnFitter(window, np.ones(len(window.channels)), config, 0)


def held_out(predictions, drive, jobs):
    test = ~jobs.train[0]
    pairs = zip(predictions[:, test], drive[:, test], strict=True)
    return np.mean([np.corrcoef(p, d)[0, 1] for p, d in pairs])


def test_conjunctions_are_learned_and_the_module_agrees(conjunctions):
    drive, jobs, window = conjunctions
    fits = network(window)(jobs)
    linear = held_out(window(jobs).predictions, drive, jobs)
    assert held_out(fits.predictions, drive, jobs) > max(0.7, linear + 0.03)
    contrast = torch.as_tensor(window._images).flatten(1) - GREY
    for state, predicted in zip(fits.states[:3], fits.predictions, strict=False):
        module = build_member(state, SCREEN)
        np.testing.assert_allclose(module(contrast).detach(), predicted, rtol=1e-4, atol=1e-4)


def test_a_network_repeats_and_ignores_held_out_responses(conjunctions):
    _, jobs, window = conjunctions
    few = FAST.model_copy(update={"epochs": 3, "networks": 1})
    changed = replace(jobs, responses=np.where(jobs.train, jobs.responses, 99.0))
    found = [network(window, few)(each).predictions for each in (jobs, jobs, changed)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_the_weights_of_positions_are_the_readout(conjunctions):
    _, jobs, window = conjunctions
    trained = network(window, FAST.model_copy(update={"epochs": 2}))._trained(jobs, 0)
    channels = torch.as_tensor(window.channels[:5])
    maps = trained.core(channels).flatten(2).transpose(1, 2)
    drive = torch.einsum("bpc,npc->bn", maps, trained.weights_of_positions())
    drive = drive + trained.bias_of_drive()
    expected = trained.mean + trained.spread * trained.readout(trained.core(channels))
    torch.testing.assert_close(drive, expected, rtol=1e-4, atol=1e-4)


def test_a_few_images_are_predicted_by_the_mean(conjunctions):
    _, jobs, window = conjunctions
    few = np.tile(np.arange(200) < 4, (len(jobs), 1))
    found = network(window)(replace(jobs, train=few)).predictions
    mean = jobs.responses[:, :4].mean(axis=1, keepdims=True)
    assert np.abs(found / mean - 1).max() < 0.2


def test_weights_of_positions_give_the_drive_of_the_pyramid():
    generator = torch.Generator().manual_seed(0)
    small, pyramid = SmallPyramidReadout(3, 5, 2, (7, 10)), PyramidReadout(3, 5, 2)
    with torch.no_grad():
        for p in small.parameters():
            p.copy_(2 * torch.rand(p.shape, generator=generator) - 1)
    pyramid.load_state_dict(small.state_dict())
    maps = torch.randn(4, 3, 7, 10, generator=generator)
    torch.testing.assert_close(small(maps), pyramid(maps))
    gradients = [
        torch.autograd.grad(readout(maps).square().sum(), list(readout.parameters()))
        for readout in (small, pyramid)
    ]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)

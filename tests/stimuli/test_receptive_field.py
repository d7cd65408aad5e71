"""Linear RFs of neurons with known filters."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from meiflow.stimuli import IncreaseObjective, LastReducer, gradient, gradient_rf, linear_rf

SHAPE = (8, 10)
RNG = np.random.default_rng(3)
FIRST, SECOND = RNG.normal(size=(2, *SHAPE)) / 10
GREY, CONTRAST = 0.5, 0.2


def drive(stimuli, weights=FIRST, grey=GREY):
    return ((stimuli - grey) * torch.as_tensor(weights, dtype=stimuli.dtype)).flatten(1).sum(1)


def energy(stimuli):
    return drive(stimuli) ** 2 + drive(stimuli, SECOND) ** 2


def field(model, **more):
    return linear_rf(model, SHAPE, **({"contrast": CONTRAST, "samples": 256} | more))


def test_a_linear_neuron_has_its_filter():
    found = field(lambda s: 3 * drive(s) + 1)
    assert found.shape == SHAPE
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 3 * FIRST, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(gradient_rf(drive, SHAPE), FIRST, rtol=1e-6)


def test_an_even_neuron_has_none():
    """Each sample is paired with its negative: exactly zero, however few samples."""
    noise = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    one = gradient(energy, GREY + CONTRAST * noise)
    size = float(one.norm())
    for samples in (2, 64, 256):
        assert np.linalg.norm(field(energy, samples=samples)) < 1e-6 * size
    assert np.linalg.norm(gradient_rf(energy, SHAPE)) < 1e-6 * size


def test_only_the_odd_part_of_a_neuron_counts():
    found = field(lambda s: drive(s) + 5 * energy(s))
    np.testing.assert_allclose(found, FIRST, atol=1e-5)


@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_linear_nonlinear_neuron_has_its_filter_scaled(threshold):
    """Scaled by the mean slope of its nonlinearity (Bussgang), here over a Gaussian drive."""
    found = field(
        lambda s: torch.nn.functional.softplus(4 * (drive(s) - threshold)) / 4, samples=4096
    )
    assert np.corrcoef(found.ravel(), FIRST.ravel())[0, 1] > 0.999
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    spread = CONTRAST * np.linalg.norm(FIRST)
    slope = (weights * expit(4 * (spread * nodes - threshold))).sum() / weights.sum()
    assert np.linalg.norm(found) / np.linalg.norm(FIRST) == pytest.approx(slope, rel=0.03)


def test_a_rectifier_passes_half():
    np.testing.assert_allclose(field(lambda s: torch.relu(drive(s))), FIRST / 2, rtol=1e-5)


def test_a_cubic_neuron_is_measured_over_the_noise_and_not_at_grey():
    """The mean slope of d**3 over a drive of variance v is 3 v; at grey it is zero."""
    found = field(lambda s: drive(s) ** 3, samples=4096)
    expected = 3 * CONTRAST**2 * (FIRST**2).sum() * FIRST
    np.testing.assert_allclose(found, expected, rtol=0.1)
    assert np.abs(gradient_rf(lambda s: drive(s) ** 3, SHAPE)).max() < 1e-9


def test_it_is_the_regression_of_the_response_on_the_noise():
    """Stein's lemma, compared with least squares on sufficiently many responses."""

    def model(stimuli):
        return torch.nn.functional.softplus(6 * drive(stimuli)) + 3 * drive(stimuli, SECOND) ** 2

    noise = CONTRAST * np.random.default_rng(8).normal(size=(60_000, *SHAPE))
    responses = model(torch.as_tensor(GREY + noise)).numpy()
    flat = noise.reshape(len(noise), -1)
    regression = np.linalg.lstsq(flat, responses - responses.mean(), rcond=None)[0]
    found = field(model, samples=512).ravel()
    assert np.corrcoef(found, regression)[0, 1] > 0.98
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(regression), rel=0.05)


@pytest.mark.parametrize("samples", [2, 126, 128, 130, 300])
def test_samples_are_as_many_as_asked_about_grey(samples):
    shown = []

    def model(stimuli):
        shown.append(stimuli.detach())
        return drive(stimuli)

    linear_rf(model, SHAPE, 0.1, 0.4, samples)
    every = torch.cat(shown)
    assert every.shape == (samples, *SHAPE)
    assert max(len(stack) for stack in shown) <= 128
    np.testing.assert_allclose(every.mean(0), 0.4, atol=1e-6)
    if samples == 300:
        assert float(every.std()) == pytest.approx(0.1, rel=0.02)
        assert len(torch.unique(every, dim=0)) == samples


@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (3, 4, 6), (4, 6)])
def test_movies_and_channels(shape):
    weights = np.random.default_rng(1).normal(size=shape) / 10
    found = linear_rf(lambda s: drive(s, weights), shape, CONTRAST, samples=8)
    np.testing.assert_allclose(found, weights, atol=1e-6)
    sigmoid = gradient_rf(lambda s: torch.sigmoid(drive(s, weights, 0.3)), shape, grey=0.4)
    at_grey = expit(0.1 * weights.sum())
    np.testing.assert_allclose(sigmoid, at_grey * (1 - at_grey) * weights, rtol=1e-4)


def test_gradient_rf_is_torchs_at_grey():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(80, 7), nn.Tanh(), nn.Linear(7, 1), nn.Flatten(0))
    grey = torch.full((1, *SHAPE), 0.3, requires_grad=True)
    net(grey).backward()
    expected = grey.grad[0].numpy().copy()
    net.zero_grad()
    np.testing.assert_allclose(gradient_rf(net, SHAPE, 0.3), expected, rtol=1e-4, atol=1e-6)
    assert all(p.grad is None for p in net.parameters())


def test_gradient_takes_objectives_and_leaves_its_stimuli_alone():
    def frames(stimuli):
        both = torch.stack([drive(stimuli), drive(stimuli, SECOND) ** 2], 1)
        return torch.stack([both, 3 * both], 1)  # (batch, time, neurons)

    stimuli = torch.rand(4, *SHAPE)
    before = stimuli.clone()
    found = gradient(frames, stimuli, IncreaseObjective(1, LastReducer()))
    expected = 3 * 2 * drive(stimuli, SECOND)[:, None, None] * torch.as_tensor(SECOND).float()
    torch.testing.assert_close(found, expected)
    assert torch.equal(stimuli, before)
    assert not stimuli.requires_grad
    assert not found.requires_grad


def test_it_works_where_gradients_are_switched_off():
    with torch.no_grad():
        np.testing.assert_allclose(gradient_rf(drive, SHAPE), FIRST, rtol=1e-6)
        np.testing.assert_allclose(field(drive), FIRST, rtol=1e-5, atol=1e-7)


def test_the_same_seed_gives_the_same_field():
    one, two, other = (field(lambda s: drive(s) ** 3, samples=16, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("bad", [{"samples": 0}, {"samples": 7}, {"samples": -2}, {"contrast": 0}])
def test_invalid_requests_are_refused(bad):
    with pytest.raises(ValueError, match="an even number of samples >= 2 and a contrast > 0"):
        field(drive, **bad)


class Deaf(nn.Module):
    """A model that responds with its bias to any stimulus."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.ones(()))

    def forward(self, stimuli):
        return self.bias.expand(len(stimuli))


@pytest.mark.parametrize("model", [lambda s: torch.ones(len(s)), Deaf()], ids=["constant", "bias"])
def test_a_response_that_does_not_depend_on_the_stimuli_is_refused(model):
    with pytest.raises(ValueError, match="does not depend on the stimuli"):
        gradient_rf(model, SHAPE)

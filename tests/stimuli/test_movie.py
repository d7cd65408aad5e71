"""Optimal movies of neurons with known spatio-temporal filters."""

import numpy as np
import pytest
import torch

from meiflow.images.geometry import Geometry
from meiflow.stimuli import (
    IncreaseObjective,
    LastReducer,
    SliceMeanReducer,
    most_exciting,
    most_exciting_movie,
    noise_starts,
)

FRAMES, HEIGHT, WIDTH = 8, 9, 12
MEAN, CONTRAST = 0.5, 0.1
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
ENVELOPE = np.exp(-((ROWS - 4) ** 2 + (COLUMNS - 6) ** 2) / (2 * 2.2**2))
BIPHASIC = np.array([-0.1, -0.3, -0.6, -0.5, 0.2, 0.9, 1.0, 0.3])


def gabor():
    pattern = ENVELOPE * np.cos(2 * np.pi * (COLUMNS - 6) / 6 + 0.6)
    return pattern - pattern.mean()


SPACES = {
    "gabor": gabor(),
    "centre": ENVELOPE,  # responds to luminance: one frame brighter than the other
    "whole field": np.ones((HEIGHT, WIDTH)),
}


def rectified(weights):
    """Movies to the rectified drive of one filter (channels, time, height, width)."""
    tensor = torch.as_tensor(weights, dtype=torch.float32)
    return lambda movies: torch.relu(((movies - MEAN) * tensor).flatten(1).sum(1))


def filter_over_time(space, kernel):
    """Movies to responses (batch, frames, 2), filtered causally; neuron 1 has the negative."""
    weight = torch.as_tensor(kernel[::-1].copy()[:, None, None] * space, dtype=torch.float32)
    both = torch.stack([weight, -weight])[:, None]

    def model(movies):
        past = torch.nn.functional.pad(movies - MEAN, (0, 0, 0, 0, len(kernel) - 1, 0))
        return 3 + torch.nn.functional.conv3d(past, both)[..., 0, 0].mT

    return model


def bound(weights):
    """Largest drive of a movie of this mean and contrast (Cauchy-Schwarz), without clipping."""
    return CONTRAST * np.sqrt(weights.size) * np.linalg.norm(weights - weights.mean())


def correlation(movie, weights):
    return np.corrcoef(movie.ravel(), weights.ravel())[0, 1]


def found(model, objective=None, shape=(1, FRAMES, HEIGHT, WIDTH), **more):
    arguments = {"restarts": 6, "steps": 120, "mean": MEAN, "contrast": CONTRAST} | more
    return most_exciting_movie(model, shape, objective=objective, **arguments)


@pytest.mark.parametrize("name", SPACES)
def test_separable_neuron_gets_its_own_filter(name):
    weights = BIPHASIC[:, None, None] * SPACES[name]
    result = found(rectified(weights))
    assert result.stimuli.shape == (6, 1, FRAMES, HEIGHT, WIDTH)
    assert 0.97 * bound(weights) < result.scores[result.best] < 1.001 * bound(weights)
    assert correlation(result.images[result.best], weights) > 0.98


@pytest.mark.parametrize("name", ["gabor", "whole field"])
def test_colour_opponent_neuron_gets_both_channels(name):
    one = BIPHASIC[:, None, None] * SPACES[name]
    weights = np.stack([one, -0.7 * one])
    result = found(rectified(weights), shape=(2, FRAMES, HEIGHT, WIDTH))
    assert result.scores[result.best] > 0.97 * bound(weights)
    assert correlation(result.images[result.best], weights) > 0.98


@pytest.mark.parametrize("name", ["gabor", "centre"])
def test_colour_images_too(name):
    """A still image of two channels: one may be brighter than the other."""
    weights = np.stack([SPACES[name], -0.7 * SPACES[name]])
    tensor = torch.as_tensor(weights, dtype=torch.float32)
    grid = Geometry(HEIGHT, WIDTH)
    noise = [noise_starts(2, grid, 1.0, MEAN, CONTRAST, seed) for seed in (0, 1)]
    result = most_exciting(
        lambda images: ((images - MEAN) * tensor).flatten(1).sum(1),
        torch.stack(noise, 1), grid, MEAN, CONTRAST, stop=100,
    )  # fmt: skip
    assert (result.scores > 0.97 * bound(weights)).all()
    assert correlation(result.images[result.best], weights) > 0.98


@pytest.mark.parametrize("neuron", [0, 1])
@pytest.mark.parametrize(
    ("reduce", "frames"),
    [
        (LastReducer(), [7]),
        (SliceMeanReducer(3, 2), [3, 4]),
        (SliceMeanReducer(6), [6, 7]),
        (None, range(8)),
    ],
    ids=["last", "slice", "to the end", "mean"],
)
def test_convolution_over_time_in_closed_form(neuron, reduce, frames):
    """The mean over some frames is the drive of one filter: the kernel, once per frame."""
    kernel, space = np.array([0.2, 1.0, -0.5, -0.3]), SPACES["gabor"]
    trace = np.zeros(FRAMES)
    for frame in frames:
        for lag, value in enumerate(kernel):
            if frame >= lag:
                trace[frame - lag] += value / len(frames)
    weights = trace[:, None, None] * space * (1, -1)[neuron]
    result = found(filter_over_time(space, kernel), IncreaseObjective(neuron, reduce))
    for movie, score in zip(result.images, result.scores, strict=True):
        assert correlation(movie, weights) > 0.98
        assert 0.97 * bound(weights) < score - 3 < 1.001 * bound(weights)


def test_what_the_objective_does_not_see_stays_grey():
    """Only the last frames drive the last response."""
    kernel = np.array([1.0, -0.8])
    result = found(filter_over_time(SPACES["gabor"], kernel), IncreaseObjective(0, LastReducer()))
    spread = result.images.std((1, 3, 4))
    assert (spread[:, :-2] < 0.1 * spread[:, -2:].min()).all()


def test_mean_and_contrast_are_held_at_every_step_and_pixels_within_limits():
    weights = BIPHASIC[:, None, None] * SPACES["gabor"]
    result = found(rectified(weights), mean=0.4, contrast=0.2, steps=40)
    np.testing.assert_allclose(result.trace.mean, 0.4, atol=1e-4)
    np.testing.assert_allclose(result.trace.rms_contrast, 0.2, atol=1e-4)
    assert result.images.min() >= 0
    assert result.images.max() <= 1
    flat = result.images.reshape(6, -1)
    np.testing.assert_allclose(flat.std(1), 0.2, atol=1e-4)


def test_temporal_low_pass_takes_out_flicker():
    """A neuron of fast flicker: its movie flickers, unless low-passed at every step."""
    model = filter_over_time(SPACES["gabor"], np.array([1.0, -1.0]))
    lags = np.arange(FRAMES)[:, None] - np.arange(FRAMES)[None, :]
    passes = np.exp(-0.5 * (lags / 1.5) ** 2)
    passes /= passes.sum(1, keepdims=True)
    patterns, gains, _ = np.linalg.svd(passes)
    assert (gains < 0.02).sum() == 3  # of eight temporal patterns, practically blocked

    def blocked(**more):
        result = found(model, IncreaseObjective(0, SliceMeanReducer(2, 1)), steps=60, **more)
        movie = result.images[result.best][0].reshape(FRAMES, -1).astype(float)
        np.testing.assert_allclose(result.trace.rms_contrast, CONTRAST, atol=1e-4)
        power = ((patterns.T @ (movie - movie.mean())) ** 2).sum(1)
        return power[gains < 0.02].sum() / power.sum(), result.scores[result.best]

    fast, score = blocked()
    slow, smooth_score = blocked(temporal_sigma=1.5)
    assert fast > 0.3
    assert slow < 0.01
    assert 3 < smooth_score < score  # above baseline


def test_restarts_differ_and_the_same_seed_gives_the_same_movies():
    weights = torch.as_tensor(BIPHASIC[:, None, None] * SPACES["gabor"], dtype=torch.float32)

    def never_silent(movies):
        return torch.nn.functional.softplus(((movies - 0.5) * weights).flatten(1).sum(1))

    one, two, other = (found(never_silent, steps=3, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.images, two.images)
    assert not np.array_equal(one.images, other.images)
    assert not np.array_equal(one.images[0], one.images[1])
    assert one.seed == 4
    assert one.trace.objective.shape == (4, 6)


def test_a_neuron_that_does_not_exist_is_named():
    model = filter_over_time(SPACES["gabor"], np.array([1.0]))
    with pytest.raises(ValueError, match=r"neuron 2 does not exist; .* 0 to 1"):
        found(model, IncreaseObjective(2), steps=1)


def test_restarts_below_threshold_are_re_initialised():
    """Without a gradient at any start, only re-initialised starts can reach the filter."""
    weights = BIPHASIC[:, None, None] * SPACES["gabor"]
    size = np.linalg.norm(weights - weights.mean())
    threshold = 3 * CONTRAST * size  # three standard deviations of the initial noise

    def model(movies):
        drive = ((movies - 0.5) * torch.as_tensor(weights, dtype=torch.float32)).flatten(1).sum(1)
        return torch.relu(drive - threshold)

    result = found(model)
    best = CONTRAST * np.sqrt(weights.size) * size - threshold
    assert (result.scores > 0.95 * best).any()

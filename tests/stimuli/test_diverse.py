"""Diverse exciting images of simple and complex cells with known best sets."""

import numpy as np
import pytest
import torch

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.images.projection import project
from meiflow.stimuli import diverse_images, most_exciting, noise_starts, stimulus_correlations

GRID = Geometry(24, 32, 60.0, 45.0)
MEAN, CONTRAST = 0.5, 0.08
PAIR = [
    torch.as_tensor(gabor(GRID, 4.0, -3.0, 16.0, 30.0, phase, 8.0), dtype=torch.float32)
    for phase in (0.0, 90.0)
]


def simple(images):
    return torch.relu(((images - MEAN) * PAIR[0]).sum((1, 2)))


def complex_cell(images):
    """Energy: the sum of squares of a quadrature pair."""
    return sum(((images - MEAN) * part).sum((1, 2)) ** 2 for part in PAIR)


def shown(pattern):
    return project(pattern[None], MEAN, CONTRAST)[0]


MEI = shown(PAIR[0])


def diverse(model, **arguments):
    return diverse_images(model, MEI, GRID, MEAN, CONTRAST, **({"steps": 120} | arguments))


def nearest(images, weights=None):
    """Mean correlation of each image with the most similar one."""
    correlations = stimulus_correlations(torch.as_tensor(images), weights).numpy()
    return np.where(np.eye(len(correlations)) > 0, -np.inf, correlations).max(1).mean()


@pytest.mark.parametrize("model", [simple, complex_cell])
@pytest.mark.parametrize("fraction", [0.6, 0.85])
def test_all_reach_the_fraction_at_the_given_mean_and_contrast(model, fraction):
    found = diverse(model, n=4, fraction=fraction)
    assert found.images.shape == (4, *GRID.shape)
    assert found.images.dtype == np.float32
    again = model(torch.as_tensor(found.images)).numpy()
    np.testing.assert_allclose(found.responses, again, rtol=1e-5)
    enough = fraction * float(model(MEI[None])[0])
    assert (found.responses >= enough * (1 - 1e-4)).all()
    assert ((found.blended >= 0) & (found.blended <= 1)).all()
    np.testing.assert_allclose(found.images.mean((1, 2)), MEAN, atol=1e-4)
    np.testing.assert_allclose(found.images.std((1, 2)), CONTRAST, atol=1e-4)


def test_similarity_is_the_correlation_with_the_nearest():
    weights = torch.rand(GRID.shape, generator=torch.Generator().manual_seed(0))
    for given in (weights, weights > 0.5):
        found = diverse(complex_cell, n=3, steps=10, weights=given)
        share = given.numpy().ravel().astype(float)
        moments = np.cov(found.images.reshape(3, -1).astype(float), aweights=share)
        correlations = moments / np.sqrt(np.outer(np.diag(moments), np.diag(moments)))
        np.fill_diagonal(correlations, -np.inf)
        np.testing.assert_allclose(found.similarity, correlations.max(1), atol=1e-4)


def test_a_complex_cell_gets_more_different_images_than_restarts_and_noise_give():
    """It ignores phase, and restarts end in random phases, some of them similar.

    The control drives it no more than the diverse images do: restarts from the same noise, with
    more of that noise mixed in until the response falls to the fraction.
    """
    n, fraction = 5, 0.85
    everywhere = torch.ones(GRID.shape)
    for seed in (0, 1):
        found = diverse(complex_cell, n=n, fraction=fraction, seed=seed, weights=everywhere)
        starts = noise_starts(n, GRID, 1.5, MEAN, CONTRAST, seed)
        restarts = most_exciting(complex_cell, starts, GRID, MEAN, CONTRAST, 120, exponent=1.5)
        best = float(complex_cell(MEI[None])[0])
        assert restarts.scores.min() > 0.97 * best
        control = []
        for image, start in zip(restarts.stimuli, starts, strict=True):
            shares = torch.linspace(0, 1, 101)[:, None, None]
            mixed = project((1 - shares) * image + shares * start, MEAN, CONTRAST)
            enough = complex_cell(mixed) >= fraction * best
            control.append(mixed[enough.nonzero()[-1, 0]])
        assert found.similarity.mean() < nearest(restarts.images) - 0.25
        assert found.similarity.mean() < nearest(torch.stack(control)) - 0.2


def test_two_images_of_a_complex_cell_are_each_others_negative():
    found = diverse(complex_cell, n=2, weights=torch.ones(GRID.shape))
    assert (found.similarity < -0.9).all()


@pytest.mark.parametrize("n", [2, 4])
def test_images_of_a_simple_cell_are_as_different_as_geometry_allows(n):
    """Each has a cosine of 0.85 to the MEI: all share 0.85**2, and the rest is a simplex."""
    found = diverse(simple, n=n, fraction=0.85, weights=torch.ones(GRID.shape))
    shared = 0.85**2
    limit = shared - (1 - shared) / (n - 1)
    assert found.similarity.mean() > limit - 0.01
    assert found.similarity.mean() < limit + 0.15


def test_differences_count_where_the_weights_are():
    left = torch.zeros(GRID.shape)
    left[:, :17] = 1.0
    halves = (left, 1 - left)
    sets = [diverse(simple, n=3, weights=half).images for half in halves]
    for half, here, there in zip(halves, sets, sets[::-1], strict=True):
        assert nearest(here, half) < nearest(there, half) - 0.1


def test_the_whole_response_of_a_simple_cell_leaves_the_mei_alone():
    """Only one image has it; the results of the ascent are blended until only it is left."""
    found = diverse(simple, n=3, fraction=1.0, steps=15)
    assert (found.blended > 0.9).all()
    best = float(simple(MEI[None])[0])
    np.testing.assert_allclose(found.responses, best, rtol=1e-5)
    for image in found.images:
        assert np.corrcoef(image.ravel(), MEI.numpy().ravel())[0, 1] > 0.9999
    assert found.similarity.min() > 0.999


def test_no_more_of_the_mei_is_blended_in_than_needed():
    found = diverse(simple, n=3, fraction=0.9, steps=1)
    assert ((found.blended > 0.1) & (found.blended < 1)).all()
    enough = 0.9 * float(simple(MEI[None])[0])
    np.testing.assert_allclose(found.responses, enough, rtol=1e-3)


def test_the_same_seed_gives_the_same_images():
    one, two, other = (diverse(complex_cell, n=2, steps=5, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.images, two.images)
    assert not np.array_equal(one.images, other.images)


@pytest.mark.parametrize("arguments", [{"fraction": 0.0}, {"fraction": 1.01}, {"n": 1}])
def test_invalid_requests_are_refused(arguments):
    with pytest.raises(ValueError, match="0 < fraction <= 1 and n >= 2 are required"):
        diverse(simple, **arguments)


def test_an_mei_that_excites_nothing_is_refused():
    with pytest.raises(ValueError, match="no response to reach"):
        diverse(lambda images: torch.relu(-1 - simple(images)))

"""Folds of movies: contiguous, guarded, without near duplicates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from meiflow.config.sections import Model
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.cross_validate import fit_all
from meiflow.models.folds import NEARLY_EQUAL, folds_of, image_folds, shuffled_order
from meiflow.tables.stack import BinnedMovie

BIN_S = 0.267
GRID = Geometry(15, 24)


def film(rng, bins, smooth=3.0):
    """A movie whose successive bins resemble each other."""
    frames = gaussian_filter(rng.normal(size=(bins, *GRID.shape)), (smooth, 1, 1), mode="nearest")
    return (0.5 + 0.15 * frames / frames.std()).clip(0, 1)


def test_without_movies_folds_are_those_of_images(rng):
    images = rng.uniform(size=(23, 6, 8))
    found = folds_of(images, (), 5, np.random.default_rng(3))
    expected = image_folds(23, 5, np.random.default_rng(3))
    for test, train, part in zip(found.held_out, found.training, expected, strict=True):
        np.testing.assert_array_equal(test, part)
        np.testing.assert_array_equal(train, np.setdiff1d(np.arange(23), part))


def test_folds_of_movies_are_contiguous_and_guarded(rng):
    movies = [BinnedMovie("a", 40, BIN_S), BinnedMovie("b", 25, BIN_S)]
    images = rng.uniform(size=(65, *GRID.shape))
    found = folds_of(images, movies, 5, rng)
    assert sorted(np.concatenate(found.held_out)) == list(range(65))
    for test, train in zip(found.held_out, found.training, strict=True):
        assert len(test) == 8 + 5
        for low, high in ((0, 40), (40, 65)):
            own = test[(test >= low) & (test < high)]
            assert (np.diff(own) == 1).all()
            # half a second is two bins; another movie is no neighbour
            near = np.arange(max(own[0] - 2, low), min(own[-1] + 3, high))
            rest = np.setdiff1d(np.arange(low, high), near)
            np.testing.assert_array_equal(train[(train >= low) & (train < high)], rest)


def test_bins_that_nearly_equal_a_held_out_one_are_left_out(rng):
    """The same movie in another order, and darker, must not give held-out frames away."""
    once = film(rng, 60, smooth=0.5)
    order = rng.permutation(60)
    images = np.concatenate([once, 0.9 * once[order] + 0.01 * rng.normal(size=once.shape)])
    movies = [BinnedMovie("one", 60, BIN_S), BinnedMovie("shuffled", 60, BIN_S)]
    found = folds_of(images, movies, 5, rng)
    shown = np.concatenate([np.arange(60), order])
    for test, train in zip(found.held_out, found.training, strict=True):
        assert not set(shown[test]) & set(shown[train])
        flat = (images - images.mean(axis=0)).reshape(120, -1)
        assert np.corrcoef(flat)[np.ix_(test, train)].max() < NEARLY_EQUAL
        assert len(train) > 40


def test_a_movie_that_is_too_short_is_refused(rng):
    message = r"model.folds: in fold 1 of 3, only 2 of 6 movie bins .*; at least 4 are required"
    with pytest.raises(MeiflowError, match=message):
        folds_of(rng.uniform(size=(6, *GRID.shape)), [BinnedMovie("brief", 6, BIN_S)], 3, rng)


def test_the_control_of_movies_is_shifted(rng):
    means = np.arange(30.0)[:, None] + np.array([0, 100, 200])
    movies = [BinnedMovie("a", 20, BIN_S), BinnedMovie("b", 10, BIN_S)]
    found = np.take_along_axis(means, shuffled_order(*means.shape, movies, rng), axis=0)
    for low, high in ((0, 20), (20, 30)):
        own = found[low:high] - means[low:high]
        assert (np.abs(own) >= (high - low) // 4).all()
        steps = np.diff(found[low:high], axis=0)
        assert ((steps == 1).sum(axis=0) == high - low - 2).all()  # and one jump
        np.testing.assert_array_equal(np.sort(found[low:high], axis=0), means[low:high])


@pytest.mark.thorough
def test_random_folds_of_a_movie_leak_and_these_do_not(rng):
    """Responses that drift with time, and have nothing to do with the images, look predictable."""
    bins, neurons = 120, 12
    images = film(rng, bins)
    drift = gaussian_filter(rng.normal(size=(bins, neurons)), (4, 0))
    means = 5 + drift / drift.std(axis=0)
    config = Model(
        base_models=["v1"],
        wavelengths_deg=[30.0],
        orientations=4,
        stride=5,
        penalties=[0.1],
        folds=5,
    )

    def correlation(movies):
        found = fit_all(images, means, np.ones(bins), GRID, config, 0, bins=movies)
        pairs = zip(found.predictions["pixel_ridge"].T, means.T, strict=True)
        return np.mean([np.corrcoef(p, m)[0, 1] for p, m in pairs])

    assert correlation(()) > 0.6
    # below zero, because the mean of the training bins is low where that of a stretch is high
    assert correlation([BinnedMovie("film", bins, BIN_S)]) < 0.1

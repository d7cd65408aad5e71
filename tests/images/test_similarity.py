import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.masks import background, pattern_mask
from meiflow.images.similarity import best_shift, image_similarity

GRID = Geometry(60, 96)


def test_similarity_is_pearson(rng):
    a, b = rng.normal(size=(2, 10, 12))
    assert image_similarity(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert image_similarity(a, -a) == pytest.approx(-1)
    assert np.isnan(image_similarity(a, np.ones((10, 12))))


@settings(deadline=None, max_examples=30)
@given(st.integers(-15, 15), st.integers(-8, 8), st.floats(0, 180), st.floats(0.2, 0.8))
def test_a_known_shift_is_found(right, up, angle, grey):
    x, y = -3.0, 2.0
    shape = (13.0, angle, 40.0, 4.5)
    here = grey + 0.1 * patterns.gabor(GRID, x, y, *shape)
    there = 0.4 + 0.3 * patterns.gabor(GRID, x + right * GRID.dx, y + up * GRID.dy, *shape)
    shift = best_shift(here, there, GRID)
    assert (shift.x, shift.y) == pytest.approx((right * GRID.dx, up * GRID.dy))
    assert shift.similarity == pytest.approx(1, abs=1e-3)
    back = best_shift(there, here, GRID)
    assert (back.x, back.y) == pytest.approx((-shift.x, -shift.y))


def test_nothing_comes_in_on_the_other_side():
    """Two halves of one spot, at the left and right edges, are not neighbours."""
    left = patterns.difference_of_gaussians(GRID, -60.0, 0.0, 4.0, 8.0)
    right = patterns.difference_of_gaussians(GRID, 60.0, 0.0, 4.0, 8.0)
    shift = best_shift(left, right, GRID)
    assert shift.similarity < 0.9
    wrapped = np.roll(left, 48, axis=1)
    assert best_shift(wrapped, np.roll(right, 48, axis=1), GRID).similarity < 0.9


def test_all_shifts_are_tried(rng):
    small = Geometry(7, 9, 18.0, 7.0)
    a, b = rng.normal(size=(2, *small.shape))
    p, q = (image - background(image, pattern_mask(image)) for image in (a, b))
    every = correlate2d(q, p) / np.sqrt((p**2).sum() * (q**2).sum())
    row, column = np.unravel_index(every.argmax(), every.shape)
    shift = best_shift(a, b, small)
    assert shift.similarity == pytest.approx(every.max())
    assert (shift.x, shift.y) == pytest.approx((2.0 * (column - 8), 1.0 * (6 - row)))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31 - 1))
def test_it_never_exceeds_one_and_is_one_for_the_image_itself(seed):
    a, b = np.random.default_rng(seed).random((2, *GRID.shape))
    assert best_shift(a, b, GRID).similarity <= 1
    itself = best_shift(a, a, GRID)
    assert itself.similarity == pytest.approx(1)
    assert (itself.x, itself.y) == (0, 0)


def test_a_uniform_image_is_similar_to_nothing(rng):
    shift = best_shift(np.full(GRID.shape, 0.3), rng.random(GRID.shape), GRID)
    assert np.isnan([shift.similarity, shift.x, shift.y]).all()

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meiflow.comparison.compare import image_metrics, image_similarity
from meiflow.comparison.masks import equivalent_diameter, pattern_centre, pattern_mask
from meiflow.geometry import Geometry
from meiflow.stimuli import patterns

GRID = Geometry(60, 96)


def test_mask_lies_on_the_pattern():
    image = 0.5 + 0.2 * patterns.gabor(GRID, 15.0, -12.0, 14.0, 40.0, 0.0, 6.0)
    mask = pattern_mask(image)
    x, y = pattern_centre(image, mask, GRID)
    assert (x, y) == pytest.approx((15.0, -12.0), abs=1.0)
    assert 12 < equivalent_diameter(mask, GRID) < 30


def test_noise_elsewhere_does_not_enter_the_mask(rng):
    image = 0.5 + 0.2 * patterns.gabor(GRID, 15.0, -12.0, 14.0, 40.0, 0.0, 6.0)
    noisy = image + rng.normal(0, 0.01, image.shape)
    overlap = (pattern_mask(image) & pattern_mask(noisy)).sum()
    assert overlap > 0.9 * pattern_mask(image).sum()


@given(st.floats(0, 1))
def test_luminance_of_a_constant_image_is_the_constant(value):
    metrics = image_metrics(np.full(GRID.shape, value), GRID, 1.5)
    assert metrics["luminance"] == pytest.approx(value)
    assert metrics["contrast"] == pytest.approx(0, abs=1e-9)


def test_similarity_is_pearson(rng):
    a, b = rng.normal(size=(2, 10, 12))
    assert image_similarity(a, b) == pytest.approx(np.corrcoef(a.ravel(), b.ravel())[0, 1])
    assert image_similarity(a, -a) == pytest.approx(-1)
    assert np.isnan(image_similarity(a, np.ones((10, 12))))

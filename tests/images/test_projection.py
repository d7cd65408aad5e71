import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.patterns import grating_patch
from meiflow.images.projection import contrast_targets, is_matched, project, project_array


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.3, 0.7), st.floats(0.01, 0.25), st.floats(0.3, 4))
def test_mean_and_contrast_are_exact_also_when_clipped(seed, mean, contrast, tail):
    """With heavy tails many pixels are clipped; mean and contrast must still be exact."""
    noise = np.random.default_rng(seed).standard_normal((2, 20, 30))
    images = np.sign(noise) * np.abs(noise) ** tail
    out = project_array(images, mean, contrast)
    assert out.min() >= 0
    assert out.max() <= 1
    np.testing.assert_allclose(out.mean((1, 2)), mean, atol=1e-4)
    np.testing.assert_allclose(out.std((1, 2)), contrast, atol=1e-4)


def test_without_clipping_it_is_standardisation(rng):
    images = rng.uniform(size=(3, 8, 9))
    out = project_array(images, 0.5, 0.05)
    z = (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)
    np.testing.assert_allclose(out, 0.5 + 0.05 * z, atol=1e-6)


def test_a_localised_pattern_reaches_a_contrast_that_needs_clipping():
    image = torch.zeros(1, 60, 96)
    yy, xx = torch.meshgrid(torch.arange(60.0), torch.arange(96.0), indexing="ij")
    image[0] = torch.exp(-((yy - 30) ** 2 + (xx - 48) ** 2) / 200) * torch.cos(xx / 2)
    out = project(image, 0.46, 0.15)
    assert float(out.std(correction=0)) == pytest.approx(0.15, abs=1e-4)
    assert float(out.mean()) == pytest.approx(0.46, abs=1e-4)
    assert float((out == 0).float().mean()) > 0.01


def test_uniform_image_stays_grey():
    out = project(torch.full((1, 4, 5), 0.7), 0.5, 0.1)
    assert torch.allclose(out, torch.full((1, 4, 5), 0.5))


def test_targets_come_from_the_images_or_from_the_numbers(rng):
    images = np.clip(rng.normal(0.4, 0.2, (6, 10, 12)), 0, 1)
    measured = images.mean(), images.std((1, 2)).mean()
    mean, contrast = contrast_targets("images", "images", *measured)
    assert mean == pytest.approx(images.mean())
    assert contrast == pytest.approx(images.std((1, 2)).mean())
    assert contrast_targets(0.5, 0.1, *measured) == (0.5, 0.1)
    assert contrast_targets("images", 0.1, *measured) == (mean, 0.1)


def test_impossible_contrast_is_refused():
    with pytest.raises(MeiflowError, match=r"mei.contrast: 0.49 cannot be reached"):
        contrast_targets(0.2, 0.49, 0.0, 0.0)


def test_a_pattern_too_small_for_the_contrast_gets_the_most_it_can_have():
    """A 20 degree patch covers 2.7 % of the screen: at most an RMS contrast of 0.08."""
    grid = Geometry(60, 96)
    patch = grating_patch(grid, 0.0, 0.0, 12.5, np.array([0.0, 45.0]), 0.0, 20.0)
    for contrast in (0.1, 0.15, 0.25):
        out = project_array(patch, 0.47, contrast)
        np.testing.assert_allclose(out.mean((1, 2)), 0.47, atol=1e-3)
        assert (out.std((1, 2)) > 0.07).all()
        assert not is_matched(out[0], 0.47, contrast)
    assert is_matched(project_array(patch, 0.47, 0.05)[0], 0.47, 0.05)

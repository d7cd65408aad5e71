import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.comparison.compare import image_masks, image_metrics
from meiflow.config.sections import Comparison
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.masks import (
    disc_mask,
    equivalent_diameter,
    pattern_centre,
    pattern_mask,
    soft_mask,
    tight_mask,
)

GRID = Geometry(60, 96)


def test_mask_is_on_the_pattern():
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


@pytest.mark.parametrize("diameter", [12.0, 20.0, 40.0])
@given(x=st.floats(-30, 30), y=st.floats(-20, 20))
@settings(deadline=None, max_examples=20)
def test_a_disc_is_as_large_as_asked_and_where_asked(diameter, x, y):
    mask = disc_mask(GRID, x, y, diameter)
    assert equivalent_diameter(mask, GRID) == pytest.approx(diameter, abs=1.2)
    rows, columns = np.nonzero(mask)
    assert np.ptp(GRID.x[columns]) == pytest.approx(diameter, abs=2 * GRID.dx)
    assert np.ptp(GRID.y[rows]) == pytest.approx(diameter, abs=2 * GRID.dy)
    assert GRID.x[columns].mean() == pytest.approx(x, abs=GRID.dx)
    assert GRID.y[rows].mean() == pytest.approx(y, abs=GRID.dy)


def test_a_disc_smaller_than_a_pixel_is_one_pixel():
    mask = disc_mask(GRID, 10.2, -5.1, 0.01)
    assert mask.sum() == 1
    row, column = np.argwhere(mask)[0]
    assert abs(GRID.x[column] - 10.2) <= GRID.dx / 2
    assert abs(GRID.y[row] + 5.1) <= GRID.dy / 2


def neuron_of(diameter):
    """Responds to the light in a disc at (10, -8)."""
    field = disc_mask(GRID, 10.0, -8.0, diameter)
    return lambda images: np.maximum(images[:, field].sum(1) - 0.3 * field.sum(), 0)


@pytest.mark.parametrize("diameter", [16.0, 26.0])
@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.99])
def test_the_tight_mask_shrinks_to_what_the_neuron_sees(diameter, fraction):
    light = disc_mask(GRID, 10.0, -8.0, 44.0)
    image = 0.3 + 0.4 * light
    see = neuron_of(diameter)
    mask, held = tight_mask(image, light, see, fraction)
    assert held >= fraction
    assert (mask <= light).all()

    def share(size):
        """Fraction of the response through a disc of this size, which is what peeling leaves."""
        seen = 0.3 + 0.4 * light * soft_mask(disc_mask(GRID, 10.0, -8.0, size))
        return float(see(seen[None])[0] / see(image[None])[0])

    size = equivalent_diameter(mask, GRID)
    assert share(size + 1) >= fraction
    assert share(size - 4) < fraction


def test_a_mask_that_holds_too_little_grows():
    image = 0.3 + 0.4 * disc_mask(GRID, 10.0, -8.0, 44.0)
    mask, held = tight_mask(image, disc_mask(GRID, 10.0, -8.0, 6.0), neuron_of(26.0))
    assert held >= 0.9
    assert equivalent_diameter(mask, GRID) == pytest.approx(26, abs=4.0)
    # the neuron responds elsewhere: the mask must grow that far
    mask, held = tight_mask(image, disc_mask(GRID, -40.0, 30.0, 6.0), neuron_of(26.0))
    assert held >= 0.9
    assert mask[disc_mask(GRID, 10.0, -8.0, 20.0)].mean() > 0.8


def test_without_a_response_the_mask_stays():
    start = disc_mask(GRID, 0.0, 0.0, 20.0)
    mask, held = tight_mask(np.full(GRID.shape, 0.3), start, neuron_of(16.0))
    assert (mask == start).all()
    assert np.isnan(held)


@pytest.mark.parametrize("kind", ["auto", "tight", "disc"])
@given(value=st.floats(0, 1))
@settings(deadline=None, max_examples=10)
def test_luminance_of_a_constant_image_is_the_constant_in_any_mask(kind, value):
    image = np.full(GRID.shape, value)
    masks = image_masks(image, GRID, Comparison(mask=kind), lambda shown: shown.mean((1, 2)))
    metrics = image_metrics(image, GRID, 1.5, masks.measured)
    assert metrics["luminance"] == pytest.approx(value)
    assert metrics["contrast"] == pytest.approx(0, abs=1e-9)


def test_the_configuration_picks_the_mask():
    image = 0.5 + 0.2 * patterns.gabor(GRID, 15.0, -12.0, 14.0, 40.0, 0.0, 6.0)

    def see(images):
        return ((images - 0.5) ** 2).sum((1, 2))

    auto = image_masks(image, GRID, Comparison(), see)
    assert (auto.measured == pattern_mask(image)).all()
    tight = image_masks(image, GRID, Comparison(mask="tight", tight_fraction=0.5), see)
    assert (tight.measured == tight.tight).all()
    assert tight.tight.sum() < auto.tight.sum()
    disc = image_masks(image, GRID, Comparison(mask="disc", disc_diameter_deg=18.0), see)
    assert (disc.measured == disc_mask(GRID, *pattern_centre(image, auto.measured, GRID), 18)).all()

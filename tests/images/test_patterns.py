import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.images import patterns
from meiflow.images.geometry import Geometry

GRID = Geometry(60, 96)


@pytest.mark.parametrize("orientation", [0.0, 30.0, 45.0, 90.0, 135.0])
def test_orientation_is_that_of_allensdk(orientation):
    """AllenSDK's grating of the same frequency has the same modulation axis."""
    from meiflow.session.sdk import _restore_numpy_names

    _restore_numpy_names()
    from allensdk.brain_observatory.stimulus_info import get_spatial_grating

    theirs = get_spatial_grating(
        height=100, aspect_ratio=1, ori=orientation, pix_per_cycle=20, phase=0
    )
    square = Geometry(100, 100, 100.0, 100.0)
    # theirs is centred on pixel 50, ours between pixels 49 and 50
    shifted = patterns.gabor(square, 0.5, -0.5, 20.0, orientation, 0.0, 1e4)
    ours = shifted / np.abs(shifted).max()
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.999
    if orientation not in (0.0, 90.0):
        mirrored = patterns.gabor(square, 0.5, -0.5, 20.0, -orientation, 0.0, 1e4)
        assert np.corrcoef(mirrored.ravel(), theirs.ravel())[0, 1] < 0.5


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-30, 30),
    st.floats(-20, 20),
    st.floats(6, 40),
    st.floats(0, 360),
    st.floats(0, 360),
    st.floats(2, 15),
    st.floats(0.5, 2),
)
def test_gabor_has_no_luminance_and_torch_agrees(x, y, wavelength, angle, phase, sigma, aspect):
    values = (x, y, wavelength, angle, phase, sigma, aspect)
    image = patterns.gabor(GRID, *values)
    assert image.shape == GRID.shape
    assert abs(image.sum()) < 1e-6
    tensors = [torch.tensor([v], dtype=torch.float64) for v in values]
    np.testing.assert_allclose(patterns.gabor(GRID, *tensors)[0].numpy(), image, atol=1e-9)


def test_half_a_turn_mirrors_the_phase():
    one = patterns.gabor(GRID, 3.0, 2.0, 12.0, 20.0, 70.0, 5.0)
    two = patterns.gabor(GRID, 3.0, 2.0, 12.0, 200.0, -70.0, 5.0)
    np.testing.assert_allclose(one, two, atol=1e-12)


@pytest.mark.parametrize(("orientation", "axis"), [(0.0, 1), (90.0, 0)])
def test_wavelength_is_in_degrees_on_both_axes(orientation, axis):
    image = patterns.grating(GRID, 12.5, orientation, 0.0)
    profile = image[30, :] if axis else image[:, 48]
    step = GRID.dx if axis else GRID.dy
    crossings = np.flatnonzero(np.diff(np.sign(profile)))
    half_waves = np.diff(crossings).mean() * step
    assert half_waves == pytest.approx(6.25, rel=0.05)


def test_patch_is_a_circle_in_degrees():
    patch = patterns.grating_patch(GRID, 10.0, -10.0, 1e9, 0.0, 0.0, 20.0)
    area = patch.sum() * GRID.pixel_area
    assert area == pytest.approx(np.pi * 100, rel=0.02)
    rows, columns = np.nonzero(patch > 0.5)
    assert GRID.x[columns].mean() == pytest.approx(10.0, abs=0.7)
    assert GRID.y[rows].mean() == pytest.approx(-10.0, abs=0.8)


def test_balanced_centre_surround_ignores_luminance():
    fine = Geometry(200, 200, 200.0, 200.0)
    profile = patterns.difference_of_gaussians(fine, 0.0, 0.0, 4.0, 10.0, 1.0)
    assert abs(profile.sum() * fine.pixel_area) < 1e-3
    assert profile[100, 100] > 0 > profile[100, 115]


# Bars, discs, rings and plaids.

FINE = Geometry(120, 140, 70, 60)


def integral(pattern):
    return pattern.sum() * FINE.pixel_area


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-8, 8),
    st.floats(-8, 8),
    st.floats(0.1, 12),
    st.floats(5, 40),
    st.sampled_from([0.0, 90.0, 180.0]),
)
def test_bars_have_their_area_also_when_narrower_than_a_pixel(x, y, width, length, orientation):
    bright = patterns.bar(FINE, x, y, width, length, orientation)
    assert integral(bright) == pytest.approx(width * length, rel=1e-6)
    assert bright.min() >= 0
    assert bright.max() <= 1 + 1e-12
    np.testing.assert_array_equal(patterns.bar(FINE, x, y, width, length, orientation, -1), -bright)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 180), st.floats(2, 10), st.floats(10, 40))
def test_bars_are_orthogonal_to_their_modulation_axis(orientation, width, length):
    image = patterns.bar(FINE, 3, -4, width, length, orientation)
    assert integral(image) == pytest.approx(width * length, rel=0.02)
    x, y = FINE.x[None, :] - 3, FINE.y[:, None] + 4
    theta = np.deg2rad(orientation)
    u, v = x * np.cos(theta) + y * np.sin(theta), -x * np.sin(theta) + y * np.cos(theta)
    # second moments of a rectangle
    spread_u, spread_v = ((image * w**2).sum() / image.sum() for w in (u, v))
    assert spread_u == pytest.approx(width**2 / 12, rel=0.1, abs=0.05)
    assert spread_v == pytest.approx(length**2 / 12, rel=0.1)


@settings(max_examples=30, deadline=None)
@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(3, 20), st.floats(1.2, 2))
def test_discs_and_their_rings(x, y, diameter, factor):
    alone = patterns.disc(FINE, x, y, diameter)
    assert integral(alone) == pytest.approx(np.pi * diameter**2 / 4, rel=0.02, abs=0.3)
    outer = factor * diameter
    both = patterns.disc(FINE, x, y, diameter, -1, 1, outer)
    np.testing.assert_allclose(both + 2 * alone, patterns.disc(FINE, x, y, outer), atol=1e-12)
    assert np.abs(both).max() <= 1 + 1e-12
    no_ring = patterns.disc(FINE, x, y, diameter, 1, -1, diameter / 2)
    np.testing.assert_array_equal(no_ring, alone)


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 360), st.floats(0, 180), st.floats(5, 30), st.floats(1, 3))
def test_a_ring_of_grating_closes_around_its_patch(phase, orientation, inner, factor):
    here = (FINE, 5.0, -3.0, 14.0, orientation, phase)
    ring = patterns.annular_grating(*here, inner, factor * inner)
    whole = patterns.grating_patch(*here, factor * inner)
    np.testing.assert_allclose(ring + patterns.grating_patch(*here, inner), whole, atol=1e-12)
    u, v = patterns.rotated_axes(FINE, 5.0, -3.0, 0.0)
    assert np.abs(ring[np.hypot(u, v) < inner / 2 - 0.5]).max(initial=0) == 0


def test_a_plaid_is_the_sum_of_its_gratings():
    both = patterns.plaid(FINE, 0, 0, 12.0, 20.0, 30.0, 60.0, 110.0, 0.3, 0.6)
    test = patterns.grating(FINE, 12.0, 20.0, 30.0)
    mask = patterns.grating(FINE, 12.0, 80.0, 110.0)
    np.testing.assert_allclose(both, 0.3 * test + 0.6 * mask, atol=1e-12)
    window = patterns.disc(FINE, 0, 0, 30)
    small = patterns.plaid(FINE, 0, 0, 12.0, 20.0, 30.0, 60.0, 110.0, 0.3, 0.6, 30)
    np.testing.assert_allclose(small, both * window, atol=1e-12)
    fx, fy = FINE.frequencies()
    power = np.abs(np.fft.fft2(both)) ** 2
    row, column = np.unravel_index(power.argmax(), power.shape)
    angle = np.rad2deg(np.arctan2(fy[row], fx[column])) % 180
    assert angle == pytest.approx(80, abs=5)


def test_new_patterns_broadcast_over_their_parameters():
    ones = np.ones((3, 1))
    two = np.array([1.0, 2.0])
    assert patterns.bar(FINE, 0, 0, two, 3, 0, ones).shape == (3, 2, 120, 140)
    assert patterns.disc(FINE, two, 0, 3, ones).shape == (3, 2, 120, 140)
    assert patterns.annular_grating(FINE, two, 0, 3, 0, ones, 4, 5).shape == (3, 2, 120, 140)
    assert patterns.plaid(FINE, two, 0, 3, 0, ones, two, 4, 0.5, 0.5).shape == (3, 2, 120, 140)

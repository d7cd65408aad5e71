import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.geometry import Geometry
from meiflow.stimuli import patterns

GRID = Geometry(60, 96)


@pytest.mark.parametrize("orientation", [0.0, 30.0, 45.0, 90.0, 135.0])
def test_orientation_is_that_of_allensdk(orientation):
    """AllenSDK's own grating, drawn at the same frequency, has the same modulation axis."""
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

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.images import patterns
from meiflow.images.gabor_fit import fit_gabor
from meiflow.images.geometry import Geometry

GRID = Geometry(60, 96)
ORIENTATION, PHASE, WAVELENGTH = 35.0, 70.0, 14.0


def made(**changes):
    truth = {"x": 12.0, "y": -9.0, "wavelength": WAVELENGTH, "orientation": ORIENTATION}
    truth |= {"phase": PHASE, "sigma": 6.0, "aspect": 1.4}
    return patterns.gabor(GRID, *(truth | changes).values())


@settings(deadline=None, max_examples=25)
@given(
    x=st.floats(-35, 35),
    y=st.floats(-25, 25),
    wavelength=st.floats(8, 30),
    orientation=st.floats(0, 179.9),
    phase=st.floats(0, 359.9),
    envelope=st.floats(0.3, 0.6),
    aspect=st.floats(0.7, 2.0),
    amplitude=st.floats(0.01, 0.5),
)
def test_a_gabor_is_given_back(x, y, wavelength, orientation, phase, envelope, aspect, amplitude):
    sigma = envelope * wavelength
    image = 0.4 + amplitude * patterns.gabor(
        GRID, x, y, wavelength, orientation, phase, sigma, aspect
    )
    found = fit_gabor(image, GRID)
    assert found.r2 > 0.999
    np.testing.assert_allclose(found.render(GRID), image, atol=0.05 * amplitude)
    assert (found.x, found.y) == pytest.approx((x, y), abs=0.3)
    assert found.wavelength == pytest.approx(wavelength, rel=0.03)
    assert found.sigma == pytest.approx(sigma, rel=0.03)
    assert found.aspect == pytest.approx(aspect, rel=0.03)
    assert found.amplitude == pytest.approx(amplitude, rel=0.1)
    assert found.background == pytest.approx(0.4, abs=1e-9)
    turns = round((found.orientation - orientation) / 180)
    assert found.orientation - 180 * turns == pytest.approx(orientation, abs=1.0)
    # read from the other side, a Gabor's phase is mirrored
    off = found.phase - (phase if turns == 0 else -phase)
    assert (off + 180) % 360 - 180 == pytest.approx(0, abs=8.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_angles_and_amplitude_are_canonical(sign):
    found = fit_gabor(0.5 + sign * 0.2 * made(), GRID)
    assert found.amplitude == pytest.approx(0.2, rel=1e-3)
    assert found.orientation == pytest.approx(ORIENTATION, abs=0.1)
    assert found.phase == pytest.approx(PHASE if sign > 0 else PHASE + 180, abs=0.5)


def test_a_quarter_turn_of_the_pattern_turns_the_fit():
    turned = fit_gabor(made(orientation=ORIENTATION + 90), GRID)
    assert turned.orientation == pytest.approx(ORIENTATION + 90, abs=0.1)
    assert turned.wavelength == pytest.approx(WAVELENGTH, rel=0.01)
    assert turned.aspect == pytest.approx(1.4, rel=0.01)


def test_noise_does_not_move_it_far(rng):
    pattern = 0.2 * made()
    image = 0.5 + pattern + rng.normal(0, 0.02, GRID.shape)
    found = fit_gabor(image, GRID)
    assert found.orientation == pytest.approx(ORIENTATION, abs=2)
    assert found.wavelength == pytest.approx(WAVELENGTH, rel=0.03)
    expected = pattern.var() / image.var()  # the noise cannot be fitted
    assert found.r2 == pytest.approx(expected, abs=0.01)


def test_the_recorded_patch_is_nearly_a_gabor():
    found = fit_gabor(patterns.grating_patch(GRID, -20.0, 10.0, 12.5, 45.0, 90.0), GRID)
    assert 0.8 < found.r2 < 0.95
    assert found.orientation == pytest.approx(45, abs=0.5)
    assert (found.x, found.y) == pytest.approx((-20.0, 10.0), abs=0.5)


def test_a_whole_grating_is_fitted():
    found = fit_gabor(patterns.grating(GRID, 12.5, 60.0, 20.0), GRID)
    assert found.r2 > 0.99
    assert found.wavelength == pytest.approx(12.5, rel=0.01)
    assert found.orientation == pytest.approx(60, abs=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_noise_is_not_a_gabor(seed):
    found = fit_gabor(np.random.default_rng(seed).normal(size=GRID.shape), GRID)
    assert 0 <= found.r2 < 0.05


def test_a_uniform_image_has_none():
    found = fit_gabor(np.full(GRID.shape, 0.3), GRID)
    assert np.isnan([found.r2, found.x, found.orientation, found.amplitude]).all()
    assert found.background == pytest.approx(0.3)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.comparison.spectrum import (
    dominant_orientation,
    peak_frequency,
    power_spectrum,
    symmetry_index,
)
from meiflow.geometry import Geometry
from meiflow.stimuli import patterns

GRID = Geometry(60, 96)


def angle_between(a: float, b: float) -> float:
    return abs((a - b + 90) % 180 - 90)


@pytest.mark.parametrize("angle", [0.0, 20.0, 45.0, 90.0, 135.0, 160.0])
def test_grating_reads_its_own_orientation(angle):
    spectrum = power_spectrum(patterns.grating(GRID, 12.5, angle, 30.0), GRID)
    assert angle_between(dominant_orientation(spectrum), angle) < 2.0
    assert symmetry_index(spectrum, 1) > 0.8


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 180), st.floats(10, 30), st.floats(0, 360))
def test_gabor_reads_its_own_orientation(angle, wavelength, phase):
    image = patterns.gabor(GRID, 3.0, -4.0, wavelength, angle, phase, 0.5 * wavelength)
    assert angle_between(dominant_orientation(power_spectrum(image, GRID)), angle) < 2.0


@pytest.mark.parametrize("angle", [0.0, 90.0])
def test_peak_of_a_grating_is_its_frequency_on_either_axis(angle):
    spectrum = power_spectrum(patterns.grating(GRID, 1 / 0.08, angle, 0.0), GRID)
    assert peak_frequency(spectrum) == pytest.approx(0.08, abs=0.0015)


@pytest.mark.parametrize("seed", range(5))
def test_white_noise_is_not_symmetric(seed):
    noise = np.random.default_rng(seed).standard_normal(GRID.shape)
    spectrum = power_spectrum(noise + 5.0, GRID)
    assert symmetry_index(spectrum, 1) < 0.1
    assert symmetry_index(spectrum, 2) < 0.1


def test_plaid_has_two_axes():
    plaid = patterns.grating(GRID, 14.0, 20.0, 0.0) + patterns.grating(GRID, 14.0, 110.0, 0.0)
    spectrum = power_spectrum(plaid, GRID)
    assert symmetry_index(spectrum, 1) < 0.2
    assert symmetry_index(spectrum, 2) > 0.7


def test_a_quarter_turn_turns_the_orientation():
    square = Geometry(64, 64, 64.0, 64.0)
    image = patterns.gabor(square, 0.0, 0.0, 12.0, 25.0, 0.0, 6.0)
    one = dominant_orientation(power_spectrum(image, square))
    two = dominant_orientation(power_spectrum(np.rot90(image), square))
    assert angle_between(one + 90, two) < 0.5


def test_uniform_image_has_no_orientation():
    spectrum = power_spectrum(np.full(GRID.shape, 0.4), GRID)
    assert np.isnan(dominant_orientation(spectrum))
    assert np.isnan(peak_frequency(spectrum))
    assert np.isnan(symmetry_index(spectrum, 1))

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.spectrum import (
    axial_profile,
    bandwidth_octaves,
    dominant_orientation,
    orientation_halfwidth,
    peak_frequency,
    power_spectrum,
    radial_profile,
    spectral_peak,
    symmetry_index,
)

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


@pytest.mark.parametrize("angle", [0.0, 17.0, 45.0, 90.0, 110.0, 135.0])
@pytest.mark.parametrize("phase", [0.0, 45.0, 90.0])
def test_peak_of_a_grating_is_its_frequency_in_any_direction(angle, phase):
    spectrum = power_spectrum(patterns.grating(GRID, 1 / 0.08, angle, phase), GRID)
    assert peak_frequency(spectrum) == pytest.approx(0.08, rel=0.01)
    assert angle_between(spectral_peak(spectrum).direction, angle) < 0.2


@settings(max_examples=30, deadline=None)
@given(
    st.floats(0, 180), st.floats(10, 14), st.floats(0, 360), st.floats(0.45, 0.8), st.floats(1, 1.6)
)
def test_bandwidths_of_a_gabor_are_those_of_its_envelope(angle, wavelength, phase, ratio, aspect):
    # at most 14 degrees: the edge of the screen would cut off a larger envelope
    sigma = ratio * wavelength
    image = patterns.gabor(GRID, 3.0, -4.0, wavelength, angle, phase, sigma, aspect)
    spectrum = power_spectrum(image, GRID)
    k = 2 * np.pi * ratio
    half = np.sqrt(np.log(2)) / k
    assert bandwidth_octaves(spectrum) == pytest.approx(np.log2((1 + half) / (1 - half)), rel=0.06)

    def power_at(turn):
        """For the amplitude exp(-(2 pi s)^2 |f - f0|^2 / 2), s stretched across, at |f| = f0."""
        return np.exp(-(k**2) * ((1 - np.cos(turn)) ** 2 + (aspect * np.sin(turn)) ** 2))

    expected = np.rad2deg(brentq(lambda turn: power_at(turn) - 0.5, 0, np.pi / 2))
    assert orientation_halfwidth(spectrum) == pytest.approx(expected, rel=0.06)


def test_a_plain_blob_has_no_orientation_bandwidth():
    blob = patterns.difference_of_gaussians(GRID, 0.0, 0.0, 4.0, 7.0)
    assert np.isnan(orientation_halfwidth(power_spectrum(blob, GRID)))


@pytest.mark.parametrize("slope", [0.0, -2.0])
def test_radial_profile_has_the_slope_of_the_noise(slope):
    power = 0.0
    for seed in range(8):
        noise = np.random.default_rng(seed).standard_normal(GRID.shape)
        fx, fy = GRID.frequencies()
        radius = np.hypot(fx[None, :], fy[:, None])
        radius[0, 0] = np.inf if slope else 1.0
        image = np.fft.ifft2(np.fft.fft2(noise) * radius ** (slope / 2)).real
        profile = radial_profile(power_spectrum(image, GRID))
        power = power + profile.power
    inner = (profile.value > 0.03) & (profile.value < 0.25)
    fitted = np.polyfit(np.log(profile.value[inner]), np.log(power[inner]), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.2)


@pytest.mark.parametrize("angle", [0.0, 46.0, 90.0, 130.0])
def test_profiles_peak_where_the_grating_is(angle):
    spectrum = power_spectrum(patterns.grating(GRID, 12.5, angle, 30.0), GRID)
    radial, axial = radial_profile(spectrum), axial_profile(spectrum)
    assert radial.value[radial.power.argmax()] == pytest.approx(0.08, abs=0.003)
    assert axial.value[axial.power.argmax()] == angle
    assert np.diff(axial.value) == pytest.approx(2.0)
    assert np.isfinite(radial.power).all()


def test_a_rotated_pattern_on_pixels_that_are_not_square():
    """A pattern rotated by 90 degrees has the same bandwidths, and its orientation is rotated."""
    one, two = (
        power_spectrum(patterns.gabor(GRID, 0.0, 0.0, 14.0, a, 20.0, 7.0), GRID)
        for a in (25.0, 115.0)
    )
    assert angle_between(dominant_orientation(one) + 90, dominant_orientation(two)) < 0.5
    assert peak_frequency(one) == pytest.approx(peak_frequency(two), rel=0.01)
    assert bandwidth_octaves(one) == pytest.approx(bandwidth_octaves(two), rel=0.02)
    assert orientation_halfwidth(one) == pytest.approx(orientation_halfwidth(two), rel=0.02)
    assert symmetry_index(one, 1) == pytest.approx(symmetry_index(two, 1), abs=0.02)


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
    assert np.isnan(bandwidth_octaves(spectrum))
    assert np.isnan(orientation_halfwidth(spectrum))
    assert np.isnan(symmetry_index(spectrum, 1))

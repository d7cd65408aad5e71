"""Measures of tuning curves, compared with closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from meiflow import experiments as ex

ANGLES = np.arange(0, 180, 7.5)
TURN = np.arange(16) * 22.5


def bessel_ratio(kappa):
    from scipy.special import i0, i1

    return i1(kappa) / i0(kappa)


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 179.9), st.floats(0.2, 8), st.floats(0.01, 100))
def test_von_mises_orientation_tuning(preferred, kappa, height):
    curve = height * np.exp(kappa * (np.cos(2 * np.deg2rad(ANGLES - preferred)) - 1))
    found = ex.orientation_tuning(ANGLES, curve)
    assert 0 <= found.preferred_deg < 180
    assert abs((found.preferred_deg - preferred + 90) % 180 - 90) < 0.1
    assert found.osi == pytest.approx(bessel_ratio(kappa), rel=1e-3)
    lowest = np.exp(-2 * kappa)
    if lowest < 0.49:
        # exp(kappa (cos 2w - 1)) = 1/2
        expected = np.rad2deg(np.arccos(1 - np.log(2) / kappa)) / 2
        assert found.halfwidth_deg == pytest.approx(expected, rel=0.02)
    elif lowest > 0.51:
        assert np.isnan(found.halfwidth_deg)


def test_untuned_and_silent_orientation_curves():
    flat = ex.orientation_tuning(ANGLES, np.ones(24))
    assert flat.osi == pytest.approx(0, abs=1e-12)
    assert np.isnan(flat.halfwidth_deg)
    assert np.isnan(ex.orientation_tuning(ANGLES, np.full(24, -1.0)).osi)


def test_one_orientation_alone_is_perfectly_selective():
    assert ex.orientation_tuning(ANGLES, (ANGLES == 45).astype(float)).osi == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.025, 0.08), st.floats(0.5, 1.5), st.floats(0.01, 50))
def test_log_gaussian_frequency_tuning(peak, width, height):
    ladder = np.geomspace(0.002, 1, 40)
    curve = height * np.exp(-0.5 * (np.log2(ladder / peak) / width) ** 2)
    found = ex.frequency_tuning(ladder, curve)
    assert found.preferred_cpd == pytest.approx(peak, rel=0.01)
    assert found.bandwidth_octaves == pytest.approx(2 * width * np.sqrt(2 * np.log(2)), rel=0.01)


def test_low_pass_has_no_bandwidth():
    ladder = np.geomspace(0.01, 0.2, 12)
    assert np.isnan(ex.frequency_tuning(ladder, 1 / (1 + ladder * 10)).bandwidth_octaves)


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 360), st.floats(0.01, 100), st.floats(0, 20))
def test_half_wave_rectified_neuron_has_pi_half(offset, height, grey):
    many = np.arange(720) / 2
    rectified = height * np.clip(np.cos(np.deg2rad(many - offset)), 0, None)
    found = ex.phase_tuning(many, rectified + grey, grey)
    assert found.ratio == pytest.approx(np.pi / 2, rel=1e-4)
    assert found.cell_type == "simple"
    assert found.invariance == pytest.approx(0, abs=1e-6)


def test_phase_of_energy_linear_and_silent_neurons():
    energy = ex.phase_tuning(TURN, np.full(16, 3.0), 1.0)
    assert (energy.f0, energy.ratio, energy.invariance) == pytest.approx((2, 0, 1), abs=1e-12)
    assert energy.cell_type == "complex"
    linear = ex.phase_tuning(TURN, 5 + np.cos(np.deg2rad(TURN)), 5.0)
    assert linear.ratio == np.inf
    assert linear.cell_type == "simple"
    silent = ex.phase_tuning(TURN, np.full(16, 2.0), 2.0)
    assert np.isnan(silent.ratio)
    assert silent.cell_type == ""
    suppressed = ex.phase_tuning(TURN, 2 + 0.1 * np.cos(np.deg2rad(TURN)), 3.0)
    assert np.isnan(suppressed.ratio)
    assert suppressed.cell_type == ""
    # energy modulated by one half: F1 / F0 is the modulation depth
    assert ex.phase_tuning(TURN, 2 + np.cos(np.deg2rad(TURN))).ratio == pytest.approx(0.5)


@settings(max_examples=30, deadline=None)
@given(st.floats(1.5, 8), st.floats(0.1, 100))
def test_size_tuning_of_a_gaussian_field(sigma, height):
    """A disc of diameter d covers 1 - exp(-d^2 / 8 sigma^2) of a Gaussian: 95 % at 4.9 sigma."""
    diameters = np.geomspace(1, 100, 40)
    found = ex.size_tuning(diameters, height * (1 - np.exp(-(diameters**2) / (8 * sigma**2))))
    assert found.preferred_deg == pytest.approx(sigma * np.sqrt(8 * np.log(20)), rel=0.02)
    assert found.suppression_index == pytest.approx(0, abs=2e-3)


def test_suppression_of_a_difference_of_gaussians():
    d = np.geomspace(1, 200, 40)
    curve = (1 - np.exp(-(d**2) / 50)) - 0.4 * (1 - np.exp(-(d**2) / 2000))
    assert ex.size_tuning(d, curve).suppression_index == pytest.approx(
        1 - 0.6 / curve.max(), abs=0.01
    )


@settings(max_examples=40, deadline=None)
@given(st.floats(0.5, 100), st.floats(0.05, 0.6), st.floats(1, 4))
def test_naka_rushton_finds_its_own_parameters(rmax, c50, exponent):
    contrasts = np.geomspace(0.02, 1, 12)
    curve = rmax * contrasts**exponent / (contrasts**exponent + c50**exponent)
    fit = ex.naka_rushton(contrasts, curve)
    assert (fit.rmax, fit.c50, fit.exponent) == pytest.approx((rmax, c50, exponent), rel=0.02)
    assert fit.r2 > 0.9999
    np.testing.assert_allclose(fit(contrasts), curve, atol=1e-3 * rmax)
    half = ex.half_contrast(contrasts, curve)
    assert half < 1.2 * c50


def test_contrast_of_linear_and_silent_neurons():
    contrasts = np.geomspace(0.02, 1, 12)
    assert ex.half_contrast(contrasts, 7 * contrasts) == pytest.approx(0.5)
    assert ex.naka_rushton(contrasts, 7 * contrasts).c50 > 1  # has not begun to saturate
    assert np.isnan(ex.half_contrast(contrasts, 0 * contrasts))
    assert np.isnan(ex.naka_rushton(contrasts, 0 * contrasts).c50)


@settings(max_examples=40, deadline=None)
@given(st.floats(-15, 15), st.floats(-10, 10), st.floats(6, 12))
def test_field_of_a_gaussian_map(x, y, sigma):
    columns, rows = np.arange(-60, 61.0), np.arange(44, -45, -1.0)
    squared = (columns[None, :] - x) ** 2 + (rows[:, None] - y) ** 2
    found = ex.field_of_map(np.exp(-0.5 * squared / sigma**2), columns, rows)
    assert (found.x_deg, found.y_deg) == pytest.approx((x, y), abs=0.3)
    assert found.area_deg2 == pytest.approx(2 * np.pi * sigma**2 * np.log(2), rel=0.1)


def test_only_the_field_around_the_peak_counts():
    drive = np.zeros((9, 9))
    drive[2, 2], drive[6, 6], drive[6, 7] = 1.0, 0.9, 0.8
    found = ex.field_of_map(drive, np.arange(9.0), np.arange(9.0)[::-1])
    assert (found.x_deg, found.y_deg, found.area_deg2) == pytest.approx((2, 6, 1))
    assert np.isnan(ex.field_of_map(0 * drive, np.arange(9.0), np.arange(9.0)).x_deg)


@given(st.floats(0, 1e3), st.floats(0, 1e3))
def test_indices_stay_in_their_range(one, other):
    assume(one > 1e-6)
    assert -1 <= ex.opponency(one, other) <= 1
    assert ex.opponency(one, other) == pytest.approx(-ex.opponency(other, one))
    assert ex.suppression(one, other) == pytest.approx(1 - other / one)


def test_indices_computed_by_hand():
    assert ex.suppression(4, 1) == 0.75
    assert ex.suppression(4, -1) == 1
    assert np.isnan(ex.suppression(0, 1))
    assert ex.opponency(3, 1) == 0.5
    assert np.isnan(ex.opponency(0, -1))
    cycle = np.cos(np.linspace(-np.pi, np.pi, 2001))
    assert ex.shift_invariance(np.clip(cycle, 0, None)) == pytest.approx(1 / np.pi, abs=1e-3)
    assert ex.shift_invariance(np.ones(5)) == pytest.approx(1)
    assert np.isnan(ex.shift_invariance(np.zeros(5)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ex.orientation_tuning([0, 90], [1, 2]),
        lambda: ex.frequency_tuning(np.arange(1, 6), np.ones(4)),
        lambda: ex.size_tuning(np.ones((2, 3)), np.ones((2, 3))),
        lambda: ex.phase_tuning([0, 180], [1, 2]),
        lambda: ex.naka_rushton([0.0, 0.1, 0.2, 0.3], np.ones(4)),
        lambda: ex.field_of_map(np.ones((3, 4)), np.arange(3), np.arange(4)),
    ],
)
def test_curves_that_cannot_be_measured(call):
    with pytest.raises(
        ValueError, match=r"expected the same length|contrasts must be above 0|a map of shape"
    ):
        call()

"""Recorded and predicted tuning compared: closed forms and controls."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from meiflow.session.schedule import grating_conditions
from meiflow.tables.conditions import Conditions
from meiflow.validation.recorded import agreement, circular_mean, preferences, tuning_curve


def poisson(rates, repeats, rng, conditions=None):
    """Conditions with Poisson counts of given rates (conditions, neurons), in random order."""
    conditions = grating_conditions() if conditions is None else conditions
    order = rng.permutation(np.repeat(np.arange(len(conditions)), repeats))
    shown = conditions.iloc[order].reset_index(drop=True)
    names = [str(n) for n in range(rates.shape[1])]
    return Conditions.of(shown, rng.poisson(rates[order]), names)


def test_a_curve_averages_conditions_and_their_errors(rng):
    rates = rng.uniform(0.2, 3, (120, 2))
    recorded = poisson(rates, 4, rng)
    curve = tuning_curve(recorded, rates, ("orientation",))
    assert curve.values["orientation"].tolist() == [0, 30, 60, 90, 120, 150]
    own = recorded.parameters["orientation"].eq(30).to_numpy()
    np.testing.assert_allclose(curve.recorded[1], recorded.means[own].mean(axis=0))
    np.testing.assert_allclose(curve.predicted[1], rates[own].mean(axis=0))
    wanted = np.sqrt((recorded.errors[own] ** 2).sum(axis=0)) / own.sum()
    np.testing.assert_allclose(curve.error[1], wanted)


def test_the_ceiling_is_what_noise_allows(rng):
    """Predicting the true rates reaches the ceiling; half-correct predictions reach half of it."""
    rates = rng.gamma(2.0, 1.0, (120, 60))
    recorded = poisson(rates, 5, rng)
    curve = tuning_curve(recorded, rates, ("orientation", "spatial_frequency", "phase"))
    found = pd.DataFrame([vars(a) for a in agreement(curve, 0)])
    assert found["cc_norm"].mean() == pytest.approx(1, abs=0.02)
    assert (found["cc_abs"] < 1).all()
    assert found["tuned"].all()
    mixed = (rates - 2) / rates.std() + np.sqrt(3) * rng.standard_normal(rates.shape)
    curve = tuning_curve(recorded, mixed, ("orientation", "spatial_frequency", "phase"))
    half = pd.DataFrame([vars(a) for a in agreement(curve, 0)])
    assert half["cc_norm"].mean() == pytest.approx(0.5, abs=0.05)
    assert half["cc_others"].abs().mean() < 0.05


def test_untuned_neurons_are_recognised_and_p_values_are_uniform(rng):
    recorded = poisson(np.full((120, 200), 1.5), 5, rng)
    noise = rng.standard_normal((120, 200))
    curve = tuning_curve(recorded, noise, ("orientation", "spatial_frequency", "phase"))
    found = pd.DataFrame([vars(a) for a in agreement(curve, 0)])
    assert kstest(found["tuned_p"], "uniform").pvalue > 0.01
    assert kstest(found["p_shuffled"], "uniform").pvalue > 0.01
    assert found["tuned"].sum() <= 2
    assert (found["cc_abs"] > found["cc_shuffled_95"]).mean() == pytest.approx(0.05, abs=0.04)


def test_flat_curves_and_single_trials_have_no_numbers(rng):
    rates = np.column_stack([rng.uniform(1, 3, 120), np.zeros(120)])
    recorded = poisson(rates, 1, rng)
    flat = rates.copy()
    flat[:, 0] = 1.0
    one, silent = agreement(tuning_curve(recorded, flat, ("orientation",)), 0)
    assert np.isnan(one.cc_abs)  # a flat prediction
    assert np.isnan(one.cc_max)  # one trial each: the noise is unknown
    assert np.isnan(silent.cc_abs)
    assert not silent.tuned


def test_what_all_neurons_share_shows_in_the_control(rng):
    """Models that all predict the same curve agree with any neuron, which proves little."""
    shape = rng.gamma(2.0, 1.0, (120, 1))
    recorded = poisson(np.tile(shape, 10), 5, rng)
    curve = tuning_curve(recorded, np.tile(shape, 10) + 0.1 * rng.random((120, 10)), ("phase",))
    for one in agreement(curve, 0):
        assert one.cc_others > 0.8 * one.cc_abs or one.cc_abs < 0.5


def test_mirrored_orientations_are_detected(rng):
    conditions = grating_conditions()
    angle = np.deg2rad(conditions["orientation"].to_numpy())
    sense = np.exp(2 * np.cos(2 * (angle - np.deg2rad(40))))[:, None]
    mirrored = np.exp(2 * np.cos(2 * (-angle - np.deg2rad(40))))[:, None]
    right = agreement(tuning_curve(poisson(sense, 10, rng), sense, ("orientation",)), 0)[0]
    wrong = agreement(tuning_curve(poisson(mirrored, 10, rng), sense, ("orientation",)), 0)[0]
    assert right.cc_abs > 0.95 > right.cc_mirrored
    assert wrong.cc_mirrored > 0.95 > wrong.cc_abs
    other = agreement(tuning_curve(poisson(sense, 10, rng), sense, ("phase",)), 0)[0]
    assert np.isnan(other.cc_mirrored)


@pytest.mark.parametrize("preferred", [0.0, 17.0, 90.0, 175.0])
def test_circular_mean_of_a_known_curve(preferred):
    angles = np.arange(0, 180, 30.0)
    curve = 1 + 0.5 * np.cos(2 * np.deg2rad(angles - preferred))
    direction, selectivity = circular_mean(angles, curve[:, None])
    assert direction[0] == pytest.approx(preferred, abs=1e-6)
    assert selectivity[0] == pytest.approx(0.25)


def test_preferences_of_untuned_neurons_have_no_error(rng):
    rates = np.ones((120, 2))
    curve = tuning_curve(poisson(rates, 3, rng), rates, ("orientation",))
    found = preferences({"orientation": curve}, {"orientation": np.array([False, True])})
    assert np.isnan(found["orientation_error_deg"][0])
    assert np.isnan(found["orientation_error_deg_others"][0])

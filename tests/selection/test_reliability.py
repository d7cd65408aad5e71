import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.selection.reliability import (
    TrialGroups,
    oracle_correlation,
    oracle_interval,
    oracle_null,
)
from meiflow.selection.signal_power import signal_power


def brute_force_oracle(counts, image_ids):
    trials, oracles = [], []
    for image in np.unique(image_ids):
        rows = np.flatnonzero(image_ids == image)
        if len(rows) < 2:
            continue
        for row in rows:
            others = rows[rows != row]
            trials.append(counts[row])
            oracles.append(counts[others].mean())
    return np.corrcoef(trials, oracles)[0, 1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 12), st.integers(2, 6), st.booleans())
def test_oracle_equals_brute_force(seed, images, repeats, unequal):
    rng = np.random.default_rng(seed)
    r = rng.integers(1, repeats + 1, images) if unequal else np.full(images, repeats)
    r[:2] = np.maximum(r[:2], 2)
    ids = rng.permutation(np.repeat(np.arange(images) * 3, r))
    counts = rng.poisson(rng.uniform(0.5, 5, images)[np.searchsorted(np.arange(images) * 3, ids)])
    counts[:2] = [0, 9]  # never constant
    ours = oracle_correlation(counts[:, None], TrialGroups.of(ids))[0]
    assert ours == pytest.approx(brute_force_oracle(counts, ids), abs=1e-12)


def test_oracle_equals_the_closed_form_for_equal_repeats(rng):
    images, repeats = 30, 7
    counts = rng.poisson(rng.uniform(0, 6, (images, 1)), (images, repeats))
    s = counts.mean(1).var()
    v = counts.var(1).mean()
    expected = (s - v / (repeats - 1)) / np.sqrt((s + v) * (s + v / (repeats - 1) ** 2))
    groups = TrialGroups.of(np.repeat(np.arange(images), repeats))
    assert oracle_correlation(counts.reshape(-1, 1), groups)[0] == pytest.approx(
        expected, abs=1e-12
    )


def test_silent_constant_and_single_trial_units():
    ids = np.repeat(np.arange(5), 3)
    counts = np.zeros((15, 3), int)
    counts[:, 1] = 4
    counts[0, 2] = 1
    oracle = oracle_correlation(counts, TrialGroups.of(ids))
    assert np.isnan(oracle[:2]).all()
    assert np.isfinite(oracle[2])
    once = TrialGroups.of(np.arange(4))
    assert np.isnan(oracle_correlation(np.arange(4)[:, None], once)).all()
    assert np.isnan(signal_power(np.arange(4)[:, None], once).signal).all()
    power = signal_power(counts, TrialGroups.of(ids))
    assert np.isnan(power.cc_max[:2]).all()
    assert np.isnan(power.fev[:2]).all()


def test_p_values_are_uniform_without_signal_and_small_with(rng):
    ids = np.repeat(np.arange(20), 5)
    groups = TrialGroups.of(ids)
    noise = rng.poisson(2.0, (100, 300))
    p, high = oracle_null(noise, groups, 400, rng)
    # one in twenty lies above the null's 95th percentile
    above = oracle_correlation(noise, groups) > high
    assert above.mean() == pytest.approx(0.05, abs=0.04)
    assert np.quantile(p, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.06)
    signal = rng.poisson(rng.uniform(0, 8, (20, 10))[ids])
    assert oracle_null(signal, groups, 400, rng)[0].max() == pytest.approx(1 / 401)


def test_signal_power_recovers_the_true_value_and_equals_schoppe():
    rng = np.random.default_rng(3)
    images, repeats, neurons = 100, 10, 400
    rates = rng.gamma(2.0, 1.5, (images, neurons))
    counts = rng.poisson(rates, (repeats, images, neurons))
    flat = counts.reshape(-1, neurons)
    power = signal_power(flat, TrialGroups.of(np.tile(np.arange(images), repeats)))
    truth = rates.var(0, ddof=1)
    error = power.signal - truth
    assert abs(error.mean()) < 3 * error.std() / np.sqrt(neurons)
    # Schoppe et al. 2016, equation for SP, one ddof throughout
    sums = counts.sum(0).var(0, ddof=1)
    singles = counts.var(1, ddof=1).sum(0)
    # theirs compares the variances over images of sums and of single trials
    schoppe = (sums - singles) / (repeats * (repeats - 1))
    assert np.corrcoef(schoppe, power.signal)[0, 1] > 0.999
    assert np.abs(schoppe - power.signal).max() < 0.1 * truth.mean()
    assert power.noise_variance.mean() == pytest.approx(rates.mean(), rel=0.02)
    expected_fev = truth / (truth + rates.mean(0))
    assert np.abs(power.fev - expected_fev).mean() < 0.03


@pytest.mark.parametrize("unequal", [False, True])
def test_ceilings_are_unbiased(unequal):
    """The mean FEV and CC_max over many sessions of the same neuron equal the true values."""
    rng = np.random.default_rng(11)
    images, sessions = 118, 300
    rates = rng.gamma(4.0, 0.5, images)
    repeats = rng.integers(6, 14, images) if unequal else np.full(images, 10)
    ids = np.repeat(np.arange(images), repeats)
    power = signal_power(rng.poisson(rates[ids, None], (len(ids), sessions)), TrialGroups.of(ids))
    signal, noise = rates.var(ddof=1), rates.mean()

    def unbiased(values, truth, slack):
        error = values - truth
        assert abs(error.mean()) < 3 * error.std() / np.sqrt(sessions) + slack

    unbiased(power.signal, signal, 0)
    unbiased(power.noise_variance, noise, 0)
    # ratios have a bias of second order
    left = (rates / repeats).mean()
    unbiased(power.cc_max, np.sqrt(signal / (signal + left)), 0.002)
    total = np.average((rates - np.average(rates, weights=repeats)) ** 2, weights=repeats)
    unbiased(power.fev, total / (total + np.average(rates, weights=repeats)), 0.005)


def test_negative_signal_power_gives_nan_ceiling(rng):
    counts = rng.poisson(2.0, (60, 200))
    power = signal_power(counts, TrialGroups.of(np.repeat(np.arange(20), 3)))
    assert (power.signal < 0).any()
    assert np.isnan(power.cc_max[power.signal <= 0]).all()
    assert np.isfinite(power.cc_max[power.signal > 0]).all()


@pytest.mark.parametrize(("shape", "coverage"), [(10.0, 0.94), (2.0, 0.90)])
def test_interval_covers_the_oracle_of_infinitely_many_images(shape, coverage):
    """95 % intervals contain the value for infinitely many images, less often if few drive."""
    rng = np.random.default_rng(8)

    def session(images, neurons):
        rates = rng.gamma(shape, 2 / shape, (images, 1, neurons))
        return rng.poisson(rates, (images, 6, neurons)).reshape(-1, neurons)

    endless = session(50_000, 1)
    truth = oracle_correlation(endless, TrialGroups.of(np.repeat(np.arange(50_000), 6)))[0]
    groups = TrialGroups.of(np.repeat(np.arange(118), 6))
    low, high = oracle_interval(session(118, 600), groups, 500, rng)
    assert ((low < truth) & (truth < high)).mean() == pytest.approx(coverage, abs=0.03)


def test_interval_without_variation_or_repeats(rng):
    ids = np.repeat(np.arange(10), 4)
    counts = np.column_stack([np.zeros(40), np.full(40, 3), rng.poisson(2, 40)])
    low, high = oracle_interval(counts, TrialGroups.of(ids), 100, rng)
    assert np.isnan(low[:2]).all()
    assert low[2] < oracle_correlation(counts, TrialGroups.of(ids))[2] < high[2]
    assert np.isnan(oracle_interval(counts[:10], TrialGroups.of(np.arange(10)), 100, rng)).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 6))
def test_sums_by_image(seed, neurons):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 5, 30)
    values = rng.normal(size=(30, neurons))
    expected = np.stack([values[ids == i].sum(0) for i in np.unique(ids)])
    np.testing.assert_allclose(TrialGroups.of(ids).sums(values), expected, atol=1e-12)


def test_an_undefined_shuffle_or_a_tie_counts_for_chance():
    """With a single spike, all permutations of the trials are equivalent."""
    counts, ids = np.zeros((12, 2), int), np.repeat(np.arange(4), 3)
    counts[0, 0] = 1
    p, high = oracle_null(counts, TrialGroups.of(ids), 50, np.random.default_rng(0))
    assert p[0] == 1.0
    assert np.isfinite(high[0])
    assert np.isnan([p[1], high[1]]).all()

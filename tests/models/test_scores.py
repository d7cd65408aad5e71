import numpy as np
import pytest

from meiflow.models.scores import (
    bootstrap_times,
    chance_level,
    norm_interval,
    score_prediction,
)
from meiflow.selection.reliability import TrialGroups
from meiflow.selection.signal_power import signal_power
from meiflow.validation.trust import KNOWN_CEILING


@pytest.fixture(scope="module")
def recording():
    rng = np.random.default_rng(5)
    rates = rng.gamma(2, 2, 400)
    counts = rng.poisson(rates[:, None], (400, 12))
    groups = TrialGroups.of(np.repeat(np.arange(400), 12))
    power = signal_power(counts.reshape(-1, 1), groups)
    return rates, counts, groups, power


def score(prediction, recording):
    _, counts, _, power = recording
    return score_prediction(prediction, counts.mean(1), power.of(0))


def test_true_rates_score_one(recording):
    rates = recording[0]
    result = score(rates, recording)
    assert result.cc_norm == pytest.approx(1, abs=0.02)
    assert result.feve == pytest.approx(1, abs=0.02)
    assert result.cc_abs == pytest.approx(result.cc_max, abs=0.02)


def test_scale_matters_to_feve_alone(recording):
    rates = recording[0]
    one, two = score(rates, recording), score(3 * rates + 2, recording)
    assert two.cc_norm == pytest.approx(one.cc_norm)
    assert two.feve < 0


def test_cc_abs_is_pearson_and_mean_scores_zero(recording):
    rates, counts, *_ = recording
    noisy = rates + np.random.default_rng(0).normal(size=400)
    assert score(noisy, recording).cc_abs == pytest.approx(np.corrcoef(noisy, counts.mean(1))[0, 1])
    constant = score(np.full(400, counts.mean()), recording)
    assert np.isnan(constant.cc_abs)
    assert constant.feve == pytest.approx(0, abs=0.01)


def test_feve_equals_its_definition_over_trials(recording):
    rates, counts, _, power = recording
    prediction = 0.8 * rates + 1
    mse = ((counts - prediction[:, None]) ** 2).mean()
    total, noise = counts.var(), power.noise_variance[0]
    assert score(prediction, recording).feve == pytest.approx(1 - (mse - noise) / (total - noise))


def test_no_signal_no_normalised_score(rng):
    counts = rng.poisson(2.0, (60, 200))
    power = signal_power(counts, TrialGroups.of(np.repeat(np.arange(20), 3)))
    none = int(np.argmin(power.signal))
    means = counts[:, none].reshape(20, 3).mean(1)
    result = score_prediction(np.arange(20.0), means, power.of(none))
    assert np.isnan([result.cc_norm, result.cc_max, result.feve]).all()
    assert np.isfinite(result.cc_abs)
    assert np.isnan(norm_interval(means, means, power.of(none), bootstrap_times(20, 0))).all()


# images, how many of them are repeated, and how often
DESIGNS = [(68, 8, 10), (600, 100, 10), (600, 100, 2), (35, 35, 4), (118, 118, 5), (500, 50, 5),
           (118, 30, 10), (200, 20, 20), (118, 118, 50)]  # fmt: skip


@pytest.mark.parametrize("design", DESIGNS)
def test_true_rates_score_one_in_every_design(design, rng):
    """CC_norm of the true rates is 0.9 to 1.1 (5-95 %) where the ceiling counts as known."""
    images, repeated, times = design
    repeats = np.where(np.arange(images) < repeated, times, 1)
    shown = np.repeat(np.arange(images), repeats)
    groups, known = TrialGroups.of(shown), []
    for mean, shape in ((1.0, 0.5), (4.0, 0.5), (4.0, 2.0), (1.0, 2.0)):
        rates = rng.gamma(shape, mean / shape, (images, 100))
        gain = np.exp(0.3 * rng.standard_normal((len(shown), 1)))
        counts = rng.poisson(gain * rates[shown])
        power, means = signal_power(counts, groups), groups.sums(counts) / repeats[:, None]
        scores = [score_prediction(rates[:, n], means[:, n], power.of(n)) for n in range(100)]
        known += [s.cc_norm for s in scores if s.ceiling_error <= KNOWN_CEILING]
    if repeated < 25:
        assert not known
    else:
        assert len(known) >= 10
        low, high = np.quantile(known, [0.05, 0.95])
        assert 0.9 <= low <= high <= 1.1


def test_interval_covers_with_an_unknown_ceiling(rng):
    """Intervals with few repeated images contain the value for the true signal variance."""
    images, neurons = 200, 150
    repeats = np.where(np.arange(images) < 40, 8, 1)
    shown = np.repeat(np.arange(images), repeats)
    rates = rng.gamma(1.0, 3.0, (images, neurons))
    predictions = rates + rng.normal(0, 3, rates.shape)
    counts = rng.poisson(rates[shown])
    groups, draws = TrialGroups.of(shown), bootstrap_times(images, 0)
    power, means = signal_power(counts, groups), groups.sums(counts) / repeats[:, None]
    truth = np.sqrt(0.5)
    covered = []
    for n in range(neurons):
        low, high = norm_interval(predictions[:, n], means[:, n], power.of(n), draws)
        covered.append(low <= truth <= high)
    assert np.mean(covered) == pytest.approx(0.94, abs=0.05)


def test_one_control_in_twenty_is_above_chance(rng):
    control = rng.permutation(np.arange(200) / 200)
    level = chance_level(np.append(control, np.nan))
    assert (control > level).mean() == pytest.approx(0.05)
    assert chance_level([]) == chance_level([np.nan]) == 0

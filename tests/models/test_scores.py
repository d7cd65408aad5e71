import numpy as np
import pytest

from meiflow.models.scores import chance_level, score_prediction
from meiflow.selection.reliability import TrialGroups, signal_power


@pytest.fixture(scope="module")
def recording():
    rng = np.random.default_rng(5)
    rates = rng.gamma(2, 2, 400)
    counts = rng.poisson(rates[:, None], (400, 12))
    groups = TrialGroups.of(np.repeat(np.arange(400), 12))
    power = signal_power(counts.reshape(-1, 1), groups)
    return rates, counts, groups, power


def score(prediction, recording):
    _, counts, groups, power = recording
    return score_prediction(
        prediction,
        counts.mean(1),
        groups.repeats,
        power.signal[0],
        power.noise_variance[0],
        power.fev[0],
    )


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


def test_no_signal_no_normalised_score():
    result = score_prediction(np.arange(4.0), np.array([1, 0, 1, 0.5]), np.full(4, 2), -0.1, 1, 0)
    assert np.isnan([result.cc_norm, result.cc_max, result.feve]).all()
    assert np.isfinite(result.cc_abs)


def test_one_control_in_twenty_is_above_chance(rng):
    control = rng.permutation(np.arange(200) / 200)
    level = chance_level(np.append(control, np.nan))
    assert (control > level).mean() == pytest.approx(0.05)
    assert chance_level([]) == chance_level([np.nan]) == 0

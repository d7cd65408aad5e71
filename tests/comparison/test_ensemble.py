"""Intervals from the fold models."""

import numpy as np
import pytest

from meiflow.comparison.ensemble import ratio_interval


def test_the_jackknife_of_a_log_mean_is_its_standard_error(rng):
    """For a statistic that is linear in the data, the jackknife over groups is exact."""
    logs = rng.normal(0.5, 0.2, 50)
    groups = np.arange(50) % 5
    folds = np.array([[np.exp(logs[groups != k].mean()), 1.0] for k in range(5)])
    ratio, low, high = ratio_interval(np.exp(logs.mean()), 1.0, folds)
    of_groups = np.array([logs[groups == k].mean() for k in range(5)])
    error = of_groups.std(ddof=1) / np.sqrt(5)
    assert ratio == pytest.approx(np.exp(logs.mean()))
    assert np.log(high / ratio) == pytest.approx(2.776445 * error)
    assert np.log(ratio / low) == pytest.approx(2.776445 * error)


def test_intervals_have_their_nominal_coverage(rng):
    held = 0
    for _ in range(400):
        logs = rng.normal(0.5, 1.0, 100)
        folds = np.array([[np.exp(np.delete(logs, np.s_[k::5]).mean()), 1.0] for k in range(5)])
        _, low, high = ratio_interval(np.exp(logs.mean()), 1.0, folds)
        held += low < np.exp(0.5) < high
    assert held / 400 == pytest.approx(0.95, abs=0.035)


def test_what_has_no_ratio_has_no_interval():
    folds = np.ones((5, 2))
    assert ratio_interval(2.0, 1.0, folds) == (2.0, 2.0, 2.0)
    assert np.isnan(ratio_interval(2.0, 0.0, folds)).all()
    assert np.isnan(ratio_interval(2.0, 1.0, np.empty((0, 2)))[1:]).all()
    folds[2, 1] = 0.0
    assert np.isnan(ratio_interval(2.0, 1.0, folds)[1:]).all()

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from meiflow.selection.activity import (
    anomalies,
    correlated_partners,
    mean_with_others,
    pairwise_correlations,
    residuals,
    response_entropy,
)
from meiflow.selection.reliability import TrialGroups


def test_entropy_is_scipys_plus_the_correction(rng):
    counts = rng.poisson([[0.5, 3.0]], (500, 2))
    for column, ours in zip(counts.T, response_entropy(counts), strict=True):
        frequencies = np.unique(column, return_counts=True)[1]
        correction = (len(frequencies) - 1) / (2 * len(column)) / np.log(2)
        assert ours == pytest.approx(scipy_entropy(frequencies, base=2) + correction)


def test_correction_reduces_the_bias():
    rng = np.random.default_rng(0)
    p = np.array([0.4, 0.3, 0.2, 0.1])
    truth = scipy_entropy(p, base=2)
    draws = rng.choice(4, p=p, size=(30, 2000))
    assert response_entropy(draws).mean() == pytest.approx(truth, abs=0.01)


def test_constant_neuron_has_no_entropy():
    assert response_entropy(np.full((10, 1), 3))[0] == 0


def test_partners_agree_with_corrcoef(rng):
    means = rng.normal(size=(50, 6))
    means[:, 5] = means[:, 0] + 0.1 * rng.normal(size=50)
    expected = np.corrcoef(means.T)
    np.fill_diagonal(expected, np.nan)
    partners = correlated_partners(pairwise_correlations(means))
    assert partners.most[0] == 5
    np.testing.assert_allclose(partners.highest, np.nanmax(expected, 1))
    np.testing.assert_allclose(partners.lowest, np.nanmin(expected, 1))
    np.testing.assert_array_equal(partners.least, np.nanargmin(expected, 1))


def test_constant_and_lonely_neurons_have_no_partner(rng):
    means = rng.normal(size=(20, 3))
    means[:, 1] = 2.0
    partners = correlated_partners(pairwise_correlations(means))
    assert partners.most.tolist() == [2, -1, 0]
    assert np.isnan(partners.highest[1])
    assert correlated_partners(pairwise_correlations(means[:, :1])).most.tolist() == [-1]


def test_an_outlier_is_an_anomaly_whatever_the_scale(rng):
    features = rng.normal(size=(60, 3)) * [1, 1e4, 1e-4]
    features[7] = [9, 9e4, -9e-4]
    features[3, 1] = np.nan
    score, flag = anomalies(features, 0)
    assert score.argmin() == 7
    assert flag[7]
    np.testing.assert_array_equal(score, anomalies(features, 0)[0])


def test_noise_correlation_is_that_of_the_shared_part():
    """Two neurons share half their noise variance; the images drive them in opposite ways."""
    rng = np.random.default_rng(4)
    ids = np.repeat(np.arange(40), 100)
    shared = rng.normal(size=len(ids))
    own = rng.normal(size=(len(ids), 3))
    drive = rng.normal(0, 5, 40)[ids]
    counts = own + np.column_stack([shared + drive, shared - drive, drive])
    noise = pairwise_correlations(residuals(counts, TrialGroups.of(ids)))
    assert noise[0, 1] == pytest.approx(0.5, abs=0.05)
    assert abs(noise[0, 2]) < 0.05
    assert pairwise_correlations(counts)[0, 1] < -0.8
    assert mean_with_others(noise)[0] == pytest.approx((noise[0, 1] + noise[0, 2]) / 2)
    assert np.isnan(mean_with_others(noise[:1, :1])).all()

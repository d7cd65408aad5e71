import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from meiflow.models.ridge import GramSpectrum, Standardiser, fit_reweighted


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(6, 20), st.integers(2, 40), st.floats(0.01, 10))
def test_left_out_errors_equal_brute_force(seed, n, p, penalty):
    """Closed form compared with leaving each image out (features centred once, on all)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p))
    x -= x.mean(0)
    y = rng.normal(size=(n, 2))
    y -= y.mean(0)
    ours = GramSpectrum.of(x).left_out_errors(y, np.array([penalty]))[0]
    brute = np.zeros(2)
    for i in range(n):
        rest = np.delete(np.arange(n), i)
        model = Ridge(alpha=penalty * p).fit(x[rest], y[rest])
        brute += (y[i] - model.predict(x[i : i + 1])[0]) ** 2
    np.testing.assert_allclose(ours, brute, rtol=1e-6)


def test_primal_and_dual_agree(rng):
    tall = rng.normal(size=(30, 5))
    tall -= tall.mean(0)
    y = rng.normal(size=(30, 3))
    y -= y.mean(0)
    penalties = np.array([0.1, 1.0])
    dual_values, dual_vectors = np.linalg.eigh(tall @ tall.T / 5)
    dual = GramSpectrum(dual_vectors, np.maximum(dual_values, 0))
    np.testing.assert_allclose(
        GramSpectrum.of(tall).left_out_errors(y, penalties), dual.left_out_errors(y, penalties)
    )


def test_without_reweighting_it_is_sklearns_ridge(rng):
    x = rng.normal(size=(40, 7)) * np.arange(1, 8) + 3
    y = x @ rng.normal(size=7) + rng.normal(size=40)
    ours, _ = fit_reweighted(x, y, np.array([0.3]), 0)
    z = Standardiser.of(x)(x)
    theirs = Ridge(alpha=0.3 * 7).fit(z, y)
    np.testing.assert_allclose(ours(x), theirs.predict(z), rtol=1e-8)


def test_reweighting_finds_the_few_features_that_matter():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 300))
    y = 2 * x[:, 5] - x[:, 50] + 0.3 * rng.normal(size=80)
    fresh = rng.normal(size=(500, 300))
    truth = 2 * fresh[:, 5] - fresh[:, 50]
    penalties = np.geomspace(1e-3, 10, 9)
    plain = np.corrcoef(fit_reweighted(x, y, penalties, 0)[0](fresh), truth)[0, 1]
    sparse = np.corrcoef(fit_reweighted(x, y, penalties, 3)[0](fresh), truth)[0, 1]
    assert sparse > 0.95 > plain


def test_constant_feature_and_constant_response_are_harmless(rng):
    x = rng.normal(size=(12, 4))
    x[:, 2] = 7.0
    model, _ = fit_reweighted(x, np.full(12, 3.0), np.array([0.1, 1.0]), 2)
    np.testing.assert_allclose(model(x), 3.0)
    assert np.isfinite(fit_reweighted(x, x[:, 0], np.array([0.1]), 1)[0].weights).all()


@pytest.mark.parametrize("n", [5, 50])
def test_leverage_never_divides_by_zero(n, rng):
    x = rng.normal(size=(n, 200))
    x -= x.mean(0)
    y = rng.normal(size=(n, 1))
    errors = GramSpectrum.of(x).left_out_errors(y - y.mean(), np.array([1e-12]))
    assert np.isfinite(errors).all()


@pytest.mark.parametrize(("together", "wide"), [(1, True), (5, True), (8, False)])
def test_blocks_left_out_are_predicted_from_all_others(rng, together, wide):
    """The closed form equals fits without each block, of which the last is shorter."""
    n, features, penalty = 42, 60 if wide else 6, 0.3
    x, y = rng.normal(size=(n, features)), rng.normal(size=(n, 2))
    expected = np.zeros(2)
    for first in range(0, n, together):
        test = np.arange(first, min(first + together, n))
        train = np.setdiff1d(np.arange(n), test)
        centre, level = x[train].mean(axis=0), y[train].mean(axis=0)
        a = x[train] - centre
        kernel = a.T @ a + penalty * features * np.eye(features)
        weights = np.linalg.solve(kernel, a.T @ (y[train] - level))
        expected += ((y[test] - level - (x[test] - centre) @ weights) ** 2).sum(axis=0)
    spectrum = GramSpectrum.of(x - x.mean(axis=0))
    centred = y - y.mean(axis=0)
    found = spectrum.left_out_errors(centred, np.array([penalty]), None, together)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_single_precision_is_enough_for_errors(rng):
    x, y = rng.normal(size=(40, 60)), rng.normal(size=(40, 5))
    y = y - y.mean(axis=0)
    spectrum, penalties = GramSpectrum.of(x - x.mean(axis=0)), np.array([0.003, 1.0])
    single = spectrum.left_out_errors(y.astype(np.float32), penalties)
    np.testing.assert_allclose(single, spectrum.left_out_errors(y, penalties), rtol=1e-3)

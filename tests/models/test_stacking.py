"""The weights of the stacked ensemble, compared with the quadratic problem they solve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meiflow.models.stacking import stacking_weights


def of_one(predictions, response):
    return stacking_weights(predictions[:, None], response[:, None])[0]


def with_prior(predictions, response):
    """Least squares with a Gaussian prior of precision 20 around equal weights, sum one (KKT)."""
    members = predictions.shape[1]
    noise = ((predictions - response[:, None]) ** 2).mean(axis=0).min()
    system = np.ones((members + 1, members + 1))
    system[:members, :members] = predictions.T @ predictions / noise + 20 * np.eye(members)
    system[members, members] = 0
    right = np.append(predictions.T @ response / noise + 20 / members, 1.0)
    return np.linalg.solve(system, right)[:members]


@pytest.mark.parametrize("images", [10, 60])
def test_weights_are_those_of_the_prior_and_the_data(rng, images):
    signal = rng.gamma(2.0, 1.0, images)
    predictions = signal[:, None] + rng.normal(0, [0.9, 1.0, 1.1], (images, 3))
    response = signal + rng.normal(0, 1.0, images)
    found = of_one(predictions, response)
    expected = with_prior(predictions, response)
    assert expected.min() > 0.02  # no bound is active
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(of_one(9 * predictions, 9 * response), found, atol=1e-4)


def test_noise_is_averaged_and_a_clear_winner_is_chosen(rng):
    """Without the prior, twelve noisy responses would pick one base model at random."""
    members = 3 + 0.3 * rng.standard_normal((50, 12, 3))
    noisy = 3 + 2 * rng.standard_normal((50, 12))
    found = [of_one(m, response) for m, response in zip(members, noisy, strict=True)]
    np.testing.assert_allclose(found, 1 / 3, atol=0.1)
    response = rng.gamma(2.0, 1.0, 100)
    others = rng.gamma(2.0, 1.0, (100, 2))
    assert of_one(np.column_stack([response + 0.1, others]), response)[0] > 0.99


def test_base_models_that_agree_share_the_weight(rng):
    one, two = rng.random((2, 30))
    weights = of_one(np.column_stack([one, one, two]), one + 0.1 * rng.random(30))
    assert weights[0] == pytest.approx(weights[1], abs=1e-4)
    assert weights.sum() == pytest.approx(1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_stacking_is_convex_and_hardly_worse_than_its_best_base_model(seed, members):
    rng = np.random.default_rng(seed)
    response = rng.poisson(3.0, 40).astype(float)
    predictions = response[:, None] * rng.uniform(0, 1, members) + rng.normal(size=(40, members))
    weights = of_one(predictions, response)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    errors = ((predictions - response[:, None]) ** 2).sum(axis=0)
    # the prior may cost its own precision, 20, in units of the best member's mean error
    mixed = ((predictions @ weights - response) ** 2).sum()
    assert mixed <= errors.min() * (1 + 20 * (1 - 1 / members) / 40) + 1e-6


def test_a_noisy_neuron_follows_the_others_and_a_reliable_one_itself(rng):
    """Nine neurons are predicted by the second of three base models, and the last by the third."""
    images, best = 100, np.array([1] * 9 + [2])
    signal = 3 + rng.standard_normal((images, 10))
    predictions = 3 + rng.standard_normal((images, 10, 3))
    predictions[:, np.arange(10), best] = signal
    noise = np.r_[np.full(8, 0.5), 30.0, 0.5]
    responses = signal + noise * rng.standard_normal((images, 10))
    weights = stacking_weights(predictions, responses, "session")
    assert weights[:8, 1].min() > 0.9
    assert weights[8, 1] > 0.8
    assert weights[9, 2] > 0.9
    equal = stacking_weights(predictions, responses)
    np.testing.assert_allclose(equal[8], 1 / 3, atol=0.1)
    np.testing.assert_allclose(equal[8], of_one(predictions[:, 8], responses[:, 8]))


def test_a_failed_fit_does_not_affect_the_others(rng):
    response = 3 + rng.standard_normal((30, 3))
    predictions = response[..., None] + rng.standard_normal((30, 3, 2))
    expected = stacking_weights(predictions[:, 1:], response[:, 1:], "session")
    predictions[:, 0, 1] = np.nan
    found = stacking_weights(predictions, response, "session")
    assert np.isnan(found[0]).all()
    np.testing.assert_allclose(found[1:], expected)

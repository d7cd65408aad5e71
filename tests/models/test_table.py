"""The responses with which each model's predictions are compared."""

import numpy as np

from meiflow.models.table import fold_scores, image_weights, predicted_responses


def test_the_control_is_scored_against_what_it_was_fitted_to(rng):
    """Scored against the measured responses it would be near zero, whatever leaked."""
    means = rng.gamma(2.0, 1.0, (24, 3))
    shuffled = rng.permuted(means, axis=0)
    assert predicted_responses("model_shuffled", means, shuffled) is shuffled
    for model in ("model", "ln", "pixel_ridge"):
        assert predicted_responses(model, means, shuffled) is means
    predictions = {"model": 2 * means + 1, "model_shuffled": 2 * shuffled + 1}
    folds = np.array_split(rng.permutation(24), 3)
    table = fold_scores(["a", "b", "c"], predictions, means, shuffled, folds)
    assert len(table) == 2 * 3 * 3
    np.testing.assert_allclose(table["cc_abs"], 1)


def test_an_image_weighs_as_much_as_its_trials():
    np.testing.assert_allclose(image_weights(np.array([2, 4, 6])), [0.5, 1.0, 1.5])

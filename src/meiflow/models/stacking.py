"""Weights of the base models in the stacked ensemble of each neuron."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PRECISION = 20.0
_LEAST = 0.5  # of an equal share


def stacking_weights(
    predictions: NDArray, responses: NDArray, prior: str = "equal"
) -> NDArray[np.float64]:
    """Convex weights whose weighted prediction is closest to each response (stacking).

    Stacking (Wolpert 1992) with non-negative weights that sum to one (Breiman 1996) and a Gaussian
    prior with a standard deviation of 0.22: base models are averaged for a noisy neuron, while the
    best ones are selected for a reliable neuron. A weight of less than half an equal share is
    set to zero, because the base model would cost time and change little.

    Parameters
    ----------
    predictions : ndarray, shape (images, neurons, members)
        Predictions for held-out images.
    responses : ndarray, shape (images, neurons)
    prior : {'equal', 'session'}
        Mean of the prior: equal weights, or those that suit the *other* neurons best, so that a
        noisy neuron uses the base models that predict the others.

    Returns
    -------
    ndarray, shape (neurons, members)
        Non-negative weights that sum to one; NaN for a neuron with a missing prediction.
    """
    images, neurons, members = predictions.shape
    weights = np.full((neurons, members), np.nan)
    fitted = np.flatnonzero(np.isfinite(predictions).all(axis=(0, 2)))
    grams, products = np.empty((neurons, members, members)), np.empty((neurons, members))
    for n in fitted:
        errors = ((predictions[:, n] - responses[:, n, None]) ** 2).mean(axis=0)
        floor = 1e-3 * np.sqrt((responses[:, n] ** 2).mean()) + 1e-9
        noise = max(float(np.sqrt(errors.min())), floor)
        scaled, target = predictions[:, n] / noise, responses[:, n] / noise
        grams[n], products[n] = scaled.T @ scaled, scaled.T @ target
    equal = np.full(members, 1 / members)
    gram, product = grams[fitted].sum(axis=0), products[fitted].sum(axis=0)
    for n in fitted:
        mean = equal
        if prior == "session":
            mean = _convex(gram - grams[n], product - products[n], equal, images)
        found = _convex(grams[n], products[n], mean, images)
        kept = np.where(found < _LEAST / members, 0.0, found)
        weights[n] = kept / kept.sum()
    return weights


def _convex(gram: NDArray, product: NDArray, prior: NDArray, images: int) -> NDArray[np.float64]:
    """Minimise w' G w - 2 p' w plus the prior's term, over convex weights w."""
    from scipy.optimize import nnls

    members = len(prior)
    # an equation with a large weight fixes the sum at one
    heavy = 1e4 * max(images, float(np.trace(gram)) / members)
    system = gram + _PRECISION * np.eye(members) + heavy
    factor = np.linalg.cholesky(system).T
    target = product + _PRECISION * prior + heavy
    weights, _ = nnls(factor, np.linalg.solve(factor.T, target))
    return np.asarray(weights / weights.sum())

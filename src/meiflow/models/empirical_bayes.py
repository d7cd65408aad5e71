"""Hyperparameters chosen by all neurons of a session together (empirical Bayes; Efron 2010).

With a hundred images, the held-out error of one noisy neuron hardly distinguishes one position,
window or penalty from another, and the lowest of hundreds of errors is low by chance. Neurons of a
session resemble each other, so that the candidates that suit the others are the better guess.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_TEMPERATURE = 0.5
_ITERATIONS = 50


def candidate_weights(errors: NDArray, n_images: int) -> NDArray[np.float64]:
    """Posterior probability of every candidate for every neuron.

    The prior over candidates is the mean posterior of the *other* neurons (with a uniform part that
    counts as one neuron), found by fixed-point iteration; for a single neuron it is uniform. The
    likelihood is that of Gaussian errors, raised to the power of 0.5: leave-one-out errors of the
    same images are not independent.

    Parameters
    ----------
    errors : ndarray, shape (candidates, neurons)
        Leave-one-out squared error of each candidate, divided by the variance of the responses.
    n_images : int
        Number of images over which the errors were averaged.

    Returns
    -------
    ndarray, shape (candidates, neurons)
        Every column sums to one.

    Examples
    --------
    Two neurons clearly prefer the second of three candidates, and so the noisy third one, which
    slightly prefers the first, uses it as well:

    >>> errors = np.array([[1.0, 1.0, 0.98], [0.7, 0.6, 0.99], [1.0, 1.0, 1.0]])
    >>> candidate_weights(errors, 100).round(2)
    array([[0.  , 0.  , 0.14],
           [1.  , 1.  , 0.77],
           [0.  , 0.  , 0.09]])
    >>> candidate_weights(errors[:, 2:], 100).round(2).ravel()
    array([0.42, 0.33, 0.25])
    """
    candidates, neurons = errors.shape
    likelihood = -_TEMPERATURE * n_images / 2 * (errors - errors.min(axis=0))
    prior = np.full(errors.shape, 1 / candidates)
    for _ in range(_ITERATIONS):
        posterior = likelihood + np.log(prior)
        posterior = np.exp(posterior - posterior.max(axis=0))
        posterior /= posterior.sum(axis=0)
        others = posterior.sum(axis=1, keepdims=True) - posterior
        prior = np.maximum(others, 0) + 1 / candidates
        prior /= neurons
    return np.asarray(posterior)

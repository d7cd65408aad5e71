"""Selectivity for images, by the definitions of the Allen Brain Observatory.

All functions use mean or summed counts (images, neurons) without the blank, and agree with
AllenSDK's ``NaturalScenes`` (``tests/selection/test_tuning.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_STEPS = 1000


def image_selectivity(means: NDArray) -> NDArray[np.float64]:
    """Selectivity for images (Quian Quiroga et al. 2007).

    One minus twice the fraction of images above a threshold, averaged over 1000 thresholds between
    the lowest and the highest mean. 0 if the neuron responds equally to all images, towards 1 if it
    responds to a single image; NaN with fewer than two images.

    Examples
    --------
    >>> one_of_fifty = np.where(np.arange(50) == 3, 5.0, 0.0)
    >>> image_selectivity(np.column_stack([one_of_fifty, np.full(50, 2.0)])).round(2)
    array([0.96, 0.  ])
    """
    n_images, n_neurons = means.shape
    if n_images < 2:
        return np.full(n_neurons, np.nan)
    low, high = means.min(axis=0), means.max(axis=0)
    thresholds = low + np.arange(_STEPS)[:, None] * ((high - low) / _STEPS)
    ordered = np.sort(means, axis=0)
    share = np.empty((_STEPS, n_neurons))
    for neuron in range(n_neurons):
        above = np.searchsorted(ordered[:, neuron], thresholds[:, neuron], side="right")
        share[:, neuron] = (n_images - above) / n_images
    return np.where(low == high, 0.0, 1 - 2 * share.mean(axis=0))


def lifetime_sparseness(counts: NDArray) -> NDArray[np.float64]:
    """Lifetime sparseness over images (Vinje & Gallant 2000; Olsen & Wilson 2008).

    ``(1 - sum(r)^2 / (n sum(r^2))) / (1 - 1 / n)``: 0 if all images drive the neuron equally, 1
    if a single image does; NaN for a silent neuron or a single image.

    Examples
    --------
    >>> one_of_fifty = np.where(np.arange(50) == 3, 5.0, 0.0)
    >>> half_of_them = np.arange(50) % 2.0
    >>> lifetime_sparseness(np.column_stack([one_of_fifty, half_of_them])).round(2)
    array([1.  , 0.51])
    """
    n = len(counts)
    squares = (counts**2).sum(axis=0)
    if n < 2:
        return np.full(counts.shape[1], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(squares > 0, counts.sum(axis=0) ** 2 / squares, np.nan)
    return (1 - ratio / n) / (1 - 1 / n)


def fano_factor(counts: NDArray) -> NDArray[np.float64]:
    """Variance divided by mean (ddof 0) of the counts (trials, neurons).

    NaN for silent neurons, and with fewer than two trials.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(4.0, (5000, 1))
    >>> fano_factor(np.hstack([counts, np.full_like(counts, 4)])).round(2)
    array([0.98, 0.  ])
    """
    if len(counts) < 2:
        return np.full(counts.shape[1], np.nan)
    mean = counts.mean(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(mean > 0, counts.var(axis=0) / mean, np.nan)


def preferred_image(image_ids: NDArray, means: NDArray) -> NDArray[np.int64]:
    """Id of the image with the highest mean count for every neuron."""
    return image_ids[means.argmax(axis=0)]


def preferred_fano_factor(
    counts: NDArray, shown: NDArray, preferred: NDArray
) -> NDArray[np.float64]:
    """Fano factor of every neuron over the trials of its preferred image.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    shown : ndarray, shape (trials,)
        Image shown in every trial.
    preferred : ndarray, shape (neurons,)
    """
    return np.array(
        [
            fano_factor(counts[shown == image, neuron][:, None])[0]
            for neuron, image in enumerate(preferred)
        ]
    )

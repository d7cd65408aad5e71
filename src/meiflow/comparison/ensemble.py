"""Uncertainty of a model: intervals from the fold models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ratio_interval(
    numerator: float, denominator: float, folds: NDArray, level: float = 0.95
) -> tuple[float, float, float]:
    """Ratio of two responses with its delete-a-group jackknife interval.

    Each fold model was fitted without one group of images; the spread of the logarithm of the ratio
    over fold models, scaled to that of independent sets of images, is its standard error.

    Parameters
    ----------
    numerator, denominator : float
        Responses of the model fitted to all images.
    folds : ndarray, shape (folds, 2)
        The same two responses of each fold model.
    level : float
        Level of the interval; Student's t with ``folds - 1`` degrees of freedom.

    Returns
    -------
    ratio, low, high : float
        The interval is NaN with fewer than two folds; all are NaN if any response is not positive.

    References
    ----------
    Kott 2001, J Off Stat 17:521.
    """
    from scipy.stats import t

    if not (numerator > 0 and denominator > 0):
        return np.nan, np.nan, np.nan
    ratio = numerator / denominator
    n = len(folds)
    if n < 2 or not (folds > 0).all():
        return ratio, np.nan, np.nan
    logs = np.log(folds[:, 0] / folds[:, 1])
    error = np.sqrt((n - 1) / n * ((logs - logs.mean()) ** 2).sum())
    reach = float(np.exp(t.ppf((1 + level) / 2, n - 1) * error))
    return ratio, ratio / reach, ratio * reach

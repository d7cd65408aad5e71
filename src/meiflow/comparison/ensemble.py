"""How sure a model is: intervals from the models of the cross-validation folds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def ratio_interval(
    numerator: float, denominator: float, folds: NDArray, level: float = 0.95
) -> tuple[float, float, float]:
    """Ratio of two responses with its delete-a-group jackknife interval.

    The models of the folds each lack one group of images; the spread of what they say, scaled to
    that of independent sets of images, is the standard error of the logarithm of the ratio.

    Parameters
    ----------
    numerator, denominator : float
        Responses of the model of all images.
    folds : ndarray, shape (folds, 2)
        The same two responses by the model of each fold.
    level : float
        Of the interval; Student's t with ``folds - 1`` degrees of freedom.

    Returns
    -------
    ratio, low, high : float
        The interval is NaN with fewer than two folds; all are NaN unless all responses are
        positive.

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

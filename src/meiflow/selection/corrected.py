"""p values corrected for the number of tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Step-down correction (Holm 1979); missing values are not counted.

    Parameters
    ----------
    p : array_like, shape (tests,)
        NaN where a test was not made.

    Returns
    -------
    ndarray, shape (tests,)
        At most 1.

    Examples
    --------
    >>> holm([0.04, 0.01, np.nan, 0.02]).round(2).tolist()
    [0.04, 0.03, nan, 0.04]
    """
    values = np.asarray(p, dtype=float)
    corrected = np.full(len(values), np.nan)
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]
    steps = len(order) - np.arange(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * steps), 1)
    return corrected

"""Widths of tuning curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def width_above(
    axis: ArrayLike, response: ArrayLike, fraction: float, period: float | None = None
) -> float:
    """Width of the range around the peak with at least a fraction of it, linearly interpolated.

    Parameters
    ----------
    axis, response : array_like, shape (n,)
        Increasing, evenly spaced values, and non-negative responses.
    fraction : float
    period : float, optional
        Of a circular axis without its end; the widths of all ranges are then added.

    Returns
    -------
    float
        NaN without any response.

    Examples
    --------
    >>> round(width_above([0, 1, 2, 3, 4], [0, 0, 1, 1, 0], 0.5), 2)
    2.0
    >>> round(width_above([0, 90, 180, 270], [1, 0, 1, 0], 0.5, period=360), 2)
    180.0
    """
    x, r = np.asarray(axis, float), np.asarray(response, float)
    if r.max() <= 0:
        return float("nan")
    step = float(x[1] - x[0])
    if period is not None:
        r = np.append(r, r[0])
    level = fraction * r.max()
    low, high = r[:-1], r[1:]
    # length of each segment above the level
    rise = np.where(high == low, 1.0, high - low)
    crossing = np.clip((level - low) / rise, 0, 1)
    part = np.where(low >= level, np.where(high >= level, 1.0, crossing), 0.0)
    part = np.where((low < level) & (high >= level), 1 - crossing, part)
    if period is not None:
        return float(part.sum() * step)
    peak = int(r.argmax())
    left = int(np.argmax(part[:peak][::-1] < 1)) if (part[:peak] < 1).any() else peak
    right = int(np.argmax(part[peak:] < 1)) if (part[peak:] < 1).any() else len(part) - peak
    first, last = max(peak - left - 1, 0), min(peak + right + 1, len(part))
    return float(part[first:last].sum() * step)

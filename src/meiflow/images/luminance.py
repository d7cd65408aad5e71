"""Check and convert images provided by a user."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry

GREY = 0.5  # the blank screen
# Rows and columns of a coarse division of the screen.
REGIONS = 3, 4
_MOST_OF_A_BYTE = 255


def luminance(images: Any, geometry: Geometry) -> NDArray[np.float32]:
    """Convert images to single precision and check that they are luminance of the right size.

    Parameters
    ----------
    images : array_like, shape (images, height, width)
    geometry : Geometry
        The screen, which the images fill.

    Raises
    ------
    MeiflowError
        If the shape differs from that of the screen, or a value is outside [0, 1].

    Examples
    --------
    >>> luminance(np.full((2, 6, 8), 0.5), Geometry(6, 8)).shape
    (2, 6, 8)
    >>> try:
    ...     luminance(np.full((2, 6, 8), 128, np.uint8), Geometry(6, 8))
    ... except MeiflowError as error:
    ...     print(error)
    images: values from 128 to 128; expected luminance from 0 to 1: divide by 255
    """
    try:
        stack = np.asarray(images, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise MeiflowError(f"images: not an array of numbers ({error})") from None
    if stack.ndim != 3 or not len(stack):
        raise MeiflowError(
            f"images: shape {stack.shape}; expected (images, height, width), luminance without "
            "colour channels"
        )
    if stack.shape[1:] != geometry.shape:
        height, width = stack.shape[1:]
        raise MeiflowError(
            f"images: {height} x {width} pixels, but the screen has {geometry.height} x "
            f"{geometry.width}; use Geometry({height}, {width}, width_deg, height_deg)"
        )
    if not np.isfinite(stack).all():
        raise MeiflowError("images: NaN or infinite values; expected luminance from 0 to 1")
    low, high = float(stack.min()), float(stack.max())
    if low < 0 or high > 1:
        if low >= 0 and high <= _MOST_OF_A_BYTE:
            advice = ": divide by 255"
        else:
            advice = ", 0 black and 1 white: undo the normalisation"
        raise MeiflowError(
            f"images: values from {low:.4g} to {high:.4g}; expected luminance from 0 to 1{advice}"
        )
    return stack


def regional_luminance(images: NDArray, regions: tuple[int, int]) -> NDArray[np.float64]:
    """Mean luminance of each region of a regular division of the images.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
    regions : tuple of int
        Number of regions along y and x, at most one per pixel.

    Returns
    -------
    ndarray, shape (images, regions)

    Examples
    --------
    >>> regional_luminance(np.arange(12.0).reshape(1, 3, 4), (1, 2))
    array([[4.5, 6.5]])
    """
    rows, columns = (
        np.array_split(np.arange(size), min(size, number))
        for size, number in zip(images.shape[1:], regions, strict=True)
    )
    return np.stack(
        [images[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1].mean(axis=(1, 2), dtype=float)
         for r in rows for c in columns], axis=1
    )  # fmt: skip

"""Similarity of two images, without and with a shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.masks import background, pattern_mask


@dataclass(frozen=True)
class Shift:
    """Shift (x right, y up, degrees) at which two images are most similar.

    ``similarity`` is the correlation at this shift.
    """

    similarity: float
    x: float
    y: float


def image_similarity(a: NDArray, b: NDArray) -> float:
    """Pearson correlation of the pixels of two images; NaN if one is uniform.

    Examples
    --------
    >>> image = np.random.default_rng(0).uniform(size=(6, 8))
    >>> round(image_similarity(image, image), 3), round(image_similarity(image, 1 - image), 3)
    (1.0, -1.0)
    """
    p, q = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((p**2).sum() * (q**2).sum()))
    return float((p * q).sum() / norm) if norm > 1e-12 else float("nan")


def best_shift(a: NDArray, b: NDArray, geometry: Geometry) -> Shift:
    """Shift of `a` by whole pixels at which it is most similar to `b`.

    The similarity is the correlation of the contrasts ``p = a - background(a)`` and
    ``q = b - background(b)``: ``sum_i p[i - s] q[i] / sqrt(sum p**2 sum q**2)``. The screen is
    extended with background grey; parts shifted off the screen do not reappear on the other side.

    Parameters
    ----------
    a, b : ndarray, shape (height, width)
    geometry : Geometry

    Returns
    -------
    Shift
        All NaN if one image is uniform.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> here, there = 0.5 + 0.1 * gabor(screen, [0, 5 * screen.dx], 0.0, 20.0, 30.0, 0.0, 6.0)
    >>> shift = best_shift(here, there, screen)
    >>> round(shift.x / screen.dx), round(shift.y / screen.dy), round(shift.similarity, 2)
    (5, 0, 1.0)
    """
    p, q = (image - background(image, pattern_mask(image)) for image in (a, b))
    norm = float(np.sqrt((p**2).sum() * (q**2).sum()))
    if norm < 1e-12:
        return Shift(float("nan"), float("nan"), float("nan"))
    padded = 2 * geometry.height, 2 * geometry.width
    products = np.fft.irfft2(np.fft.rfft2(q, padded) * np.fft.rfft2(p, padded).conj(), padded)
    row, column = np.unravel_index(products.argmax(), padded)
    down, right = (
        int(place - size) if place > size // 2 else int(place)
        for place, size in ((row, padded[0]), (column, padded[1]))
    )
    similarity = float(products[row, column] / norm)
    return Shift(similarity, right * geometry.dx, -down * geometry.dy)

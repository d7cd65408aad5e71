"""Images as they fall on the retina when the eye has moved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY


def gaze_pixels(gaze_deg: NDArray, geometry: Geometry) -> NDArray[np.int64]:
    """Gaze in whole pixels (..., 2): columns to the right and rows upwards.

    Parameters
    ----------
    gaze_deg : ndarray, shape (..., 2)
        Azimuth to the right and elevation upwards in degrees, relative to the usual gaze.
    geometry : Geometry

    Examples
    --------
    >>> gaze_pixels(np.array([[2.6, -1.6]]), Geometry(60, 96))
    array([[ 2, -1]])
    """
    return np.rint(np.asarray(gaze_deg) / [geometry.dx, geometry.dy]).astype(np.int64)


def seen_images(images: NDArray, pixels: NDArray, fill: float = GREY) -> NDArray:
    """Images in the coordinates of an eye that has moved.

    Where the eye looks, receptive fields follow, so that the image moves in the opposite direction
    on the retina. What enters from beyond the edge of the image is uniform, as the screen is there.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    pixels : ndarray of int, shape (images, 2)
        Gaze during each image; see `gaze_pixels`.
    fill : float
        Luminance of what enters; by default grey.

    Returns
    -------
    ndarray, shape (images, height, width)

    Examples
    --------
    A dot to the right of the centre is seen in the centre by an eye that looks to the right:

    >>> image = np.full((1, 3, 5), 0.5)
    >>> image[0, 1, 3] = 1.0
    >>> seen_images(image, np.array([[1, 0]]))[0, 1]
    array([0.5, 0.5, 1. , 0.5, 0.5])
    >>> seen_images(image, np.array([[0, 1]]))[0, 2]  # and by one that looks upwards, lower
    array([0.5, 0.5, 0.5, 1. , 0.5])
    """
    height, width = images.shape[1:]
    rows = np.arange(height) - pixels[:, 1, None]
    columns = np.arange(width) + pixels[:, 0, None]
    inside = ((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[
        :, None, :
    ]
    number = np.arange(len(images))[:, None, None]
    found = images[
        number, rows.clip(0, height - 1)[:, :, None], columns.clip(0, width - 1)[:, None, :]
    ]
    return np.where(inside, found, images.dtype.type(fill))

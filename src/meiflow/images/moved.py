"""Images that are scaled, rotated, shifted or cropped on the screen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import disc


def moved_image(
    image: NDArray,
    geometry: Geometry,
    centre: tuple[float, float],
    scale: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    rotation_deg: float = 0.0,
) -> NDArray[np.float64]:
    """Scale and rotate an image about a point, and move it.

    What enters from outside has the mean luminance of the image.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    geometry : Geometry
    centre : tuple of float
        Fixed point of scaling and rotation, degrees right and up.
    scale : float
        Above 1 enlarges.
    shift : tuple of float
        Degrees to the right and upwards.
    rotation_deg : float
        Counter-clockwise.

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> spot = np.full(screen.shape, 0.5)
    >>> spot[15, 34] = 1.0
    >>> turned = moved_image(spot, screen, (0.0, 0.0), rotation_deg=90.0)
    >>> peak = np.unravel_index(turned.argmax(), turned.shape)
    >>> x, y = screen.to_degrees(15, 34)
    >>> [round(float(angle) / 4) for angle in (-y, x)]  # where it is turned to, in 4 degrees
    [0, 7]
    >>> [round(float(angle) / 4) for angle in screen.to_degrees(*peak)]
    [0, 7]
    """
    from scipy.ndimage import map_coordinates

    x = geometry.x[None, :] - shift[0] - centre[0]
    y = geometry.y[:, None] - shift[1] - centre[1]
    theta = np.deg2rad(rotation_deg)
    across = centre[0] + (np.cos(theta) * x + np.sin(theta) * y) / scale
    up = centre[1] + (np.cos(theta) * y - np.sin(theta) * x) / scale
    rows = (geometry.height - 1) / 2 - up / geometry.dy
    columns = (geometry.width - 1) / 2 + across / geometry.dx
    mean = float(image.mean())
    places = np.stack([rows, columns])
    return mean + map_coordinates(image - mean, places, order=3, mode="constant", cval=0.0)


def cropped_image(
    image: NDArray, geometry: Geometry, centre: tuple[float, float], diameter_deg: float
) -> NDArray[np.float64]:
    """An image seen through a disc; the rest has its mean luminance.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    geometry : Geometry
    centre : tuple of float
        Of the disc, degrees right and up.
    diameter_deg : float

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> image = np.random.default_rng(0).uniform(size=screen.shape)
    >>> small = cropped_image(image, screen, (0.0, 0.0), 20.0)
    >>> bool(small.std() < 0.3 * image.std())
    True
    """
    mean = float(image.mean())
    inside = disc(geometry, centre[0], centre[1], diameter_deg)
    return mean + (image - mean) * inside

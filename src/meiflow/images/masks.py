"""Masks and positions of the pattern in an image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry

_BLUR_PX = 1.5
_CLOSING = 2
_PEEL_PX = 0.5


def pattern_mask(image: NDArray, threshold: float = 1.5) -> NDArray[np.bool_]:
    """Convex hull of the largest connected region of high-contrast pixels.

    The mask of Walker et al. (2019): absolute value of the z-scored image above a threshold,
    closing, largest connected component, convex hull.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    threshold : float
        Threshold in standard deviations.

    Returns
    -------
    ndarray of bool
        The whole image if no pixel exceeds the threshold.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = 0.5 + 0.2 * gabor(screen, 20.0, -10.0, 20.0, 45.0, 0.0, 7.0)
    >>> mask = pattern_mask(image)
    >>> [round(place) for place in pattern_centre(image, mask, screen)]
    [20, -10]
    """
    from scipy import ndimage
    from skimage.morphology import convex_hull_image

    spread = image.std()
    if spread < 1e-9:
        return np.ones(image.shape, bool)
    above = np.abs((image - image.mean()) / spread) > threshold
    above = ndimage.binary_closing(above, iterations=_CLOSING) | above
    labels, found = ndimage.label(above, np.ones((3, 3)))
    if not found:
        return np.ones(image.shape, bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    blob = labels == sizes.argmax()
    return convex_hull_image(blob)


def disc_mask(
    geometry: Geometry, x_deg: float, y_deg: float, diameter_deg: float
) -> NDArray[np.bool_]:
    """Pixels with centres in a disc that is round in degrees; the nearest one if there is none.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> round(equivalent_diameter(disc_mask(screen, 0.0, 0.0, 30.0), screen))
    30
    """
    distance = np.hypot(geometry.x[None, :] - x_deg, geometry.y[:, None] - y_deg)
    inside = distance <= diameter_deg / 2
    return inside if inside.any() else distance == distance.min()


def tight_mask(
    image: NDArray,
    mask: NDArray[np.bool_],
    respond: Callable[[NDArray], NDArray],
    fraction: float = 0.9,
) -> tuple[NDArray[np.bool_], float]:
    """Erode `mask` to the smallest one through which the neuron still responds.

    After Walker et al. (2019): the mask is eroded, half a pixel at a time, until the response
    to the image seen through it falls below `fraction` of the response to the whole image. A
    mask that retains too little of the response is first dilated until it retains enough. The
    edge of the mask is soft, and pixels outside it have the background luminance of the image.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    mask : ndarray of bool, shape (height, width)
        Initial mask.
    respond : callable
        Images (n, height, width) to responses (n,).
    fraction : float
        Fraction of the response to retain, in (0, 1].

    Returns
    -------
    mask : ndarray of bool
        The last mask before the response falls; the whole image if no smaller mask suffices.
    held : float
        Fraction of the response that it retains; NaN, together with the unchanged `mask`, if the
        neuron does not respond to the whole image.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> field = gabor(screen, 0.0, 0.0, 20.0, 0.0, 0.0, 6.0)
    >>> image = 0.5 + 0.2 * gabor(screen, 0.0, 0.0, 20.0, 0.0, 0.0, 12.0)
    >>> wide = pattern_mask(image)
    >>> tight, held = tight_mask(image, wide, lambda seen: ((seen - 0.5) * field).sum((1, 2)))
    >>> bool(tight.sum() < wide.sum()), bool(held >= 0.9)
    (True, True)
    """
    from scipy.ndimage import distance_transform_edt

    grey = background(image, mask)
    full = float(respond(image[None])[0])
    if not full > 0:
        return mask, float("nan")

    def shares(masks: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
        seen = [grey + (image - grey) * soft_mask(m) for m in masks]
        return np.asarray(respond(np.stack(seen))) / full

    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    masks = [depth > peeled for peeled in np.arange(0, depth.max(), _PEEL_PX)]
    held = shares(masks)
    if held[0] >= fraction:
        last = int(np.argmax(np.append(held, -np.inf) < fraction)) - 1
    else:
        away = distance_transform_edt(~mask)
        masks = [away <= grown for grown in np.arange(1, away.max() + 1)]
        held = shares(masks)
        last = int(np.argmax(np.append(held[:-1], np.inf) >= fraction))
    return masks[last], float(held[last])


def soft_mask(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mask with its edge blurred by 1.5 pixels, in [0, 1].

    Examples
    --------
    >>> inside = np.zeros((9, 9), bool)
    >>> inside[:, :5] = True
    >>> soft_mask(inside)[4].round(1)
    array([1. , 1. , 1. , 0.8, 0.6, 0.4, 0.2, 0. , 0. ])
    """
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(mask.astype(float), _BLUR_PX)


def background(image: NDArray, mask: NDArray[np.bool_]) -> float:
    """Mean luminance outside the mask, or of the whole image if the mask covers it.

    Examples
    --------
    >>> image = np.full((4, 4), 0.25)
    >>> image[1, 1] = 1.0
    >>> round(background(image, image > 0.5), 3)
    0.25
    """
    outside = image[~mask]
    return float(outside.mean() if outside.size else image.mean())


def pattern_centre(image: NDArray, mask: NDArray, geometry: Geometry) -> tuple[float, float]:
    """Centre of contrast energy within `mask`, (x, y) in degrees.

    The centre of the mask if there is no contrast.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> image = np.full(screen.shape, 0.5)
    >>> image[10, 70] = 1.0
    >>> x, y = pattern_centre(image, image > 0.5, screen)
    >>> bool(np.isclose(x, screen.x[70])), bool(np.isclose(y, screen.y[10]))
    (True, True)
    """
    energy = (image - background(image, mask)) ** 2 * mask
    total = float(energy.sum())
    if total < 1e-20:
        energy, total = mask.astype(float), float(mask.sum())
    x = float((energy.sum(0) * geometry.x).sum() / total)
    y = float((energy.sum(1) * geometry.y).sum() / total)
    return x, y


def equivalent_diameter(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    """Diameter in degrees of a disc with the same area as the mask.

    Examples
    --------
    >>> screen = Geometry(10, 10, width_deg=10.0, height_deg=10.0)
    >>> round(equivalent_diameter(np.ones((10, 10), bool), screen), 2)
    11.28
    """
    return float(2 * np.sqrt(mask.sum() * geometry.pixel_area / np.pi))


def densest(energy: NDArray, share: float) -> NDArray[np.bool_]:
    """The smallest set of pixels that holds a share of the energy.

    Parameters
    ----------
    energy : ndarray, shape (height, width)
        Not negative.
    share : float
        In (0, 1].

    Examples
    --------
    >>> densest(np.array([[4.0, 1.0], [5.0, 0.0]]), 0.9)
    array([[ True, False],
           [ True, False]])
    """
    falling = np.sort(energy, axis=None)[::-1]
    held = np.cumsum(falling)
    last = int(np.searchsorted(held, share * held[-1] * (1 - 1e-9)))
    return np.asarray(energy >= falling[last])


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Pixels in both masks as a fraction of those in either; NaN if both are empty.

    Examples
    --------
    >>> overlap(np.array([True, True, False]), np.array([False, True, True])).__round__(2)
    0.33
    """
    either = int((a | b).sum())
    return int((a & b).sum()) / either if either else float("nan")

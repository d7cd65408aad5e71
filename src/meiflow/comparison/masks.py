"""Where in an image the pattern is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.geometry import Geometry

_BLUR_PX = 1.5
_CLOSING = 2


def pattern_mask(image: NDArray, threshold: float = 1.5) -> NDArray[np.bool_]:
    """Convex hull of the largest blob of pixels that stand out from the rest.

    The mask of Walker et al. (2019): |z-scored image| above a threshold, closed, largest
    connected component, convex hull.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    threshold : float
        In standard deviations.

    Returns
    -------
    ndarray of bool
        The whole image if nothing stands out.
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


def soft_mask(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mask with its edge blurred by 1.5 pixels, in [0, 1]."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(mask.astype(float), _BLUR_PX)


def pattern_centre(image: NDArray, mask: NDArray, geometry: Geometry) -> tuple[float, float]:
    """Centre of contrast energy within `mask`, (x, y) in degrees."""
    energy = (image - image[~mask].mean() if (~mask).any() else image - image.mean()) ** 2 * mask
    total = max(float(energy.sum()), 1e-30)
    x = float((energy.sum(0) * geometry.x).sum() / total)
    y = float((energy.sum(1) * geometry.y).sum() / total)
    return x, y


def equivalent_diameter(mask: NDArray[np.bool_], geometry: Geometry) -> float:
    """Diameter, in degrees, of the disc with the mask's area."""
    return float(2 * np.sqrt(mask.sum() * geometry.pixel_area / np.pi))

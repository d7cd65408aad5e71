"""The best image of a set, whole or seen through a window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.stimuli.projection import project_array


def matched_naturals(
    images: NDArray, mean: float, contrast: float, mask: NDArray | None = None
) -> NDArray[np.float32]:
    """Images (n, height, width) at the given mean and contrast, fading to grey outside `mask`.

    Parameters
    ----------
    mask : ndarray, shape (height, width), optional
        Weights in [0, 1]; the mean luminance inside it is removed first, so that only the
        pattern remains.
    """
    if mask is None:
        return project_array(images, mean, contrast)
    weights = mask / max(float(mask.sum()), 1e-12)
    inside = (images * weights).sum(axis=(1, 2), keepdims=True)
    return project_array((images - inside) * mask, mean, contrast)

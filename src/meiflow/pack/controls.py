"""Control stimuli of an MEI: the same spectrum without its structure, another pattern there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.masks import background, pattern_centre, pattern_mask, soft_mask
from meiflow.images.retina import seen_images

_DRAWS = 16


def phase_scrambled(image: NDArray, seed: int) -> NDArray[np.float64]:
    """The image with random phases, seen through the mask of its own pattern.

    Amplitudes of all spatial frequencies are those of the image. Without the mask, the contrast
    energy would be spread over the whole screen, most of it outside the receptive field, which
    would make it a weak control. For the same reason, of 16 draws of the phases the one is taken
    whose contrast energy is centred most nearly where that of the image is.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    seed : int

    Returns
    -------
    ndarray, shape (height, width)
        Luminance, which may leave [0, 1]; mean and contrast are to be matched afterwards.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = 0.5 + 0.2 * gabor(screen, 20.0, -10.0, 20.0, 45.0, 0.0, 7.0)
    >>> control = phase_scrambled(image, 0)
    >>> x, y = pattern_centre(control, pattern_mask(image), screen)
    >>> alike = np.corrcoef(image.ravel(), control.ravel())[0, 1]
    >>> bool(np.hypot(x - 20, y + 10) < 3), bool(abs(alike) < 0.9)
    (True, True)
    """
    mask = pattern_mask(image)
    grey = background(image, mask)
    noise = np.random.default_rng(seed).standard_normal((_DRAWS, *image.shape))
    phases = np.exp(1j * np.angle(np.fft.fft2(noise)))
    spectrum = np.abs(np.fft.fft2(image - grey))
    spectrum[0, 0] = 0.0
    scrambled = np.fft.ifft2(spectrum * phases).real * soft_mask(mask)
    away = np.linalg.norm(_centres(scrambled) - _centres((image - grey)[None] * mask), axis=1)
    return grey + scrambled[np.argmin(away)]


def _centres(contrast: NDArray) -> NDArray[np.float64]:
    """Row and column of the centre of contrast energy of each image (n, height, width)."""
    energy = contrast**2 / np.maximum((contrast**2).sum((1, 2), keepdims=True), 1e-20)
    rows, columns = (np.arange(size) for size in energy.shape[1:])
    return np.stack([energy.sum(2) @ rows, energy.sum(1) @ columns], axis=1)


def pattern_position(image: NDArray, geometry: Geometry) -> tuple[float, float]:
    """Centre (x, y) of the pattern in an image, degrees."""
    return pattern_centre(image, pattern_mask(image), geometry)


def moved(image: NDArray, geometry: Geometry, x_deg: float, y_deg: float) -> NDArray[np.float64]:
    """The image shifted by whole pixels, so that its pattern is centred at a position.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    geometry : Geometry
    x_deg, y_deg : float
        New centre of the pattern.

    Returns
    -------
    ndarray, shape (height, width)
        Uncovered pixels have the background luminance.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = 0.5 + 0.2 * gabor(screen, 20.0, -10.0, 20.0, 45.0, 0.0, 7.0)
    >>> x, y = pattern_position(moved(image, screen, -5.0, 8.0), screen)
    >>> bool(abs(x + 5) < 1), bool(abs(y - 8) < 1)
    (True, True)
    """
    x, y = pattern_position(image, geometry)
    right, up = round((x_deg - x) / geometry.dx), round((y_deg - y) / geometry.dy)
    grey = background(image, pattern_mask(image))
    return seen_images(np.asarray(image, float)[None], np.array([[-right, -up]]), grey)[0]

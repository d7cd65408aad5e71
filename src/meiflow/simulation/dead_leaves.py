"""Procedural natural-like images: textured dead leaves.

Opaque discs, ellipses and polygons with a power-law size distribution occlude one
another (Lee, Mumford & Huang 2001). Each has a different grey level and a patch of 1/f
texture; a smooth illumination gradient is added. Like photographs, the images have edges at all
scales, a roughly 1/f amplitude spectrum and heavy-tailed filter responses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pink_noise(
    shape: tuple[int, int], rng: np.random.Generator, exponent: float = 1.0
) -> NDArray[np.float64]:
    """Gaussian noise with amplitude spectrum ``1 / f**exponent``, zero mean, unit variance."""
    fy = np.fft.fftfreq(shape[0])[:, None]
    fx = np.fft.rfftfreq(shape[1])[None, :]
    f = np.hypot(fy, fx)
    f[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) / f**exponent, s=shape)
    return noise / noise.std()


def leaf_mask(kind: int, radius: float, rng: np.random.Generator, size: int) -> NDArray[np.bool_]:
    """Pixels (size, size) of a leaf: an ellipse (kind 0) or a convex polygon."""
    grid = np.arange(size) - (size - 1) / 2
    theta = rng.uniform(0, np.pi)
    u = grid[None, :] * np.cos(theta) + grid[:, None] * np.sin(theta)
    v = -grid[None, :] * np.sin(theta) + grid[:, None] * np.cos(theta)
    if kind == 0:  # ellipse
        return (u / radius) ** 2 + (v / (radius * rng.uniform(0.3, 1.0))) ** 2 <= 1
    # convex polygon: intersection of half planes
    sides = rng.integers(3, 7)
    angles = np.sort(rng.uniform(0, 2 * np.pi, sides))
    distances = radius * rng.uniform(0.4, 0.8, sides)
    mask = u**2 + v**2 <= radius**2
    for angle, distance in zip(angles, distances, strict=True):
        mask &= u * np.cos(angle) + v * np.sin(angle) <= distance
    return mask


def dead_leaves(
    shape: tuple[int, int], rng: np.random.Generator, leaves: int = 250
) -> NDArray[np.uint8]:
    """Draw a textured dead-leaves image.

    Parameters
    ----------
    shape : tuple of int
        (height, width) in pixels.
    rng : numpy.random.Generator
    leaves : int
        Number of leaves painted, back to front.

    Returns
    -------
    ndarray of uint8, shape `shape`
        Mean luminance and RMS contrast vary around 0.46 and 0.25 (of the full range), the
        values of the Allen natural scenes.
    """
    height, width = shape
    texture = pink_noise((height, width), rng)
    image = 0.6 * pink_noise(shape, rng, 1.2)
    r_min, r_max = 0.02 * height, 0.6 * height
    # p(r) ~ r^-2.5 between the limits, drawn by inverse transform: slightly flatter than the
    # scale-invariant r^-3, which with finitely many leaves gives mostly confetti.
    q = rng.uniform(size=leaves)
    radii = ((1 - q) * r_min**-1.5 + q * r_max**-1.5) ** (-1 / 1.5)
    # Large leaves tend to be behind small ones, so that both stay visible.
    order = np.argsort(-radii * np.exp(rng.normal(0, 1.0, leaves)))
    for radius in radii[order]:
        size = 2 * int(np.ceil(radius)) + 1
        mask = leaf_mask(int(rng.integers(2)), radius, rng, size)
        top = int(rng.integers(-size // 4, height + size // 4)) - size // 2
        left = int(rng.integers(-size // 4, width + size // 4)) - size // 2
        rows = np.arange(max(top, 0), min(top + size, height))
        columns = np.arange(max(left, 0), min(left + size, width))
        shift = rng.integers([height, width])
        patch = texture[np.ix_((rows + shift[0]) % height, (columns + shift[1]) % width)]
        value = rng.normal(0, 1) + rng.uniform(0.1, 0.5) * patch
        inside = np.ix_(rows, columns)
        image[inside] = np.where(mask[np.ix_(rows - top, columns - left)], value, image[inside])
    light = np.outer(np.linspace(-1, 1, height), np.ones(width)) * rng.normal(0.2, 0.3)
    light = light + np.outer(np.ones(height), np.linspace(-1, 1, width)) * rng.normal(0, 0.3)
    image = (image - image.mean()) / image.std() + light
    image = (image - image.mean()) / image.std()
    contrast = np.clip(rng.normal(0.26, 0.03), 0.15, 0.35)
    mean = np.clip(rng.normal(0.46, 0.05), 0.3, 0.6)
    return np.clip(np.rint(255 * (mean + contrast * image)), 0, 255).astype(np.uint8)

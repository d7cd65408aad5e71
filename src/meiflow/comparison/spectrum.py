"""Power spectrum of an image, in cycles per degree on both axes, and what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.geometry import Geometry

_PADDING = 4
_BINS = 16


@dataclass(frozen=True)
class Spectrum:
    """Power (fy, fx) with its frequency axes in cycles per degree, zero in the centre."""

    power: NDArray[np.float64]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]

    @property
    def radius(self) -> NDArray[np.float64]:
        """Spatial frequency of every cell, cycles per degree."""
        return np.hypot(self.fx[None, :], self.fy[:, None])

    @property
    def angle(self) -> NDArray[np.float64]:
        """Direction of every cell, radians in [0, pi), counter-clockwise, y up."""
        return np.arctan2(self.fy[:, None], self.fx[None, :]) % np.pi


def power_spectrum(image: NDArray, geometry: Geometry) -> Spectrum:
    """Power spectrum of an image (height, width) without its mean, zero-padded fourfold."""
    shape = (_PADDING * geometry.height, _PADDING * geometry.width)
    power = np.abs(np.fft.fft2(image - image.mean(), shape)) ** 2
    fx = np.fft.fftfreq(shape[1], geometry.dx)
    fy = -np.fft.fftfreq(shape[0], geometry.dy)
    return Spectrum(np.fft.fftshift(power), np.fft.fftshift(fx), np.fft.fftshift(fy))


def _disc(spectrum: Spectrum) -> NDArray[np.bool_]:
    """Cells up to the lower of the two Nyquist frequencies, without zero: the same for all
    directions.
    """
    limit = min(np.abs(spectrum.fx).max(), np.abs(spectrum.fy).max())
    return (spectrum.radius > 0) & (spectrum.radius <= limit)


def symmetry_index(spectrum: Spectrum, order: int) -> float:
    """How much the power prefers `order` directions, in [0, 1].

    ``|sum P e^{2 i n theta}| / sum P`` over 16 bins of direction (bin centres in radians),
    P the mean power of a bin. Order 1 is high for one orientation, order 2 for two at right
    angles (or for one), both low for isotropic images. NaN for a uniform image.
    """
    inside = _disc(spectrum)
    bins = np.minimum((spectrum.angle[inside] / np.pi * _BINS).astype(int), _BINS - 1)
    cells = np.bincount(bins, minlength=_BINS)
    power = np.bincount(bins, spectrum.power[inside], _BINS) / np.maximum(cells, 1)
    if power.sum() < 1e-12:
        return float("nan")
    centres = (np.arange(_BINS) + 0.5) * np.pi / _BINS
    return float(np.abs((power * np.exp(2j * order * centres)).sum()) / power.sum())


def dominant_orientation(spectrum: Spectrum) -> float:
    """Direction of modulation, degrees in [0, 180), weighted by power; NaN if uniform."""
    inside = _disc(spectrum)
    vector = (spectrum.power[inside] * np.exp(2j * spectrum.angle[inside])).sum()
    if np.abs(vector) < 1e-12:
        return float("nan")
    return float(np.rad2deg(np.angle(vector) / 2) % 180)


def peak_frequency(spectrum: Spectrum) -> float:
    """Spatial frequency with the highest power, cycles per degree; NaN if uniform."""
    power = np.where(_disc(spectrum), spectrum.power, 0.0)
    if power.max() < 1e-12:
        return float("nan")
    return float(spectrum.radius.ravel()[power.argmax()])

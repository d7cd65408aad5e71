"""Least-squares fit of a Gabor to an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.masks import pattern_centre, pattern_mask
from meiflow.images.spectrum import Peak, power_spectrum, spectral_peak

_PEAKS = 3
_LOBE = 2.0  # frequency steps of the image itself
_ENVELOPES = (0.25, 0.4, 0.7, 1.2)
_STRETCHES = (1.0, 1.5)
_REFINED = 4
_EVALUATIONS = 60
_GOOD = 0.9999
# Limits of sigma over wavelength: below the first, the wavelength is not identifiable.
_LEAST_ENVELOPE, _MOST_ENVELOPE = 0.15, 20.0
_MOST_ASPECT = 4.0


@dataclass(frozen=True)
class FittedGabor:
    """``background + amplitude * patterns.gabor(x, y, wavelength, ...)``, and its quality.

    Lengths and angles are in degrees; amplitude is positive, orientation in [0, 180), phase in
    [0, 360). ``r2`` is the fraction of the variance over all pixels that the Gabor explains. All
    values except the background are NaN for a uniform image.
    """

    x: float
    y: float
    wavelength: float
    orientation: float
    phase: float
    sigma: float
    aspect: float
    amplitude: float
    background: float
    r2: float

    def render(self, geometry: Geometry) -> NDArray[np.float64]:
        """The fitted image, shape (height, width)."""
        shape = (self.x, self.y, self.wavelength, self.orientation, self.phase, self.sigma)
        pattern = patterns.gabor(geometry, *shape, self.aspect)
        return np.asarray(self.background + self.amplitude * pattern)


def fit_gabor(image: NDArray, geometry: Geometry) -> FittedGabor:
    """Fit a Gabor to an image (height, width) by least squares over all pixels.

    Amplitude and phase enter linearly and are solved for at every step (variable projection,
    Golub & Pereyra 1973); because a Gabor has zero mean, the background is the mean of the image.
    Position, wavelength, orientation and envelope are optimised, starting from the peaks of the
    power spectrum and the centre of contrast, with several envelopes.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> image = 0.5 + 0.1 * patterns.gabor(screen, 10.0, 5.0, 20.0, 30.0, 45.0, 8.0)
    >>> found = fit_gabor(image, screen)
    >>> round(found.x), round(found.y), round(found.wavelength), round(found.orientation)
    (10, 5, 20, 30)
    >>> round(found.r2, 3)
    1.0
    """
    from scipy.optimize import least_squares

    image = np.asarray(image, dtype=float)
    mean = float(image.mean())
    contrast = image - mean
    total = float((contrast**2).sum())
    if total < 1e-12:
        nan = float("nan")
        return FittedGabor(nan, nan, nan, nan, nan, nan, nan, nan, mean, nan)

    def residuals(free: NDArray) -> NDArray[np.float64]:
        return _explained(free, contrast, geometry)[0]

    low, high = _bounds(geometry)
    starts = [s.clip(low, high) for s in _starts(image, geometry)]
    starts.sort(key=lambda s: float((residuals(s) ** 2).sum()))
    best, left = starts[0], np.inf
    for start in starts[:_REFINED]:
        found = least_squares(
            residuals, start, bounds=(low, high), x_scale=_SCALE, max_nfev=_EVALUATIONS
        )
        if 2 * found.cost < left:
            best, left = found.x, 2 * found.cost
        if left < (1 - _GOOD) * total:
            break
    best[3] %= 180.0
    _, (cosine, sine) = _explained(best, contrast, geometry)
    x, y, wavelength, orientation, sigma, aspect = _lengths(best)
    return FittedGabor(
        x=x,
        y=y,
        wavelength=wavelength,
        orientation=orientation,
        phase=float(np.rad2deg(np.arctan2(sine, cosine)) % 360),
        sigma=sigma,
        aspect=aspect,
        amplitude=float(np.hypot(cosine, sine)),
        background=mean,
        r2=float(1 - left / total),
    )


# Free parameters: x, y, log wavelength, orientation, log (sigma / wavelength), log aspect.
_SCALE = np.array([1.0, 1.0, 0.1, 5.0, 0.1, 0.1])


def _bounds(geometry: Geometry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    half = geometry.width_deg / 2, geometry.height_deg / 2
    longest = np.log(2 * max(geometry.width_deg, geometry.height_deg))
    shortest = np.log(2 * min(geometry.dx, geometry.dy))
    aspect = np.log(_MOST_ASPECT)
    low = [-half[0], -half[1], shortest, -np.inf, np.log(_LEAST_ENVELOPE), -aspect]
    high = [half[0], half[1], longest, np.inf, np.log(_MOST_ENVELOPE), aspect]
    return np.array(low), np.array(high)


def _lengths(free: NDArray) -> tuple[float, float, float, float, float, float]:
    """Convert free parameters to x, y, wavelength, orientation, sigma and aspect."""
    x, y, log_wave, orientation, log_envelope, log_aspect = (float(v) for v in free)
    wavelength = float(np.exp(log_wave))
    sigma = wavelength * float(np.exp(log_envelope))
    return x, y, wavelength, orientation, sigma, float(np.exp(log_aspect))


def _explained(
    free: NDArray, contrast: NDArray, geometry: Geometry
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Residual of `contrast` (flat) for the best amplitude and phase, and both amplitudes."""
    pair = _pair(free, geometry).reshape(2, -1)
    norms = np.sqrt((pair**2).sum(1)) + 1e-150
    pair = pair / norms[:, None]
    target = contrast.ravel()
    gram = pair @ pair.T + 1e-12 * np.eye(2)
    weights = np.linalg.solve(gram, pair @ target)
    return target - weights @ pair, weights / norms


def _pair(free: NDArray, geometry: Geometry) -> NDArray[np.float64]:
    """Gabors of phases 0 and 90 degrees (2, height, width), as of `meiflow.images.patterns.gabor`.

    Both have the same envelope, and waves are sums of products of waves along x and y.
    """
    x, y, wavelength, orientation, sigma, aspect = _lengths(free)
    dx, dy = geometry.x - x, geometry.y[:, None] - y
    theta = np.deg2rad(orientation)
    cos, sin = np.cos(theta), np.sin(theta)
    across = (dx * -sin + dy * cos) / aspect
    envelope = np.exp(-0.5 / sigma**2 * ((dx * cos + dy * sin) ** 2 + across**2))
    k = 2 * np.pi / wavelength
    wave = np.exp(1j * k * sin * dy) * np.exp(1j * k * cos * dx)
    pair = np.stack([wave.real, -wave.imag]) * envelope
    offset = pair.sum((1, 2), keepdims=True) / (envelope.sum() + 1e-30)
    return np.asarray(pair - offset * envelope)


def _starts(image: NDArray, geometry: Geometry) -> list[NDArray[np.float64]]:
    x, y = pattern_centre(image, pattern_mask(image), geometry)
    return [
        np.array([x, y, np.log(stretch / peak.frequency), peak.direction, np.log(envelope), 0.0])
        for peak in _peaks(image, geometry)
        for stretch in _STRETCHES
        for envelope in _ENVELOPES
    ]


def _peaks(image: NDArray, geometry: Geometry) -> list[Peak]:
    """The highest peaks of the spectrum, one per lobe."""
    spectrum = power_spectrum(image, geometry)
    power = spectrum.power.copy()
    found = []
    for _ in range(_PEAKS):
        peak = spectral_peak(spectrum, power)
        if np.isnan(peak.fx):
            break
        found.append(peak)
        for sign in (-1, 1):
            off_x = (spectrum.fx[None, :] - sign * peak.fx) * geometry.width_deg
            off_y = (spectrum.fy[:, None] - sign * peak.fy) * geometry.height_deg
            power[np.hypot(off_x, off_y) < _LOBE] = 0.0
    return found

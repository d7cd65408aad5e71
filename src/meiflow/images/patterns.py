"""Parametric stimuli rendered in degrees of visual angle, sampled to the image grid.

Orientation is the direction of the modulation axis in degrees, counter-clockwise from
rightwards with y up: 0 is a vertical grating, 90 a horizontal one. This is how AllenSDK
draws its gratings (``stimulus_info.get_spatial_grating``). All functions broadcast over
their parameters and return zero-centred contrast patterns of shape (..., height, width); `gabor`
also accepts torch tensors, so that a Gabor can be refined by gradient ascent.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.arrays import namespace
from meiflow.images.geometry import Geometry

Patterns = NDArray[np.float64]
Parameter = Any  # number, NumPy array or torch tensor


def _expand(*parameters: Any) -> list[Any]:
    xp = namespace(*parameters)
    if xp is np:
        arrays = np.broadcast_arrays(*[np.asarray(p, dtype=float) for p in parameters])
    else:
        arrays = xp.broadcast_tensors(*[xp.as_tensor(p) for p in parameters])
    return [a[..., None, None] for a in arrays]


def rotated_axes(
    geometry: Geometry, x: Parameter, y: Parameter, orientation: Parameter
) -> tuple[Any, Any]:
    """Coordinates along (u) and across (v) the modulation axis, in degrees of visual angle."""
    x, y, orientation = _expand(x, y, orientation)
    xp = namespace(x)
    theta = xp.deg2rad(orientation)
    dx = xp.asarray(geometry.x, dtype=x.dtype, device=x.device)[None, :] - x
    dy = xp.asarray(geometry.y, dtype=x.dtype, device=x.device)[:, None] - y
    return (
        dx * xp.cos(theta) + dy * xp.sin(theta),
        -dx * xp.sin(theta) + dy * xp.cos(theta),
    )


def _inside(geometry: Geometry, depth: NDArray) -> Patterns:
    """Fraction of a pixel that is inside an edge at a distance of `depth` degrees."""
    return np.clip(depth / np.sqrt(geometry.pixel_area) + 0.5, 0, 1)


def _ring(geometry: Geometry, radius: NDArray, inner: NDArray, outer: NDArray) -> Patterns:
    return _inside(geometry, outer / 2 - radius) - _inside(geometry, inner / 2 - radius)


def gabor(
    geometry: Geometry,
    x: Parameter,
    y: Parameter,
    wavelength: Parameter,
    orientation: Parameter,
    phase: Parameter,
    sigma: Parameter,
    aspect: Parameter = 1.0,
) -> Any:
    """Gabor patches with zero mean and unit peak envelope.

    Parameters
    ----------
    geometry : Geometry
        Grid to sample on.
    x, y : array_like
        Centre in degrees (x right, y up).
    wavelength : array_like
        Wavelength in degrees per cycle.
    orientation, phase : array_like
        Orientation and phase in degrees. At phase 0 the centre is bright.
    sigma : array_like
        Standard deviation of the envelope along the modulation axis in degrees.
    aspect : array_like
        Sigma across divided by sigma along the modulation axis (1 / gamma of the usual Gabor).

    Returns
    -------
    ndarray, shape (..., height, width)
        ``(cos(2 pi u / wavelength + phase) - c) * envelope``, where the constant ``c``
        makes the mean over the image zero, so that a Gabor does not change the luminance.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> patches = gabor(screen, 10.0, 5.0, wavelength=20.0, orientation=[0, 45], phase=0, sigma=8)
    >>> patches.shape, bool(abs(patches.mean()) < 1e-12)
    ((2, 60, 96), True)
    >>> row, column = (round(place) for place in screen.to_pixels(10.0, 5.0))
    >>> patches[:, row, column].round(1)
    array([0.9, 1. ])
    """
    u, v = rotated_axes(geometry, x, y, orientation)
    wavelength, phase, sigma, aspect = _expand(wavelength, phase, sigma, aspect)
    xp = namespace(u)
    envelope = xp.exp(-0.5 * (u**2 + (v / aspect) ** 2) / sigma**2)
    carrier = xp.cos(2 * np.pi * u / wavelength + xp.deg2rad(phase))
    total = envelope.sum((-2, -1))[..., None, None] + 1e-30
    offset = (carrier * envelope).sum((-2, -1))[..., None, None] / total
    return (carrier - offset) * envelope


def grating(
    geometry: Geometry, wavelength: Parameter, orientation: Parameter, phase: Parameter
) -> Patterns:
    """Full-field sinusoidal gratings of unit amplitude; parameters as in `gabor`.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> upright = grating(screen, wavelength=20.0, orientation=0.0, phase=0.0)
    >>> np.allclose(upright, upright[0])
    True
    """
    u, _ = rotated_axes(geometry, 0.0, 0.0, orientation)
    wavelength, phase = _expand(wavelength, phase)
    return np.cos(2 * np.pi * u / wavelength + np.deg2rad(phase))


def grating_patch(
    geometry: Geometry,
    x: Parameter,
    y: Parameter,
    wavelength: Parameter,
    orientation: Parameter,
    phase: Parameter,
    diameter: Parameter = 20.0,
) -> Patterns:
    """Gratings in a circular aperture: the Allen 'gabors' stimulus.

    Parameters as in `gabor`; `diameter` is that of the aperture in degrees. The edge is
    anti-aliased over one pixel.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> patch = grating_patch(screen, 0.0, 0.0, 12.5, orientation=30.0, phase=90.0, diameter=20.0)
    >>> patch.shape, bool(abs(patch[0]).max() == 0)
    ((60, 96), True)
    """
    u, v = rotated_axes(geometry, x, y, orientation)
    wavelength, phase, diameter = _expand(wavelength, phase, diameter)
    aperture = _inside(geometry, diameter / 2 - np.hypot(u, v))
    given = np.broadcast_arrays(aperture, u, wavelength, np.deg2rad(phase))
    inside = given[0] > 0  # mostly a small part of the screen
    within, u, wavelength, phase = (array[inside] for array in given)
    patch = np.zeros(inside.shape)
    patch[inside] = np.cos(2 * np.pi * u / wavelength + phase) * within
    return patch


def annular_grating(
    geometry: Geometry,
    x: Parameter,
    y: Parameter,
    wavelength: Parameter,
    orientation: Parameter,
    phase: Parameter,
    inner: Parameter,
    outer: Parameter,
) -> Patterns:
    """Gratings in a ring: the surround of a `grating_patch` whose diameter is `inner`.

    Parameters as in `gabor`, with inner and outer diameter in degrees. The sum of patch and ring
    of a grating is the patch of diameter `outer`.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> where = 0.0, 0.0, 12.5, 30.0, 90.0
    >>> ring = annular_grating(screen, *where, inner=20.0, outer=60.0)
    >>> both = ring + grating_patch(screen, *where, diameter=20.0)
    >>> bool(np.allclose(both, grating_patch(screen, *where, diameter=60.0)))
    True
    """
    u, v = rotated_axes(geometry, x, y, orientation)
    wavelength, phase, inner, outer = _expand(wavelength, phase, inner, outer)
    return np.cos(2 * np.pi * u / wavelength + np.deg2rad(phase)) * _ring(
        geometry, np.hypot(u, v), inner, outer
    )


def plaid(
    geometry: Geometry,
    x: Parameter,
    y: Parameter,
    wavelength: Parameter,
    orientation: Parameter,
    phase: Parameter,
    angle: Parameter = 90.0,
    mask_phase: Parameter = 0.0,
    contrast: Parameter = 0.5,
    mask_contrast: Parameter = 0.5,
    diameter: Parameter = np.inf,
) -> Patterns:
    """Sum of two gratings in a circular aperture: a test and a mask.

    Parameters as in `grating_patch`; the orientation of the mask is that of the test plus `angle`
    degrees. The amplitude is at most `contrast` + `mask_contrast`.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> plaid(screen, 0.0, 0.0, 12.5, 30.0, 0.0, mask_contrast=[0.0, 0.25, 0.5]).shape
    (3, 60, 96)
    """
    contrast, mask_contrast = _expand(contrast, mask_contrast)
    test = grating_patch(geometry, x, y, wavelength, orientation, phase, diameter)
    turned = np.asarray(orientation, dtype=float) + angle
    mask = grating_patch(geometry, x, y, wavelength, turned, mask_phase, diameter)
    return contrast * test + mask_contrast * mask


def bar(
    geometry: Geometry,
    x: Parameter,
    y: Parameter,
    width: Parameter,
    length: Parameter,
    orientation: Parameter,
    polarity: Parameter = 1.0,
) -> Patterns:
    """Uniform bars, anti-aliased over one pixel.

    Parameters
    ----------
    x, y : array_like
        Centre in degrees.
    width, length : array_like
        Size along and across the modulation axis in degrees; a bar narrower than a pixel is drawn
        one pixel wide and fainter.
    orientation : array_like
        Direction of the modulation axis in degrees: a bar of orientation 0 is vertical.
    polarity : array_like
        Value of the bar: 1 is bright, -1 dark.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> bright, dark = bar(screen, 0.0, 0.0, 5.0, 30.0, orientation=0.0, polarity=[1, -1])
    >>> round(float(bright.sum() * screen.pixel_area)), float(dark.min())
    (149, -1.0)
    """
    u, v = rotated_axes(geometry, x, y, orientation)
    width, length, polarity = _expand(width, length, polarity)

    def slab(along: NDArray, size: NDArray) -> NDArray:
        return _inside(geometry, along + size / 2) - _inside(geometry, along - size / 2)

    return polarity * slab(u, width) * slab(v, length)


def disc(
    geometry: Geometry,
    x: Parameter,
    y: Parameter,
    diameter: Parameter,
    polarity: Parameter = 1.0,
    surround: Parameter = 0.0,
    surround_diameter: Parameter = 0.0,
) -> Patterns:
    """Uniform discs, alone or surrounded by a ring, anti-aliased over one pixel.

    Parameters
    ----------
    x, y, diameter : array_like
        Degrees.
    polarity, surround : array_like
        Value of the disc and of the surrounding ring; 1 and -1 give a bright disc in a dark ring.
    surround_diameter : array_like
        Outer diameter of the ring in degrees; no ring if it is smaller than the disc.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> area = disc(screen, 0.0, 0.0, diameter=30.0).sum() * screen.pixel_area
    >>> round(float(area / (np.pi * 15**2)), 2)
    1.0
    """
    u, v = rotated_axes(geometry, x, y, 0.0)
    diameter, polarity, surround, outer = _expand(diameter, polarity, surround, surround_diameter)
    radius = np.hypot(u, v)
    ring = _ring(geometry, radius, diameter, np.maximum(diameter, outer))
    return polarity * _inside(geometry, diameter / 2 - radius) + surround * ring


def difference_of_gaussians(
    geometry: Geometry,
    x: Parameter,
    y: Parameter,
    sigma_centre: Parameter,
    sigma_surround: Parameter,
    surround_weight: Parameter = 1.0,
) -> Patterns:
    """Centre-surround profiles: two Gaussians of unit volume, the second subtracted.

    Parameters
    ----------
    x, y, sigma_centre, sigma_surround : array_like
        Degrees.
    surround_weight : array_like
        Volume of the surround relative to the centre; 1 is balanced (no response to
        uniform luminance).

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> field = difference_of_gaussians(screen, 0.0, 0.0, sigma_centre=4.0, sigma_surround=8.0)
    >>> round(abs(float(field.sum() * screen.pixel_area)), 3)
    0.0
    """
    u, v = rotated_axes(geometry, x, y, 0.0)
    sigma_centre, sigma_surround, surround_weight = _expand(
        sigma_centre, sigma_surround, surround_weight
    )
    r2 = u**2 + v**2

    def unit(sigma: np.ndarray) -> np.ndarray:
        return np.exp(-0.5 * r2 / sigma**2) / (2 * np.pi * sigma**2)

    return unit(sigma_centre) - surround_weight * unit(sigma_surround)


def _balanced(pattern: NDArray, window: NDArray) -> Patterns:
    """Remove the mean by subtracting a multiple of the window."""
    total = window.sum((-2, -1), keepdims=True) + 1e-30
    return pattern - window * (pattern.sum((-2, -1), keepdims=True) / total)


def _bar(u: NDArray, wavelength: NDArray) -> Patterns:
    """Profile across a bright bar with dark flanks, half a wavelength wide."""
    sigma = wavelength / 4
    return (1 - (u / sigma) ** 2) * np.exp(-0.5 * (u / sigma) ** 2)


def corner(
    geometry: Geometry, x: Parameter, y: Parameter, wavelength: Parameter, orientation: Parameter
) -> Patterns:
    """Two bars that meet at a right angle; parameters as in `gabor`.

    Examples
    --------
    >>> corner(Geometry(60, 96), 0.0, 0.0, wavelength=20.0, orientation=[0, 90]).shape
    (2, 60, 96)
    """
    u, v = rotated_axes(geometry, x, y, orientation)
    (wave,) = _expand(wavelength)
    arm, blur = 0.9 * wave, wave / 8

    def half(across: NDArray, along: NDArray) -> Patterns:
        start = 1 / (1 + np.exp(-np.clip(along / blur, -60, 60)))
        return _bar(across, wave) * start * np.exp(-0.5 * (along / arm) ** 2)

    window = np.exp(-0.5 * (u**2 + v**2) / wave**2)
    return _balanced(np.maximum(half(u, v), half(v, u)) * window, window)


def curved_gabor(
    geometry: Geometry, x: Parameter, y: Parameter, wavelength: Parameter, orientation: Parameter
) -> Patterns:
    """A Gabor whose stripes are arcs with a radius of 0.8 wavelengths; parameters as in `gabor`.

    Examples
    --------
    >>> curved_gabor(Geometry(60, 96), 0.0, 0.0, wavelength=20.0, orientation=[0, 90]).shape
    (2, 60, 96)
    """
    u, v = rotated_axes(geometry, x, y, orientation)
    (wave,) = _expand(wavelength)
    radius = 0.8 * wave
    window = np.exp(-0.5 * (u**2 + v**2) / (0.55 * wave) ** 2)
    from_circle = np.hypot(u + radius, v) - radius
    return _balanced(np.cos(2 * np.pi * from_circle / wave) * window, window)


def two_bars(
    geometry: Geometry, x: Parameter, y: Parameter, wavelength: Parameter, orientation: Parameter
) -> Patterns:
    """Two short bars a wavelength apart at an angle of 60 degrees; parameters as in `gabor`.

    Examples
    --------
    >>> two_bars(Geometry(60, 96), 0.0, 0.0, wavelength=20.0, orientation=[0, 90]).shape
    (2, 60, 96)
    """
    u, v = rotated_axes(geometry, x, y, orientation)
    (wave,) = _expand(wavelength)
    short = 0.35 * wave
    turn = np.deg2rad(60.0)

    def bar(across: NDArray, along: NDArray) -> Patterns:
        return _bar(across, wave) * np.exp(-0.5 * (along / short) ** 2)

    far = v - 1.0 * wave
    turned = u * np.cos(turn) + far * np.sin(turn), -u * np.sin(turn) + far * np.cos(turn)
    window = np.exp(-0.5 * (u**2 + (v - 0.5 * wave) ** 2) / wave**2)
    return _balanced(bar(u, v) + bar(*turned), window)

"""Measures of tuning curves by published definitions.

Unless stated otherwise, the response to grey is subtracted from responses, because spikes that
occur without a stimulus are not driven by it. Responses below grey count as no drive (zero).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

NAN = float("nan")
_FINE = 2000
_TINY = 1e-6  # zero, up to rounding in single precision
_NEAR = 0.95  # fraction of the peak at which a size tuning curve has saturated
_SIMPLE = 1.0  # cells with a larger F1 / F0 are simple
_LOWEST_C50, _HIGHEST_C50 = 1e-3, 10.0
_EXPONENTS = (0.1, 10.0)


def _driven(response: ArrayLike) -> NDArray[np.float64]:
    return np.clip(np.asarray(response, dtype=float), 0, None)


def _same_length(axis: ArrayLike, response: ArrayLike, least: int) -> None:
    x, r = np.asarray(axis), np.asarray(response)
    if x.ndim != 1 or x.shape != r.shape or len(x) < least:
        raise ValueError(
            f"an axis of shape {x.shape} and responses of shape {r.shape}; expected the same "
            f"length, at least {least}"
        )


@dataclass(frozen=True)
class OrientationTuning:
    """`preferred_deg` in [0, 180), `osi` 0 to 1, `halfwidth_deg` (NaN if never at half peak)."""

    preferred_deg: float
    osi: float
    halfwidth_deg: float


def orientation_tuning(orientation_deg: ArrayLike, response: ArrayLike) -> OrientationTuning:
    """Preferred orientation, selectivity and half-width.

    Parameters
    ----------
    orientation_deg, response : array_like, shape (n,)
        Orientations evenly spaced over half a turn, and responses.

    Returns
    -------
    OrientationTuning
        With ``R = sum(r exp(2 i theta)) / sum(r)``, the preferred orientation is half the angle
        of R, and ``osi = |R|`` is one minus the circular variance (Ringach et al. 2002). The
        half-width is half the width of the curve at half height, by periodic cubic
        interpolation. All are NaN without drive.

    Examples
    --------
    >>> angles = np.arange(0, 180, 15.0)
    >>> tuning = orientation_tuning(angles, np.exp(3 * np.cos(2 * np.deg2rad(angles - 40))))
    >>> round(tuning.preferred_deg, 1), round(tuning.osi, 2), round(tuning.halfwidth_deg)
    (40.0, 0.81, 20)
    """
    _same_length(orientation_deg, response, 4)
    theta, r = np.asarray(orientation_deg, dtype=float), _driven(response)
    if r.sum() <= _TINY:
        return OrientationTuning(NAN, NAN, NAN)
    vector = (r * np.exp(2j * np.deg2rad(theta))).sum() / r.sum()
    preferred = float(np.rad2deg(np.angle(vector)) / 2 % 180) % 180  # -1e-17 % 180 is 180
    order = np.argsort(theta % 180)
    around, heights = theta[order] % 180, r[order]
    around, heights = np.append(around, around[0] + 180), np.append(heights, heights[0])
    fine, curve = _interpolated(around, heights, periodic=True)
    turned = int(curve[:-1].argmax())
    curve = np.roll(curve[:-1], len(curve) // 2 - turned)
    low, high = _half_height(fine[:-1], curve)
    return OrientationTuning(preferred, float(abs(vector)), (high - low) / 2)


@dataclass(frozen=True)
class FrequencyTuning:
    """Preferred spatial frequency and full bandwidth at half height in octaves.

    The bandwidth is NaN if the curve does not fall to half height on both sides.
    """

    preferred_cpd: float
    bandwidth_octaves: float


def frequency_tuning(frequency_cpd: ArrayLike, response: ArrayLike) -> FrequencyTuning:
    """Peak of the curve over log frequency by cubic interpolation, and bandwidth.

    Examples
    --------
    >>> frequencies = 0.01 * 2 ** np.arange(0, 5, 0.5)
    >>> tuning = frequency_tuning(frequencies, np.exp(-np.log2(frequencies / 0.04) ** 2))
    >>> round(tuning.preferred_cpd, 3), round(tuning.bandwidth_octaves, 2)
    (0.04, 1.67)
    """
    _same_length(frequency_cpd, response, 4)
    r = _driven(response)
    if r.max() <= _TINY:
        return FrequencyTuning(NAN, NAN)
    octaves, curve = _interpolated(np.log2(np.asarray(frequency_cpd, dtype=float)), r)
    low, high = _half_height(octaves, curve)
    return FrequencyTuning(float(2 ** octaves[curve.argmax()]), high - low)


@dataclass(frozen=True)
class PhaseTuning:
    """Mean `f0`, amplitude of the first harmonic `f1`, their `ratio`, and `invariance`."""

    f0: float
    f1: float
    ratio: float
    invariance: float

    @property
    def cell_type(self) -> str:
        """``simple`` or ``complex``; empty without drive."""
        if np.isnan(self.ratio):
            return ""
        return "simple" if self.ratio > _SIMPLE else "complex"


def phase_tuning(phase_deg: ArrayLike, response: ArrayLike, grey: float = 0.0) -> PhaseTuning:
    """Modulation over the phase of a grating (Skottun et al. 1991).

    Parameters
    ----------
    phase_deg, response : array_like, shape (n,)
        Phases evenly spaced over a full cycle, and responses.
    grey : float
        Response to grey, which is subtracted from F0 like the spontaneous rate in Skottun et al.;
        otherwise it would make every cell look complex. F1 does not depend on it.

    Returns
    -------
    PhaseTuning
        ``f0`` is the mean, ``f1 = |2 mean(r exp(-i phase))|``. The ratio is pi / 2 for a half-wave
        rectified cosine and 0 for a phase-invariant cell; above 1 a cell is simple. It is infinite
        if f0 is not above zero, as for a linear neuron without rectification, and NaN if the
        grating has no effect or suppresses more than it modulates. `invariance` is the lowest
        divided by the highest response, with negative values set to zero.

    Examples
    --------
    >>> phases = np.arange(0, 360, 22.5)
    >>> rectified = np.maximum(np.cos(np.deg2rad(phases)), 0)
    >>> simple, complex_ = phase_tuning(phases, rectified), phase_tuning(phases, np.ones(16))
    >>> simple.cell_type, round(simple.ratio, 2), complex_.cell_type
    ('simple', 1.59, 'complex')
    """
    _same_length(phase_deg, response, 3)
    r = np.asarray(response, dtype=float) - grey
    f0 = float(r.mean())
    f1 = float(abs(2 * (r * np.exp(-1j * np.deg2rad(np.asarray(phase_deg, float)))).mean()))
    if max(abs(f0), f1) <= _TINY or f1 < -f0:
        return PhaseTuning(f0, f1, NAN, NAN)
    driven = _driven(r)
    invariance = float(driven.min() / driven.max()) if driven.max() > _TINY else NAN
    return PhaseTuning(f0, f1, f1 / f0 if f0 > _TINY else float("inf"), invariance)


@dataclass(frozen=True)
class SizeTuning:
    """Preferred diameter in degrees, and suppression index 0 to 1."""

    preferred_deg: float
    suppression_index: float


def size_tuning(diameter_deg: ArrayLike, response: ArrayLike) -> SizeTuning:
    """Smallest diameter that gives 95 % of the peak, and suppression at the largest one.

    The suppression index is ``1 - r(largest) / r(peak)`` (Jones et al. 2001; Cavanaugh et al.
    2002). The peak of a saturating curve is poorly defined, but 95 % of it is well defined.

    Examples
    --------
    >>> diameters = np.array([2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    >>> tuning = size_tuning(diameters, [1.0, 3.0, 8.0, 10.0, 6.0, 5.0])
    >>> round(tuning.preferred_deg, 1), round(tuning.suppression_index, 2)
    (10.9, 0.51)
    """
    _same_length(diameter_deg, response, 4)
    d, r = np.asarray(diameter_deg, dtype=float), _driven(response)
    if r.max() <= _TINY:
        return SizeTuning(NAN, NAN)
    octaves, curve = _interpolated(np.log2(d), r)
    first = int(np.argmax(curve >= _NEAR * curve.max()))
    return SizeTuning(float(2 ** octaves[first]), float(1 - r[d.argmax()] / curve.max()))


@dataclass(frozen=True)
class ContrastResponse:
    """Fit ``rmax c^n / (c^n + c50^n)``, and the fraction of variance that it explains."""

    rmax: float
    c50: float
    exponent: float
    r2: float

    def __call__(self, contrast: ArrayLike) -> NDArray[np.float64]:
        """Response at contrasts above zero."""
        c = np.asarray(contrast, dtype=float)
        return np.asarray(self.rmax / (1 + (self.c50 / c) ** self.exponent))


def naka_rushton(contrast: ArrayLike, response: ArrayLike) -> ContrastResponse:
    """Fit the contrast response (Naka & Rushton 1966; Albrecht & Hamilton 1982).

    Parameters
    ----------
    contrast, response : array_like, shape (n,)
        Contrasts above zero, and responses minus the response to grey.

    Returns
    -------
    ContrastResponse
        Least-squares fit with the exponent in 0.1 to 10 and c50 in 0.001 to 10. A c50 above the
        highest contrast means that the response does not saturate. NaN without drive.

    Examples
    --------
    >>> contrasts = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
    >>> fit = naka_rushton(contrasts, 12 * contrasts**2 / (contrasts**2 + 0.3**2))
    >>> round(fit.rmax, 2), round(fit.c50, 2), round(fit.exponent, 2)
    (12.0, 0.3, 2.0)
    """
    from scipy.optimize import least_squares

    _same_length(contrast, response, 4)
    c, r = np.asarray(contrast, dtype=float), _driven(response)
    if not (c > 0).all():
        raise ValueError("contrasts must be above 0")
    top = r.max()
    if top <= _TINY:
        return ContrastResponse(NAN, NAN, NAN, NAN)

    def missed(p: NDArray) -> NDArray[np.float64]:
        rmax, c50, exponent = np.exp(p)
        return np.asarray(rmax / (1 + (c50 / c) ** exponent) - r / top)

    low = np.log([1e-2, _LOWEST_C50, _EXPONENTS[0]])
    high = np.log([1e3, _HIGHEST_C50, _EXPONENTS[1]])
    middle = float(np.interp(0.5, np.maximum.accumulate(r / top), c))
    starts = [np.log([1.1, c50, n]) for c50 in (middle, c.max()) for n in (1.5, 4.0)]
    fits = [
        least_squares(missed, np.clip(s, low + 1e-6, high - 1e-6), bounds=(low, high), xtol=1e-12)
        for s in starts
    ]
    best = min(fits, key=lambda fit: fit.cost)
    rmax, c50, exponent = np.exp(best.x)
    spread = float(((r / top - (r / top).mean()) ** 2).sum())
    r2 = 1 - 2 * best.cost / spread if spread > 0 else NAN
    return ContrastResponse(float(rmax * top), float(c50), float(exponent), float(r2))


def half_contrast(contrast: ArrayLike, response: ArrayLike) -> float:
    """Interpolated lowest contrast at which the response reaches half its maximum.

    Unlike c50 this requires no extrapolation; it is 0.5 for a linear neuron and contrasts up to 1.

    Examples
    --------
    >>> contrasts = np.array([0.1, 0.2, 0.4, 0.8, 1.0])
    >>> round(half_contrast(contrasts, 3 * contrasts), 3)
    0.5
    """
    _same_length(contrast, response, 2)
    c, r = np.asarray(contrast, dtype=float), np.maximum.accumulate(_driven(response))
    return float(np.interp(0.5 * r[-1], np.append(0, r), np.append(0, c))) if r[-1] > _TINY else NAN


@dataclass(frozen=True)
class Field:
    """Centre of a receptive field in degrees and its area in square degrees."""

    x_deg: float
    y_deg: float
    area_deg2: float


def field_of_map(drive: NDArray, x: NDArray, y: NDArray) -> Field:
    """Centre and area of the region around the peak of a map that is above half the peak.

    Parameters
    ----------
    drive : ndarray, shape (rows, columns)
        Noise-free map; use `meiflow.tables.tuning.field_centre` for recorded counts.
    x, y : ndarray
        Positions in degrees of the columns and rows, evenly spaced.

    Returns
    -------
    Field
        The centre is weighted by the drive; NaN without drive.

    Examples
    --------
    >>> x = y = np.arange(-30.0, 31.0, 2.0)
    >>> drive = np.exp(-((x[None] - 10) ** 2 + (y[:, None] + 5) ** 2) / (2 * 6.0**2))
    >>> field = field_of_map(drive, x, y)
    >>> round(field.x_deg, 1), round(field.y_deg, 1), field.area_deg2
    (10.0, -5.0, 160.0)
    """
    from scipy import ndimage

    r = _driven(drive)
    if r.shape != (len(y), len(x)) or min(r.shape) < 2:
        raise ValueError(
            f"a map of shape {r.shape} was given for {len(y)} rows and {len(x)} columns"
        )
    if r.max() <= _TINY:
        return Field(NAN, NAN, NAN)
    regions, _ = ndimage.label(r >= 0.5 * r.max())
    weight = np.where(regions == regions[np.unravel_index(r.argmax(), r.shape)], r, 0.0)
    cx, cy = weight.sum(0) @ x / weight.sum(), weight.sum(1) @ y / weight.sum()
    area = (weight > 0).sum() * abs((x[1] - x[0]) * (y[1] - y[0]))
    return Field(float(cx), float(cy), float(area))


def suppression(alone: float, together: float) -> float:
    """Suppression index ``1 - together / alone``: 1 for silenced, negative for facilitated.

    NaN without drive.

    Examples
    --------
    >>> suppression(alone=10.0, together=4.0)
    0.6
    """
    return 1 - max(together, 0.0) / alone if alone > _TINY else NAN


def opponency(on: float, off: float) -> float:
    """ON-OFF index ``(on - off) / (on + off)``: 1 for bright only, -1 for dark only.

    Examples
    --------
    >>> opponency(on=6.0, off=2.0), opponency(on=0.0, off=3.0)
    (0.5, -1.0)
    """
    on, off = max(on, 0.0), max(off, 0.0)
    return (on - off) / (on + off) if on + off > _TINY else NAN


def shift_invariance(response: ArrayLike) -> float:
    """Mean divided by highest response while the stimulus moves over one cycle.

    1 for a shift-invariant neuron, and 1 / pi for a half-wave rectified linear neuron and a
    full-field grating.

    Examples
    --------
    >>> phase = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    >>> rectified = np.maximum(np.cos(phase), 0)
    >>> round(shift_invariance(rectified), 2), round(shift_invariance(np.ones(100)), 2)
    (0.32, 1.0)
    """
    r = _driven(response)
    return float(r.mean() / r.max()) if r.max() > _TINY else NAN


def _interpolated(
    x: NDArray, y: NDArray, periodic: bool = False
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from scipy.interpolate import CubicSpline

    fine = np.linspace(x[0], x[-1], _FINE + 1)
    curve = CubicSpline(x, y, bc_type="periodic" if periodic else "not-a-knot")
    return fine, curve(fine)


def _half_height(x: NDArray, curve: NDArray) -> tuple[float, float]:
    """Positions at which the curve falls to half its peak on both sides; NaN if it does not."""
    peak, half = int(curve.argmax()), curve.max() / 2
    left, right = np.flatnonzero(curve[:peak] < half), np.flatnonzero(curve[peak:] < half)

    def crossing(i: int) -> float:
        return float(x[i] + (half - curve[i]) / (curve[i + 1] - curve[i]) * (x[i + 1] - x[i]))

    return (
        crossing(left[-1]) if len(left) else NAN,
        crossing(peak + right[0] - 1) if len(right) else NAN,
    )

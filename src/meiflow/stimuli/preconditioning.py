"""Transformations of a gradient before a step.

A preconditioner is a function of the gradient and the stimuli, both (batch, ..., height, width),
and processes every stimulus separately. Several are applied in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from meiflow.images.geometry import Geometry

_TINY = 1e-20


class Preconditioner(Protocol):
    """Maps gradient and stimuli to the gradient used for the step."""

    def __call__(self, gradient: Tensor, stimuli: Tensor) -> Tensor: ...


def _over(stimuli: Tensor) -> tuple[int, ...]:
    return tuple(range(1, stimuli.ndim))


@dataclass(frozen=True)
class Tangent:
    """Component of the gradient along which mean and contrast do not change.

    It is zero exactly where no image of this mean and contrast is better (Karush, Kuhn & Tucker).
    Smoothing must come afterwards: with the whole gradient g, ascent and projection converge where
    the image is proportional to the *smoothed* g, which is not a maximum. For the same reason,
    pixels that are already black or white, and that the gradient would push further, are excluded.

    Parameters
    ----------
    limits : (low, high), optional
        Limits to which pixels are clipped.
    mask : Tensor of bool, optional
        Free pixels, broadcast over the stimuli; the others are excluded.
    """

    limits: tuple[float, float] | None = None
    mask: Tensor | None = None

    def __call__(self, gradient: Tensor, stimuli: Tensor) -> Tensor:
        g, x = gradient.flatten(1), stimuli.flatten(1)
        low, high = (-torch.inf, torch.inf) if self.limits is None else self.limits
        if self.mask is None and bool(x.amin() > low) and bool(x.amax() < high):
            return _residual(g, x, None).reshape(gradient.shape)
        # in floating point, which is several times faster than with boolean tensors
        inside = torch.ones_like(x)
        if self.limits is not None:
            inside = ((x - low) * (high - x)).sign_().clamp_min_(0)
        free = torch.ones_like(x[:1])
        if self.mask is not None:
            if self.mask.dtype != torch.bool:
                raise ValueError(f"the mask must be boolean, got {self.mask.dtype}")
            free = self.mask.to(x).expand(stimuli.shape).flatten(1)
        left = _residual(g, x, inside * free)
        if self.limits is None:
            return (left * free).reshape(gradient.shape)
        middle = 0.0 if low == -high else (low + high) / 2  # also without limits
        inwards = ((middle - x) * left).sign_()
        return (left * torch.maximum(inside, inwards) * free).reshape(gradient.shape)


def _residual(g: Tensor, x: Tensor, weight: Tensor | None) -> Tensor:
    """Residual of a weighted linear regression of g on x, both (batch, pixels)."""
    if weight is None:
        x = x - x.mean(1, keepdim=True)
        g = g - g.mean(1, keepdim=True)
        weighted = x
    else:
        total = weight.sum(1).clamp_min(1.0)
        x = x - (torch.linalg.vecdot(weight, x) / total)[:, None]
        g = g - (torch.linalg.vecdot(weight, g) / total)[:, None]
        weighted = weight * x
    slope = torch.linalg.vecdot(weighted, g) / torch.linalg.vecdot(weighted, x).clamp_min(_TINY)
    return g - slope[:, None] * x


@dataclass(frozen=True)
class UnitStd:
    """Scale each gradient to a standard deviation of `size`."""

    size: float = 1.0

    def __call__(self, gradient: Tensor, stimuli: Tensor) -> Tensor:
        flat = gradient.flatten(1)
        centred = flat - flat.mean(1, keepdim=True)
        spread = torch.linalg.vector_norm(centred, dim=1) / flat.shape[1] ** 0.5
        spread = spread.reshape(-1, *[1] * (gradient.ndim - 1))
        return gradient * (self.size / spread.clamp_min(_TINY))


@dataclass(frozen=True)
class UnitMeanAbs:
    """Divide each gradient by its mean absolute value, as in Walker et al."""

    size: float = 1.0

    def __call__(self, gradient: Tensor, stimuli: Tensor) -> Tensor:
        mean = gradient.abs().mean(_over(gradient), keepdim=True)
        return gradient * (self.size / mean.clamp_min(_TINY))


@dataclass(frozen=True)
class UnitNorm:
    """Scale each gradient to a Euclidean norm of `size`."""

    size: float = 1.0

    def __call__(self, gradient: Tensor, stimuli: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(gradient, dim=_over(gradient), keepdim=True)
        return gradient * (self.size / norm.clamp_min(_TINY))


@dataclass(frozen=True)
class FourierFilter:
    """Multiply the spectrum of every frame by a gain.

    Parameters
    ----------
    gain : Tensor, shape (height, width // 2 + 1)
        Gain in the layout of `torch.fft.rfft2`; see `power_law`, `notebook_gain`, `walker_gain`.
    """

    gain: Tensor

    def __call__(self, gradient: Tensor, stimuli: Tensor) -> Tensor:
        if gradient.shape[-2:] != (self.gain.shape[0], gradient.shape[-1]) or (
            gradient.shape[-1] // 2 + 1 != self.gain.shape[1]
        ):
            raise ValueError(
                f"the gain is for half spectra of shape {tuple(self.gain.shape)}, but frames have "
                f"{tuple(gradient.shape[-2:])} pixels"
            )
        spectrum = torch.fft.rfft2(gradient) * self.gain.to(gradient)
        return torch.fft.irfft2(spectrum, s=gradient.shape[-2:])


def frequencies(shape: tuple[int, int], spacing: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """Spatial frequency of every cell of a half spectrum, with the same unit on both axes.

    Parameters
    ----------
    shape : (height, width)
    spacing : pair of float
        Size of a pixel along rows and columns. (1, 1) gives cycles per pixel; degrees per pixel
        give cycles per degree.

    Returns
    -------
    Tensor of float64, shape (height, width // 2 + 1)
    """
    fy = torch.fft.fftfreq(shape[0], spacing[0], dtype=torch.float64)
    fx = torch.fft.rfftfreq(shape[1], spacing[1], dtype=torch.float64)
    return torch.hypot(fy[:, None], fx[None, :])


def _unit_mean(gain: Tensor, width: int) -> Tensor:
    """Scale a half spectrum such that the mean over the whole spectrum is one."""
    mirrored = gain[:, 1 : (width + 1) // 2]
    total = gain.sum() + mirrored.sum()
    return gain * (len(gain) * width / total)


def _lowest(shape: tuple[int, int], spacing: tuple[float, float]) -> float:
    return 1 / max(n * d for n, d in zip(shape, spacing, strict=True))


def falling(shape: tuple[int, int], exponent: float, spacing: tuple[float, float]) -> Tensor:
    """Gain ``1 / f**exponent`` on a half spectrum, constant below one cycle per image."""
    return frequencies(shape, spacing).clamp_min(_lowest(shape, spacing)) ** -exponent


def power_law(
    shape: tuple[int, int],
    exponent: float,
    spacing: tuple[float, float] = (1.0, 1.0),
    cutoff: float | None = None,
    keep_mean: bool = False,
) -> FourierFilter:
    """Filter with gain ``1 / f**exponent`` and wrapped frequencies, so it is isotropic.

    Parameters
    ----------
    shape : (height, width)
        Size in pixels.
    exponent : float
        At 0 only the mean luminance is changed.
    spacing : pair of float
        As in `frequencies`; degrees per pixel make the filter isotropic on the screen even if
        pixels are not square.
    cutoff : float, optional
        Frequencies above the cutoff are removed; in the unit of `frequencies`.
    keep_mean : bool
        Pass the mean of each frame (f = 0), with the gain of one cycle per image. This is needed
        for stimuli with several frames or channels, whose luminance may differ.

    Notes
    -----
    Below one cycle per image the gain is constant. The mean gain is 1.

    Examples
    --------
    >>> smooth = power_law((30, 48), exponent=1.0)
    >>> noise = torch.randn(2, 30, 48, generator=torch.Generator().manual_seed(0))
    >>> step = smooth(noise, noise)
    >>> rough = [float(image.diff(dim=-1).std() / image.std()) for image in (noise, step)]
    >>> [round(value, 1) for value in rough]
    [1.4, 0.8]
    """
    f = frequencies(shape, spacing)
    lowest = _lowest(shape, spacing)
    gain = falling(shape, exponent, spacing)
    if not keep_mean:
        gain[0, 0] = 0.0
    if cutoff is not None:
        gain = torch.where(f <= cutoff, gain, 0.0)
        if not gain.any():
            raise ValueError(
                f"cutoff {cutoff} removes everything; the lowest frequency is {lowest:.3g}"
            )
    return FourierFilter(_unit_mean(gain, shape[1]))


def smoothing(
    geometry: Geometry, exponent: float, cutoff: float | None = None, keep_mean: bool = False
) -> FourierFilter:
    """`power_law` in cycles per degree of a screen.

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> noise = torch.randn(2, 30, 48, generator=torch.Generator().manual_seed(0))
    >>> smoothing(screen, exponent=1.0)(noise, noise).shape
    torch.Size([2, 30, 48])
    """
    return power_law(geometry.shape, exponent, (geometry.dy, geometry.dx), cutoff, keep_mean)


def notebook_gain(shape: tuple[int, int], exponent: float = 0.25) -> FourierFilter:
    """The notebook's filter, which is faulty: row frequencies are not wrapped.

    ``t / mean(t)``, ``t = 1 / (radius + 1e-8)**exponent``, with the radius computed from the
    *indices* of the half spectrum's rows and columns. The lowest negative frequencies are treated
    as the highest, and the mean luminance is amplified a hundredfold. Isotropic neurons get
    diagonal images.

    Examples
    --------
    >>> gain = notebook_gain((30, 48)).gain
    >>> gain.shape, bool(gain[1, 0] > gain[-1, 0])
    (torch.Size([30, 25]), True)
    """
    rows = torch.arange(shape[0], dtype=torch.float64)[:, None]
    columns = torch.arange(shape[1] // 2 + 1, dtype=torch.float64)[None, :]
    t = 1 / (torch.sqrt(rows**2 + columns**2) + 1e-8) ** exponent
    return FourierFilter(t / t.mean())


def walker_gain(shape: tuple[int, int], exponent: float = 0.1) -> FourierFilter:
    """Filter of Walker et al. (2019): ``F / mean(F)``, ``F = 1 / max(1, f**2)**exponent``.

    f is in cycles per image on each axis, so the filter is isotropic only for square images.

    Examples
    --------
    >>> gain = walker_gain((30, 48)).gain
    >>> gain.shape, bool(torch.isclose(gain[1, 0], gain[-1, 0]))
    (torch.Size([30, 25]), True)
    """
    height, width = shape
    f = frequencies(shape, (1 / height, 1 / width))
    return FourierFilter(_unit_mean(1 / f.pow(2).clamp_min(1.0) ** exponent, width))


def featurevis_gain(shape: tuple[int, int], exponent: float) -> FourierFilter:
    """Filter of featurevis (`FourierSmoothing`): ``(1 - f / f_max)**exponent``.

    Examples
    --------
    >>> gain = featurevis_gain((30, 48), exponent=2.0).gain
    >>> float(gain[0, 0]), float(gain.min())
    (1.0, 0.0)
    """
    return FourierFilter((1 - frequencies(shape) * np.sqrt(2)).clamp_min(0) ** exponent)

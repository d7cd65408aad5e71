"""Gradient ascent on images of fixed mean and contrast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.geometry import Geometry
from meiflow.stimuli.projection import project


@dataclass(frozen=True)
class AscentResult:
    """Best images of a batch and how they were reached.

    Parameters
    ----------
    images : ndarray of float32, shape (batch, height, width)
        The best iterate of each start, not the last one.
    scores : ndarray, shape (batch,)
        Response to these very images, evaluated once more.
    trace : ndarray, shape (steps + 1, batch, 3)
        Response, mean luminance and RMS contrast at every iterate, the start first.
    """

    images: NDArray[np.float32]
    scores: NDArray[np.float64]
    trace: NDArray[np.float64]


def smoothing_filter(geometry: Geometry, exponent: float) -> NDArray[np.float64]:
    """Gain of the gradient's FFT: ``1 / f**exponent``, mean 1, isotropic in degrees.

    Frequencies are wrapped (``numpy.fft.fftfreq``) and in cycles per degree on both axes,
    so that no direction is favoured on non-square images or pixels. Below one cycle per
    image the gain is held; the mean luminance itself (f = 0) is not passed.

    Returns
    -------
    ndarray, shape (height, width)
    """
    fx, fy = geometry.frequencies()
    f = np.hypot(fx[None, :], fy[:, None])
    lowest = 1 / max(geometry.width_deg, geometry.height_deg)
    gain = np.maximum(f, lowest) ** -exponent
    gain[0, 0] = 0.0
    return gain / gain.mean()


def smooth(images: Tensor, gain: Tensor) -> Tensor:
    """Multiply the FFT of each image (batch, height, width) by `gain`."""
    return torch.fft.ifft2(torch.fft.fft2(images) * gain).real


def noise_starts(
    n: int, geometry: Geometry, exponent: float, mean: float, contrast: float, seed: int
) -> Tensor:
    """`n` images of smoothed Gaussian noise with the given mean and contrast."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((n, *geometry.shape), generator=generator)
    gain = torch.as_tensor(smoothing_filter(geometry, exponent), dtype=torch.float32)
    return project(smooth(noise, gain), mean, contrast)


def _tangent(gradient: Tensor, images: Tensor) -> Tensor:
    """The part of the gradient that does not merely scale an image's contrast.

    Smoothing must come after this: with the whole gradient g, ascent and projection come to
    rest where the image is proportional to the *smoothed* g, which is not a maximum.
    """
    contrast = images - images.mean((1, 2), keepdim=True)
    along = (gradient * contrast).sum((1, 2), keepdim=True)
    return gradient - along / contrast.pow(2).sum((1, 2), keepdim=True) * contrast


def ascend(
    response: Callable[[Tensor], Tensor],
    starts: Tensor,
    geometry: Geometry,
    mean: float,
    contrast: float,
    steps: int = 100,
    step_size: tuple[float, float] = (0.3, 0.01),
    exponent: float = 1.0,
) -> AscentResult:
    """Maximise the response to each image of a batch.

    Every step follows the FFT-smoothed gradient along the sphere of equal contrast, scaled
    to unit contrast, by a step that shrinks linearly, and projects the image back to its
    mean and contrast.

    Parameters
    ----------
    response : callable
        Images (batch, height, width) to one response each (batch,), differentiable.
    starts : Tensor, shape (batch, height, width)
        Not modified.
    geometry : Geometry
    mean, contrast : float
        Mean luminance and RMS contrast held at every step.
    steps : int
    step_size : tuple of float
        First and last step, in units of `contrast`.
    exponent : float
        See `smoothing_filter`.

    Raises
    ------
    ValueError
        If a response is not finite or does not depend on the images.
    """
    gain = torch.as_tensor(smoothing_filter(geometry, exponent), dtype=torch.float32)
    images = project(starts.detach().clone(), mean, contrast)
    best = images.clone()
    best_response = torch.full((len(images),), -torch.inf)
    trace = np.empty((steps + 1, len(images), 3))
    for step in range(steps + 1):
        images = images.detach().requires_grad_(True)
        value = response(images)
        if not torch.isfinite(value).all():
            raise ValueError(f"the response is not finite at step {step}")
        with torch.no_grad():
            trace[step, :, 0] = value.detach().numpy()
            trace[step, :, 1] = images.mean((1, 2)).numpy()
            trace[step, :, 2] = images.std((1, 2), correction=0).numpy()
            better = value > best_response
            best_response = torch.where(better, value, best_response)
            best[better] = images[better].detach()
        if step == steps:
            break
        if not value.requires_grad:
            raise ValueError("the response does not depend on the images")
        (gradient,) = torch.autograd.grad(value.sum(), images)
        with torch.no_grad():
            direction = smooth(_tangent(gradient, images), gain)
            size = direction.std((1, 2), correction=0, keepdim=True).clamp_min(1e-20)
            rate = step_size[0] + (step_size[1] - step_size[0]) * step / max(steps - 1, 1)
            images = project(images + rate * contrast * direction / size, mean, contrast)
    with torch.no_grad():
        scores = response(best).numpy().astype(float)
    return AscentResult(best.numpy(), scores, trace)

"""Hold the mean luminance and the RMS contrast of images, exactly, also under clipping."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.errors import MeiflowError

_NEWTON_STEPS = 25
_TOLERANCE = 2e-6
_ACCEPTED = 1e-4
_BISECTIONS = 40


def feasible_contrast(mean: float) -> float:
    """Largest RMS contrast that an image of this mean luminance can have within [0, 1]."""
    return float(np.sqrt(mean * (1 - mean)))


def project(images: Tensor, mean: float, contrast: float) -> Tensor:
    """Nearest image, along scaling and shifting, with the given mean and RMS contrast.

    Solves ``clip(a * x + b, 0, 1)`` for a and b of each image by Newton's method, so that
    clipping does not change the result; without clipping it is plain standardisation.

    Parameters
    ----------
    images : Tensor, shape (batch, height, width)
    mean, contrast : float
        Mean luminance and standard deviation over all pixels.

    Returns
    -------
    Tensor
        In [0, 1]. An image without contrast comes back as uniform grey. A small pattern
        may not reach the contrast even in black and white; then it has the most it can
        have, at the given mean (see `is_matched`).
    """
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(1, keepdim=True)
    spread = flat.pow(2).mean(1, keepdim=True).sqrt()
    flat = flat / spread.clamp_min(1e-12)
    gain = torch.full_like(spread, contrast)
    shift = torch.full_like(spread, mean)
    out = (gain * flat + shift).clip(0, 1)
    for _ in range(_NEWTON_STEPS):
        centred = out - out.mean(1, keepdim=True)
        std = centred.pow(2).mean(1, keepdim=True).sqrt().clamp_min(1e-12)
        fault_mean = out.mean(1, keepdim=True) - mean
        fault_std = std - contrast
        if float(_fault(out, mean, contrast).max()) < _TOLERANCE:
            break
        free = ((out > 0) & (out < 1)).to(flat.dtype)
        # Derivatives of mean and std with respect to gain and shift, through unclipped pixels.
        mean_gain, mean_shift = (free * flat).mean(1, keepdim=True), free.mean(1, keepdim=True)
        std_gain = (centred * free * flat).mean(1, keepdim=True) / std
        std_shift = (centred * free).mean(1, keepdim=True) / std
        determinant = mean_gain * std_shift - mean_shift * std_gain
        safe = determinant.abs() > 1e-9
        determinant = torch.where(safe, determinant, torch.ones_like(determinant))
        step_gain = (fault_mean * std_shift - fault_std * mean_shift) / determinant
        step_shift = (mean_gain * fault_std - std_gain * fault_mean) / determinant
        limit = 0.5 * gain.abs() + 1e-6
        gain = gain - torch.where(safe, step_gain.clamp(-limit, limit), -0.1 * gain)
        shift = shift - torch.where(safe, step_shift.clamp(-0.2, 0.2), 0.0 * shift)
        out = (gain * flat + shift).clip(0, 1)
    missed = _fault(out, mean, contrast) > _ACCEPTED
    if missed.any():
        rows = missed[:, 0].nonzero()[:, 0]
        out = out.index_copy(0, rows, _bisect(flat[rows].detach(), mean, contrast))
    uniform = torch.full_like(out, mean)
    return torch.where(spread > 1e-6, out, uniform).reshape(images.shape)


def _fault(flat: Tensor, mean: float, contrast: float) -> Tensor:
    """Larger of the errors in mean and contrast, shape (batch, 1), without gradient."""
    flat = flat.detach()
    spread = (flat - flat.mean(1, keepdim=True)).pow(2).mean(1, keepdim=True).sqrt()
    return torch.maximum((flat.mean(1, keepdim=True) - mean).abs(), (spread - contrast).abs())


def _bisect(shapes: Tensor, mean: float, contrast: float) -> Tensor:
    """Where Newton's method fails: the mean exactly, and as much of the contrast as goes.

    At a given gain the mean grows with the shift, and with the mean held the contrast grows
    with the gain until every pixel of the pattern is black or white.
    """

    def with_mean(gain: Tensor) -> Tensor:
        reach = shapes.abs().amax(1, keepdim=True) * gain
        low, high = -reach, reach + 1
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below = (gain * shapes + middle).clip(0, 1).mean(1, keepdim=True) < mean
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (gain * shapes + (low + high) / 2).clip(0, 1)

    def spread(images: Tensor) -> Tensor:
        return (images - images.mean(1, keepdim=True)).pow(2).mean(1, keepdim=True).sqrt()

    low = torch.full_like(shapes[:, :1], contrast)
    high = torch.full_like(low, 1e3)
    for _ in range(_BISECTIONS):
        middle = (low * high).sqrt()
        below = spread(with_mean(middle)) < contrast
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return with_mean(high)


def is_matched(image: NDArray, mean: float, contrast: float) -> bool:
    """Whether an image has this mean luminance and RMS contrast, to 1e-3."""
    return abs(float(image.mean()) - mean) < 1e-3 and abs(float(image.std()) - contrast) < 1e-3


def project_array(images: NDArray, mean: float, contrast: float) -> NDArray[np.float32]:
    """`project` for NumPy arrays, computed in double precision."""
    tensor = torch.as_tensor(np.asarray(images, dtype=np.float64))
    return project(tensor, mean, contrast).numpy().astype(np.float32)


def contrast_targets(mei: Any, images: NDArray) -> tuple[float, float]:
    """Mean luminance and RMS contrast that all stimuli are held to.

    Parameters
    ----------
    mei : meiflow.config.Mei
        'images' takes the mean luminance, or mean standard deviation, of `images`.
    images : ndarray, shape (n, height, width)

    Raises
    ------
    MeiflowError
        If no image within [0, 1] can have both.
    """
    mean = float(images.mean()) if mei.mean == "images" else float(mei.mean)
    contrast = (
        float(images.std(axis=(1, 2)).mean()) if mei.contrast == "images" else float(mei.contrast)
    )
    if contrast >= 0.95 * feasible_contrast(mean):
        raise MeiflowError(
            f"mei.contrast: {contrast:.3g} is out of reach at mean luminance {mean:.3g}; "
            f"the most is {feasible_contrast(mean):.3g}"
        )
    return mean, contrast

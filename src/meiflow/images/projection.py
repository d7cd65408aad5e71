"""Fix the mean luminance and RMS contrast of images exactly, even if pixels are clipped."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.errors import MeiflowError

_NEWTON_STEPS = 25
_TOLERANCE = 5e-6
_ACCEPTED = 1e-4
_BISECTIONS = 40
_FLAT = 1e-6  # images with less contrast are considered uniform


def statistics(stimuli: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over all pixels of each stimulus, both (batch,)."""
    flat = stimuli.flatten(1)
    mean = flat.mean(1)
    power = torch.linalg.vector_norm(flat, dim=1).pow(2) / flat.shape[1]
    return mean, (power - mean.pow(2)).clamp_min(0).sqrt()


def feasible_contrast(mean: float) -> float:
    """Largest RMS contrast of an image in [0, 1] with this mean luminance."""
    return float(np.sqrt(mean * (1 - mean)))


def check_reachable(mean: float, contrast: float) -> None:
    """Raise ValueError if no image in [0, 1] has this mean and RMS contrast."""
    if not 0 < mean < 1 or not 0 < contrast <= feasible_contrast(mean):
        most = (
            f"; at this mean the maximum is {feasible_contrast(mean):.3g}" if 0 < mean < 1 else ""
        )
        raise ValueError(
            f"no image in [0, 1] has mean {mean:.3g} and RMS contrast {contrast:.3g}{most}"
        )


def project(images: Tensor, mean: float, contrast: float, best_effort: bool = True) -> Tensor:
    """Scale and shift images to a given mean and RMS contrast.

    Solves ``clip(a * x + b, 0, 1)`` for a and b of each image by Newton's method, so that
    clipping is taken into account; without clipping this is plain standardisation.

    Parameters
    ----------
    images : Tensor, shape (batch, ...)
    mean, contrast : float
        Mean luminance and standard deviation over all pixels of each image.
    best_effort : bool
        Whether patterns too small for the contrast get the highest possible contrast, which is
        slow; otherwise they are returned unmatched.

    Returns
    -------
    Tensor
        Images in [0, 1]. An image without contrast becomes uniform grey. A small pattern
        may not reach the contrast even in black and white; it then has the highest possible
        contrast at the given mean (see `is_matched`).
    """
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(1, keepdim=True)
    spread = torch.linalg.vector_norm(flat, dim=1, keepdim=True) / flat.shape[1] ** 0.5
    flat = flat / spread.clamp_min(1e-12)
    out = contrast * flat + mean
    shown = out.detach()
    low, high = shown.amin(1), shown.amax(1)  # faster than aminmax
    clipped = ((low < 0) | (high > 1)).nonzero()[:, 0]
    if len(clipped):
        part = flat if len(clipped) == len(flat) else flat[clipped]
        solved = _solve(part, mean, contrast, best_effort)
        out = solved if part is flat else out.index_copy(0, clipped, solved)
    if float(spread.detach().min()) <= _FLAT:
        out = torch.where(spread > _FLAT, out, torch.full_like(out, mean))
    return out.reshape(images.shape)


def _solve(flat: Tensor, mean: float, contrast: float, best_effort: bool) -> Tensor:
    """Find gain and shift of standardised images (batch, pixels) by Newton's method.

    For a given set of unclipped pixels, mean and contrast are polynomials in gain and shift, with
    the moments of these pixels as coefficients. Only a last step from the solution is
    differentiated, which gives the exact derivative (implicit function theorem).
    """
    with torch.no_grad():
        gain = torch.full_like(flat[:, :1], contrast)
        shift = torch.zeros_like(gain)
        for _ in range(_NEWTON_STEPS):
            d_gain, d_shift, fault = _newton_step(flat, gain, shift, mean, contrast)
            if float(fault.max()) < _TOLERANCE:
                break
            gain, shift = gain + d_gain, shift + d_shift
    if flat.requires_grad:
        d_gain, d_shift, _ = _newton_step(flat, gain, shift, mean, contrast)
        gain, shift = gain + d_gain, shift + d_shift
    out = (gain * flat + (shift + mean)).clip(0, 1)
    if not best_effort:
        return out
    missed = _fault(out, mean, contrast) > _ACCEPTED
    if missed.any():
        rows = missed[:, 0].nonzero()[:, 0]
        out = out.index_copy(0, rows, _bisect(flat[rows].detach(), mean, contrast))
    return out


def _newton_step(
    flat: Tensor, gain: Tensor, shift: Tensor, mean: float, contrast: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Newton steps of gain and shift (of luminance minus `mean`), and the current errors."""
    values = gain * flat + shift
    shown = values.clamp(-mean, 1 - mean)
    # 1 where nothing is clipped; in floating point, which is faster than with boolean tensors
    free = 1 - (values - shown).detach().abs_().sign_()
    pixels = flat.shape[1]
    inside = flat * free
    s0, s1 = free.mean(1, keepdim=True), inside.mean(1, keepdim=True)
    s2 = torch.linalg.vecdot(inside, flat)[:, None] / pixels
    found = shown.mean(1, keepdim=True)
    spread = (torch.linalg.vecdot(shown, shown)[:, None] / pixels).clamp_min(1e-24).sqrt()
    off = spread - contrast
    spread_gain, spread_shift = (gain * s2 + shift * s1) / spread, (gain * s1 + shift * s0) / spread
    determinant = s1 * spread_shift - s0 * spread_gain
    safe = determinant.abs() > 1e-9
    determinant = torch.where(safe, determinant, torch.ones_like(determinant))
    d_gain = (off * s0 - found * spread_shift) / determinant
    d_shift = (found * spread_gain - off * s1) / determinant
    limit = 0.5 * gain.abs() + 1e-6
    d_gain = torch.where(safe, d_gain.clamp(-limit, limit), 0.1 * gain)
    d_shift = torch.where(safe, d_shift.clamp(-0.2, 0.2), 0.0 * shift)
    return d_gain, d_shift, torch.maximum(found.abs(), off.abs()).detach()


def _fault(flat: Tensor, mean: float, contrast: float) -> Tensor:
    """Larger of the errors in mean and contrast, shape (batch, 1), without gradient."""
    flat = flat.detach()
    spread = (flat - flat.mean(1, keepdim=True)).pow(2).mean(1, keepdim=True).sqrt()
    return torch.maximum((flat.mean(1, keepdim=True) - mean).abs(), (spread - contrast).abs())


def _bisect(shapes: Tensor, mean: float, contrast: float) -> Tensor:
    """Fallback if Newton's method fails: exact mean, and the highest possible contrast.

    At a given gain the mean increases with the shift, and at a fixed mean the contrast increases
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
    """Whether an image has this mean luminance and RMS contrast to within 1e-3."""
    return abs(float(image.mean()) - mean) < 1e-3 and abs(float(image.std()) - contrast) < 1e-3


def project_array(images: NDArray, mean: float, contrast: float) -> NDArray[np.float32]:
    """`project` for NumPy arrays, computed in double precision."""
    tensor = torch.as_tensor(np.asarray(images, dtype=np.float64))
    return project(tensor, mean, contrast).numpy().astype(np.float32)


def contrast_targets(
    mean: float | Literal["images"],
    contrast: float | Literal["images"],
    image_mean: float,
    image_contrast: float,
) -> tuple[float, float]:
    """Mean luminance and RMS contrast of all stimuli.

    Parameters
    ----------
    mean, contrast : float or "images"
        Values configured in ``mei``; "images" means that of the images.
    image_mean, image_contrast : float
        Mean luminance of the images, and their mean RMS contrast.

    Raises
    ------
    MeiflowError
        If no image in [0, 1] can have both.

    Examples
    --------
    >>> contrast_targets("images", 0.05, image_mean=0.45, image_contrast=0.2)
    (0.45, 0.05)
    """
    mean = image_mean if mean == "images" else float(mean)
    contrast = image_contrast if contrast == "images" else float(contrast)
    require_reachable(mean, contrast, "mei.contrast")
    return mean, contrast


def require_reachable(mean: float, contrast: float, what: str) -> None:
    """Check that images within [0, 1] can have this mean luminance and RMS contrast.

    Raises
    ------
    MeiflowError
        If the contrast is close to the maximum or higher; `what` is its name in the message.
    """
    if not 0 < mean < 1 or contrast <= 0:
        raise MeiflowError(
            f"{what}: expected an RMS contrast above 0 and a mean luminance within 0..1, got "
            f"{contrast:.3g} and {mean:.3g}"
        )
    if contrast >= 0.95 * feasible_contrast(mean):
        raise MeiflowError(
            f"{what}: {contrast:.3g} cannot be reached at mean luminance {mean:.3g}; "
            f"the maximum is {feasible_contrast(mean):.3g}"
        )

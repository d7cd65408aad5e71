"""Differentiable Gaussian filters as small matrices, with exact borders, for any batch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_TRUNCATE = 4.0


@lru_cache(maxsize=64)
def _matrix(n: int, sigma: float) -> Tensor:
    from scipy.ndimage import gaussian_filter1d

    return torch.as_tensor(gaussian_filter1d(np.eye(n), sigma, axis=0, truncate=_TRUNCATE))


def gaussian_blur(stimuli: Tensor, sigma: float | tuple[float, float]) -> Tensor:
    """Blur the last two axes like `scipy.ndimage.gaussian_filter` (reflected borders).

    Parameters
    ----------
    stimuli : Tensor, shape (..., height, width)
    sigma : float or pair of float
        Standard deviation in pixels, or a pair for rows and columns; 0 for no blur.
    """
    rows, columns = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    if rows > 0:
        stimuli = _matrix(stimuli.shape[-2], float(rows)).to(stimuli) @ stimuli
    if columns > 0:
        stimuli = stimuli @ _matrix(stimuli.shape[-1], float(columns)).to(stimuli).T
    return stimuli


def low_pass(stimuli: Tensor, sigma: float, size: int, zero_padded: bool = False) -> Tensor:
    """Gaussian low-pass over time, axis -3.

    Parameters
    ----------
    stimuli : Tensor, shape (..., time, height, width)
    sigma : float
        Standard deviation in frames.
    size : int
        Kernel size in frames; even kernels shift the movie by half a frame, as in openretina.
    zero_padded : bool
        Pad the movie with zeros, as in openretina, which biases the first and last frames towards
        zero. Otherwise the kernel is renormalised at the ends.
    """
    if sigma <= 0 or size < 1:
        raise ValueError(f"sigma > 0 and size >= 1 are required, got {sigma} and {size}")
    frames = stimuli.shape[-3]
    offset = torch.arange(frames)[None, :] - torch.arange(frames)[:, None] + (size - 1) // 2
    kernel = torch.exp(-((torch.arange(size) - size // 2).double() ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    inside = (offset >= 0) & (offset < size)
    matrix = torch.where(inside, kernel[offset.clamp(0, size - 1)], 0.0)
    if not zero_padded:
        matrix = matrix / matrix.sum(1, keepdim=True)
    return torch.einsum("ts,...shw->...thw", matrix.to(stimuli), stimuli)

"""Gradient of a response with respect to the contrast of each stimulus channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from meiflow.stimuli.objectives import (
    IncreaseObjective,
    Objective,
    ResponseModel,
    SliceMeanReducer,
    check_depends,
    evaluated,
)

_ROUNDING = 1e-6


@dataclass(frozen=True)
class GradientGrid:
    """Responses and their gradients on a grid of channel contrasts.

    Parameters
    ----------
    contrasts : tuple of ndarray
        Contrast values, one array per channel.
    responses : ndarray, shape (values of channel 0, values of channel 1, ...)
    gradients : ndarray, shape (values of channel 0, values of channel 1, ..., channels)
        Gradient of the response with respect to the contrast of each channel.
    """

    contrasts: tuple[NDArray[np.float64], ...]
    responses: NDArray[np.float64]
    gradients: NDArray[np.float64]

    def table(self) -> pd.DataFrame:
        """Columns contrast_0, ..., response, gradient_0, ...; one row per point of the grid."""
        points = np.stack(np.meshgrid(*self.contrasts, indexing="ij"), -1)
        channels = range(len(self.contrasts))
        flat = points.reshape(-1, len(channels)), self.gradients.reshape(-1, len(channels))
        columns = {f"contrast_{k}": flat[0][:, k] for k in channels}
        columns["response"] = self.responses.ravel()
        return pd.DataFrame(columns | {f"gradient_{k}": flat[1][:, k] for k in channels})


def response_gradient_grid(
    model: ResponseModel,
    patterns: Tensor | ArrayLike,
    contrasts: Sequence[float] | NDArray | Sequence[Sequence[float]],
    neuron: int | Sequence[int] | None = None,
    start: int | None = None,
    stop: int | None = None,
    *,
    mean: float | ArrayLike = 0.5,
    objective: Objective | None = None,
    limits: tuple[float, float] | None = (0.0, 1.0),
    batch: int = 64,
) -> GradientGrid:
    """Response and its gradient for every combination of channel contrasts.

    The stimulus is ``mean + contrast * pattern``, channel by channel.

    Parameters
    ----------
    model : callable
        Map from stimuli (batch, channels, [frames,] height, width) to responses (batch, [time,]
        neurons).
    patterns : array_like, shape (channels, [frames,] height, width)
        Zero-centred patterns, e.g. the deviation of an optimal stimulus from its mean.
    contrasts : sequence of float, or one such sequence per channel
        Factors of the patterns, which may be negative.
    neuron : int, sequence of int or None
        As in `meiflow.stimuli.Increase`.
    start, stop : int, optional
        Frames of the response to average, excluding `stop`; by default all frames.
    mean : float or array_like, shape (channels,)
        Value of the stimulus where the pattern is zero.
    objective : callable, optional
        Objective to use instead of the mean response of `neuron` from `start` to `stop`.
    limits : (float, float) or None
        Allowed range of the stimuli, which are never clipped.
    batch : int
        Number of stimuli shown at once.

    Returns
    -------
    GradientGrid

    Raises
    ------
    ValueError
        If shapes, frames or range are invalid, or if the response does not depend on the
        stimuli.

    Notes
    -----
    openretina's ``get_gradient_grid`` does this for two channels, over contrasts -1 to 1,
    regardless of the given range.

    Examples
    --------
    >>> import torch
    >>> pattern = torch.full((2, 4, 4), 0.25)
    >>> def green_less_uv(stimuli):
    ...     light = stimuli.mean((2, 3))
    ...     return (light[:, 0] - 0.2 * light[:, 1])[:, None]
    >>> grid = response_gradient_grid(green_less_uv, pattern, [-1.0, 0.0, 1.0])
    >>> grid.responses.round(2)
    array([[0.2 , 0.15, 0.1 ],
           [0.45, 0.4 , 0.35],
           [0.7 , 0.65, 0.6 ]])
    >>> grid.gradients[1, 1].round(2)
    array([ 0.25, -0.05])
    """
    pattern = torch.as_tensor(patterns, dtype=torch.float32)
    if pattern.ndim not in (3, 4) or not bool(torch.isfinite(pattern).all()):
        raise ValueError(
            f"patterns have shape {tuple(pattern.shape)}; expected finite (channels, [frames,] "
            "height, width)"
        )
    axes = _axes(contrasts, len(pattern))
    grey = torch.as_tensor(mean, dtype=torch.float32)
    if grey.ndim and grey.shape != (len(pattern),):
        raise ValueError(f"mean of shape {tuple(grey.shape)} given for {len(pattern)} channels")
    grey = grey.expand(len(pattern)).reshape(-1, *[1] * (pattern.ndim - 1))
    chosen = (
        objective if objective is not None else IncreaseObjective(neuron, _between(start, stop))
    )
    if objective is not None and (neuron is not None or start is not None or stop is not None):
        raise ValueError("with an objective, neuron, start and stop must not be given")
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))
    points = torch.as_tensor(grid, dtype=torch.float32)
    responses, gradients = [], []
    with evaluated(model), torch.enable_grad():
        for part in points.split(batch):
            factors = part.clone().requires_grad_(True)
            stimuli = grey + factors.reshape(*factors.shape, *[1] * (pattern.ndim - 1)) * pattern
            _check_range(stimuli.detach(), limits)
            value = chosen(model(stimuli), stimuli)
            if value.shape != (len(part),):
                raise ValueError(
                    f"values for {len(part)} stimuli have shape {tuple(value.shape)}; expected "
                    "(batch,)"
                )
            check_depends(value, stimuli)
            (gradient,) = torch.autograd.grad(value.sum(), factors)
            responses.append(value.detach())
            gradients.append(gradient)
    shape = tuple(len(axis) for axis in axes)
    return GradientGrid(
        axes,
        torch.cat(responses).numpy().astype(float).reshape(shape),
        torch.cat(gradients).numpy().astype(float).reshape(*shape, len(axes)),
    )


def _axes(contrasts: object, channels: int) -> tuple[NDArray[np.float64], ...]:
    one_ladder = f"expected one list of contrasts, or {channels} lists for {channels} channels"
    try:
        given = [np.asarray(c, dtype=float) for c in contrasts]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ValueError(f"contrasts: {one_ladder}") from None
    if given and all(c.ndim == 0 for c in given):
        given = [np.stack(given)] * channels
    if len(given) != channels or any(c.ndim != 1 or not len(c) for c in given):
        raise ValueError(f"contrasts: {one_ladder}")
    if not all(np.isfinite(c).all() for c in given):
        raise ValueError("contrasts: not finite")
    return tuple(given)


def _between(start: int | None, stop: int | None) -> SliceMeanReducer | None:
    if start is None and stop is None:
        return None
    first = start or 0
    return SliceMeanReducer(first, None if stop is None else stop - first)


def _check_range(stimuli: Tensor, limits: tuple[float, float] | None) -> None:
    low, high = float(stimuli.min()), float(stimuli.max())
    if limits is not None and not limits[0] - _ROUNDING <= low <= high <= limits[1] + _ROUNDING:
        raise ValueError(
            f"stimuli range from {low:.4g} to {high:.4g}; allowed is {limits[0]:g} to "
            f"{limits[1]:g}, because stimuli are not clipped; use lower contrasts or limits=None"
        )


def equalise_channels(pattern: Tensor, flip: Sequence[int] = ()) -> Tensor:
    """Scale the channels of a pattern to the same norm, keeping the overall norm.

    Parameters
    ----------
    pattern : Tensor, shape (batch, channels, [frames,] height, width)
        Zero-centred pattern.
    flip : sequence of int
        Channels whose sign is inverted.

    Raises
    ------
    ValueError
        If a channel is zero everywhere, or there is no such channel.

    Examples
    --------
    >>> import torch
    >>> pattern = torch.ones(1, 2, 3, 3) * torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)
    >>> equalise_channels(pattern)[0, :, 0, 0]
    tensor([2.2361, 2.2361])
    """
    if pattern.ndim not in (4, 5):
        raise ValueError(
            f"the pattern has shape {tuple(pattern.shape)}; expected (batch, channels, [frames,] "
            "height, width)"
        )
    channels = pattern.shape[1]
    if any(not 0 <= k < channels for k in flip):
        raise ValueError(f"invalid flip {list(flip)}; the channels are 0 to {channels - 1}")
    norms = pattern.flatten(2).norm(dim=2)
    if not bool((norms > 0).all()):
        raise ValueError("a channel is zero everywhere and cannot be scaled")
    factors = norms.norm(dim=1, keepdim=True) / channels**0.5 / norms
    factors[:, list(flip)] *= -1
    return pattern * factors.reshape(*factors.shape, *[1] * (pattern.ndim - 2))

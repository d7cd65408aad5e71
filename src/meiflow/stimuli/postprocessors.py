"""Projections and filters applied to a stimulus after each step.

A postprocessor is a function of the stimuli (batch, ..., height, width), the step and the number of
steps, and processes every stimulus separately.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from meiflow.images.projection import check_reachable, project
from meiflow.stimuli.blur import gaussian_blur, low_pass
from meiflow.stimuli.regularisers import Limits, check_channels
from meiflow.stimuli.schedules import StepSchedule, as_schedule


class Postprocessor(Protocol):
    """Maps stimuli to stimuli, without gradient."""

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor: ...


@dataclass(frozen=True)
class MeanContrast:
    """Fix mean luminance and RMS contrast exactly, even if pixels are clipped to [0, 1].

    Stimuli are luminance in [0, 1]; wrap a model that uses other units in one that rescales.

    Parameters
    ----------
    mean, contrast : float
        Mean and standard deviation over all pixels of the stimulus.
    mask : Tensor of bool, optional
        Free pixels, broadcast over the stimuli: a centre, or a surround. The others are
        `background`, and are included in mean and contrast.
    background : Tensor or float, optional
        A stimulus without batch axis, or a luminance; by default `mean`.

    Raises
    ------
    ValueError
        If no stimulus in [0, 1], or none with this background, has this mean and contrast.

    Examples
    --------
    >>> images = torch.rand(2, 30, 48, generator=torch.Generator().manual_seed(0))
    >>> held = MeanContrast(0.4, 0.1)(images, 0, 1)
    >>> held.mean((1, 2)).round(decimals=3), held.std((1, 2), correction=0).round(decimals=3)
    (tensor([0.4000, 0.4000]), tensor([0.1000, 0.1000]))
    """

    mean: float
    contrast: float
    mask: Tensor | None = None
    background: Tensor | float | None = None

    def __post_init__(self) -> None:
        check_reachable(self.mean, self.contrast)
        if self.mask is None and self.background is not None:
            raise ValueError("a background requires a mask")
        if self.mask is not None and getattr(self.mask, "dtype", None) != torch.bool:
            got = getattr(self.mask, "dtype", "no type")
            kind = type(self.mask).__name__
            raise ValueError(f"the mask must be a boolean torch tensor, got {got} in a {kind}")

    def rest(self, stimuli: Tensor) -> Tensor:
        """The background with the shape of one stimulus."""
        grey = self.mean if self.background is None else self.background
        rest = torch.as_tensor(grey, dtype=stimuli.dtype, device=stimuli.device)
        return rest.expand(stimuli.shape[1:])

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        if self.mask is None:
            return project(stimuli, self.mean, self.contrast)
        free = self.mask.to(stimuli.device).expand(stimuli.shape[1:])
        rest = self.rest(stimuli)
        share = float(free.to(stimuli.dtype).mean())
        if int(free.sum()) < 2:
            raise ValueError("the mask leaves fewer than two pixels free, which have no contrast")
        fixed = rest[~free]
        sums = (float(fixed.sum()) / free.numel(), float(fixed.pow(2).sum()) / free.numel())
        mean = (self.mean - sums[0]) / share
        power = (self.contrast**2 + self.mean**2 - sums[1]) / share - mean**2
        if not 0 < mean < 1 or not 0 < power <= mean * (1 - mean):
            raise ValueError(
                f"mean {self.mean:.3g} and contrast {self.contrast:.3g} of the whole stimulus "
                "cannot be reached with this background; raise the contrast or free more pixels"
            )
        out = rest.expand(stimuli.shape).clone()
        out[:, free] = project(stimuli[:, free], mean, power**0.5)
        return out


@dataclass(frozen=True)
class NormClip:
    """Joint norm of all channels, followed by limits per channel (as in openretina).

    Parameters
    ----------
    norm : float or None
        Euclidean norm of each stimulus; None for no normalisation.
    limits : sequence of (low, high)
        One pair per channel; None for no limit. Clipping may reduce the norm.
    """

    norm: float | None
    limits: Limits

    def __post_init__(self) -> None:
        if self.norm is not None and self.norm <= 0:
            raise ValueError(f"the norm must be above 0, got {self.norm}")
        for low, high in self.limits:
            if low is not None and high is not None and low >= high:
                raise ValueError(f"limits must have low < high, got {low}, {high}")

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        check_channels(stimuli, self.limits)
        if self.norm is not None:
            found = torch.linalg.vector_norm(stimuli.flatten(1), dim=1).clamp_min(1e-20)
            stimuli = stimuli * (self.norm / found).reshape(-1, *[1] * (stimuli.ndim - 1))
        low, high = self.limits[0]
        if all(tuple(limit) == (low, high) for limit in self.limits):
            return _clipped(stimuli, low, high)
        parts = [_clipped(stimuli[:, c], *limit) for c, limit in enumerate(self.limits)]
        return torch.stack(parts, 1)


def _clipped(values: Tensor, low: float | None, high: float | None) -> Tensor:
    return values if low is None and high is None else values.clamp(low, high)


@dataclass(frozen=True)
class ClipRange:
    """Clip all pixels to limits."""

    low: float = 0.0
    high: float = 1.0

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        return stimuli.clamp(self.low, self.high)


class MinMax:
    """Rescale every stimulus to [0, 1], as in the notebook; uniform stimuli become 0."""

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        over = tuple(range(1, stimuli.ndim))
        low, high = stimuli.amin(over, keepdim=True), stimuli.amax(over, keepdim=True)
        return (stimuli - low) / (high - low).clamp_min(1e-20)


@dataclass(frozen=True)
class SpatialBlur:
    """Gaussian blur of every frame.

    `sigma` is in pixels: a number, a pair (first, last) or a schedule.
    """

    sigma: float | tuple[float, float] | StepSchedule

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        return gaussian_blur(stimuli, as_schedule(self.sigma)(step, steps))


@dataclass(frozen=True)
class TemporalLowPass:
    """Gaussian low-pass over time; see `meiflow.stimuli.blur.low_pass`."""

    sigma: float
    size: int
    zero_padded: bool = False

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        if stimuli.ndim != 5:
            raise ValueError(
                f"movies (batch, channels, time, height, width) required, got "
                f"{tuple(stimuli.shape)}"
            )
        return low_pass(stimuli, self.sigma, self.size, self.zero_padded)


@dataclass(frozen=True)
class PixelMask:
    """Keep the pixels in `mask` (weights in [0, 1]); the others become `background`."""

    mask: Tensor
    background: Tensor | float = 0.5

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        weight = self.mask.to(stimuli)
        rest = torch.as_tensor(self.background).to(stimuli)
        return stimuli * weight + (1 - weight) * rest


def apply_all(parts: Sequence[Postprocessor], stimuli: Tensor, step: int, steps: int) -> Tensor:
    """Apply postprocessors in turn."""
    for part in parts:
        stimuli = part(stimuli, step, steps)
    return stimuli


class Snapshots:
    """Keep the stimuli at some steps, and change nothing.

    Last among the postprocessors of one optimisation; step 0 is the start.

    Parameters
    ----------
    steps : iterable of int

    Examples
    --------
    >>> kept = Snapshots([0, 2])
    >>> for step in (0, 0, 1, 2):  # the start, and after each step
    ...     _ = kept(torch.full((1, 2), float(step)), step, 3)
    >>> {step: stimuli.tolist() for step, stimuli in kept.stimuli.items()}
    {0: [[0.0, 0.0]], 2: [[1.0, 1.0]]}
    """

    def __init__(self, steps: Iterable[int]) -> None:
        self.steps = frozenset(steps)
        self.stimuli: dict[int, Tensor] = {}
        self._next = 0

    def __call__(self, stimuli: Tensor, step: int, steps: int) -> Tensor:
        if self._next in self.steps:
            self.stimuli[self._next] = stimuli  # never changed in place
        self._next += 1
        return stimuli

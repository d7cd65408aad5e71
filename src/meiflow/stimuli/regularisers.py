"""Regularisers: penalties with one number per stimulus of a batch.

Stimuli are (batch, ..., height, width); channels, if relevant, are axis 1. Penalties are subtracted
from the objective with their `weight`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import relu

from meiflow.stimuli.preconditioning import frequencies

Limits = Sequence[tuple[float | None, float | None]]
_TINY = 1e-20


class Regulariser(Protocol):
    """Maps stimuli to one penalty per stimulus (batch,)."""

    def __call__(self, stimuli: Tensor) -> Tensor: ...


def check_channels(stimuli: Tensor, limits: Limits) -> None:
    """Raise ValueError if there is not one pair of limits per channel."""
    if stimuli.ndim < 4 or stimuli.shape[1] != len(limits):
        raise ValueError(
            f"limits for {len(limits)} channels given, but stimuli have shape "
            f"{tuple(stimuli.shape)} (batch, channels, ..., height, width)"
        )


def _beyond(values: Tensor, low: float | None, high: float | None) -> Tensor:
    """Sum of the distances of values (batch, ...) outside the limits."""
    if low is None and high is None:
        return torch.zeros(len(values), dtype=values.dtype, device=values.device)
    # clamped values have no gradient, the others that of their distance
    return (values - values.detach().clamp(low, high)).abs().flatten(1).sum(1)


@dataclass(frozen=True)
class RangePenalty:
    """Sum of the distances of pixels outside the limits of their channel.

    Parameters
    ----------
    limits : sequence of (low, high)
        One pair per channel; None for no limit.
    """

    limits: Limits
    weight: float = 1.0

    def __call__(self, stimuli: Tensor) -> Tensor:
        check_channels(stimuli, self.limits)
        parts = [_beyond(stimuli[:, c], *limit) for c, limit in enumerate(self.limits)]
        return self.weight * (parts[0] if len(parts) == 1 else torch.stack(parts).sum(0))


@dataclass(frozen=True)
class NormPenalty:
    """Lp norm of each stimulus in excess of `limit`."""

    p: float = 2.0
    limit: float = 0.0
    weight: float = 1.0

    def __call__(self, stimuli: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(stimuli.flatten(1), self.p, dim=1)
        return self.weight * relu(norm - self.limit)


@dataclass(frozen=True)
class TotalVariation:
    """Sum of the differences between neighbouring pixels (Rudin, Osher & Fatemi 1992).

    Parameters
    ----------
    isotropic : bool
        Use the length of the gradient (forward differences, zero beyond the border) instead of the
        sum of its absolute components.

    Examples
    --------
    >>> ramp = torch.linspace(0, 1, 5).expand(1, 4, 5)
    >>> TotalVariation()(torch.stack([ramp[0], torch.zeros(4, 5)])).round(decimals=3)
    tensor([4., 0.])
    """

    isotropic: bool = False
    weight: float = 1.0

    def __call__(self, stimuli: Tensor) -> Tensor:
        dy = stimuli[..., 1:, :] - stimuli[..., :-1, :]
        dx = stimuli[..., :, 1:] - stimuli[..., :, :-1]
        if not self.isotropic:
            total = dy.abs().flatten(1).sum(1) + dx.abs().flatten(1).sum(1)
        else:
            pad = torch.nn.functional.pad
            squared = pad(dy**2, (0, 0, 0, 1)) + pad(dx**2, (0, 1))
            total = squared.clamp_min(_TINY).sqrt().flatten(1).sum(1)
        return self.weight * total


@dataclass(frozen=True)
class Laplacian:
    """Mean squared five-point Laplacian, which is zero for linear ramps."""

    weight: float = 1.0

    def __call__(self, stimuli: Tensor) -> Tensor:
        if min(stimuli.shape[-2:]) < 3:
            raise ValueError(f"at least 3 x 3 pixels are required, got {tuple(stimuli.shape[-2:])}")
        middle = stimuli[..., 1:-1, 1:-1]
        sides = stimuli[..., :-2, 1:-1] + stimuli[..., 2:, 1:-1]
        sides = sides + stimuli[..., 1:-1, :-2] + stimuli[..., 1:-1, 2:]
        return self.weight * (4 * middle - sides).pow(2).flatten(1).mean(1)


@dataclass(frozen=True)
class GreyDistance:
    """Mean squared distance to grey."""

    grey: float = 0.5
    weight: float = 1.0

    def __call__(self, stimuli: Tensor) -> Tensor:
        return self.weight * (stimuli - self.grey).pow(2).flatten(1).mean(1)


@dataclass(frozen=True)
class ContrastPenalty:
    """``|c* - c|``, where c is the standard deviation; `correction` 1 is as in the notebook."""

    contrast: float
    weight: float = 1.0
    correction: int = 0

    def __call__(self, stimuli: Tensor) -> Tensor:
        found = stimuli.flatten(1).std(1, correction=self.correction)
        return self.weight * (self.contrast - found).abs()


@dataclass(frozen=True)
class SpectrumMatch:
    """Mean squared log ratio of the radial power spectrum to a target spectrum.

    Both are scaled to unit power, so that contrast has no effect. Build it with
    `SpectrumMatch.of`.
    """

    target: Tensor
    bins: Tensor
    weight: float = 1.0

    @classmethod
    def of(
        cls,
        stimuli: Tensor,
        spacing: tuple[float, float] = (1.0, 1.0),
        bins: int = 16,
        weight: float = 1.0,
    ) -> SpectrumMatch:
        """Match the mean spectrum of `stimuli` (n, ..., height, width).

        Parameters
        ----------
        spacing : pair of float
            Size of a pixel along rows and columns: (1, 1) for cycles per pixel, degrees for cycles
            per degree.
        bins : int
            Number of rings between zero and the lower Nyquist frequency.
        """
        height, width = stimuli.shape[-2:]
        radius = frequencies((height, width), spacing)
        limit = 0.5 / max(spacing)
        ring = (radius / limit * bins).long()
        inside = (radius > 0) & (radius <= limit)
        # In a half spectrum, cells not in the first or last column represent two.
        twice = torch.full_like(radius, 2.0)
        twice[:, 0] = 1.0
        if width % 2 == 0:
            twice[:, -1] = 1.0
        ring = ring.clamp_max(bins - 1)
        member = torch.stack([(ring == b) & inside for b in range(bins)]).to(radius)
        member = (member * twice).flatten(1)
        member = member[member.sum(1) > 0]
        shell = member / member.sum(1, keepdim=True)
        return cls(cls._profile(stimuli, shell.to(stimuli)).mean(0), shell.to(stimuli), weight)

    @staticmethod
    def _profile(stimuli: Tensor, shell: Tensor) -> Tensor:
        centred = stimuli - stimuli.mean((-2, -1), keepdim=True)
        power = torch.fft.rfft2(centred).abs().pow(2)
        profile = power.flatten(-2) @ shell.T.to(power)
        profile = profile.reshape(len(stimuli), -1, profile.shape[-1]).mean(1)
        return profile / profile.sum(1, keepdim=True).clamp_min(_TINY)

    def __call__(self, stimuli: Tensor) -> Tensor:
        height, width = stimuli.shape[-2:]
        if height * (width // 2 + 1) != self.bins.shape[1]:
            raise ValueError(f"built for a different frame size than {(height, width)}")
        found = self._profile(stimuli, self.bins.to(stimuli))
        ratio = (found + 1e-12).log() - (self.target.to(stimuli) + 1e-12).log()
        return self.weight * ratio.pow(2).mean(1)

"""Random transformations before the model, for stimuli that stay exciting when they are changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, exp, log, radians, sin

import torch
from torch import Tensor
from torch.nn import functional

from meiflow.images.geometry import Geometry
from meiflow.stimuli.objectives import ResponseModel

# Differentiable map from stimuli and step to the input of the model at that step.
Transform = Callable[[Tensor, int], Tensor]


def _generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed((1_000_003 * seed + step) % 2**31)


@dataclass(frozen=True)
class Jitter:
    """Shift every stimulus by up to `pixels`, differently at each step, before the model.

    This is a transform, not a postprocessor: the gradient passes through it, and the unshifted
    stimulus is stored. Borders wrap around.
    """

    pixels: int
    seed: int = 0

    def __call__(self, stimuli: Tensor, step: int) -> Tensor:
        n = self.pixels
        dy, dx = torch.randint(-n, n + 1, (2,), generator=_generator(self.seed, step)).tolist()
        return torch.roll(stimuli, (dy, dx), (-2, -1))


@dataclass(frozen=True)
class RandomAffine:
    """Scale, rotate, shift and crop all stimuli, differently at each step, before the model.

    Transformation robustness after Olah, Mordvintsev & Schubert (2017) and lucent, in degrees of
    visual angle, so that rotated stimuli are not sheared where pixels are not square. The gradient
    passes through it, and the unchanged stimulus is stored. What enters from outside, or is
    cropped, has the mean luminance of the frame; pixels are interpolated linearly.

    Parameters
    ----------
    geometry : Geometry
    scale : float
        Stimuli are scaled by a factor between ``1 / scale`` and this, uniformly in its logarithm.
    rotation_deg, shift_deg : float
        Largest rotation, and largest shift along each axis, both uniform in either direction.
    crop : float
        Fraction of each side of the frame that is kept, at a random position, in (0, 1].
    centre : pair of float
        Fixed point of scaling and rotation, degrees right and up.
    seed : int

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> bright = torch.full((2, 30, 48), 0.7)
    >>> shaken = RandomAffine(screen, scale=1.2, rotation_deg=15.0)
    >>> shaken(bright, step=0).mean((1, 2)).round(decimals=2)
    tensor([0.7000, 0.7000])
    """

    geometry: Geometry
    scale: float = 1.0
    rotation_deg: float = 0.0
    shift_deg: float = 0.0
    crop: float = 1.0
    centre: tuple[float, float] = (0.0, 0.0)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.scale < 1 or self.rotation_deg < 0 or self.shift_deg < 0 or not 0 < self.crop <= 1:
            raise ValueError(
                "scale >= 1, rotation_deg >= 0, shift_deg >= 0 and 0 < crop <= 1 are required, got "
                f"{self.scale}, {self.rotation_deg}, {self.shift_deg} and {self.crop}"
            )

    def __call__(self, stimuli: Tensor, step: int) -> Tensor:
        if tuple(stimuli.shape[-2:]) != self.geometry.shape:
            raise ValueError(
                f"frames have {tuple(stimuli.shape[-2:])} pixels, but the screen has "
                f"{self.geometry.shape}"
            )
        drawn = torch.rand(6, generator=_generator(self.seed, step), dtype=torch.float64)
        u, turn, right, up = (2 * drawn[:4] - 1).tolist()
        mean = stimuli.mean((-2, -1), keepdim=True)
        contrast = stimuli - mean
        if self.scale > 1 or self.rotation_deg > 0 or self.shift_deg > 0:
            shift = self.shift_deg * right, self.shift_deg * up
            zoom = exp(u * log(self.scale))
            contrast = self._moved(contrast, zoom, radians(turn * self.rotation_deg), shift)
        if self.crop < 1:
            contrast = contrast * self._kept(*drawn[4:].tolist()).to(contrast)
        return mean + contrast

    def _moved(
        self, contrast: Tensor, zoom: float, angle: float, shift: tuple[float, float]
    ) -> Tensor:
        """Rotated counter-clockwise; each pixel of the output reads the input at its origin."""
        a, b = cos(angle) / zoom, sin(angle) / zoom
        x, y = (place + moved for place, moved in zip(self.centre, shift, strict=True))
        offset = self.centre[0] - a * x - b * y, self.centre[1] + b * x - a * y
        # half sizes of the screen: the grid counts from -1 to 1, to the right and downwards
        w, h = self.geometry.width_deg / 2, self.geometry.height_deg / 2
        rows = [[a, -b * h / w, offset[0] / w], [b * w / h, a, -offset[1] / h]]
        frames = contrast.reshape(1, -1, *contrast.shape[-2:])
        matrix = torch.tensor([rows], dtype=contrast.dtype, device=contrast.device)
        grid = functional.affine_grid(matrix, list(frames.shape), align_corners=False)
        moved = functional.grid_sample(frames, grid, padding_mode="zeros", align_corners=False)
        return moved.reshape(contrast.shape)

    def _kept(self, down: float, right: float) -> Tensor:
        """The part of the frame that is kept: (height, width), 1 inside."""
        mask = torch.zeros(self.geometry.shape)
        rows, columns = (max(round(self.crop * n), 1) for n in self.geometry.shape)
        top = round(down * (self.geometry.height - rows))
        left = round(right * (self.geometry.width - columns))
        mask[top : top + rows, left : left + columns] = 1.0
        return mask


def over_transforms(model: ResponseModel, transform: Transform, draws: int = 8) -> ResponseModel:
    """A model whose response is the mean over `draws` transformed versions of each stimulus.

    The draws are the same at every call (steps 0 to ``draws - 1`` of the transform), so the mean
    can be maximised like any response; stimuli optimised for it are robust to the transformations.

    Parameters
    ----------
    model : callable
        Map from stimuli to responses, batch first.
    transform : callable
        Such as `RandomAffine` or `Jitter`.
    draws : int

    Examples
    --------
    >>> corner = lambda stimuli: stimuli[:, 0, 0]
    >>> spot = torch.zeros(1, 3, 3)
    >>> spot[0, 0, 0] = 1.0
    >>> seen = over_transforms(corner, Jitter(1), draws=200)(spot)
    >>> bool(0.05 < seen[0] < 0.2)
    True
    """
    if draws < 1:
        raise ValueError(f"at least one draw is required, got {draws}")

    def respond(stimuli: Tensor) -> Tensor:
        shown = torch.cat([transform(stimuli, step) for step in range(draws)])
        responses = model(shown)
        return responses.reshape(draws, len(stimuli), *responses.shape[1:]).mean(0)

    return respond

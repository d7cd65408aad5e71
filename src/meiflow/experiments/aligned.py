"""Stimuli in the coordinates of each neuron, so that neurons at different positions compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample

from meiflow.config.clusters import ALIGNED, Alignment
from meiflow.experiments.standard import Preferred
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.stimuli.objectives import ResponseModel

# A square of four wavelengths of the neuron's best Gabor.
CANONICAL = Geometry(32, 32, 4.0, 4.0)
_HALF = CANONICAL.width_deg / 2
_WIDEST = 4.0  # a longer wavelength than 4 sigma is that of a blob and says nothing
_AT_ONCE = 32  # neurons


@dataclass(frozen=True)
class AlignedPopulation:
    """Neurons that are all shown the same stimuli, each in its own coordinates.

    A stimulus is a square of 4 by 4 wavelengths of the neuron's best Gabor. It is moved to the
    Gabor's centre, turned to its orientation, scaled to its wavelength, and its phase along the
    modulation axis is changed by that of the Gabor (the analytic signal along that axis is
    rotated). The screen around it is mid-grey.

    Parameters
    ----------
    pair : callable
        Called with indices of neurons; returns a function of images (neurons * images, height,
        width), ordered by neuron, that returns their responses (neurons * images,), such as
        `meiflow.models.population.PairedModel`.
    preferred : sequence of Preferred
        Best Gabor of every neuron.
    align : sequence of str
        Of position, orientation, scale and phase. Position is always aligned. Without scale, the
        wavelength of all neurons is `scale_deg`; without orientation, the axes are those of the
        screen.
    scale_deg : float, optional
        By default the median wavelength.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor, grating
    >>> screen = Geometry(40, 64)
    >>> given = [(10.0, 5.0, 20.0, 30.0, 70.0, 8.0), (-20.0, 0.0, 30.0, 110.0, 200.0, 10.0)]
    >>> filters = torch.as_tensor(np.stack([gabor(screen, *one) for one in given])).float()
    >>> filters = filters / (filters**2).sum((1, 2), keepdim=True).sqrt()
    >>> def pair(rows):
    ...     own = filters[rows][:, None]
    ...     return lambda images: (
    ...         (images.reshape(len(rows), -1, *screen.shape) - 0.5) * own
    ...     ).sum((2, 3)).flatten()
    >>> population = AlignedPopulation(pair, [Preferred(screen, *one) for one in given])
    >>> waves = 0.5 + 0.4 * grating(CANONICAL, 1.0, 0.0, [0.0, 90.0, 180.0])
    >>> responses = population.responses(waves)
    >>> (responses / responses[:, :1]).round(1) + 0.0
    array([[ 1.,  0., -1.],
           [ 1.,  0., -1.]])
    """

    pair: Callable[[NDArray[np.int64]], ResponseModel]
    preferred: Sequence[Preferred]
    align: Sequence[Alignment] = ALIGNED
    scale_deg: float | None = None

    def __len__(self) -> int:
        return len(self.preferred)

    def part(self, rows: Sequence[int] | NDArray[np.int64]) -> AlignedPopulation:
        """Some of the neurons, with the same scale as among all."""
        scale = float(np.median(self._lengths())) if self.scale_deg is None else self.scale_deg
        chosen, all_of = [self.preferred[row] for row in rows], np.asarray(rows)
        return replace(
            self, pair=lambda own: self.pair(all_of[own]), preferred=chosen, scale_deg=scale
        )

    def _values(self, name: str) -> NDArray[np.float64]:
        return np.array([getattr(p, name) for p in self.preferred], float)

    def _lengths(self) -> NDArray[np.float64]:
        return np.minimum(self._values("wavelength_deg"), _WIDEST * self._values("sigma_deg"))

    def _scales(self) -> NDArray[np.float64]:
        own = self._lengths()
        if "scale" in self.align:
            return own
        return np.full_like(own, np.median(own) if self.scale_deg is None else self.scale_deg)

    def model(self, rows: NDArray[np.int64]) -> ResponseModel:
        """Function of canonical images (images, 32, 32): responses above grey (images, rows).

        It is differentiable if `pair` returns differentiable functions.
        """
        respond, grid = self.pair(rows), self._grid(rows)
        turns = self._values("phase_deg")[rows] if "phase" in self.align else None
        screen = self.preferred[0].geometry
        with torch.no_grad():
            grey = respond(torch.full((len(rows), *screen.shape), GREY))[None]

        def responses(images: Tensor) -> Tensor:
            contrast = images - GREY
            own = (
                contrast[None].expand(len(rows), -1, -1, -1)
                if turns is None
                else phase_turned(contrast, turns)
            )
            shown = grid_sample(own, grid, padding_mode="zeros", align_corners=False)
            shown = (GREY + shown).clamp(0, 1).flatten(0, 1)
            return respond(shown).reshape(len(rows), len(images)).T - grey

        return responses

    def responses(self, images: NDArray) -> NDArray[np.float64]:
        """Responses above grey (neurons, images) to canonical images (images, 32, 32)."""
        stack = torch.as_tensor(images, dtype=torch.float32)
        parts = []
        with torch.no_grad():
            for first in range(0, len(self), _AT_ONCE):
                model = self.model(np.arange(first, min(first + _AT_ONCE, len(self))))
                parts.append(torch.cat([model(part) for part in stack.split(_AT_ONCE)]))
        return torch.cat(parts, 1).T.numpy().astype(float)

    def _grid(self, rows: NDArray[np.int64]) -> Tensor:
        """Where each pixel of the screen reads the canonical image, for `grid_sample`."""
        screen = self.preferred[0].geometry
        x, y, angle = (
            self._values(name)[rows][:, None, None]
            for name in ("x_deg", "y_deg", "orientation_deg")
        )
        theta = np.deg2rad(angle if "orientation" in self.align else 0.0 * angle)
        scale = _HALF * self._scales()[rows][:, None, None]
        dx, dy = screen.x[None, None, :] - x, screen.y[None, :, None] - y
        u = (dx * np.cos(theta) + dy * np.sin(theta)) / scale
        v = (-dx * np.sin(theta) + dy * np.cos(theta)) / scale
        return torch.as_tensor(np.stack([u, -v], -1), dtype=torch.float32)


def phase_turned(images: Tensor, phase_deg: NDArray) -> Tensor:
    """Images with all phases along the horizontal axis changed, one per phase.

    Components that are constant along this axis have no such phase and stay.

    Parameters
    ----------
    images : Tensor, shape (images, height, width)
    phase_deg : ndarray, shape (phases,)

    Returns
    -------
    Tensor, shape (phases, images, height, width)

    Examples
    --------
    >>> from meiflow.images.patterns import grating
    >>> waves = torch.as_tensor(grating(CANONICAL, 1.0, 0.0, [0.0, 40.0])).float()
    >>> turned = phase_turned(waves[:1], np.array([40.0]))
    >>> bool((turned[0, 0] - waves[1]).abs().max() < 1e-4)
    True
    """
    spectrum = torch.fft.rfft2(images)
    turn = np.exp(1j * np.deg2rad(np.asarray(phase_deg, float)))[:, None]
    factor = np.repeat(turn, spectrum.shape[-1], axis=1)
    factor[:, 0] = 1
    factor[:, -1] = 1  # the Nyquist frequency
    rotated = spectrum[None] * torch.as_tensor(factor).to(spectrum)[:, None, None, :]
    return torch.fft.irfft2(rotated, s=images.shape[-2:])

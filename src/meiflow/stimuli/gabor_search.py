"""The Gabor that drives a model most: grid search, then refinement by gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.geometry import Geometry
from meiflow.sections import Gabor
from meiflow.stimuli import patterns
from meiflow.stimuli.projection import project

PARAMETERS = ("x", "y", "wavelength", "orientation", "phase", "sigma", "aspect")
_BATCH = 256


@dataclass(frozen=True)
class GaborFit:
    """A Gabor, its image (height, width) and the response to it.

    ``parameters`` holds `PARAMETERS` (degrees; orientation in [0, 180), phase in [0, 360)).
    """

    parameters: dict[str, float]
    image: NDArray[np.float32]
    response: float


def candidate_gabors(config: Gabor, x: float, y: float) -> NDArray[np.float64]:
    """Grid of parameters about a place, shape (candidates, 7) in the order of `PARAMETERS`.

    Positions are `config.offsets` per axis, a quarter of the wavelength apart.
    """
    steps = (np.arange(config.offsets) - (config.offsets - 1) / 2) * 0.25
    phases = 360.0 * np.arange(config.phases) / config.phases
    angles = 180.0 * np.arange(config.orientations) / config.orientations
    wavelength, angle, phase, envelope, dx, dy = (
        g.ravel()
        for g in np.meshgrid(
            config.wavelengths_deg, angles, phases, config.envelopes, steps, steps, indexing="ij"
        )
    )
    return np.column_stack(
        [
            x + dx * wavelength,
            y + dy * wavelength,
            wavelength,
            angle,
            phase,
            envelope * wavelength,
            np.full(len(wavelength), 1.3),
        ]
    )


def render(parameters: Tensor, geometry: Geometry, mean: float, contrast: float) -> Tensor:
    """Images (n, height, width) of Gabors (n, 7) at the given mean and contrast."""
    return project(patterns.gabor(geometry, *parameters.unbind(1)), mean, contrast)


def best_gabor(
    response: Callable[[Tensor], Tensor],
    geometry: Geometry,
    x: float,
    y: float,
    mean: float,
    contrast: float,
    config: Gabor,
) -> GaborFit:
    """Search the Gabor with the highest response at matched mean and contrast.

    Parameters
    ----------
    response : callable
        Images (batch, height, width) to responses (batch,), differentiable.
    x, y : float
        Centre of the searched positions, degrees.
    """
    grid = torch.as_tensor(candidate_gabors(config, x, y), dtype=torch.float32)

    def scores(parameters: Tensor) -> Tensor:
        return response(render(parameters, geometry, mean, contrast))

    with torch.no_grad():
        found = torch.cat([scores(part) for part in grid.split(_BATCH)])
    parameters = grid[found.argsort(descending=True, stable=True)[: config.refine_top]]
    best, best_value = parameters[:1].clone(), -np.inf
    # Lengths are refined on a log scale; a unit step means about a degree or ten percent.
    free = parameters.clone()
    free[:, [2, 5, 6]] = free[:, [2, 5, 6]].log()
    scale = torch.tensor([1.0, 1.0, 0.1, 5.0, 15.0, 0.1, 0.1])
    free = (free / scale).requires_grad_(True)
    low = torch.tensor([-np.inf, -np.inf, 2 * geometry.dx, -np.inf, -np.inf, geometry.dx, 0.5])
    high = torch.tensor([np.inf, np.inf, 80.0, np.inf, np.inf, 40.0, 3.0])
    optimiser = torch.optim.Adam([free], lr=0.15)
    for step in range(config.refine_steps + 1):
        actual = free * scale
        lengths = actual[:, [2, 5, 6]].exp()
        actual = torch.stack(
            [
                actual[:, 0],
                actual[:, 1],
                lengths[:, 0],
                actual[:, 3],
                actual[:, 4],
                lengths[:, 1],
                lengths[:, 2],
            ],
            dim=1,
        ).clamp(low, high)
        value = scores(actual)
        top = int(value.argmax())
        if value[top].item() > best_value:
            best, best_value = actual[top : top + 1].detach(), value[top].item()
        if step == config.refine_steps:
            break
        optimiser.zero_grad()
        (-value.sum()).backward()
        optimiser.step()
    with torch.no_grad():
        image = render(best, geometry, mean, contrast)
        final = float(response(image)[0])
    values = dict(zip(PARAMETERS, best[0].tolist(), strict=True))
    values["orientation"], values["phase"] = _canonical(values["orientation"], values["phase"])
    return GaborFit(values, image[0].numpy(), final)


def _canonical(orientation: float, phase: float) -> tuple[float, float]:
    """The same Gabor with orientation in [0, 180): half a turn mirrors the phase."""
    turns = np.floor(orientation / 180.0)
    flipped = -phase if int(turns) % 2 else phase
    return float(orientation - 180.0 * turns), float(flipped % 360.0)

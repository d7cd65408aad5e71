"""Gabor-energy model: one Gabor pair, rectified and squared, with divisive normalisation.

The textbook model of simple and complex cells (Adelson & Bergen 1985; Heeger 1992; Willmore,
Prenger & Gallant 2010 fit it to V1). The Gabor is found by gradient descent from the best result of
an exhaustive search, the output weights in closed form at every step (variable projection, Golub &
Pereyra 1973).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, softplus

from meiflow.config.sections import GaborEnergy
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.adam import Adam, Group
from meiflow.models.device import chosen_device
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.nonlinearity import positive, rate_floor

# The Gabor is fitted on a coarser grid; output weights are then solved on the image grid.
_COARSEST_PIXELS = 1500
_RIDGE = 3e-3
_PRIOR_WEIGHT = 0.004
_TINY = 1e-6
_FEW_STEPS = 40
# Squared distance in sigmas at which an envelope has faded. Further out it would consist of
# subnormal numbers, with which products of matrices take five times as long.
_FARTHEST = 150.0
NAMES = (
    "x", "y", "log_wavelength", "orientation", "phase", "log_envelope", "log_aspect", "threshold",
    "log_semisaturation",
)  # fmt: skip
_PRIOR = {
    "log_wavelength": (np.log(15.0), 0.5),
    "log_envelope": (np.log(0.4), 0.2),
    "log_aspect": (np.log(1.3), 0.3),
    "threshold": (0.0, 1.0),
    "log_semisaturation": (np.log(0.1), 1.0),
}


@dataclass(frozen=True)
class Grid:
    """Positions (pixels,) in degrees, and the area of a pixel."""

    x: Tensor
    y: Tensor
    area: float

    @classmethod
    def of(cls, geometry: Geometry) -> Grid:
        """All pixels of an image grid, row by row."""
        x, y = np.meshgrid(geometry.x, geometry.y)
        return cls(
            torch.as_tensor(x.ravel(), dtype=torch.float32),
            torch.as_tensor(y.ravel(), dtype=torch.float32),
            geometry.pixel_area,
        )

    def to(self, device: torch.device) -> Grid:
        """The same grid on another device."""
        return Grid(self.x.to(device), self.y.to(device), self.area)


def filters(p: dict[str, Tensor], grid: Grid) -> tuple[Tensor, Tensor, Tensor]:
    """Quadrature pair of unit energy and the window of local contrast, each (jobs, pixels).

    Parameters
    ----------
    p : dict of Tensor, each (jobs,)
        Parameters `NAMES`; angles in radians, lengths in degrees of visual angle.
    """
    wavelength = p["log_wavelength"].exp()[:, None]
    sigma = wavelength * p["log_envelope"].exp().clamp(0.2, 1.0)[:, None]
    aspect = p["log_aspect"].exp().clamp(0.6, 3.0)[:, None]
    dx, dy = grid.x - p["x"][:, None], grid.y - p["y"][:, None]
    cos, sin = p["orientation"].cos()[:, None], p["orientation"].sin()[:, None]
    u, v = dx * cos + dy * sin, -dx * sin + dy * cos
    radius = ((u**2 + (v / aspect) ** 2) / sigma**2).clamp(max=_FARTHEST)
    envelope = torch.exp(-0.5 * radius)
    k = 2 * np.pi / wavelength
    even = (torch.cos(k * u) - torch.exp(-0.5 * (k * sigma) ** 2)) * envelope
    odd = -torch.sin(k * u) * envelope
    # the pool is 1.5 times as wide as the envelope
    window = torch.exp(-0.5 * radius / 2.25)

    def unit(pattern: Tensor) -> Tensor:
        energy = (pattern**2).sum(1, keepdim=True) * grid.area
        return pattern * grid.area / (energy + _TINY).sqrt()

    return unit(even), unit(odd), window / (window.sum(1, keepdim=True) + _TINY)


def features(
    p: dict[str, Tensor],
    grid: Grid,
    contrast: Tensor,
    scale: Tensor | None = None,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Rectified and energy outputs, each also normalised by the local contrast.

    Parameters
    ----------
    contrast : Tensor, shape (images, pixels)
        Contrast, i.e. luminance minus grey.
    scale : Tensor, shape (jobs,), optional
        Unit of the rectifier's threshold; by default the root mean energy of the images.
    weight : Tensor, shape (images, jobs), optional
        Weight of each image in that mean.

    Returns
    -------
    features : Tensor, shape (images, jobs, 4)
    scale : Tensor, shape (jobs,)
    """
    even, odd, window = filters(p, grid)
    even, odd = contrast @ even.T, contrast @ odd.T
    power = contrast**2 @ window.T
    if scale is None:
        assert weight is not None
        scale = (weight * (even**2 + odd**2 + _TINY**2)).sum(0).sqrt()
    return outputs(p, even, odd, power, scale), scale


def outputs(
    p: dict[str, Tensor], even: Tensor, odd: Tensor, power: Tensor, scale: Tensor
) -> Tensor:
    """Features (..., jobs, 4) from the outputs of pair and window, each (..., jobs)."""
    local = (power + _TINY).sqrt()
    energy = (even**2 + odd**2 + _TINY**2).sqrt()
    projected = p["phase"].cos() * even + p["phase"].sin() * odd
    rectified = softplus((projected / scale - p["threshold"]) * 6) / 6 * scale
    divisor = p["log_semisaturation"].exp() + local
    return torch.stack((rectified, energy, rectified / divisor, energy / divisor), -1)


class GaborEnergyFitter:
    """Fit chunks of jobs from each of their starts; see `meiflow.models.ln.LnFitter`."""

    def __init__(
        self, images: NDArray, weights: NDArray, geometry: Geometry, config: GaborEnergy
    ) -> None:
        self._steps = config.steps
        self._device = chosen_device()
        self._fine = Grid.of(geometry).to(self._device)
        whole = torch.as_tensor(images, dtype=torch.float32).to(self._device) - GREY
        self._contrast = whole.reshape(len(images), -1)
        self._weights = torch.as_tensor(weights, dtype=torch.float32).to(self._device)
        halve = 1 + (geometry.height * geometry.width > 2 * _COARSEST_PIXELS)
        shape = (-(-geometry.height // halve), -(-geometry.width // halve))
        coarse = Geometry(*shape, geometry.width_deg, geometry.height_deg)
        self._coarse = Grid.of(coarse).to(self._device)
        self._coarse_contrast = adaptive_avg_pool2d(whole[:, None], shape).reshape(len(images), -1)

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit every job; after a few steps only the start with the lowest error is continued."""
        n_starts = jobs.starts.shape[1]
        starts = torch.as_tensor(jobs.starts.reshape(-1, 5), dtype=torch.float32)
        p = _initial(starts.to(self._device))
        few = min(self._steps, _FEW_STEPS)
        every = _Problem.of(jobs, self._weights, n_starts)
        error = self._descend(p, every, few)
        best = error.nan_to_num(np.inf).reshape(-1, n_starts).argmin(1)
        best = best + n_starts * torch.arange(len(best), device=self._device)
        p = {name: value.detach()[best].clone() for name, value in p.items()}
        problem = _Problem.of(jobs, self._weights, 1)
        self._descend(p, problem, self._steps - few)
        with torch.no_grad():
            x, scale = features(p, self._fine, self._contrast, weight=problem.weight)
            w, bias = _solve(x, problem)
            floor = rate_floor(problem.mean, jobs.real)
            rate = positive((x * w).sum(-1) + bias, floor)
        parameters = {name: value.tolist() for name, value in p.items()}
        states = [
            {
                "kind": "gabor_energy",
                "parameters": {name: parameters[name][i] for name in NAMES},
                "scale": float(scale[i]),
                "weight": w[i].cpu().clone(),
                "bias": float(bias[i]),
                "floor": float(floor[i]),
            }
            for i in range(len(jobs))
        ]
        return Fits(rate.T.cpu().numpy().astype(float), states)

    def _descend(self, p: dict[str, Tensor], problem: _Problem, steps: int) -> Tensor:
        """Optimise `p` in place; return the final error of each row."""
        for value in p.values():
            value.requires_grad_(True)
        shapes = [value for name, value in p.items() if name not in ("x", "y")]
        optimiser = Adam([Group([p["x"], p["y"]], 0.4), Group(shapes, 0.04)])
        half_x, half_y = float(self._fine.x.abs().max()), float(self._fine.y.abs().max())
        error = torch.zeros(len(p["x"]), device=self._device)
        for _ in range(steps):
            optimiser.zero_grad()
            x, _ = features(p, self._coarse, self._coarse_contrast, weight=problem.weight)
            w, bias = _solve(x, problem)
            rate = (x * w).sum(-1) + bias
            error = (problem.weight * (rate - problem.response) ** 2).sum(0) / problem.variance
            prior = sum(((p[n] - mean) / sd) ** 2 for n, (mean, sd) in _PRIOR.items())
            (error + _PRIOR_WEIGHT * prior).sum().backward()
            optimiser.step()
            with torch.no_grad():
                p["x"].clamp_(-half_x, half_x)
                p["y"].clamp_(-half_y, half_y)
                p["log_wavelength"].clamp_(np.log(4.0), np.log(80.0))
        for value in p.values():
            value.requires_grad_(False)
        return error.detach()


@dataclass(frozen=True)
class _Problem:
    """Targets of the fits: arrays (images, rows) and their moments (rows,).

    ``weight`` sums to one over the images and is zero outside the training images.
    """

    response: Tensor
    weight: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, jobs: Jobs, weights: Tensor, repeats: int) -> _Problem:
        """Build the targets, with each job repeated `repeats` times."""

        def columns(values: NDArray) -> Tensor:
            repeated = np.repeat(values, repeats, axis=0).T
            return torch.as_tensor(repeated, dtype=torch.float32).to(weights.device)

        response = columns(jobs.responses)
        weight = columns(jobs.train) * weights[:, None]
        weight = weight / weight.sum(0)
        mean = (weight * response).sum(0)
        return cls(response, weight, mean, (weight * (response - mean) ** 2).sum(0) + 1e-9)


def _initial(start: Tensor) -> dict[str, Tensor]:
    """Initial parameters from starts (rows, 5): x, y, wavelength, orientation, phase."""
    middle = {name: _PRIOR.get(name, (0.0,))[0] for name in NAMES}
    p = {name: start.new_full((len(start),), value) for name, value in middle.items()}
    x, y, wavelength, orientation, phase = (column.clone() for column in start.T)
    p |= {"x": x, "y": y, "log_wavelength": wavelength.log()}
    return p | {"orientation": torch.deg2rad(orientation), "phase": torch.deg2rad(phase)}


def _solve(x: Tensor, problem: _Problem) -> tuple[Tensor, Tensor]:
    """Weights (rows, features) and bias (rows,) of a ridge regression for each row."""
    weight = problem.weight
    mean = torch.einsum("if,ifc->fc", weight, x)
    centred = x - mean
    spread = (torch.einsum("if,ifc->fc", weight, centred**2) + _TINY).sqrt()
    standard = centred / spread
    weighted = standard * weight[..., None]
    gram = torch.einsum("ifc,ifd->fcd", weighted, standard)
    gram = gram + _RIDGE * torch.eye(x.shape[-1], device=x.device)
    side = torch.einsum("ifc,if->fc", weighted, problem.response - problem.mean)
    w = torch.linalg.solve(gram, side[..., None])[..., 0] / spread
    return w, problem.mean - (w * mean).sum(-1)

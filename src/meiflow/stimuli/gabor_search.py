"""Gabors with the highest response: a search of the whole screen, then refinement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.config.sections import Gabor
from meiflow.errors import MeiflowError
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project, statistics
from meiflow.models.adam import Adam, Group
from meiflow.models.device import chosen_device
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel, SharedModel
from meiflow.progress import track

T = TypeVar("T")
R = TypeVar("R")

PARAMETERS = ("x", "y", "wavelength", "orientation", "phase", "sigma", "aspect")
_WAVELENGTH, _ORIENTATION, _PHASE, _SIGMA, _ASPECT = 2, 3, 4, 5, 6
_LENGTHS = [2, 5, 6]
_BATCH = 128  # images evaluated at once
_TOGETHER = 64  # neurons per matrix product
_REFINED = 96  # images refined at once
_TRIED = 0.2  # fraction of the steps after which only the best third of candidates is kept
_KEPT = 3
# Lengths are refined on a log scale; a unit step is about one degree or ten percent.
_SCALE = (1.0, 1.0, 0.1, 5.0, 15.0, 0.1, 0.1)
_STEP = (0.2, 0.02)
_MATCHED = 1e-4


@dataclass(frozen=True)
class GaborFit:
    """Best Gabor of a neuron, its image (height, width) and the response to it.

    ``parameters`` contains `PARAMETERS` (degrees; orientation in [0, 180), phase in [0, 360)).
    ``grid_response`` is the response to the best of the ``searched`` Gabors, before refinement.
    """

    parameters: dict[str, float]
    image: NDArray[np.float32]
    response: float
    searched: int
    grid_response: float


def gabor_grid(config: Gabor, geometry: Geometry) -> NDArray[np.float64]:
    """All Gabors of the grid, shape (candidates, 7) in the order of `PARAMETERS`.

    Their centres cover the whole screen, more finely for short wavelengths. Gabors of the same
    wavelength and orientation are adjacent. Wavelengths below two pixels, which would be aliased,
    are excluded.

    Raises
    ------
    MeiflowError
        If no Gabor is left.
    """
    shortest = 2 * max(geometry.dx, geometry.dy)
    wavelengths = [w for w in config.wavelengths_deg if w >= shortest]
    if not wavelengths:
        raise MeiflowError(
            f"gabor.wavelengths_deg: all are shorter than two pixels ({shortest:.3g} degrees); use "
            "longer wavelengths, or more pixels in the section image"
        )

    def places(extent: float, wavelength: float) -> NDArray[np.float64]:
        n = config.places(extent, wavelength)
        return (np.arange(n) - (n - 1) / 2) * extent / n

    parts = []
    for wavelength in wavelengths:
        axes = np.meshgrid(
            180.0 * np.arange(config.orientations) / config.orientations,
            np.asarray(config.sigmas_over_wavelength) * wavelength,
            config.aspects,
            places(geometry.height_deg, wavelength),
            places(geometry.width_deg, wavelength),
            360.0 * np.arange(config.phases) / config.phases,
            indexing="ij",
        )
        angle, sigma, aspect, y, x, phase = (axis.ravel() for axis in axes)
        same = np.full(len(x), wavelength)
        parts.append(np.column_stack([x, y, same, angle, phase, sigma, aspect]))
    return np.concatenate(parts)


def render_gabors(
    parameters: Tensor, geometry: Geometry, mean: float, contrast: float, best_effort: bool = True
) -> Tensor:
    """Images (n, height, width) of Gabors (n, 7), projected to the given mean and contrast."""
    return project(patterns.gabor(geometry, *parameters.unbind(1)), mean, contrast, best_effort)


def best_gabors(
    models: Sequence[NeuronModel],
    geometry: Geometry,
    mean: float,
    contrast: float,
    config: Gabor,
    threads: int = 1,
    grid: NDArray | None = None,
) -> list[GaborFit]:
    """Gabor with the highest response at matched mean and contrast, for each neuron.

    All neurons are shown the same Gabors, each rendered once: those of `gabor_grid` with the
    largest sigma and aspect. For every wavelength and orientation a neuron's best Gabor is a
    candidate. The best candidates are shown with all sigmas, aspects and phases of the grid; all
    parameters of the best ones are then refined by gradient ascent, and the best iterate is kept
    (as in Walker et al. 2019, who searched 72,800 Gabors before refinement).

    Parameters
    ----------
    models : sequence of NeuronModel
    mean, contrast : float
        Mean luminance and RMS contrast of the whole image; Gabors too small for the contrast are
        excluded.
    threads : int
        Batches are evaluated in parallel; the result does not depend on it, provided that torch
        itself uses one thread.
    grid : ndarray, shape (candidates, 7), optional
        Gabors to search instead, with the order of `gabor_grid`; no other shapes are tried.

    Raises
    ------
    MeiflowError
        If no Gabor of the grid can reach this contrast.
    """
    shapes = None if grid is not None else _shapes(config)
    rows = gabor_grid(_with_largest_shape(config), geometry) if grid is None else grid
    gabors = torch.as_tensor(rows, dtype=torch.float32).to(chosen_device())
    search = _Search(geometry, mean, contrast, threads)
    starts, values = search.candidates(models, gabors, config.refine_top)
    if not bool(torch.isfinite(values[:, 0]).all()):
        raise MeiflowError(
            f"gabor: none of the {len(gabors)} Gabors reaches RMS contrast {contrast:.3g} at mean "
            f"luminance {mean:.3g}; lower mei.contrast or add longer wavelengths"
        )
    searched = len(gabors)
    if shapes is not None:
        searched += starts.shape[1] * len(shapes)
        starts, values = search.shaped(models, starts, shapes)
    best = search.refined(models, starts, values, config.refine_steps)
    with torch.no_grad():
        images = render_gabors(best, geometry, mean, contrast).cpu().numpy()
    return [
        GaborFit(
            _canonical(parameters),
            image,
            float(model.predict(image[None])[0]),
            searched,
            float(value),
        )
        for model, parameters, image, value in zip(models, best, images, values[:, 0], strict=True)
    ]


@dataclass(frozen=True)
class _Search:
    """Settings shared by the steps of a search."""

    geometry: Geometry
    mean: float
    contrast: float
    threads: int

    def shown(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Images of Gabors, and whether they have the common mean and contrast."""
        images = render_gabors(
            parameters, self.geometry, self.mean, self.contrast, best_effort=False
        )
        mean, contrast = statistics(images.detach())
        off = torch.maximum((mean - self.mean).abs(), (contrast - self.contrast).abs())
        return images, off < _MATCHED

    def candidates(
        self, models: Sequence[NeuronModel], grid: Tensor, number: int
    ) -> tuple[Tensor, Tensor]:
        """Candidates (neurons, candidates, 7) and responses (neurons, candidates), best first.

        At most one per wavelength and orientation, so that candidates differ.
        """
        parts = [models[i : i + _TOGETHER] for i in range(0, len(models), _TOGETHER)]
        shared = [SharedModel(part).eval() for part in parts]
        kinds, sizes = torch.unique_consecutive(
            grid[:, [_WAVELENGTH, _ORIENTATION]].cpu(), dim=0, return_counts=True
        )
        starts = sizes.cumsum(0) - sizes
        batches = [
            (kind, first, min(first + _BATCH, begin + size))
            for kind, (begin, size) in enumerate(zip(starts.tolist(), sizes.tolist(), strict=True))
            for first in range(begin, begin + size, _BATCH)
        ]

        def best_of(batch: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
            _, first, last = batch
            with torch.no_grad():
                images, matched = self.shown(grid[first:last])
                responses = torch.cat([model(images) for model in shared], 1)
                responses = responses.where(matched[:, None], -torch.inf)
                value, row = responses.max(0)
                return value, first + row

        found = self._parallel(best_of, batches, "searching Gabors")
        values = grid.new_full((len(kinds), len(models)), -torch.inf)
        rows = torch.zeros_like(values, dtype=torch.long)
        for (kind, _, _), (value, row) in zip(batches, found, strict=True):
            rows[kind] = torch.where(value > values[kind], row, rows[kind])
            values[kind] = torch.maximum(value, values[kind])
        order = values.argsort(dim=0, descending=True, stable=True)[:number]
        return grid[rows.gather(0, order).T], values.gather(0, order).T

    def shaped(
        self, models: Sequence[NeuronModel], starts: Tensor, shapes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Candidates (neurons, candidates, 7) with their best shape, and responses, best first.

        ``shapes`` (shapes, 3) contains phase, sigma over wavelength, and aspect.
        """
        phase, sigma, aspect = shapes.to(starts).T

        def of_one(i: int) -> tuple[Tensor, Tensor]:
            own = starts[i][:, None].repeat(1, len(shapes), 1)
            own[..., _PHASE], own[..., _ASPECT] = phase, aspect
            own[..., _SIGMA] = sigma * own[..., _WAVELENGTH]
            with torch.no_grad():
                images, matched = self.shown(own.flatten(0, 1))
                response = PairedModel([models[i]]).eval()(images)
            value, best = response.where(matched, -torch.inf).reshape(own.shape[:2]).max(1)
            order = value.argsort(descending=True, stable=True)
            return own[order, best[order]], value[order]

        found = self._parallel(of_one, range(len(models)), "choosing shapes of Gabors")
        rows, values = zip(*found, strict=True)
        return torch.stack(rows), torch.stack(values)

    def refined(
        self, models: Sequence[NeuronModel], starts: Tensor, values: Tensor, steps: int
    ) -> Tensor:
        """Best parameters (neurons, 7) from starts (neurons, candidates, 7), and responses."""
        size = max(1, _REFINED // starts.shape[1])

        def climb(first: int) -> Tensor:
            part = slice(first, first + size)
            return self._climbed(
                PairedModel(models[part]).eval(), starts[part], values[part], steps
            )

        return torch.cat(self._parallel(climb, range(0, len(models), size), "refining Gabors"))

    def _climbed(self, model: PairedModel, starts: Tensor, values: Tensor, steps: int) -> Tensor:
        few = round(_TRIED * steps)
        starts, values = self._climb(model, starts, values, [_STEP[0]] * few)
        kept = values.argsort(dim=1, descending=True, stable=True)[
            :, : -(-starts.shape[1] // _KEPT)
        ]
        starts, values = starts.take_along_dim(kept[..., None], 1), values.gather(1, kept)
        rest = np.linspace(*_STEP, steps - few).tolist()
        starts, values = self._climb(model, starts, values, rest)
        return starts[torch.arange(len(starts), device=starts.device), values.argmax(1)]

    def _climb(
        self, model: PairedModel, starts: Tensor, values: Tensor, rates: list[float]
    ) -> tuple[Tensor, Tensor]:
        """Best iterates of Adam and their responses, with one step per learning rate."""
        pitch = self.geometry.dx
        low = starts.new_tensor([-np.inf, -np.inf, 2 * pitch, -np.inf, -np.inf, pitch, 0.5])
        high = starts.new_tensor([np.inf, np.inf, 80.0, np.inf, np.inf, 40.0, 3.0])
        scale = starts.new_tensor(_SCALE)
        best, top = starts.flatten(0, 1), values.flatten()
        logs = torch.zeros(len(PARAMETERS), dtype=torch.bool, device=starts.device)
        logs[_LENGTHS] = True
        free = (torch.where(logs, best.clamp_min(1e-6).log(), best) / scale).requires_grad_(True)
        group = Group([free], 0.0)
        optimiser = Adam([group])
        for rate in [*rates, None]:
            here = free * scale
            here = torch.where(logs, here.clamp(-10.0, 10.0).exp(), here).clamp(low, high)
            images, matched = self.shown(here)
            response = model(images)
            with torch.no_grad():
                better = matched & (response > top)
                best = torch.where(better[:, None], here, best)
                top = torch.where(better, response, top)
            if rate is None:
                break
            (free.grad,) = torch.autograd.grad(-response.sum(), free)
            group.rate = rate
            optimiser.step()
        return best.reshape(starts.shape), top.reshape(values.shape)

    def _parallel(self, work: Callable[[T], R], items: Sequence[T], label: str) -> list[R]:
        with ThreadPoolExecutor(self.threads) as pool:
            return list(track(pool.map(work, items), label, len(items)))


def _with_largest_shape(config: Gabor) -> Gabor:
    """The same grid with the largest sigma and aspect, which most easily reach the contrast."""
    largest = {
        "sigmas_over_wavelength": [max(config.sigmas_over_wavelength)],
        "aspects": [max(config.aspects)],
    }
    return config.model_copy(update=largest)


def _shapes(config: Gabor) -> Tensor | None:
    """Phases, sigmas over wavelength, and aspects (shapes, 3) of a grid with several shapes."""
    if len(config.sigmas_over_wavelength) * len(config.aspects) == 1:
        return None
    phases = 360.0 * np.arange(config.phases) / config.phases
    axes = np.meshgrid(phases, config.sigmas_over_wavelength, config.aspects, indexing="ij")
    return torch.as_tensor(np.stack([axis.ravel() for axis in axes], 1), dtype=torch.float32)


def _canonical(parameters: Tensor) -> dict[str, float]:
    """The same Gabor with orientation in [0, 180); a rotation by 180 inverts the phase."""
    values = dict(zip(PARAMETERS, parameters.tolist(), strict=True))
    turns = np.floor(values["orientation"] / 180.0)
    phase = -values["phase"] if int(turns) % 2 else values["phase"]
    values["orientation"] = float(values["orientation"] - 180.0 * turns)
    values["phase"] = float(phase % 360.0)
    return values

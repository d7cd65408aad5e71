"""How far an image can move away from a neuron's MEI while it drives the neuron nearly as much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.experiments.tolerances import FRACTION
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project
from meiflow.stimuli.blur import gaussian_blur
from meiflow.stimuli.mei import noise_starts
from meiflow.stimuli.objectives import ResponseModel, evaluated
from meiflow.stimuli.preconditioning import Preconditioner, smoothing

_WIDEST_DEG = 180.0
_STEP_SIZES = (0.5, 0.05)  # of the unit direction, first and last
_BLUR_DEG = 2.5
# Local contrast of the MEI, relative to its highest, at which pixels begin to change and are free.
_EDGE = (0.05, 0.2)
_LEVEL = 0.5


@dataclass(frozen=True)
class InvariancePath:
    """Images on the way from the MEI, and how far they are.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        The first is the MEI, at the contrast of all.
    angle_deg : ndarray, shape (images,)
        Angle between the contrasts of each image and of the MEI; its cosine is their correlation.
    response : ndarray, shape (images,)
        Response minus that to grey, as a fraction of that to the MEI.
    reach_deg : float
        Angle at which the response falls below the required fraction, interpolated between the
        steps; 180 if it never does, so that even the negative of the MEI drives the neuron.
    """

    images: NDArray[np.float32]
    angle_deg: NDArray[np.float64]
    response: NDArray[np.float64]
    reach_deg: float

    @property
    def length_deg(self) -> float:
        """Sum of the angles between successive images; at least the angle of the last one."""
        flat = _units(torch.as_tensor(self.images, dtype=torch.float64))
        between = (flat[1:] * flat[:-1]).sum(1).clamp(-1, 1).arccos()
        return float(torch.rad2deg(between).sum())


def invariance_path(
    model: ResponseModel,
    mei: NDArray,
    geometry: Geometry,
    directions: Sequence[NDArray] = (),
    fraction: float = FRACTION,
    step_deg: float = 7.5,
    steps: int = 12,
    noise: int = 4,
    mask: NDArray | None = None,
    exponent: float = 1.0,
    seed: int = 0,
) -> InvariancePath:
    """Walk away from the MEI along images that drive the neuron nearly as much.

    All images have the mean of the MEI, and the contrast at which it drives the neuron half as much
    as at its own: a saturated neuron would respond to any image with a part of the MEI in it. At a
    fixed angle from the MEI, the image with the highest response is found by gradient ascent at
    this mean and contrast; the angle then grows by a step, from the image found, until the response
    falls below `fraction` of the MEI's. Distance is thus maximised subject to the response, as for
    the diverse exciting inputs of Cadena et al. (2018) and Ding et al. (2023), but along a
    continuous path. Of several branches, which start in different directions, the one that goes
    furthest is returned.

    A rectified linear neuron responds with the cosine of the angle, so its path ends at 46 degrees
    for 70 %, or earlier with a threshold; that of an energy model passes through all phases, up to
    the MEI's negative at 180 degrees.

    Parameters
    ----------
    model : callable
        Images (batch, height, width) to responses (batch,).
    mei : ndarray, shape (height, width)
    geometry : Geometry
    directions : sequence of ndarray, shape (height, width)
        Images towards which branches start, such as the Gabor with its phase changed.
    fraction : float
        Required response minus that to grey, relative to the MEI, in (0, 1).
    step_deg : float
        Step of the angle.
    steps : int
        Steps of gradient ascent at each angle.
    noise : int
        Number of further branches, which start in random directions.
    mask : ndarray, shape (height, width), optional
        Weight of each pixel between 0 (fixed relative to the MEI) and 1 (free). Otherwise the
        contrast of the MEI would move to where the neuron does not see it. By default from the
        local contrast of the MEI.
    exponent : float
        Exponent of the gradient smoothing; see `meiflow.stimuli.preconditioning.power_law`.
    seed : int
        Seed of the noise.

    Returns
    -------
    InvariancePath
        Only the MEI, with NaN, if the model does not respond to it.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(24, 32)
    >>> even, odd = (
    ...     torch.as_tensor(gabor(screen, 0.0, 0.0, 40.0, 30.0, phase, 16.0)).float()
    ...     for phase in (0.0, 90.0)
    ... )
    >>> drive = lambda images, field: ((images - 0.5) * field).sum((1, 2))
    >>> simple = lambda images: drive(images, even).relu()
    >>> complex_ = lambda images: (drive(images, even) ** 2 + drive(images, odd) ** 2).sqrt()
    >>> mei = 0.5 + 0.3 * even.numpy()
    >>> round(invariance_path(simple, mei, screen).reach_deg)
    46
    >>> round(invariance_path(complex_, mei, screen).reach_deg)
    180
    """
    if not 0 < fraction < 1 or not 0 < step_deg <= 90 or len(directions) + noise < 1:
        raise ValueError(
            "expected a fraction between 0 and 1, a step of at most 90 degrees and at least one "
            f"direction, got {fraction}, {step_deg} and {len(directions) + noise}"
        )
    start = _unsaturated(model, torch.as_tensor(np.asarray(mei), dtype=torch.float32)[None])
    mean, contrast = float(start.mean()), float(start.std(correction=0))
    pole = _units(start)
    with evaluated(model), torch.no_grad():
        both = model(torch.cat([start, torch.full_like(start, mean)])).double()
    drive, grey = float(both[0] - both[1]), float(both[1])
    if not drive > 0:
        nothing = np.array([np.nan])
        return InvariancePath(start.numpy(), np.zeros(1), nothing, float("nan"))

    def images_at(angle: float, towards: Tensor) -> Tensor:
        theta = np.deg2rad(angle)
        flat = np.cos(theta) * pole + np.sin(theta) * towards
        return project(flat.reshape(-1, *geometry.shape), mean, contrast, best_effort=False)

    smooth = smoothing(geometry, exponent)
    free = _mask_of(start - mean, geometry) if mask is None else torch.as_tensor(mask).float()
    sphere = _Tangent(pole, free.reshape(1, -1))
    random = noise_starts(noise, geometry, exponent, mean, contrast, seed)
    given = [torch.as_tensor(np.asarray(d), dtype=torch.float32)[None] for d in directions]
    towards = sphere(torch.cat([*given, random]).flatten(1))
    walked: list[list[tuple[Tensor, float, float]]] = [[(start[0], 0.0, 1.0)] for _ in towards]
    reach = np.zeros(len(towards))
    alive = torch.arange(len(towards))
    angle = 0.0
    with evaluated(model):
        while len(alive) and angle < _WIDEST_DEG:
            angle = min(angle + step_deg, _WIDEST_DEG)
            found = _ascend(model, towards[alive], angle, images_at, sphere, smooth, steps)
            towards[alive] = found
            with torch.no_grad():
                shown = images_at(angle, found)
                response = ((model(shown).double() - grey) / drive).numpy()
                cosine = (_units(shown) @ pole.T)[:, 0].clamp(-1, 1)
                angles = torch.rad2deg(cosine.arccos()).double().numpy()
            good = response >= fraction
            for i, branch in enumerate(alive.tolist()):
                before, level = walked[branch][-1][1:]
                if angles[i] <= before:  # clipped to black and white, it is no further away
                    continue
                if good[i]:
                    walked[branch].append((shown[i], float(angles[i]), float(response[i])))
                    reach[branch] = angles[i]
                else:
                    part = np.clip((level - fraction) / max(level - response[i], 1e-12), 0, 1)
                    reach[branch] = before + part * (angles[i] - before)
            alive = alive[torch.as_tensor(good)]
    best = walked[int(reach.argmax())]
    return InvariancePath(
        torch.stack([image for image, _, _ in best]).numpy(),
        np.array([angle for _, angle, _ in best]),
        np.array([response for _, _, response in best]),
        float(reach.max()),
    )


def _unsaturated(model: ResponseModel, mei: Tensor) -> Tensor:
    """The MEI with the contrast at which it drives the neuron half as much, (1, height, width)."""
    mean = mei.mean()
    scales = torch.linspace(0, 1, 41)[:, None, None]
    with evaluated(model), torch.no_grad():
        response = model(mean + scales * (mei - mean)).double()
    drive = response - response[0]
    enough = (drive >= _LEVEL * drive[-1]).nonzero()[:, 0]
    first = int(enough[0]) if drive[-1] > 0 and len(enough) else len(scales) - 1
    return mean + scales[first] * (mei - mean)


def _units(images: Tensor) -> Tensor:
    """Contrasts as vectors of unit length, (batch, pixels)."""
    flat = images.reshape(len(images), -1)
    flat = flat - flat.mean(1, keepdim=True)
    return flat / torch.linalg.vector_norm(flat, dim=1, keepdim=True).clamp_min(1e-20)


def _mask_of(contrast: Tensor, geometry: Geometry) -> Tensor:
    """Weights of the pixels from the local contrast of the MEI."""
    local = gaussian_blur(contrast.abs(), (_BLUR_DEG / geometry.dy, _BLUR_DEG / geometry.dx))
    low, high = _EDGE
    return ((local / local.max() - low) / (high - low)).clamp(0, 1)


@dataclass(frozen=True)
class _Tangent:
    """Unit vectors (batch, pixels) in the mask that are orthogonal to the MEI and to grey."""

    pole: Tensor
    free: Tensor

    def __call__(self, flat: Tensor) -> Tensor:
        flat = self._centred(flat)
        own = self._centred(self.pole)
        flat = flat - (flat @ self.pole.T) / (own @ self.pole.T).clamp_min(1e-20) * own
        return flat / torch.linalg.vector_norm(flat, dim=1, keepdim=True).clamp_min(1e-20)

    def _centred(self, flat: Tensor) -> Tensor:
        flat = flat * self.free
        return flat - self.free * flat.sum(1, keepdim=True) / self.free.sum()


def _ascend(
    model: ResponseModel,
    towards: Tensor,
    angle: float,
    images_at: Callable[[float, Tensor], Tensor],
    sphere: _Tangent,
    smooth: Preconditioner,
    steps: int,
) -> Tensor:
    """Highest response at a fixed angle from the MEI, by projected gradient ascent."""
    best, top = towards, torch.full((len(towards),), -torch.inf)
    for step in range(steps + 1):
        variable = towards.detach().requires_grad_()
        shown = images_at(angle, variable)
        response = model(shown)
        better = response.detach() > top
        top = torch.where(better, response.detach(), top)
        best = torch.where(better[:, None], towards, best)
        if step == steps or not response.requires_grad:
            break
        (gradient,) = torch.autograd.grad(response.sum(), variable)
        gradient = gradient - (gradient * towards).sum(1, keepdim=True) * towards
        # before smoothing, as in `meiflow.stimuli.preconditioning.Tangent`
        frames = (gradient - (gradient @ sphere.pole.T) * sphere.pole).reshape(shown.shape)
        direction = sphere(smooth(frames, frames).flatten(1))
        size = _STEP_SIZES[0] + (_STEP_SIZES[1] - _STEP_SIZES[0]) * step / max(steps - 1, 1)
        towards = sphere(towards + size * direction)
    return best

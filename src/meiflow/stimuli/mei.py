"""Most exciting and most suppressive images of fixed mean and contrast."""

from __future__ import annotations

import torch
from torch import Tensor

from meiflow.geometry import Geometry
from meiflow.stimuli.objectives import Model, Objective
from meiflow.stimuli.optimiser import Optimised, optimise
from meiflow.stimuli.postprocessors import MeanContrast
from meiflow.stimuli.preconditioning import Tangent, UnitStd, smoothing
from meiflow.stimuli.projection import project
from meiflow.stimuli.stoppers import Iterations, Stopper
from meiflow.stimuli.updates import Ascent


def noise_starts(
    n: int, geometry: Geometry, exponent: float, mean: float, contrast: float, seed: int
) -> Tensor:
    """`n` images of smoothed Gaussian noise with the given mean and contrast."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((n, *geometry.shape), generator=generator)
    return project(smoothing(geometry, exponent)(noise, noise), mean, contrast)


def most_exciting(
    model: Model,
    starts: Tensor,
    geometry: Geometry,
    mean: float,
    contrast: float,
    stop: Stopper | int = 100,
    step_size: tuple[float, float] = (0.3, 0.01),
    exponent: float = 1.0,
    objective: Objective | None = None,
    mask: Tensor | None = None,
    background: Tensor | float | None = None,
    seed: int | None = None,
) -> Optimised:
    """Maximise an objective over images of fixed mean and contrast, from each start.

    Every step follows the FFT-smoothed gradient along the sphere of equal contrast, scaled
    to unit contrast, by a step that shrinks linearly, and projects the image back to its
    mean and contrast.

    Parameters
    ----------
    model : callable
        See `meiflow.stimuli.optimiser.optimise`.
    starts : Tensor, shape (batch, [channels,] height, width)
    geometry : Geometry
    mean, contrast : float
        Mean luminance and RMS contrast held at every step.
    stop : Stopper or int
        Or a number of steps.
    step_size : tuple of float
        First and last step, in units of `contrast`.
    exponent : float
        Of `meiflow.stimuli.preconditioning.power_law`.
    objective : Objective, optional
        The mean response if None; `Suppress` for the most suppressive image.
    mask, background : optional
        Free pixels and what the others are; see `MeanContrast`.
    seed : int, optional
        The one of the starts, kept in the result.
    """
    return optimise(
        model,
        starts,
        objective,
        preconditioners=(Tangent(), smoothing(geometry, exponent), UnitStd(contrast)),
        update=Ascent(step_size),
        postprocessors=(MeanContrast(mean, contrast, mask, background),),
        stop=Iterations(stop) if isinstance(stop, int) else stop,
        seed=seed,
    )

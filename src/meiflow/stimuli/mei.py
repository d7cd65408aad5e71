"""Most exciting and most suppressive images at fixed mean and contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.images.geometry import Geometry
from meiflow.images.projection import feasible_contrast, project
from meiflow.models.device import chosen_device
from meiflow.stimuli.objectives import Objective, ResponseModel
from meiflow.stimuli.optimiser import Optimised, optimise
from meiflow.stimuli.postprocessors import MeanContrast, Postprocessor, Snapshots
from meiflow.stimuli.preconditioning import Preconditioner, Tangent, UnitStd, smoothing
from meiflow.stimuli.receptive_field import gradient
from meiflow.stimuli.stoppers import Stopper
from meiflow.stimuli.transforms import Transform
from meiflow.stimuli.updates import Ascent

# Fractions of the maximal contrast; the first is about that of natural scenes.
_HIGH_CONTRASTS = (0.5, 0.95)
_NO_GRADIENT = 1e-12
_SAME = 0.95  # of the best response: counts as the same optimum
_LUMINANCE = (0.0, 1.0)


def noise_starts(
    n: int, geometry: Geometry, exponent: float, mean: float, contrast: float, seed: int
) -> Tensor:
    """`n` images of smoothed Gaussian noise with the given mean and contrast.

    They are drawn on the CPU, and placed on the chosen device.

    Examples
    --------
    >>> starts = noise_starts(3, Geometry(30, 48), exponent=1.0, mean=0.5, contrast=0.05, seed=0)
    >>> starts.shape, starts.std((1, 2), correction=0)
    (torch.Size([3, 30, 48]), tensor([0.0500, 0.0500, 0.0500]))
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn((n, *geometry.shape), generator=generator).to(chosen_device())
    return project(smoothing(geometry, exponent)(noise, noise), mean, contrast)


def mei_starts(
    restarts: int,
    geometry: Geometry,
    exponent: float,
    mean: float,
    contrast: float,
    seed: int,
    gabor: NDArray,
) -> Tensor:
    """Starts of the gradient ascent for a neuron's MEI: noise, and its best Gabor.

    With the Gabor among the starts, the MEI drives the model at least as strongly; an MEI with a
    lower response would be a failure of the optimisation.

    Parameters
    ----------
    restarts : int
        Number of noise images.
    geometry : Geometry
    exponent : float
        Smoothness of the noise; see `noise_starts`.
    mean, contrast : float
        Mean luminance and RMS contrast of the noise; the Gabor is not changed.
    seed : int
        Seed of the noise.
    gabor : ndarray, shape (height, width)

    Returns
    -------
    Tensor, shape (restarts + 1, height, width)

    Examples
    --------
    >>> gabor = np.full((30, 48), 0.5, np.float32)
    >>> mei_starts(3, Geometry(30, 48), 1.0, 0.5, 0.05, seed=0, gabor=gabor).shape
    torch.Size([4, 30, 48])
    """
    noise = noise_starts(restarts, geometry, exponent, mean, contrast, seed)
    return torch.cat([noise, torch.as_tensor(gabor).to(noise.device)[None]])


def reinitialise_silent(
    model: ResponseModel,
    starts: Tensor,
    smooth: Preconditioner,
    held: MeanContrast,
    objective: Objective | None = None,
) -> Tensor:
    """Re-initialise silent starts, at which the model has no gradient.

    A rectified neuron has no gradient below its threshold, which noise of low contrast rarely
    exceeds. Such starts are replaced by the gradient at the same noise, or its negative, with the
    contrast of a natural scene or higher. If there is still no gradient, the start is kept.

    Parameters
    ----------
    held : MeanContrast
        Mean and contrast of all stimuli, including the starts returned.
    """
    starts = held(starts, 0, 1)
    dead = _is_zero(gradient(model, starts, objective))
    for share in _HIGH_CONTRASTS:
        for sign in (1, -1):
            if not bool(dead.any()):
                return starts
            # evaluate the whole batch, because each image may have a different neuron
            loud = project(sign * starts, held.mean, share * feasible_contrast(held.mean))
            if held.mask is not None:
                loud = torch.where(held.mask, loud, held.rest(loud))
            found = gradient(model, loud, objective)
            revived = dead & ~_is_zero(found)
            toward = held(smooth(found, loud), 0, 1)
            starts = torch.where(revived.reshape(-1, *[1] * (starts.ndim - 1)), toward, starts)
            dead = dead & ~revived
    return starts


def _is_zero(found: Tensor) -> Tensor:
    return found.flatten(1).abs().amax(1) < _NO_GRADIENT


def climb(
    model: ResponseModel,
    starts: Tensor,
    smooth: Preconditioner,
    held: MeanContrast,
    objective: Objective | None,
    step_size: tuple[float, float],
    stop: Stopper | int,
    filters: Sequence[Postprocessor] = (),
    kept: Sequence[Snapshots] = (),
    seed: int | None = None,
    label: str = "",
    transform: Transform | None = None,
) -> Optimised:
    """Ascent at fixed mean and contrast over images or movies, re-initialising silent starts.

    Parameters
    ----------
    smooth : Preconditioner
        Smoothing of the gradient, after components that change mean and contrast are removed.
    held : MeanContrast
    filters : sequence of Postprocessor
        Filters applied before each projection.
    transform : callable, optional
        Random transform before the model; see `meiflow.stimuli.transforms`.
    kept : sequence of Snapshots
        They keep images after the projection.
    """
    return optimise(
        model,
        reinitialise_silent(model, starts, smooth, held, objective),
        objective,
        preconditioners=(Tangent(_LUMINANCE, held.mask), smooth, UnitStd(held.contrast)),
        update=Ascent(step_size),
        postprocessors=(*filters, held, *kept),
        transform=transform,
        stop=stop,
        seed=seed,
        label=label,
    )


def most_exciting(
    model: ResponseModel,
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
    transform: Transform | None = None,
    snapshots: Snapshots | None = None,
) -> Optimised:
    """Maximise an objective over images at fixed mean and contrast, from each start.

    Every step follows the FFT-smoothed gradient along the sphere of equal contrast, scaled
    to unit contrast, with a linearly decreasing step size, and projects the image back to its
    mean and contrast. Silent starts are re-initialised first (`reinitialise_silent`).

    Parameters
    ----------
    model : callable
        See `meiflow.stimuli.optimiser.optimise`.
    starts : Tensor, shape (batch, [channels,] height, width)
    geometry : Geometry
    mean, contrast : float
        Mean luminance and RMS contrast, fixed at every step.
    stop : Stopper or int
        Stopping rule, or number of steps.
    step_size : tuple of float
        First and last step size, in units of `contrast`.
    exponent : float
        Exponent of `meiflow.stimuli.preconditioning.power_law`.
    objective : Objective, optional
        By default the mean response; `Suppress` for the most suppressive image.
    mask, background : optional
        Free pixels, and values of the other pixels; see `MeanContrast`.
    seed : int, optional
        Seed of the starts, stored in the result.
    transform : callable, optional
        Random transform before the model, such as `RandomAffine`: the optimum is then robust to it.
    snapshots : Snapshots, optional
        Keeps the images at some steps.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(30, 48)
    >>> field = torch.as_tensor(gabor(screen, 10.0, 5.0, 25.0, 30.0, 0.0, 9.0)).float()
    >>> neuron = lambda images: ((images - 0.5) * field).sum((-2, -1)).relu()
    >>> starts = noise_starts(3, screen, exponent=1.0, mean=0.5, contrast=0.05, seed=0)
    >>> found = most_exciting(neuron, starts, screen, mean=0.5, contrast=0.05, seed=0)
    >>> image = found.stimuli[found.best]
    >>> round(float(image.mean()), 3), round(float(image.std(correction=0)), 3)
    (0.5, 0.05)
    >>> bool(torch.corrcoef(torch.stack([image.ravel(), field.ravel()]))[0, 1] > 0.99)
    True
    """
    held = MeanContrast(mean, contrast, mask, background)
    # with a single channel and frame, the mean luminance cannot change
    smooth = smoothing(geometry, exponent, keep_mean=starts.ndim > 3)
    return climb(
        model,
        starts,
        smooth,
        held,
        objective,
        step_size,
        stop,
        kept=() if snapshots is None else (snapshots,),
        seed=seed,
        transform=transform,
    )


@dataclass(frozen=True)
class PopulationMEIs:
    """Stimuli of several neurons, obtained from the same starts.

    ``scores`` (neurons, starts), ``images`` (neurons, starts, height, width) and ``objective``
    (steps + 1, neurons, starts) are those of `Optimised`.
    """

    scores: NDArray[np.float64]
    images: NDArray[np.float32]
    objective: NDArray[np.float64]


def agreeing(scores: NDArray) -> NDArray[np.bool_]:
    """Whether each start (..., starts) reached 95 % of the neuron's best response."""
    top = scores.max(-1, keepdims=True)
    return np.asarray(scores >= top - (1 - _SAME) * np.abs(top))


def most_exciting_of_each(
    model: ResponseModel,
    neurons: int,
    starts: Tensor,
    geometry: Geometry,
    mean: float,
    contrast: float,
    stop: Stopper | int = 100,
    step_size: tuple[float, float] = (0.3, 0.01),
    exponent: float = 1.0,
    objective: Objective | None = None,
    seed: int | None = None,
) -> PopulationMEIs:
    """`most_exciting` for several neurons in one batch.

    Parameters
    ----------
    model : callable
        Responds to images (neurons * starts, height, width), ordered by neuron.
    neurons : int
    starts : Tensor, shape (starts, height, width)
        Starts, the same for every neuron.
    geometry, mean, contrast, stop, step_size, exponent, objective, seed
        As for `most_exciting`.
    """
    found = most_exciting(
        model,
        starts.repeat(neurons, 1, 1),
        geometry,
        mean,
        contrast,
        stop,
        step_size,
        exponent,
        objective,
        seed=seed,
    )
    scores = found.scores.reshape(neurons, -1)
    return PopulationMEIs(
        scores,
        found.images.reshape(*scores.shape, *found.images.shape[1:]),
        found.trace.objective.reshape(-1, *scores.shape),
    )

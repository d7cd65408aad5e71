"""Published procedures for comparison: the notebook's MEI and that of Walker et al."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.images.geometry import Geometry
from meiflow.stimuli.objectives import ResponseModel
from meiflow.stimuli.optimiser import Optimised, optimise
from meiflow.stimuli.postprocessors import ClipRange, MinMax, SpatialBlur
from meiflow.stimuli.preconditioning import UnitMeanAbs, notebook_gain, walker_gain
from meiflow.stimuli.regularisers import ContrastPenalty
from meiflow.stimuli.schedules import LinearSchedule, RecursiveSchedule
from meiflow.stimuli.stoppers import Iterations
from meiflow.stimuli.updates import Ascent


def notebook_mei(
    model: ResponseModel,
    geometry: Geometry,
    images: NDArray,
    seed: int,
    steps: int = 1000,
    n: int = 1,
    keep_last: bool = True,
) -> Optimised:
    """The notebook's MEI, including its faults.

    Starting from white noise rescaled to [0, 1]: gradient of ``response - 2 |c* - c|`` with its
    spectrum divided by the fourth root of an unwrapped radius, a step of 0.1, a Gaussian blur whose
    width decreases from 7 pixels by a recursion, and rescaling to [0, 1]. ``c*`` is the mean
    standard deviation of the images. See `meiflow.stimuli.preconditioning.notebook_gain` for the
    effect of the filter.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
    n : int
        Number of stimuli, for models with a different neuron for each; all start from the same
        noise.
    keep_last : bool
        Return the last iterate, as in the notebook, instead of the best one.

    Notes
    -----
    ``trace`` contains both the response and the penalised objective. The notebook logs the latter
    as the response, and for the last image uses the value of the previous one (`logged_response`).
    Here ``scores`` are the responses to the returned images.

    Examples
    --------
    >>> images = np.random.default_rng(0).uniform(size=(5, 12, 16))
    >>> left = lambda stimuli: stimuli[:, :, :8].mean((1, 2))
    >>> found = notebook_mei(left, Geometry(12, 16), images, seed=0, steps=20)
    >>> found.stimuli.shape
    torch.Size([1, 12, 16])
    """
    noise = torch.randn((1, *geometry.shape), generator=torch.Generator().manual_seed(seed))
    found = optimise(
        model,
        MinMax()(noise, 0, 1).expand(n, -1, -1),
        regularisers=(ContrastPenalty(_mean_std(images), weight=2.0, correction=1),),
        preconditioners=(notebook_gain(geometry.shape),),
        update=Ascent(0.1),
        postprocessors=(SpatialBlur(RecursiveSchedule(7.0, 0.001)), MinMax()),
        stop=Iterations(steps),
        project_start=False,
        seed=seed,
        label="the notebook's MEIs",
    )
    if not keep_last:
        return found
    return replace(
        found,
        stimuli=found.last,
        scores=found.trace.objective[-1],
        best_steps=np.full(n, len(found.trace.objective) - 1),
    )


def logged_response(found: Optimised) -> NDArray[np.float64]:
    """The value that the notebook prints as the response to its MEIs, shape (batch,).

    It is the penalised objective, not the response, of the last image but one.
    """
    return found.trace.objective[-2] - found.trace.penalty[-2]


def _mean_std(images: NDArray) -> float:
    flat = torch.as_tensor(images, dtype=torch.float64).flatten(1)
    return float(flat.std(1, correction=1).mean())


class _Scaled(nn.Module):
    """Wrapper of a model of luminance for images of zero mean and unit variance."""

    def __init__(self, model: ResponseModel, mean: float, std: float) -> None:
        super().__init__()
        self.model, self.mean, self.std = model, mean, std

    def forward(self, stimuli: Tensor) -> Tensor:
        return self.model(stimuli * self.std + self.mean)


def walker_mei(
    model: ResponseModel,
    geometry: Geometry,
    images: NDArray,
    seed: int,
    steps: int = 1000,
    step_gain: float = 0.1,
    n: int = 1,
) -> Optimised:
    """The MEI of Walker et al. (2019), following their released code.

    Starting from faint noise around the mean: the gradient with its spectrum multiplied by
    ``1 / max(1, f**2)**0.1``, divided by its mean absolute value and multiplied by ``step_gain /
    255``, a step size decreasing from 3 to 0.125, clipping, and a Gaussian blur decreasing from 1.5
    to 0.01 pixels, in luminance scaled to zero mean and unit variance over the training images.

    Parameters
    ----------
    images : ndarray, shape (n, height, width)
        Training images, which determine the scaling.
    step_gain : float
        0.1 as released; larger values fill the image with noise.
    n : int
        Number of stimuli, for models with a different neuron for each; all start from the same
        noise.

    Notes
    -----
    The contrast is not controlled; Walker et al. match it afterwards.

    Examples
    --------
    >>> images = np.random.default_rng(0).uniform(size=(5, 12, 16))
    >>> left = lambda stimuli: stimuli[:, :, :8].mean((1, 2))
    >>> found = walker_mei(left, Geometry(12, 16), images, seed=0, steps=20)
    >>> found.stimuli.shape
    torch.Size([1, 12, 16])
    """
    mean, std = float(images.mean()), float(images.std())
    generator = torch.Generator().manual_seed(seed)
    start = 0.05 * torch.randn((1, *geometry.shape), generator=generator)
    gain = step_gain / 255
    found = optimise(
        _Scaled(model, mean, std),
        start.expand(n, -1, -1),
        preconditioners=(walker_gain(geometry.shape), UnitMeanAbs()),
        update=Ascent(LinearSchedule(3.0 * gain, 0.125 * gain)),
        postprocessors=(
            ClipRange(-mean / std, (1 - mean) / std),
            SpatialBlur(LinearSchedule(1.5, 0.01)),
        ),
        stop=Iterations(steps),
        project_start=False,
        seed=seed,
        label="Walker et al.'s MEIs",
    )
    trace = replace(
        found.trace, mean=found.trace.mean * std + mean, rms_contrast=found.trace.rms_contrast * std
    )
    stimuli, last = ((x * std + mean).clamp(0, 1) for x in (found.stimuli, found.last))
    return replace(found, stimuli=stimuli, last=last, trace=trace)

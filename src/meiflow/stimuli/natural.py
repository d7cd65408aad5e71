"""The best image of a set: whole, seen through a window, or with all that does not matter gone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.stimuli.objectives import Model
from meiflow.stimuli.optimiser import Optimised, optimise
from meiflow.stimuli.postprocessors import Clip
from meiflow.stimuli.projection import project_array
from meiflow.stimuli.regularisers import GreyDistance
from meiflow.stimuli.stoppers import Iterations
from meiflow.stimuli.updates import TorchOptimiser

_BATCH = 256


def matched_naturals(
    images: NDArray, mean: float, contrast: float, mask: NDArray | None = None
) -> NDArray[np.float32]:
    """Images (n, height, width) at the given mean and contrast, fading to grey outside `mask`.

    Parameters
    ----------
    mask : ndarray, shape (height, width), optional
        Weights in [0, 1]; the mean luminance inside it is removed first, so that only the
        pattern remains.
    """
    if mask is None:
        return project_array(images, mean, contrast)
    weights = mask / max(float(mask.sum()), 1e-12)
    inside = (images * weights).sum(axis=(1, 2), keepdims=True)
    return project_array((images - inside) * mask, mean, contrast)


def responses_to(model: Model, images: NDArray) -> NDArray[np.float64]:
    """Responses (n,) of a model to any number of stimuli (n, ..., height, width)."""
    with torch.no_grad():
        parts = [
            model(torch.as_tensor(images[i : i + _BATCH], dtype=torch.float32))
            for i in range(0, len(images), _BATCH)
        ]
    return torch.cat(parts).double().cpu().numpy()


def best_of(model: Model, images: NDArray) -> tuple[int, float]:
    """Index of the stimulus of a set with the highest response, and that response."""
    responses = responses_to(model, images)
    best = int(responses.argmax())
    return best, float(responses[best])


@dataclass(frozen=True)
class Faded:
    """A natural image without what the neuron does not mind.

    Parameters
    ----------
    image : ndarray of float32, shape (height, width)
    response, kept : float
        The model's response to the whole image, and to this one.
    contrast_left : float
        RMS distance to grey, as a fraction of the whole image's.
    """

    image: NDArray[np.float32]
    response: float
    kept: float
    contrast_left: float


@dataclass(frozen=True)
class _KeepResponse:
    """``-((r - r0) / r0)**2``: the response to the whole image shall stay."""

    target: float
    strength: float

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        return -self.strength * (responses / self.target - 1) ** 2


def fade(
    model: Model,
    image: NDArray,
    grey: float = 0.5,
    steps: int = 400,
    learning_rate: float = 0.01,
    strength: float = 100.0,
) -> Faded:
    """The regularised natural optimum: keep the response, fade the rest to grey.

    Minimises ``strength * ((r - r0) / r0)**2 + d / d0`` by Adam, d the mean squared distance to
    grey, r0 and d0 those of the whole image, pixels within [0, 1] (after
    `regularized_optimal_stimuli` of flyvis; Lappalainen et al. 2024).

    Parameters
    ----------
    model : callable
        Images (batch, height, width) to responses (batch,).
    image : ndarray, shape (height, width)
    strength : float
        1 % of the response weighs as much as ``strength * 1e-4`` of the image.

    Raises
    ------
    ValueError
        If the model does not respond to the image, or the image is uniform grey.
    """
    start = torch.as_tensor(image, dtype=torch.float32)[None]
    with torch.no_grad():
        response = float(model(start)[0])
    distance = float(GreyDistance(grey)(start)[0])
    if response <= 0 or distance <= 0:
        raise ValueError(
            f"nothing to keep: response {response:.3g}, distance to grey {distance:.3g}"
        )
    found: Optimised = optimise(
        model,
        start,
        _KeepResponse(response, strength),
        regularisers=(GreyDistance(grey, weight=1 / distance),),
        update=TorchOptimiser(lambda p: torch.optim.Adam(p, lr=learning_rate), (1.0, 0.05)),
        postprocessors=(Clip(),),
        stop=Iterations(steps),
    )
    with torch.no_grad():
        kept = float(model(found.stimuli)[0])
    left = float(GreyDistance(grey)(found.stimuli)[0]) / distance
    return Faded(found.images[0], response, kept, left**0.5)

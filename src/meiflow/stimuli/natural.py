"""Best image of a set: whole, windowed, or with irrelevant parts faded out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.images.projection import project_array
from meiflow.stimuli.objectives import ResponseModel, evaluated
from meiflow.stimuli.optimiser import optimise
from meiflow.stimuli.postprocessors import ClipRange
from meiflow.stimuli.regularisers import GreyDistance
from meiflow.stimuli.stoppers import Iterations
from meiflow.stimuli.updates import TorchOptimiser

_BATCH = 256


def matched_naturals(
    images: NDArray, mean: float, contrast: float, mask: NDArray | None = None
) -> NDArray[np.float32]:
    """Images (n, height, width) at the given mean and contrast, grey outside `mask`.

    Parameters
    ----------
    mask : ndarray, shape (height, width), optional
        Weights in [0, 1]; the mean luminance inside the mask is removed first, so that only the
        pattern remains.

    Examples
    --------
    >>> images = np.random.default_rng(0).uniform(size=(3, 30, 48))
    >>> same = matched_naturals(images, mean=0.5, contrast=0.05)
    >>> same.mean((1, 2)).round(3), same.std((1, 2)).round(3)
    (array([0.5, 0.5, 0.5], dtype=float32), array([0.05, 0.05, 0.05], dtype=float32))
    """
    if mask is None:
        return project_array(images, mean, contrast)
    weights = mask / max(float(mask.sum()), 1e-12)
    inside = (images * weights).sum(axis=(1, 2), keepdims=True)
    return project_array((images - inside) * mask, mean, contrast)


def best_matched(
    respond: Callable[[NDArray], NDArray],
    images: NDArray,
    mean: float,
    contrast: float,
    mask: NDArray | None = None,
) -> NDArray[np.float32]:
    """The most exciting image (height, width) once all have the same mean and contrast.

    Parameters
    ----------
    respond : callable
        Responses (n,) to images (n, height, width).
    images, mean, contrast, mask
        As for `matched_naturals`.

    Examples
    --------
    >>> stripes = 0.5 + np.outer([0.1, 0.4], np.resize([1, -1], 48)).reshape(2, 6, 8)
    >>> best = best_matched(lambda shown: shown[:, 0, 0], stripes, mean=0.5, contrast=0.2)
    >>> round(float(best.std()), 3)
    0.2
    """
    candidates = matched_naturals(images, mean, contrast, mask)
    return np.asarray(candidates[respond(candidates).argmax()])


def responses_to(model: ResponseModel, images: NDArray) -> NDArray[np.float64]:
    """Responses (n,) of a model to any number of stimuli (n, ..., height, width)."""
    with evaluated(model), torch.no_grad():
        parts = [
            model(torch.as_tensor(images[i : i + _BATCH], dtype=torch.float32))
            for i in range(0, len(images), _BATCH)
        ]
    return torch.cat(parts).double().cpu().numpy()


def best_of(model: ResponseModel, images: NDArray) -> tuple[int, float]:
    """Index of the stimulus with the highest response, and this response.

    Examples
    --------
    >>> images = np.stack([np.full((6, 8), level) for level in (0.2, 0.9, 0.4)])
    >>> index, response = best_of(lambda stimuli: stimuli.mean((1, 2)), images)
    >>> index, round(response, 2)
    (1, 0.9)
    """
    responses = responses_to(model, images)
    best = int(responses.argmax())
    return best, float(responses[best])


@dataclass(frozen=True)
class Faded:
    """Natural images from which everything irrelevant to the neuron has been faded out.

    Parameters
    ----------
    images : ndarray of float32, shape (n, height, width)
    responses, kept : ndarray, shape (n,)
        Responses of the model to the whole images, and to the faded ones.
    contrast_left : ndarray, shape (n,)
        RMS distance to grey, as a fraction of that of the whole image.
    """

    images: NDArray[np.float32]
    responses: NDArray[np.float64]
    kept: NDArray[np.float64]
    contrast_left: NDArray[np.float64]


@dataclass(frozen=True)
class _KeepResponse:
    """Penalty ``-strength * ((r - r0) / r0)**2`` on changes of the response."""

    target: Tensor
    strength: float

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        return -self.strength * (responses / self.target - 1) ** 2


@dataclass(frozen=True)
class _GreyShare:
    """Squared distance to grey, as a fraction of that of the whole image."""

    grey: float
    whole: Tensor

    def __call__(self, stimuli: Tensor) -> Tensor:
        return GreyDistance(self.grey)(stimuli) / self.whole


def fade(
    model: ResponseModel,
    images: NDArray,
    grey: float = 0.5,
    steps: int = 400,
    learning_rate: float = 0.01,
    strength: float = 10.0,
) -> Faded:
    """The regularised natural optimum: keep the response and fade the rest to grey.

    Minimises ``strength * ((r - r0) / r0)**2 + d / d0`` with Adam and pixels in [0, 1], where d is
    the mean squared distance to grey, and r0 and d0 are the values of the whole image (after the
    regularised optimal stimuli of flyvis; Lappalainen et al. 2024).

    Parameters
    ----------
    model : callable
        Images (n, height, width) to responses (n,).
    images : ndarray, shape (n, height, width)
    strength : float
        A change of the response by 1 % has the same weight as ``strength * 1e-4`` of the image's
        power. Much larger values do not keep the response any better and fade more slowly.

    Raises
    ------
    ValueError
        If the model does not respond to an image, or an image is uniform grey.

    Examples
    --------
    >>> image = np.random.default_rng(0).uniform(0.6, 1.0, size=(1, 6, 8))
    >>> left = lambda stimuli: stimuli[:, :, :4].mean((1, 2))
    >>> faded = fade(left, image)
    >>> faded.responses.round(2), faded.kept.round(2)
    (array([0.8]), array([0.73]))
    >>> float(np.abs(faded.images[0, :, 4:] - 0.5).max().round(2))
    0.0
    """
    starts = torch.as_tensor(images, dtype=torch.float32)
    with evaluated(model), torch.no_grad():
        responses = model(starts)
    whole = GreyDistance(grey)(starts)
    if not bool((responses > 0).all() and (whole > 0).all()):
        raise ValueError(
            "images must drive the model and must not be uniform grey; lowest response "
            f"{float(responses.min()):.3g}, lowest distance to grey {float(whole.min()):.3g}"
        )
    found = optimise(
        model,
        starts,
        _KeepResponse(responses, strength),
        regularisers=(_GreyShare(grey, whole),),
        update=TorchOptimiser(lambda p: torch.optim.Adam(p, lr=learning_rate), (1.0, 0.05)),
        postprocessors=(ClipRange(),),
        stop=Iterations(steps),
    )
    with evaluated(model), torch.no_grad():
        kept = model(found.stimuli)
        left = (GreyDistance(grey)(found.stimuli) / whole).sqrt()
    return Faded(found.images, *(t.double().numpy() for t in (responses, kept, left)))

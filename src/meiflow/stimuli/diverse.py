"""Different images that all excite a neuron nearly as much as its MEI."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.images.geometry import Geometry
from meiflow.images.projection import project
from meiflow.stimuli.blur import gaussian_blur
from meiflow.stimuli.mei import most_exciting, noise_starts
from meiflow.stimuli.objectives import (
    DiverseObjective,
    IncreaseObjective,
    ResponseModel,
    evaluated,
    nearest_correlation,
)

_BISECTIONS = 20
_BLUR = 2.0


@dataclass(frozen=True)
class DiverseSet:
    """Images (n, height, width), their responses (n,), and their similarity.

    ``similarity`` is the correlation of each image with the most similar one; ``blended`` the
    fraction of the MEI that was blended in to reach the required response.
    """

    images: NDArray[np.float32]
    responses: NDArray[np.float64]
    similarity: NDArray[np.float64]
    blended: NDArray[np.float64]


def diverse_images(
    model: ResponseModel,
    mei: Tensor,
    geometry: Geometry,
    mean: float,
    contrast: float,
    n: int = 6,
    fraction: float = 0.85,
    steps: int = 200,
    seed: int = 0,
    weights: Tensor | None = None,
    exponent: float = 1.5,
    baseline: float = 0.0,
) -> DiverseSet:
    """Images that reach `fraction` of the response to the MEI and differ as much as possible.

    Diverse exciting inputs after Cadena et al. (2018) and Ding et al. (2023): gradient ascent on
    a batch, away from the most similar image, with a penalty for responses that are too low.
    Images whose response is still too low are blended with the MEI until it is not.

    Parameters
    ----------
    model : callable
        Images (batch, height, width) to responses (batch,).
    mei : Tensor, shape (height, width)
        MEI, which is projected to the given mean and contrast.
    fraction : float
        Required response relative to the MEI, in (0, 1].
    weights : Tensor, shape (height, width), optional
        Weight of a difference at each pixel; differences outside the receptive field do not
        affect the response. By default the contrast of the MEI, blurred by two pixels.
    exponent : float
        Exponent of the gradient smoothing, which prevents images that differ only in fine noise.
    baseline : float
        Response from which responses are measured, such as that to grey.

    Examples
    --------
    >>> screen = Geometry(12, 16)
    >>> centre = lambda images: images[:, 4:8, 6:10].mean((1, 2))
    >>> mei = torch.full((12, 16), 0.48)
    >>> mei[4:8, 6:10] = 0.72
    >>> found = diverse_images(centre, mei, screen, 0.5, 0.06, n=3, fraction=0.8, steps=30)
    >>> found.images.shape, found.images.std((1, 2)).round(2)
    ((3, 12, 16), array([0.06, 0.06, 0.06], dtype=float32))
    """
    if not 0 < fraction <= 1 or n < 2:
        raise ValueError(f"0 < fraction <= 1 and n >= 2 are required, got {fraction} and {n}")
    mei = project(torch.as_tensor(mei, dtype=torch.float32)[None], mean, contrast)[0]
    with evaluated(model), torch.no_grad():
        enough = baseline + fraction * (float(model(mei[None])[0]) - baseline)
    if enough <= baseline:
        raise ValueError("the model does not respond to the MEI, so there is no response to reach")
    if weights is None:
        weights = gaussian_blur((mei - mean).abs(), _BLUR)
    starts = noise_starts(n, geometry, exponent, mean, contrast, seed)
    found = most_exciting(
        model,
        starts,
        geometry,
        mean,
        contrast,
        steps,
        exponent=exponent,
        objective=DiverseObjective(IncreaseObjective(), enough, weights=weights),
        seed=seed,
    )
    with evaluated(model), torch.no_grad():
        images, blended = _blend(model, found.stimuli.cpu(), mei, enough, mean, contrast)
        responses = model(images).double().numpy()
        alike = nearest_correlation(images, weights).double().numpy()
    return DiverseSet(images.numpy(), responses, alike, blended.numpy())


@torch.no_grad()
def _blend(
    model: ResponseModel, images: Tensor, mei: Tensor, enough: float, mean: float, contrast: float
) -> tuple[Tensor, Tensor]:
    """Blend images with too low a response with the MEI, no more than necessary."""

    def mixed(share: Tensor) -> Tensor:
        weight = share[:, None, None]
        return project((1 - weight) * images + weight * mei, mean, contrast)

    low, high = torch.zeros(len(images)), torch.ones(len(images))
    reached = model(images) >= enough
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        there = model(mixed(middle)) >= enough
        low, high = torch.where(there, low, middle), torch.where(there, middle, high)
    share = torch.where(reached, torch.zeros_like(high), high)
    return torch.where(reached[:, None, None], images, mixed(share)), share

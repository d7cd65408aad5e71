"""First-order receptive fields of models."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.stimuli.objectives import IncreaseObjective, Objective, ResponseModel, evaluated

_BATCH = 128


def gradient(model: ResponseModel, stimuli: Tensor, objective: Objective | None = None) -> Tensor:
    """Gradient of the objective (by default the response) at each stimulus.

    Examples
    --------
    >>> images = torch.full((2, 6, 8), 0.5)
    >>> gradient(lambda stimuli: stimuli[:, 2, 3] ** 2, images)[:, 2, 2:5].round(decimals=3)
    tensor([[0., 1., 0.],
            [0., 1., 0.]])
    """
    with evaluated(model), torch.enable_grad():
        free = stimuli.detach().clone().requires_grad_(True)
        value = (IncreaseObjective() if objective is None else objective)(model(free), free)
        found = None
        if value.requires_grad:
            (found,) = torch.autograd.grad(value.sum(), free, allow_unused=True)
    if found is None:
        raise ValueError("the response does not depend on the stimuli")
    return found


def gradient_rf(
    model: ResponseModel, shape: tuple[int, ...], grey: float = 0.5
) -> NDArray[np.float32]:
    """Gradient of the response at uniform grey, shape `shape`: ([channels, time,] height, width).

    It is zero for complex cells, whose contributions cancel.

    Examples
    --------
    >>> gradient_rf(lambda stimuli: 3 * stimuli[:, 2, 3], (4, 5))[2].round(3)
    array([0., 0., 0., 3., 0.], dtype=float32)
    """
    return gradient(model, torch.full((1, *shape), grey))[0].numpy()


def linear_rf(
    model: ResponseModel,
    shape: tuple[int, ...],
    contrast: float,
    grey: float = 0.5,
    samples: int = 1024,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Linear RF: the linear filter that best approximates the model on Gaussian white noise.

    For white noise the regression of the response on the pixels is the mean gradient (Stein's
    lemma, 1981, which underlies the spike-triggered average of Chichilnisky 2001). It has far less
    noise than the response-weighted average of stimuli.

    Parameters
    ----------
    contrast : float
        Standard deviation of the noise. Each sample is used with both signs, so that even
        nonlinearities cancel exactly.
    samples : int
        Number of samples, which must be even.

    Returns
    -------
    ndarray of float32, shape `shape`
        Response per unit luminance of each pixel.

    Examples
    --------
    >>> field = linear_rf(lambda stimuli: (stimuli[:, 2, 3] - 0.5).relu(), (4, 5), contrast=0.1)
    >>> bool(abs(field[2, 3] - 0.5) < 0.05), float(abs(field[:2]).max())
    (True, 0.0)
    """
    if samples < 2 or samples % 2 or contrast <= 0:
        raise ValueError(
            f"an even number of samples >= 2 and a contrast > 0 are required, got {samples} and "
            f"{contrast}"
        )
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(shape, dtype=torch.float64)
    done = 0
    while done < samples:
        n = min(_BATCH, samples - done) // 2
        noise = contrast * torch.randn((n, *shape), generator=generator)
        total += gradient(model, grey + torch.cat([noise, -noise])).double().sum(0)
        done += 2 * n
    return (total / samples).float().numpy()

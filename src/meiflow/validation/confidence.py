"""Confidence in the MEI of a neuron, computed without the ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from meiflow.images.luminance import GREY
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts

_RESTARTS = 3


def fractions_of_own_optimum(
    others: Sequence[NeuronModel],
    mei: NDArray,
    mean: float,
    contrast: float,
    steps: int = 100,
    step_size: tuple[float, float] = (0.3, 0.01),
    exponent: float = 1.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Response of other models to an MEI, as a fraction of each model's own optimum.

    Parameters
    ----------
    others : sequence of NeuronModel
    mei : ndarray, shape (height, width)
    mean, contrast : float
        Mean luminance and RMS contrast of the images. The optimum of each model is found by ascent
        from the MEI and from noise.
    steps, step_size, exponent
        Settings of these ascents, as in `meiflow.stimuli.mei.most_exciting`.
    seed : int
        Seed of the noise.

    Returns
    -------
    ndarray, shape (models,)
        Fraction of at most 1, from responses minus the response to grey. NaN if no image drives a
        model above grey.
    """
    geometry = others[0].geometry
    noise = noise_starts(_RESTARTS, geometry, exponent, mean, contrast, seed)
    shown = torch.as_tensor(np.asarray(mei, np.float32))[None]
    starts = torch.cat([shown, noise])
    paired = PairedModel(others)
    best = most_exciting_of_each(
        paired, len(others), starts, geometry, mean, contrast, steps, step_size, exponent
    ).scores.max(1)
    with torch.no_grad():
        own = paired(shown.repeat(len(others), 1, 1)).numpy().astype(float)
        grey = paired(torch.full((len(others), *geometry.shape), GREY)).numpy().astype(float)
    best = np.maximum(best, own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(best > grey, np.maximum(own - grey, 0) / (best - grey), np.nan)

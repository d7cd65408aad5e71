"""How sure a neuron's model can be of its MEI, judged without the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts

_RESTARTS = 3
_GREY = 0.5


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
    """What an MEI does to other models of the neuron, as a fraction of the best for each.

    Parameters
    ----------
    others : sequence of NeuronModel
    mei : ndarray, shape (height, width)
    mean, contrast : float
        Held by the images that compete; these come from ascents on each model, from the MEI and
        from noise.
    steps, step_size, exponent
        Of these ascents, as in `meiflow.stimuli.mei.most_exciting`.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray, shape (models,)
        At most 1; responses count above that to grey. NaN where nothing drives a model above it.
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
        grey = paired(torch.full((len(others), *geometry.shape), _GREY)).numpy().astype(float)
    best = np.maximum(best, own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(best > grey, np.maximum(own - grey, 0) / (best - grey), np.nan)

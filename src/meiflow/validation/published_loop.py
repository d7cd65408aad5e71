"""Closed loop on neurons of a published network, judged by that network or by another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from meiflow.images.luminance import GREY
from meiflow.models.published_neurons import PublishedNeurons
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts

# Half a minute per neuron and network.
STARTS, STEPS = 4, 60
_TOGETHER = 16


def published_optima(
    network: PublishedNeurons, mean: float, contrast: float, seed: int
) -> NDArray[np.float32]:
    """The image of a given mean and contrast that drives each neuron most.

    Gradient ascent on the network, from noise.

    Parameters
    ----------
    network : PublishedNeurons
    mean, contrast : float
    seed : int
        Seed of the noise.

    Returns
    -------
    ndarray, shape (neurons, height, width)
    """
    noise = noise_starts(STARTS, network.geometry, 1.0, mean, contrast, seed)
    best = []
    for some in np.array_split(np.arange(len(network)), -(-len(network) // _TOGETHER)):
        part = network.of(some)
        found = most_exciting_of_each(
            part.paired, len(some), noise, network.geometry, mean, contrast, STEPS
        )
        best.append(found.images[np.arange(len(some)), found.scores.argmax(1)])
    return np.concatenate(best)


def published_drives(
    network: PublishedNeurons, images: NDArray, grey: float = GREY
) -> NDArray[np.float64]:
    """Response of each neuron to its own images minus that to a uniform screen.

    Parameters
    ----------
    network : PublishedNeurons
    images : ndarray, shape (neurons, images, height, width)
    grey : float
        Luminance of the uniform screen.

    Returns
    -------
    ndarray, shape (neurons, images)
    """
    uniform = network.responses(np.full((1, *network.geometry.shape), grey))[0]
    found = []
    for i, own in enumerate(images):
        shown = torch.as_tensor(np.asarray(own, np.float32))
        with torch.no_grad():
            found.append(network.of([i])(shown)[:, 0].numpy().astype(float) - uniform[i])
    return np.stack(found)

"""Most discriminative stimuli: one for every cluster of neurons (Burg et al. 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.experiments.aligned import CANONICAL, AlignedPopulation
from meiflow.images.luminance import GREY
from meiflow.stimuli.mei import most_exciting, noise_starts

_CONTRAST = 0.18  # RMS in the square: that of a grating of 80 % in a disc of three wavelengths
_TEMPERATURE = 0.5  # of responses relative to the highest
_RADIUS = 1.8  # wavelengths
_EXPONENT = 1.0
_MOST = 12  # neurons of each cluster for which a stimulus is optimised
_STARTS = 2
_STEP_SIZE = (0.4, 0.05)


@dataclass(frozen=True)
class DiscriminativeObjective:
    """Stimulus i is that of cluster i modulo the number of clusters, against all others.

    ``own / t - log(mean(exp(all / t)))`` of the mean responses of clusters, as
    `meiflow.stimuli.objectives.ContrastiveObjective` with a different cluster for each stimulus;
    with a single cluster, its mean response.

    Parameters
    ----------
    labels : ndarray of int, shape (neurons,)
    temperature : float

    Examples
    --------
    >>> objective = DiscriminativeObjective(np.array([0, 0, 1]), temperature=1.0)
    >>> responses = torch.tensor([[2.0, 4.0, 1.0], [1.0, 1.0, 4.0]])
    >>> objective(responses, torch.zeros(2, 32, 32)).round(decimals=2)
    tensor([0.5700, 0.6400])
    """

    labels: NDArray[np.int64]
    temperature: float = _TEMPERATURE

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        clusters = np.unique(self.labels)
        means = torch.stack(
            [responses[:, torch.as_tensor(self.labels == c)].mean(1) for c in clusters], 1
        )
        own = torch.arange(len(responses)) % len(clusters)
        chosen = means.gather(1, own[:, None])[:, 0]
        if len(clusters) == 1:
            return chosen
        scaled = means / self.temperature
        others = scaled.logsumexp(1) - float(np.log(len(clusters)))
        return chosen / self.temperature - others


def discriminative_stimuli(
    population: AlignedPopulation,
    labels: NDArray,
    scale: NDArray,
    steps: int = 40,
    starts: NDArray | None = None,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Optimise one stimulus per cluster, which drives this cluster more than all others.

    Parameters
    ----------
    population : AlignedPopulation
    labels : ndarray of int, shape (neurons,)
        Clusters from 0, none of which is empty. Of each, at most twelve neurons are used.
    scale : ndarray, shape (neurons,)
        By which the responses of each neuron are divided, such as the highest to a bank.
    steps : int
        Steps of gradient ascent at fixed mean and contrast.
    starts : ndarray, shape (clusters, 32, 32), optional
        By default noise, of which the better of two is kept.
    seed : int

    Returns
    -------
    ndarray, shape (clusters, 32, 32)
        Luminance in the coordinates of the neurons; see
        `meiflow.experiments.aligned.AlignedPopulation`.
    """
    rng, number = np.random.default_rng(seed), int(np.max(labels)) + 1
    members = [np.flatnonzero(np.asarray(labels) == cluster) for cluster in range(number)]
    rows = np.concatenate([np.sort(rng.permutation(own)[:_MOST]) for own in members])
    respond, factor = population.model(rows), torch.as_tensor(1 / scale[rows]).float()
    near = np.hypot(CANONICAL.x[None, :], CANONICAL.y[:, None]) < _RADIUS
    found = most_exciting(
        lambda images: respond(images) * factor,
        noise_starts(_STARTS * number, CANONICAL, _EXPONENT, GREY, _CONTRAST, seed)
        if starts is None
        else torch.as_tensor(starts),
        CANONICAL,
        GREY,
        _CONTRAST,
        steps,
        _STEP_SIZE,
        _EXPONENT,
        DiscriminativeObjective(np.asarray(labels)[rows]),
        mask=torch.as_tensor(near),
        background=GREY,
    )
    best = found.scores.reshape(-1, number).argmax(axis=0) * number + np.arange(number)
    return found.images[best]

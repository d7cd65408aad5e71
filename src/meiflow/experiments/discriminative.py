"""Most discriminative stimuli: one for every cluster of neurons.

After Burg et al. 2024, "Most discriminative stimuli for functional cell type clustering": stimuli
are optimised for given clusters, neurons are reassigned by their responses to these, and so on.
"""

from __future__ import annotations

from collections.abc import Callable
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
_MOST = 24  # neurons of each cluster for which a stimulus is optimised
_STARTS = 2

Assign = Callable[[NDArray, NDArray], tuple[NDArray[np.int64], NDArray[np.float64]]]


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


@dataclass(frozen=True)
class DiscriminativeStimuli:
    """The stimulus of each cluster, and the clusters.

    Parameters
    ----------
    images : ndarray, shape (clusters, 32, 32)
        Luminance in the coordinates of the neurons; see
        `meiflow.experiments.aligned.AlignedPopulation`.
    labels : ndarray of int, shape (neurons,)
    margin : ndarray, shape (neurons,)
        See `meiflow.combined.clusters.assign`.
    responses : ndarray, shape (neurons, clusters)
        Responses to these stimuli relative to each neuron's scale.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    margin: NDArray[np.float64]
    responses: NDArray[np.float64]


def discriminative_stimuli(
    population: AlignedPopulation,
    labels: NDArray,
    scale: NDArray,
    assign: Assign,
    rounds: int = 3,
    steps: int = 20,
    seed: int = 0,
) -> DiscriminativeStimuli:
    """Optimise one stimulus per cluster and reassign the neurons, in turn.

    Parameters
    ----------
    population : AlignedPopulation
    labels : ndarray of int, shape (neurons,)
        Clusters to begin with, from 0.
    scale : ndarray, shape (neurons,)
        By which the responses of each neuron are divided, such as the highest to a bank.
    assign : callable
        Responses (neurons, clusters) and labels to new labels and margins, such as
        `meiflow.combined.clusters.assign`.
    rounds : int
        Maximum number of rounds; it ends when no neuron changes its cluster.
    steps : int
        Steps of gradient ascent in each round, which continues from the stimuli of the last.
    seed : int

    Returns
    -------
    DiscriminativeStimuli
        Clusters that lose all of their neurons are removed.
    """
    labels = np.asarray(labels, np.int64)
    images = np.empty((0, *CANONICAL.shape), np.float32)
    for _ in range(rounds):
        labels = np.unique(labels, return_inverse=True)[1]
        number = int(labels.max()) + 1
        starts = _starts(number, images, seed)
        images = _optimised(population, labels, scale, starts, steps, seed)
        responses = population.responses(images) / scale[:, None]
        before, (labels, margin) = labels, assign(responses, labels)
        if (before == labels).all():
            break
    kept = np.unique(labels)
    return DiscriminativeStimuli(
        images[kept], np.searchsorted(kept, labels), margin, responses[:, kept]
    )


def _starts(number: int, images: NDArray, seed: int) -> Tensor:
    if len(images) == number:
        return torch.as_tensor(images)
    return noise_starts(_STARTS * number, CANONICAL, _EXPONENT, GREY, _CONTRAST, seed)


def _optimised(
    population: AlignedPopulation,
    labels: NDArray,
    scale: NDArray,
    starts: Tensor,
    steps: int,
    seed: int,
) -> NDArray[np.float32]:
    """The stimulus of each cluster, for some of its neurons; the better of several starts."""
    rng = np.random.default_rng(seed)
    number = int(labels.max()) + 1
    members = [np.flatnonzero(labels == cluster) for cluster in range(number)]
    rows = np.concatenate([np.sort(rng.permutation(own)[:_MOST]) for own in members])
    respond, factor = population.model(rows), torch.as_tensor(1 / scale[rows]).float()
    near = np.hypot(CANONICAL.x[None, :], CANONICAL.y[:, None]) < _RADIUS
    found = most_exciting(
        lambda images: respond(images) * factor,
        starts,
        CANONICAL,
        GREY,
        _CONTRAST,
        steps,
        (0.4, 0.05),
        _EXPONENT,
        DiscriminativeObjective(labels[rows]),
        mask=torch.as_tensor(near),
        background=GREY,
    )
    scores = found.scores.reshape(-1, number)
    best = scores.argmax(axis=0) * number + np.arange(number)
    return found.images[best]

"""Neurons whose responses to any image are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.progress import track
from meiflow.simulation.random_neurons import RandomNeuron
from meiflow.simulation.truth import render_filters, true_drive
from meiflow.stimuli.mei import most_exciting, noise_starts
from meiflow.validation.closed_loop import true_optimum

_STARTS, _STEPS, _STEP_SIZE = 12, 200, (0.5, 0.01)
_KIND_RESTARTS = 32


class Truth(Protocol):
    """Neurons that can be shown any image."""

    @property
    def names(self) -> Sequence[str]:
        """Name of every neuron: its kind or structure."""

    def rates(self, images: NDArray) -> NDArray[np.float64]:
        """Mean responses (images, neurons) to images (images, height, width) of luminance."""

    def maximal_drive(self, mean: float, contrast: float) -> NDArray[np.float64]:
        """Highest response above that to grey, (neurons,), of images of this mean and contrast."""


def as_torch(neuron: RandomNeuron) -> RandomNeuron:
    """The same neuron for tensors."""
    arrays: dict[str, Any] = {
        field.name: torch.as_tensor(value, dtype=torch.float32)
        for field in fields(neuron)
        if isinstance(value := getattr(neuron, field.name), np.ndarray)
    }
    return replace(neuron, **arrays)


def _responses(neuron: RandomNeuron, images: Tensor) -> Tensor:
    responses: Tensor = neuron.drive(images.flatten(1))
    return responses


@dataclass(frozen=True)
class RandomTruth:
    """Neurons of random structure; see `meiflow.simulation.random_neurons`.

    Parameters
    ----------
    neurons : sequence of RandomNeuron
    baselines : ndarray, shape (neurons,)
        Added to the responses, whose mean over natural images is one.
    screen : Geometry
    seed : int
        Of the noise from which optima are sought.

    Examples
    --------
    >>> from meiflow.simulation.random_neurons import draw_random_neuron
    >>> screen = Geometry(30, 48)
    >>> images = np.random.default_rng(0).uniform(0, 1, (40, 30, 48))
    >>> neurons = [draw_random_neuron(seed, screen, images) for seed in (2, 4)]
    >>> truth = RandomTruth(neurons, np.array([0.0, 0.5]), screen, seed=0)
    >>> truth.rates(images).mean(axis=0).round(3)
    array([1. , 1.5])
    """

    neurons: Sequence[RandomNeuron]
    baselines: NDArray[np.float64]
    screen: Geometry
    seed: int

    @property
    def names(self) -> list[str]:
        """Structures."""
        return [str(neuron.root) for neuron in self.neurons]

    def rates(self, images: NDArray) -> NDArray[np.float64]:
        """See `Truth`."""
        flat = images.reshape(len(images), -1).astype(float)
        return np.stack([neuron.drive(flat) for neuron in self.neurons], axis=1) + self.baselines

    def maximal_drive(self, mean: float, contrast: float) -> NDArray[np.float64]:
        """By ascent from the filters, their negatives and noise; see `Truth`."""
        grey = self.rates(np.full((1, *self.screen.shape), mean))[0]
        noise = noise_starts(_STARTS, self.screen, 1.0, mean, contrast, self.seed)
        best = []
        for neuron in track(list(map(as_torch, self.neurons)), "true optima"):
            filters = neuron.filters.reshape(-1, *self.screen.shape)
            shapes = project_array(torch.cat([filters, -filters]).numpy(), mean, contrast)
            starts = torch.cat([torch.as_tensor(shapes), noise])
            respond = partial(_responses, neuron)
            how = starts, self.screen, mean, contrast, _STEPS, _STEP_SIZE
            found = most_exciting(respond, *how)
            best.append(found.images[found.best])
        reached = self.rates(np.stack(best)).diagonal()
        return np.asarray(reached - grey)


@dataclass(frozen=True)
class KindsTruth:
    """Neurons of the kinds of `meiflow.simulation.truth`, one row of a table each.

    Parameters
    ----------
    neurons : DataFrame
    screen : Geometry
    seed : int
        Of the noise from which optima are sought.
    """

    neurons: pd.DataFrame
    screen: Geometry
    seed: int

    @property
    def names(self) -> list[str]:
        """Kinds."""
        return [str(kind) for kind in self.neurons["kind"]]

    def rates(self, images: NDArray) -> NDArray[np.float64]:
        """See `Truth`; in Hz."""
        flat = images.reshape(len(images), -1).astype(float)
        drive = true_drive(render_filters(self.neurons, self.screen), flat)
        return np.asarray(drive + self.neurons["baseline_hz"].to_numpy())

    def maximal_drive(self, mean: float, contrast: float) -> NDArray[np.float64]:
        """By ascent from the filters and from noise; see `Truth`."""
        none = np.empty((0, *self.screen.shape))
        how = self.screen, mean, contrast, none, self.seed, _KIND_RESTARTS
        rows = track(range(len(self.neurons)), "true optima")
        return np.array([true_optimum(self.neurons.iloc[[i]], *how)[1] for i in rows])

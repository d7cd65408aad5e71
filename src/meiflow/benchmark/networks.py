"""Neurons of published networks of mouse V1 as a source of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import elu, grid_sample

from meiflow.benchmark.sources import SIZE, Pictures, Session, hash_of
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.documents import read_document
from meiflow.models.published_core import PublishedCore, read_core
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts

# The networks' own pixels.
SCREEN = Geometry(36, 64, 64 * 1.9, 36 * 1.9)
_SEEN_MEAN, _SEEN_SD = 122 / 255, 54 / 255
# Of the ascents on the networks themselves, half a minute per neuron.
_STARTS, _STEPS = 4, 60
_BATCH = 64
_AGREEING, _TINY = 0.7, 1e-12
_MEAN_COUNTS = 0.5, 3.0


class Twin(nn.Module):
    """Some neurons of a published network: images (batch, height, width) to (batch, neurons)."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = read_document(path)
        layers = read_core(path)
        keys = [k.removesuffix("_mu") for k in state if k.endswith("._mu")]
        if not keys or any(f"{keys[0]}{part}" not in state for part in ("_features", "bias")):
            raise MeiflowError(
                f"{path}: has no readout that can be read; expected the tensors _mu, _features and "
                "bias of a Gaussian readout (neuralpredictors), as in v1_surround_1.tar"
            )
        key = keys[0]
        self.core = PublishedCore(layers, last=1)
        self.place = state[key + "_mu"][0, :, 0].clamp(-1, 1)
        self.weight, self.bias = state[key + "_features"][0, :, 0], state[key + "bias"]

    def of(self, neurons: NDArray) -> Twin:
        """The same network with these neurons only."""
        part, chosen = copy(self), torch.as_tensor(neurons)
        part.place, part.bias = self.place[chosen], self.bias[chosen]
        part.weight = self.weight[:, chosen]
        return part

    def forward(self, images: Tensor) -> Tensor:
        (maps,) = self.core((images[:, None] - _SEEN_MEAN) / _SEEN_SD, grey=None)
        at = self.place[None, :, None].expand(len(maps), -1, 1, 2)
        sampled = grid_sample(maps, at, align_corners=True)[..., 0]
        return elu((sampled * self.weight).sum(1) + self.bias) + 1


class Paired(nn.Module):
    """Each neuron of a twin sees its own images, ordered by neuron."""

    def __init__(self, twin: Twin) -> None:
        super().__init__()
        self.twin = twin

    def forward(self, images: Tensor) -> Tensor:
        n = self.twin.weight.shape[1]
        every = self.twin(images.reshape(-1, *SCREEN.shape)).unflatten(0, (n, -1))
        return torch.diagonal(every, dim1=0, dim2=2).T.flatten()


def optima(
    twin: Twin, mean: float, contrast: float, seed: int, others: NDArray | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Best images (neurons, height, width) of each neuron, and its highest responses.

    Parameters
    ----------
    others : ndarray, shape (stimuli, neurons, height, width), optional
        Stimuli that count if they evoke more.
    """
    noise = noise_starts(_STARTS, SCREEN, 1.0, mean, contrast, seed)
    n = twin.weight.shape[1]
    paired = Paired(twin)
    found = most_exciting_of_each(paired, n, noise, SCREEN, mean, contrast, _STEPS)
    best = found.images[np.arange(n), found.scores.argmax(1)]
    every = best[None] if others is None else np.concatenate([best[None], others])
    with torch.no_grad():
        shown = torch.as_tensor(every.astype(np.float32))
        scores = [paired(images).numpy().astype(float) for images in shown]
    return best, np.max(scores, axis=0)


@dataclass(frozen=True)
class NetworkTruth:
    """Neurons of a published network.

    Parameters
    ----------
    twin : Twin
    names : sequence of str
    seed : int
        Of the noise from which optima are sought.
    """

    twin: Twin
    names: Sequence[str]
    seed: int

    def rates(self, images: NDArray) -> NDArray[np.float64]:
        """See `meiflow.benchmark.truths.Truth`."""
        shown = torch.as_tensor(np.asarray(images, np.float32))
        with torch.no_grad():
            parts = [self.twin(part) for part in shown.split(_BATCH)]
        return np.asarray(torch.cat(parts).numpy().astype(float))

    def maximal_drive(self, mean: float, contrast: float) -> NDArray[np.float64]:
        """By ascent from noise; see `meiflow.benchmark.truths.Truth`."""
        grey = self.rates(np.full((1, *SCREEN.shape), mean))[0]
        return np.asarray(optima(self.twin, mean, contrast, self.seed)[1] - grey)


@cache
def _opened(path: Path) -> Twin:
    return Twin(path).eval()


@dataclass(frozen=True)
class NetworkSource:
    """Neurons of a published network in random order.

    Parameters
    ----------
    path : Path
        File of the network, in the form of those of Fu et al. (2024).
    judge : Path, optional
        File of another network of the same neurons, which judges the stimuli. Only neurons on
        which both agree are used: a correlation of at least 0.7 over the calibration images.
    pictures : Pictures
    seed : int
        Of the order of the neurons.
    """

    path: Path
    judge: Path | None
    pictures: Pictures
    seed: int = 0
    version = 1

    @property
    def label(self) -> str:
        """See `Source`."""
        judged = f" judged by {hash_of(self.judge)}" if self.judge else ""
        name = f"network-{self.version} {hash_of(self.path)}{judged}"
        return f"{name} seed {self.seed}{self.pictures.label}"

    def session(self, number: int, neurons: int, images: int) -> Session:
        """See `Source`."""
        order = usable_neurons(self)
        chosen = order[SIZE * number :][:neurons]
        if len(chosen) < neurons:
            raise MeiflowError(f"{self.path}: {len(order)} neurons can be used; reduce --neurons")
        names = [str(neuron) for neuron in chosen]
        truth, judge = (
            NetworkTruth(_opened(path).of(chosen), names, self.seed)
            for path in (self.path, self.judge or self.path)
        )
        return Session(self.pictures.first(images, SCREEN), truth, judge, SCREEN, _MEAN_COUNTS)


@cache
def usable_neurons(source: NetworkSource) -> NDArray[np.int64]:
    """All neurons that can be used, in random order."""
    shown = source.pictures.calibrating(SCREEN)
    both = [_opened(path) for path in (source.path, source.judge or source.path)]
    a, b = (NetworkTruth(twin, [], source.seed).rates(shown) for twin in both)
    if a.shape != b.shape:
        raise MeiflowError(
            f"--judge: {source.judge} has {b.shape[1]} neurons, but {source.path} has {a.shape[1]}"
        )
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    agreement = (a * b).sum(axis=0) / np.maximum(size, _TINY)
    usable = np.flatnonzero(agreement > _AGREEING)
    return np.random.default_rng(source.seed).permutation(usable)

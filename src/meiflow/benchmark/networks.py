"""Neurons of published networks as a source of the benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.benchmark.sources import SIZE, Pictures, Session, hash_of
from meiflow.config.simulation import NetworkInput
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.published_neurons import COLUMNS, ROWS, PublishedNeurons
from meiflow.selection.activity import column_correlations
from meiflow.simulation.published import AGREEMENT
from meiflow.validation.published_loop import published_drives, published_optima

_SEEN = NetworkInput()
# The networks' own pixels.
SCREEN = Geometry(ROWS, COLUMNS, COLUMNS * _SEEN.deg_per_px, ROWS * _SEEN.deg_per_px)
_MEAN_COUNTS = 0.5, 3.0


@dataclass(frozen=True)
class NetworkTruth:
    """Neurons of a published network.

    Parameters
    ----------
    network : PublishedNeurons
    names : tuple of str
        Numbers of the neurons in the file.
    seed : int
        Of the noise from which optima are sought.
    """

    network: PublishedNeurons
    names: tuple[str, ...]
    seed: int

    def rates(self, images: NDArray) -> NDArray[np.float64]:
        """See `meiflow.benchmark.truths.Truth`."""
        return self.network.responses(images)

    def maximal_drive(self, mean: float, contrast: float) -> NDArray[np.float64]:
        """By ascent from noise; see `meiflow.benchmark.truths.Truth`."""
        best = published_optima(self.network, mean, contrast, self.seed)
        return published_drives(self.network, best[:, None], mean)[:, 0]


@dataclass(frozen=True)
class NetworkSource:
    """Neurons of a published network in random order.

    Parameters
    ----------
    path : Path
        File of the network; see `meiflow.models.published_neurons.PublishedNeurons`.
    judge : Path, optional
        File of another network of the same neurons, which judges the stimuli. Only neurons on
        which both agree are used: a correlation above `AGREEMENT` over the calibration images.
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
        names = tuple(str(neuron) for neuron in chosen)
        truth, judge = (
            NetworkTruth(_opened(path).of(chosen), names, self.seed)
            for path in (self.path, self.judge or self.path)
        )
        return Session(self.pictures.first(images, SCREEN), truth, judge, SCREEN, _MEAN_COUNTS)


@cache
def _opened(path: Path) -> PublishedNeurons:
    return PublishedNeurons(path, SCREEN, _SEEN).eval()


@cache
def usable_neurons(source: NetworkSource) -> NDArray[np.int64]:
    """All neurons that can be used, in random order."""
    shown = source.pictures.calibrating(SCREEN)
    responses = _opened(source.path).responses(shown)
    judged = responses if source.judge is None else _opened(source.judge).responses(shown)
    if responses.shape != judged.shape:
        raise MeiflowError(
            f"--judge: {source.judge} has {judged.shape[1]} neurons, but {source.path} has "
            f"{responses.shape[1]}; give networks of the same neurons"
        )
    usable = np.flatnonzero(column_correlations(responses, judged) > AGREEMENT)
    return np.random.default_rng(source.seed).permutation(usable)

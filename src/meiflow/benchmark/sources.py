"""Sources of neurons for the benchmark, each with a version that a test keeps.

The neurons of a source have a fixed order and are recorded in sessions of `SIZE`. Neurons, images
and optima of a version never change; a change makes a new version.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from meiflow.benchmark.recording import BenchmarkSession
from meiflow.benchmark.truths import KindsTruth, RandomTruth, Truth
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.session.images import load_image_set, resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.random_neurons import draw_random_neuron

SIZE = 12  # neurons in a session, apart from untuned ones
SCREEN = Geometry(60, 96)
MEAN, CONTRAST = 0.45, 0.05
_CALIBRATED_ON = 118  # images that set thresholds and gains, whatever number is shown
_NEURONS_PER_SEED = 10_000
_PRINTED = 3  # significant digits in a fingerprint


@dataclass(frozen=True)
class Session:
    """Neurons that are recorded together, and the images that they are shown.

    Parameters
    ----------
    images : ndarray of float32, shape (images, height, width)
    truth : Truth
        The neurons that are recorded.
    judge : Truth
        The neurons that are shown the stimuli: the same ones, or another model of them.
    screen : Geometry
    mean_counts : (low, high)
        Range of the mean counts per presentation.
    """

    images: NDArray[np.float32]
    truth: Truth
    judge: Truth
    screen: Geometry
    mean_counts: tuple[float, float] = (0.3, 4.0)


class Source(Protocol):
    """Neurons in a fixed order."""

    @property
    def label(self) -> str:
        """Name and version, which identify neurons and images."""

    def __hash__(self) -> int: ...

    def session(self, number: int, neurons: int, images: int) -> Session:
        """The first neurons of a session, which are shown the first images."""


@dataclass(frozen=True)
class Pictures:
    """Natural images: the pictures of a folder, or dead leaves.

    Parameters
    ----------
    scenes : Path, optional
        Folder of pictures or ``.npy`` stack.
    seed : int
        Of the dead leaves.
    """

    scenes: Path | None = None
    seed: int = 0

    @property
    def label(self) -> str:
        """Description with a hash of the pictures."""
        return "" if self.scenes is None else f" scenes {hash_of(self.scenes)}"

    def first(self, number: int, screen: Geometry) -> NDArray[np.float32]:
        """The first images.

        Raises
        ------
        MeiflowError
            If there are too few.
        """
        if self.scenes is None:
            return _leaves(number, screen, self.seed)
        found = _scenes(self.scenes, screen)
        if len(found) < number:
            raise MeiflowError(f"--scenes: {self.scenes} has {len(found)} images, not {number}")
        return found[:number]

    def calibrating(self, screen: Geometry) -> NDArray[np.float32]:
        """The images that set thresholds and gains."""
        if self.scenes is None:
            return _leaves(_CALIBRATED_ON, screen, self.seed)
        return _scenes(self.scenes, screen)[:_CALIBRATED_ON]


@cache
def _leaves(number: int, screen: Geometry, seed: int) -> NDArray[np.float32]:
    shape = 2 * screen.height, 2 * screen.width
    drawn = [dead_leaves(shape, np.random.default_rng([20_271, seed, i])) for i in range(number)]
    return resize(np.stack(drawn) / 255.0, screen.shape)


@cache
def _scenes(scenes: Path, screen: Geometry) -> NDArray[np.float32]:
    return load_image_set(scenes, screen.shape, "--scenes")[1]


def hash_of(path: Path) -> str:
    """Short hash of the content of a file, or of all files of a folder."""
    every = sorted(path.iterdir()) if path.is_dir() else [path]
    content = b"".join(sha256(p.read_bytes()).digest() for p in every if p.is_file())
    return sha256(content).hexdigest()[:8]


@dataclass(frozen=True)
class RandomSource:
    """Neurons of random structure (`meiflow.simulation.random_neurons`).

    Parameters
    ----------
    pictures : Pictures
    seed : int
        Other seeds are other neurons.
    published : bool
        Neurons with odd seeds, on which no choice may be made, instead of even ones.
    """

    pictures: Pictures
    seed: int = 0
    published: bool = False
    version = 1

    @property
    def label(self) -> str:
        """See `Source`."""
        half = "published" if self.published else "development"
        return f"random-{self.version} {half} seed {self.seed}{self.pictures.label}"

    def session(self, number: int, neurons: int, images: int) -> Session:
        """See `Source`."""
        first = _NEURONS_PER_SEED * self.seed + SIZE * number
        seeds = [2 * (first + i) + self.published for i in range(neurons)]
        known = self.pictures.calibrating(SCREEN)
        drawn = [draw_random_neuron(seed, SCREEN, known) for seed in seeds]
        baselines = [np.random.default_rng([seed, 1]).uniform(0, 0.5) for seed in seeds]
        truth = RandomTruth(drawn, np.array(baselines), SCREEN, self.seed)
        return Session(self.pictures.first(images, SCREEN), truth, truth, SCREEN)


@dataclass(frozen=True)
class KindsSource:
    """Neurons of twelve kinds, one of each in a session (`meiflow.simulation.truth`).

    Parameters
    ----------
    pictures : Pictures
    seed : int
        The sessions of the published benchmark have the numbers 0 to 6; seed 0 begins after them.
    """

    pictures: Pictures
    seed: int = 0
    version = 1

    @property
    def label(self) -> str:
        """See `Source`."""
        return f"kinds-{self.version} seed {self.seed}{self.pictures.label}"

    def session(self, number: int, neurons: int, images: int) -> Session:
        """See `Source`."""
        recorded = BenchmarkSession(_NEURONS_PER_SEED * (self.seed + 1) + number)
        truth = KindsTruth(recorded.neurons.iloc[:neurons], SCREEN, self.seed)
        return Session(self.pictures.first(images, SCREEN), truth, truth, SCREEN)


@cache
def fingerprint(source: Source) -> str:
    """Hash of the responses of the first three neurons to the first eight images.

    A test compares it with that of the version. Responses are rounded, because their last bits
    depend on the processor.
    """
    session = source.session(0, 3, 8)
    rates = session.truth.rates(session.images)
    text = " ".join(f"{value:.{_PRINTED}g}" for value in rates.ravel())
    return sha256(text.encode()).hexdigest()[:12]

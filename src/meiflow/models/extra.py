"""What the same session showed beside its images, as further training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.config.sections import Shown
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import read_csv
from meiflow.models.front_end import GREY
from meiflow.session.presented import grating_images
from meiflow.session.schedule import PARAMETRIC
from meiflow.tables.counts import Trials


@dataclass(frozen=True)
class Extra:
    """Stimuli that are learned from, and never scored.

    Parameters
    ----------
    images : ndarray, shape (stimuli, height, width)
        Luminance in [0, 1].
    means : ndarray, shape (stimuli, neurons)
        Mean counts per presentation.
    weights : ndarray, shape (stimuli,)
        Trials over the mean number of trials of the images.
    """

    images: NDArray[np.float32]
    means: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def nothing(cls, geometry: Geometry, neurons: int) -> Extra:
        """No stimulus."""
        empty = np.empty((0, *geometry.shape), np.float32)
        return cls(empty, np.empty((0, neurons)), np.empty(0))

    def of(self, columns: list[int]) -> Extra:
        """Of some neurons."""
        return Extra(self.images, self.means[:, columns], self.weights)


def read_extra(
    tables: Path,
    kinds: Sequence[str],
    geometry: Geometry,
    shown: Shown,
    trials: Trials,
    neurons: list[str],
) -> Extra:
    """Read further stimuli of a session.

    Parameters
    ----------
    tables : Path
        Folder of the tables stage.
    kinds : sequence of str
        ``blank``: grey screens between the images; ``gratings``: static gratings, drawn in degrees.
    shown : Shown
        What the gratings looked like.
    trials : Trials
        Of the images and blanks.
    neurons : list of str
        Columns wanted.
    """
    found = Extra.nothing(geometry, len(neurons))
    for kind in kinds:
        if kind == "blank":
            part = blank_screens(geometry, trials, neurons)
        else:
            part = _gratings(tables, geometry, shown, trials, neurons)
        found = Extra(
            np.concatenate([found.images, part.images]),
            np.concatenate([found.means, part.means]),
            np.concatenate([found.weights, part.weights]),
        )
    return found


def _per_image(trials: Trials) -> float:
    """Mean number of trials of an image."""
    shown = trials.image_ids[trials.image_ids >= 0]
    return float(np.unique(shown, return_counts=True)[1].mean())


def blank_screens(geometry: Geometry, trials: Trials, neurons: list[str]) -> Extra:
    """Grey screens between the images, as one stimulus; nothing where there were none.

    Parameters
    ----------
    trials : Trials
        Of the images and blanks.
    neurons : list of str
        Columns wanted.
    """
    grey_trials = trials.image_ids < 0
    if not grey_trials.any():
        return Extra.nothing(geometry, len(neurons))
    columns = [list(trials.neuron_ids).index(neuron) for neuron in neurons]
    means = trials.counts[grey_trials][:, columns].mean(axis=0)
    grey = np.full((1, *geometry.shape), GREY, np.float32)
    return Extra(grey, means[None], np.array([grey_trials.sum() / _per_image(trials)]))


def _gratings(
    tables: Path, geometry: Geometry, shown: Shown, trials: Trials, neurons: list[str]
) -> Extra:
    path = tables / "grating_responses.csv"
    if not path.exists():
        raise MeiflowError(
            "model.extra: gratings were asked for, but this session has no static gratings "
            f"({path} is not there); leave them out"
        )
    keys = PARAMETRIC["static_gratings"]
    table = read_csv(path, (*keys, "repeats", *neurons)).dropna(subset=[*keys, *neurons])
    return Extra(
        grating_images(geometry, table, shown),
        table[neurons].to_numpy(float),
        table["repeats"].to_numpy(float) / _per_image(trials),
    )

"""What the same session showed beside its images, as further training data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.files import read_csv
from meiflow.geometry import Geometry
from meiflow.models.front_end import GREY
from meiflow.stimuli import patterns
from meiflow.tables.counts import Trials

# Luminance about grey; the Brain Observatory's static gratings have a contrast of 0.8.
_GRATING_AMPLITUDE = 0.4
_FINER = 4


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
    tables: Path, kinds: list[str], geometry: Geometry, trials: Trials, neurons: list[str]
) -> Extra:
    """Read further stimuli of a session.

    Parameters
    ----------
    tables : Path
        Folder of the tables stage.
    kinds : list of str
        ``blank``: grey screens between the images; ``gratings``: static gratings, drawn in degrees.
    trials : Trials
        Of the images and blanks.
    neurons : list of str
        Columns wanted.
    """
    found = Extra.nothing(geometry, len(neurons))
    for kind in kinds:
        part = (_blank if kind == "blank" else _gratings)(tables, geometry, trials, neurons)
        found = Extra(
            np.concatenate([found.images, part.images]),
            np.concatenate([found.means, part.means]),
            np.concatenate([found.weights, part.weights]),
        )
    per_image = np.unique(trials.image_ids[trials.image_ids >= 0], return_counts=True)[1].mean()
    return Extra(found.images, found.means, found.weights / per_image)


def _blank(tables: Path, geometry: Geometry, trials: Trials, neurons: list[str]) -> Extra:
    shown = trials.image_ids < 0
    if not shown.any():
        return Extra.nothing(geometry, len(neurons))
    columns = [list(trials.neuron_ids).index(neuron) for neuron in neurons]
    means = trials.counts[shown][:, columns].mean(axis=0)
    grey = np.full((1, *geometry.shape), GREY, np.float32)
    return Extra(grey, means[None], np.array([float(shown.sum())]))


def _gratings(tables: Path, geometry: Geometry, trials: Trials, neurons: list[str]) -> Extra:
    path = tables / "grating_responses.csv"
    if not path.exists():
        raise MeiflowError(
            "model.extra: gratings were asked for, but this session has no static gratings "
            f"({path} is not there); leave them out"
        )
    table = read_csv(path, ("orientation", "spatial_frequency", "phase", "repeats", *neurons))
    table = table.dropna(subset=["orientation", "spatial_frequency", "phase", *neurons])
    columns = (table[c].to_numpy(float) for c in ("orientation", "spatial_frequency", "phase"))
    orientation, frequency, phase = columns
    # pixels average over their area, as those of the images do
    height, width = geometry.shape
    fine = Geometry(_FINER * height, _FINER * width, geometry.width_deg, geometry.height_deg)
    drawn = patterns.grating(fine, 1 / frequency, orientation, 360 * phase)
    drawn = drawn.reshape(-1, height, _FINER, width, _FINER).mean(axis=(2, 4))
    return Extra(
        (GREY + _GRATING_AMPLITUDE * drawn).astype(np.float32),
        table[neurons].to_numpy(float),
        table["repeats"].to_numpy(float),
    )

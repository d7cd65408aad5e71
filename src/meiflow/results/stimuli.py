"""Readers of what the stages made for each neuron."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.names import SHOWN_PROCEDURES
from meiflow.errors import MeiflowError
from meiflow.images.projection import project_array
from meiflow.io.files import read_array, read_csv
from meiflow.results.layout import Layout, NeuronLayout

# Stimulus -> the file of its image in the neuron's layout.
STIMULI = {
    "mei": "mei",
    "recorded_gabor": "gabor",
    "best_gabor": "best_gabor",
    "best_natural": "best_natural",
    "windowed_natural": "windowed_natural",
}


@dataclass(frozen=True)
class Stimulus:
    """A named image (height, width), luminance in [0, 1]."""

    name: str
    image: NDArray[np.float32]


def stimulus_images(neuron: NeuronLayout, gabors: bool) -> list[Path]:
    """Image files of a neuron's stimuli, in the order of `STIMULI`."""
    names = [stem for name, stem in STIMULI.items() if gabors or name != "recorded_gabor"]
    return neuron.named(*names)


def read_stimuli(neuron: NeuronLayout, gabors: bool) -> list[Stimulus]:
    """The stimuli of a neuron, in the order of `STIMULI`.

    Parameters
    ----------
    neuron : NeuronLayout
    gabors : bool
        Whether the session showed Gabors. A recorded Gabor left behind by an earlier run is
        not read when it did not.
    """
    names = [name for name in STIMULI if gabors or name != "recorded_gabor"]
    paths = stimulus_images(neuron, gabors)
    return [Stimulus(n, read_array(path)) for n, path in zip(names, paths, strict=True)]


def read_procedures(
    layout: Layout, made: Sequence[str], neurons: list[str], mean: float, contrast: float
) -> dict[str, list[Stimulus]]:
    """What the procedures made to excite each neuron, at the given mean and contrast.

    Parameters
    ----------
    layout : Layout
    made : sequence of str
        Procedures; those not in `SHOWN_PROCEDURES` are left out.
    neurons : list of str

    Raises
    ------
    MeiflowError
        If a file is damaged, or made for other neurons.
    """
    found: dict[str, list[Stimulus]] = {neuron: [] for neuron in neurons}
    for procedure, name in SHOWN_PROCEDURES.items():
        if procedure not in made:
            continue
        shown = project_array(read_procedure(layout, procedure, neurons), mean, contrast)
        for neuron, image in zip(neurons, shown, strict=True):
            found[neuron].append(Stimulus(name, image))
    return found


def read_procedure(layout: Layout, procedure: str, neurons: list[str]) -> NDArray[np.float32]:
    """What one procedure made for some neurons, as it was made: (neurons, height, width).

    Of several images per neuron the first: of a receptive field, the linear one.

    Raises
    ------
    MeiflowError
        If a file is damaged, or made for other neurons.
    """
    files = layout.procedure(procedure)
    table = read_csv(files.table, ("neuron_id",))
    images = read_array(files.images)
    rows = {str(n): i for i, n in enumerate(dict.fromkeys(table["neuron_id"]))}
    if images.ndim not in (3, 4) or not np.isfinite(images).all():
        raise MeiflowError(f"{files.images}: holds no images of finite luminance; make it again")
    if len(rows) != len(images) or any(n not in rows for n in neurons):
        raise MeiflowError(
            f"{files.images}: holds images of {len(images)} neurons, its table has {len(rows)}, "
            "not all of those now selected among them; make it again"
        )
    chosen = images[[rows[n] for n in neurons]]
    return chosen[:, 0] if chosen.ndim == 4 else chosen


def read_gabor(layout: Layout, neuron: str) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """One neuron's best Gabor (height, width) and its row, of all that were searched.

    Raises
    ------
    MeiflowError
        If the neuron is not among those searched.
    """
    files = layout.procedure("best_gabors")
    table = read_csv(files.table, ("neuron_id", "predicted_response"))
    images = read_array(files.images)
    found = np.flatnonzero(table["neuron_id"] == neuron)
    if len(found) != 1 or len(images) != len(table):
        raise MeiflowError(
            f"{files.table}: has no Gabor of neuron {neuron}; delete it and run the workflow again"
        )
    return images[found[0]], table.iloc[found].drop(columns="neuron_id")

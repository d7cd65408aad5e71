"""Readers of the stimuli of each neuron, and of the way to its MEI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.names import SHOWN_PROCEDURES
from meiflow.errors import MeiflowError
from meiflow.images.projection import project_array
from meiflow.io.files import read_array, read_arrays, read_csv, write_arrays
from meiflow.results.layout import Layout, NeuronLayout

# Stimulus -> name of its image file in the neuron's layout.
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
        Whether Gabors were shown. If not, a recorded Gabor left by an earlier run is ignored.
    """
    names = [name for name in STIMULI if gabors or name != "recorded_gabor"]
    paths = stimulus_images(neuron, gabors)
    return [Stimulus(n, read_array(path)) for n, path in zip(names, paths, strict=True)]


def read_procedures(
    layout: Layout, made: Sequence[str], neurons: list[str], mean: float, contrast: float
) -> dict[str, list[Stimulus]]:
    """Excitatory images made by the procedures, at the given mean and contrast.

    Parameters
    ----------
    layout : Layout
    made : sequence of str
        Procedures; those not in `SHOWN_PROCEDURES` are ignored.
    neurons : list of str

    Raises
    ------
    MeiflowError
        If a file is damaged or was made for other neurons.
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
    """Unmodified images of a procedure for some neurons: (neurons, height, width).

    If there are several per neuron, the first is read; for receptive fields, the linear one.

    Raises
    ------
    MeiflowError
        If a file is damaged or was made for other neurons.
    """
    files = layout.procedure(procedure)
    table = read_csv(files.table, ("neuron_id",))
    images = read_array(files.images)
    rows = {str(n): i for i, n in enumerate(dict.fromkeys(table["neuron_id"]))}
    if images.ndim not in (3, 4) or not np.isfinite(images).all():
        raise MeiflowError(
            f"{files.images}: does not contain images of finite luminance; rebuild it"
        )
    if len(rows) != len(images) or any(n not in rows for n in neurons):
        raise MeiflowError(
            f"{files.images}: contains images of {len(images)} neurons and its table "
            f"{len(rows)} rows, which do not match the selected neurons; rebuild it"
        )
    chosen = images[[rows[n] for n in neurons]]
    return chosen[:, 0] if chosen.ndim == 4 else chosen


@dataclass(frozen=True)
class Transparent:
    """An MEI seen through its alpha channel on grey, the channel, and its row in the table."""

    image: NDArray[np.float32]
    alpha: NDArray[np.float32]
    row: pd.Series


def read_transparent(layout: Layout, neurons: list[str]) -> dict[str, Transparent]:
    """Transparent MEIs of some neurons, without those whose model does not respond.

    Raises
    ------
    MeiflowError
        If a file is damaged or was made for other neurons.
    """
    files = layout.procedure("transparent")
    table = read_csv(files.table, ("neuron_id", "fraction_of_mei", "mask_deg2"))
    images = read_array(files.images)
    rows = {str(neuron): i for i, neuron in enumerate(table["neuron_id"])}
    if images.shape[:2] != (len(table), 2) or any(neuron not in rows for neuron in neurons):
        raise MeiflowError(
            f"{files.images}: {len(images)} images do not match the selected neurons; rebuild it"
        )
    return {
        neuron: Transparent(
            images[rows[neuron], 0], images[rows[neuron], 1], table.iloc[rows[neuron]]
        )
        for neuron in neurons
        if np.isfinite(table["fraction_of_mei"].iloc[rows[neuron]])
    }


def read_gabor(layout: Layout, neuron: str) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Best Gabor of a neuron (height, width), and its row in the table.

    Raises
    ------
    MeiflowError
        If there is no Gabor for this neuron.
    """
    files = layout.procedure("best_gabors")
    table = read_csv(files.table, ("neuron_id", "predicted_response"))
    images = read_array(files.images)
    found = np.flatnonzero(table["neuron_id"] == neuron)
    if len(found) != 1 or len(images) != len(table):
        raise MeiflowError(
            f"{files.table}: no Gabor for neuron {neuron}; delete it and run the workflow again"
        )
    return images[found[0]], table.iloc[found].drop(columns="neuron_id")


def ascent_steps(steps: int) -> list[int]:
    """Steps of an ascent whose images are kept: the start, and about seven at even ratios.

    Examples
    --------
    >>> ascent_steps(100)
    [0, 1, 2, 5, 10, 22, 46, 100]
    """
    return [0, *np.unique(np.geomspace(1, steps, 7).round().astype(int)).tolist()]


def write_ascent(images: Mapping[int, NDArray], files: NeuronLayout) -> None:
    """Write images (height, width) by step; each uses all 256 levels of its own range."""
    stack = np.stack(list(images.values()))
    low, high = stack.min((1, 2), keepdims=True), stack.max((1, 2), keepdims=True)
    levels = np.rint(255 * (stack - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    ends = {"low": low.ravel(), "high": high.ravel()}
    write_arrays({"step": list(images), "levels": levels} | ends, files.mei_ascent)


def read_ascent(files: NeuronLayout) -> dict[int, NDArray[np.float32]]:
    """Images (height, width) on the way to a neuron's MEI by step; the last is the MEI.

    Raises
    ------
    MeiflowError
        If the file is missing, damaged or of another kind.
    """
    found = read_arrays(files.mei_ascent)
    try:
        low, high = (found[name][:, None, None].astype(np.float32) for name in ("low", "high"))
        images = low + (high - low) * (found["levels"] / np.float32(255))
        return dict(zip(found["step"].tolist(), images, strict=True))
    except (KeyError, ValueError, IndexError):
        raise MeiflowError(f"{files.mei_ascent}: not an ascent; make the stimuli again") from None

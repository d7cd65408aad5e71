"""Alpha channels of transparent MEIs against the true filters.

``python -m benchmarks.transparency_on_truth`` makes the MEI of simulated neurons of every kind for
their true drive, and the alpha channel; with ``--results results/demo`` it reads those that a
session made with its fitted models (procedure ``transparent``). Printed by kind:

fraction: response on further backgrounds, relative to that to the MEI
area: relative to the true filter, the smallest mask that holds 90 % of its energy
alpha, mei_energy, tight_mask: their overlap (intersection over union) with the true filter
other_neuron: overlap of alpha with the true filter of another neuron
r_alpha, r_mei: correlation of alpha and of the MEI's envelope with the envelope of the true filter
pool, pool_mei: overlap of alpha and of the MEI's energy with the window over which normalised
neurons measure contrast

About two minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from benchmarks.optimiser_on_truth import CONTRAST, GRID, simulated
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.masks import densest, overlap, pattern_mask, tight_mask
from meiflow.images.similarity import image_similarity
from meiflow.io.files import read_array, read_csv
from meiflow.progress import log_to_stderr, track
from meiflow.results.layout import Layout
from meiflow.simulation.truth import KINDS, TRUTH_COLUMNS, render_filters, true_drive
from meiflow.stimuli import most_exciting, noise_starts
from meiflow.stimuli.transparent import (
    TransparentMEI,
    energy_envelope,
    energy_mask,
    noise_backgrounds,
    shown_on,
    transparent_mei,
)
from meiflow.validation.closed_loop import as_tensors
from meiflow.validation.transparency import true_envelope, true_mask

_RESTARTS, _STEPS = 6, 60
_PAIRS, _FURTHER = 4, 32


@dataclass(frozen=True)
class Case:
    """A true neuron, its MEI, and what was made of it."""

    neuron: pd.DataFrame
    mei: NDArray
    made: TransparentMEI
    mean: float


def on_truth(per_kind: int, seed: int, background: float) -> Iterator[Case]:
    """MEIs and alpha channels of true neurons."""
    neurons, mean = simulated([kind for kind in KINDS if kind != "untuned"] * per_kind, seed)
    behind = noise_backgrounds(_PAIRS, GRID, mean, background, seed)
    for i in track(range(len(neurons)), "neurons"):
        drive = drive_of(neurons.iloc[[i]], GRID)
        starts = noise_starts(_RESTARTS, GRID, 1.0, mean, CONTRAST, seed)
        found = most_exciting(drive, starts, GRID, mean, CONTRAST, _STEPS)
        mei = found.images[found.best]
        made = transparent_mei(drive, mei, GRID, mean, behind)
        yield Case(neurons.iloc[[i]], mei, made, mean)


def of_session(results: Layout) -> Iterator[Case]:
    """MEIs and alpha channels that a simulated session made with its models."""
    truth = read_csv(results.truth, ("neuron_id", *TRUTH_COLUMNS))
    truth.index = pd.Index(truth["neuron_id"].astype(str))
    files = results.procedure("transparent")
    neurons = read_csv(files.table, ("neuron_id",))["neuron_id"].astype(str)
    for neuron, (image, alpha) in zip(neurons, read_array(files.images), strict=True):
        mei = read_array(results.neuron(neuron).mei)
        made = TransparentMEI(image, alpha, float("nan"))
        yield Case(truth.loc[[neuron]], mei, made, float(mei.mean()))


def drive_of(neuron: pd.DataFrame, geometry: Geometry):
    """The true drive, differentiable."""
    filters = as_tensors(render_filters(neuron, geometry))
    return lambda images: true_drive(filters, images.reshape(len(images), -1))[:, 0]


def measured(case: Case, other: NDArray, geometry: Geometry, background: float) -> dict:
    drive = drive_of(case.neuron, geometry)

    def respond(images: NDArray) -> NDArray:
        return drive(torch.as_tensor(images, dtype=torch.float32)).double().numpy()

    behind = noise_backgrounds(_FURTHER, geometry, case.mean, background, 1000)
    shown = shown_on(case.made, behind, case.mean)
    truth, inside = true_mask(case.neuron, geometry), case.made.mask
    window = render_filters(case.neuron, geometry).window[0].reshape(geometry.shape)
    energy = energy_mask(case.mei, geometry)
    tight = tight_mask(case.mei, pattern_mask(case.mei), respond)[0]
    true = true_envelope(case.neuron, geometry)
    return {
        "kind": case.neuron["kind"].iloc[0],
        "fraction": respond(shown).mean() / respond(case.mei[None])[0],
        "area": inside.sum() / truth.sum(),
        "alpha": overlap(inside, truth),
        "mei_energy": overlap(energy, truth),
        "tight_mask": overlap(tight, truth),
        "other_neuron": overlap(inside, other),
        "r_alpha": image_similarity(case.made.alpha, true),
        "r_mei": image_similarity(energy_envelope(case.mei, geometry), true),
        "pool": overlap(inside, densest(window, 0.9)),
        "pool_mei": overlap(energy, densest(window, 0.9)),
    }


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-kind", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--background", type=float, default=0.2, help="RMS contrast")
    parser.add_argument("--results", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.results is None:
        geometry = GRID
        cases = list(on_truth(arguments.per_kind, arguments.seed, arguments.background))
    else:
        cases = list(of_session(Layout(arguments.results)))
        geometry = Geometry(*cases[0].mei.shape)
    masks = [true_mask(case.neuron, geometry) for case in cases]
    others = [*masks[1:], masks[0]]
    pairs = zip(cases, others, strict=True)
    table = pd.DataFrame(
        [measured(case, other, geometry, arguments.background) for case, other in pairs]
    )
    print(table.groupby("kind", sort=False).mean().round(2).to_string())
    print(table.drop(columns="kind").agg(["mean", "min", "max"]).round(2).to_string())


if __name__ == "__main__":
    main()

"""The closed-loop stage: show the stimuli to the simulated neurons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.names import SHOWN_PROCEDURES
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.io.files import read_array, read_csv, write_csv
from meiflow.io.tracking import fingerprint
from meiflow.models.published_neurons import PublishedNeurons
from meiflow.progress import logger, track
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.stimuli import (
    Stimulus,
    read_procedure,
    read_procedures,
    read_stimuli,
    read_transparent,
)
from meiflow.results.tables import read_stack_info
from meiflow.simulation.published import KIND
from meiflow.simulation.truth import TRUTH_COLUMNS
from meiflow.stages.common import stimulus_targets, wanted_neurons
from meiflow.stages.kept import Made, of_neurons
from meiflow.stages.registry import STAGES
from meiflow.stimuli.transparent import TransparentMEI, noise_backgrounds
from meiflow.validation.closed_loop import drives_to, fractions_of_optimum, true_optimum
from meiflow.validation.published_loop import published_drives, published_optima
from meiflow.validation.transparency import compare_with_truth

_BACKGROUNDS = 16


def close_loop(config: Config, results: Layout, has: SessionHas) -> None:
    """Show the stimuli to the simulated neurons (closed loop).

    Writes one row per neuron and stimulus, including the optimum. A stimulus that cannot have the
    common mean and contrast has no fraction, because the optimum is that of images that have.
    """
    table = read_csv(results.truth, ("neuron_id", *TRUTH_COLUMNS))
    table.index = table["neuron_id"].astype(str)
    neurons = wanted_neurons(results)
    mean, contrast = stimulus_targets(config, results)
    further = read_procedures(results, config.stimuli.make, neurons, mean, contrast)
    for neuron in neurons:
        if neuron not in table.index:
            raise MeiflowError(f"{results.truth}: no ground truth for neuron {neuron}")
    judge = _judge(config)
    made = of_neurons(
        lambda some: _drives(config, results, has, table.loc[some], further),
        "closed_loop",
        config,
        results,
        neurons,
        further=[str(has), fingerprint([judge] if judge else [])],
        own=_hashes(results, config.stimuli.make, neurons),
        aside=[name for name in STAGES["closed_loop"].inputs if name.startswith("procedure.")],
    )
    result = made.tables["drives"]
    write_csv(result, results.closed_loop)
    if "transparent" in config.stimuli.make:
        write_csv(_transparency(config, results, table.loc[neurons]), results.transparency)
    else:
        results.transparency.unlink(missing_ok=True)  # of an earlier run
    means = result.groupby("stimulus")["fraction_of_optimum"].mean()
    logger.info("fraction of optimum: " + ", ".join(f"{k} {v:.2f}" for k, v in means.items()))


def _hashes(results: Layout, made: Sequence[str], neurons: list[str]) -> dict[str, str]:
    """Hash, by neuron, of the images of the procedures, before they are projected together."""
    digests = {neuron: hashlib.sha256() for neuron in neurons}
    for procedure in SHOWN_PROCEDURES:
        if procedure in made:
            images = read_procedure(results, procedure, neurons)
            for neuron, image in zip(neurons, images, strict=True):
                digests[neuron].update(image.tobytes())
    return {neuron: digest.hexdigest() for neuron, digest in digests.items()}


def _drives(
    config: Config,
    results: Layout,
    has: SessionHas,
    table: pd.DataFrame,
    further: Mapping[str, list[Stimulus]],
) -> Made:
    """Drive of the neurons of a table to each of their stimuli, and to `further` ones."""
    geometry, neurons = config.image.geometry, list(table.index)
    mean, contrast = stimulus_targets(config, results)
    published = _published(config, table, mean, contrast)
    rows = []
    for neuron in track(neurons, "closed loop", len(neurons)):
        one = table.loc[[neuron]]
        stimuli = read_stimuli(results.neuron(neuron), has.gabors) + further[neuron]
        stack = np.stack([s.image for s in stimuli])
        if neuron in published:
            drive_of, image = published[neuron]
        else:
            drive_of = partial(drives_to, one, geometry)
            image = true_optimum(one, geometry, mean, contrast, stack, config.seed)[0]
        shown = [*stimuli, Stimulus("optimum", image)]
        stack = np.stack([s.image for s in shown])
        drives = drive_of(stack)
        fractions = fractions_of_optimum(stack, drives, mean, contrast)
        rows += [
            {
                "neuron_id": neuron,
                "kind": one["kind"].iloc[0],
                "stimulus": stimulus.name,
                "true_drive": drive,
                "fraction_of_optimum": fraction,
            }
            for stimulus, drive, fraction in zip(shown, drives, fractions, strict=True)
        ]
    return Made({"drives": pd.DataFrame(rows)})


def _judge(config: Config) -> str | None:
    """The published network that judges the stimuli: ``judge``, or the network that spoke."""
    simulation = config.session.simulation
    return simulation.truth if simulation.judge is None else simulation.judge


def _transparency(config: Config, results: Layout, truth: pd.DataFrame) -> pd.DataFrame:
    """Alpha channels against the true filters, and the true drive on further backgrounds."""
    geometry, neurons = config.image.geometry, list(truth.index)
    info = read_stack_info(results, geometry)
    mean, seed = stimulus_targets(config, results)[0], 2 * config.seed + 1
    behind = noise_backgrounds(_BACKGROUNDS, geometry, mean, info.mean_contrast, seed)
    made = read_transparent(results, neurons)
    grey = np.full(geometry.shape, mean, np.float32)
    silent = TransparentMEI(grey, np.zeros_like(grey), float("nan"))
    found = [
        TransparentMEI(made[n].image, made[n].alpha, float(made[n].row["fraction_of_mei"]))
        if n in made
        else silent
        for n in neurons
    ]
    meis = np.stack([read_array(results.neuron(neuron).mei) for neuron in neurons])
    return compare_with_truth(truth, meis, found, behind, geometry)


def _published(
    config: Config, table: pd.DataFrame, mean: float, contrast: float
) -> dict[str, tuple[Callable[[NDArray], NDArray[np.float64]], NDArray[np.float32]]]:
    """Drives in Hz and best images of neurons of a published network, by neuron."""
    path, own = _judge(config), table[table["kind"] == KIND]
    if path is None or own.empty:
        return {}
    given = config.session.simulation.truth_input
    everyone = PublishedNeurons(Path(path), config.image.geometry, given).eval()
    network = everyone.of(own["network_unit"])
    optima = published_optima(network, mean, contrast, config.seed)
    drives = [partial(published_drives, network.of([i])) for i in range(len(own))]
    scaled = zip(drives, own["gain_hz"], strict=True)
    of_each = [partial(_in_hz, drive, gain) for drive, gain in scaled]
    return dict(zip(own.index, zip(of_each, optima, strict=True), strict=True))


def _in_hz(
    drive: Callable[[NDArray], NDArray[np.float64]], gain: float, images: NDArray
) -> NDArray[np.float64]:
    return gain * drive(images[None])[0]

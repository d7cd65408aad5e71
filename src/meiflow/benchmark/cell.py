"""One cell of the benchmark: the pipeline on one recording, shown to the true neurons."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from meiflow.benchmark.design import Cell
from meiflow.benchmark.recording import SimulatedSession
from meiflow.benchmark.table import FRACTION, MIXTURE
from meiflow.comparison.compare import Stimulus, read_procedures, read_stimuli
from meiflow.config.names import SHOWN_PROCEDURES
from meiflow.config.sections import Config, Procedure
from meiflow.images.projection import contrast_targets, is_matched
from meiflow.io.files import read_csv
from meiflow.models.bundle import unpack_neuron
from meiflow.models.population import PairedModel
from meiflow.models.stored import stored_members
from meiflow.progress import track
from meiflow.selection.select import select_neurons
from meiflow.stages.models import fit_models
from meiflow.stages.procedures import load_population, make_procedure
from meiflow.stages.stimuli import make_recorded_gabor, make_stimuli
from meiflow.stages.tables import build_tables
from meiflow.stimuli.gabors import make_gabors
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts
from meiflow.tables.load import Responses, load_responses
from meiflow.validation.closed_loop import drives_to, true_optimum
from meiflow.validation.confidence import measure_confidence

_OPTIMUM_RESTARTS = 32
_ALONE_RESTARTS = 4


def true_optima(session: SimulatedSession) -> dict[str, float]:
    """The best drive of every tuned neuron at the common mean and contrast, in Hz."""
    config = session.config({})
    geometry = config.image.geometry
    mean, contrast = contrast_targets(config.mei, session.blocks[0])
    none = np.empty((0, *geometry.shape))
    tuned = session.neurons[session.neurons["kind"] != "untuned"]
    found = {}
    for name in track(list(tuned.index), "true optima", len(tuned)):
        one, seed = tuned.loc[[name]], session.seed
        found[str(name)] = true_optimum(
            one, geometry, mean, contrast, none, seed, _OPTIMUM_RESTARTS
        )[1]
    return found


def run_cell(
    cell: Cell, session: SimulatedSession, optima: dict[str, float], threads: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Record, run the pipeline on every neuron, and show what it made to the truth.

    Parameters
    ----------
    cell : Cell
    session : SimulatedSession
        That of the cell.
    optima : dict of str to float
        Of `true_optima`.
    threads : int
        The result does not depend on it.

    Returns
    -------
    loop : DataFrame
        One row per neuron, model and stimulus: neuron_id, kind, model, stimulus, true_drive (Hz),
        fraction_of_optimum (NaN of untuned neurons and where contrast cannot be matched).
    confidence : DataFrame
        One row per neuron: what the pipeline knows of its own models.
    """
    with tempfile.TemporaryDirectory(prefix="meiflow_") as temporary:
        folder = Path(temporary)
        config, stack = session.record(cell, folder)
        tables, models, stimuli = folder / "tables", folder / "models", folder / "stimuli"
        build_tables(config, stack, None, tables)
        select_neurons(config, tables, None, folder)
        responses = load_responses(tables)
        fit_models(config, tables, models, threads)
        neurons = {name: folder / "neurons" / name for name in responses.neuron_ids}
        _make(config, responses, neurons, tables, models, stimuli, threads)
        confidence = measure_confidence(config, responses.images, neurons)
        chosen = read_csv(folder / "neurons.csv")[["neuron_id", "selected"]]
        confidence = chosen.merge(confidence, on="neuron_id")
        mean, contrast = contrast_targets(config.mei, responses.images)
        further = read_procedures(stimuli, list(SHOWN_PROCEDURES), list(neurons), mean, contrast)
        shown = {name: read_stimuli(home, True) + further[name] for name, home in neurons.items()}
        alone = _meis_of_members(config, models / "models.pt", list(neurons), mean, contrast)
    rows = []
    for name, made in shown.items():
        truth = session.neurons.loc[[name]]
        stimuli_of = [(MIXTURE, s) for s in made] + alone[name]
        images = np.stack([s.image for _, s in stimuli_of])
        drives = drives_to(truth, config.image.geometry, images)
        best = optima.get(name, np.nan)
        for (model, stimulus), drive in zip(stimuli_of, drives, strict=True):
            fair = is_matched(stimulus.image, mean, contrast)
            rows.append(
                {
                    "neuron_id": name,
                    "kind": truth["kind"].iloc[0],
                    "model": model,
                    "stimulus": stimulus.name,
                    "true_drive": drive,
                    FRACTION: drive / best if fair else np.nan,
                }
            )
    loop = pd.DataFrame(rows)
    kinds = loop.drop_duplicates("neuron_id")[["neuron_id", "kind"]]
    return loop, kinds.merge(confidence, on="neuron_id")


def _make(
    config: Config,
    responses: Responses,
    neurons: dict[str, Path],
    tables: Path,
    models: Path,
    stimuli: Path,
    threads: int,
) -> None:
    """Every stimulus of every neuron, by the workflow's own stages."""
    images = responses.images
    make_gabors(config, models / "models.pt", list(neurons), images, stimuli, threads)
    for name, home in track(list(neurons.items()), "stimuli", len(neurons)):
        unpack_neuron(models / "neurons.zip", name, home)
        make_stimuli(config, home / "model.pt", images, stimuli, name, home)
        make_recorded_gabor(config, home / "model.pt", images, tables, name, home)
    population = load_population(config, responses.image_ids, images, neurons)
    for procedure in get_args(Procedure):
        if procedure in SHOWN_PROCEDURES:
            make_procedure(procedure, population, stimuli)


def _meis_of_members(
    config: Config, path: Path, neurons: list[str], mean: float, contrast: float
) -> dict[str, list[tuple[str, Stimulus]]]:
    """MEIs of every member of the mixture alone."""
    mei, geometry = config.mei, config.image.geometry
    exponent = mei.smoothing_exponent
    noise = noise_starts(_ALONE_RESTARTS, geometry, exponent, mean, contrast, config.seed)
    found: dict[str, list[tuple[str, Stimulus]]] = {name: [] for name in neurons}
    for member in config.model.members:
        paired = PairedModel(stored_members(config, path, neurons, member))
        made = most_exciting_of_each(
            paired,
            len(neurons),
            noise,
            geometry,
            mean,
            contrast,
            mei.steps,
            mei.step_size,
            exponent,
        )
        best = made.scores.argmax(1)
        for i, name in enumerate(neurons):
            found[name].append((member, Stimulus("mei", made.images[i, best[i]])))
    return found

"""One cell of the benchmark: a recording, the pipeline, and the closed loop."""

from __future__ import annotations

import tempfile

import numpy as np
import pandas as pd

from meiflow.benchmark.design import Cell
from meiflow.benchmark.recording import BenchmarkSession
from meiflow.benchmark.table import FRACTION, MIXTURE
from meiflow.benchmark.truths import KindsTruth
from meiflow.config.names import SHOWN_PROCEDURES, USUAL_PROCEDURES
from meiflow.config.sections import Config
from meiflow.images.projection import contrast_targets, is_matched
from meiflow.io.files import read_csv, write_csv
from meiflow.models.population import PairedModel
from meiflow.progress import track
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.stimuli import Stimulus, read_procedures, read_stimuli
from meiflow.stages.common import open_models, stimulus_targets
from meiflow.stages.confidence import measure_confidence
from meiflow.stages.fit_models import fit_models
from meiflow.stages.gabor_search import search_gabors
from meiflow.stages.procedures import make_procedure
from meiflow.stages.selection import select
from meiflow.stages.stimuli import make_stimuli
from meiflow.stages.tables import build_tables
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts
from meiflow.tables.stack import StackInfo
from meiflow.validation.closed_loop import drives_to

_SHOWN = [name for name in SHOWN_PROCEDURES if name in USUAL_PROCEDURES]
_ALONE_RESTARTS = 4


def true_optima(session: BenchmarkSession) -> dict[str, float]:
    """Maximal drive in Hz of every tuned neuron at the common mean and contrast."""
    config = session.config({})
    geometry = config.image.geometry
    info = StackInfo.of(session.blocks[0], np.arange(len(session.blocks[0])), geometry)
    mean, contrast = contrast_targets(
        config.mei.mean, config.mei.contrast, info.mean_luminance, info.mean_contrast
    )
    tuned = session.neurons[session.neurons["kind"] != "untuned"]
    found = KindsTruth(tuned, geometry, session.seed).maximal_drive(mean, contrast)
    return dict(zip(map(str, tuned.index), map(float, found), strict=True))


def run_cell(
    cell: Cell, session: BenchmarkSession, optima: dict[str, float], threads: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Record, run the pipeline on every neuron, and show the stimuli to the true neurons.

    Parameters
    ----------
    cell : Cell
    session : BenchmarkSession
        Session of the cell.
    optima : dict of str to float
        Output of `true_optima`.
    threads : int
        Number of threads; the result does not depend on it.

    Returns
    -------
    loop : DataFrame
        One row per neuron, model and stimulus: neuron_id, kind, model, stimulus, true_drive (Hz),
        fraction_of_optimum (NaN for untuned neurons and if the contrast cannot be matched).
    confidence : DataFrame
        One row per neuron with the confidence of the pipeline in its models.
    """
    with tempfile.TemporaryDirectory(prefix="meiflow_") as temporary:
        results = Layout(temporary)
        config, stack = session.record(cell, results.root)
        build_tables(config, results, stack, None)
        has = SessionHas(gabors=True)
        select(config, results, has, allow_empty=True)
        fit_models(config, results, has, threads)
        neurons = _model_everyone(results)
        _make(config, results, has, neurons, threads)
        chosen = read_csv(results.selection)[["neuron_id", "selected"]]
        confidence = chosen.merge(measure_confidence(config, results, neurons), on="neuron_id")
        mean, contrast = stimulus_targets(config, results)
        further = read_procedures(results, _SHOWN, neurons, mean, contrast)
        shown = {n: read_stimuli(results.neuron(n), True) + further[n] for n in neurons}
        alone = _meis_of_members(config, results, neurons, mean, contrast)
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


def _model_everyone(results: Layout) -> list[str]:
    """Select every neuron, regardless of the selection."""
    judged = read_csv(results.selection)
    write_csv(judged.assign(selected=True, status="modelled"), results.fitted_neurons)
    return [str(neuron) for neuron in judged["neuron_id"]]


def _make(
    config: Config, results: Layout, has: SessionHas, neurons: list[str], threads: int
) -> None:
    """Make all stimuli of all neurons with the stages of the workflow."""
    search_gabors(config, results, threads)
    for name in track(neurons, "stimuli", len(neurons)):
        make_stimuli(config, results, has, name)
    for procedure in _SHOWN:
        make_procedure(config, results, procedure)


def _meis_of_members(
    config: Config, results: Layout, neurons: list[str], mean: float, contrast: float
) -> dict[str, list[tuple[str, Stimulus]]]:
    """MEIs of every base model alone."""
    mei, geometry = config.mei, config.image.geometry
    exponent = mei.smoothing_exponent
    noise = noise_starts(_ALONE_RESTARTS, geometry, exponent, mean, contrast, config.seed)
    archive = open_models(config, results)
    found: dict[str, list[tuple[str, Stimulus]]] = {name: [] for name in neurons}
    for member in config.model.members:
        paired = PairedModel([archive.member(name, member) for name in neurons])
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

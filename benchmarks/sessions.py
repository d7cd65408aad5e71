"""A simulated session, from its neurons to their models and stimuli, for other benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meiflow.config.config import load_config, parse_config
from meiflow.config.sections import Config
from meiflow.models.bundle import unpack_neuron
from meiflow.progress import track
from meiflow.selection.select import select_neurons, selected_neurons
from meiflow.simulation.simulate import simulate_session
from meiflow.stages.models import fit_models
from meiflow.stages.stimuli import make_stimuli
from meiflow.stages.tables import build_tables
from meiflow.stimuli.gabors import make_gabors
from meiflow.tables.load import Responses, load_responses

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class FittedSession:
    """Where its parts lie; ``neurons`` are the folders of the selected ones."""

    config: Config
    responses: Responses
    neurons: dict[str, Path]
    tables: Path
    stimuli: Path
    selection: Path
    truth: Path


def default_document(seed: int) -> dict[str, Any]:
    """The project's configuration with another seed, to be changed and parsed."""
    return load_config(ROOT / "config.yaml").model_dump(mode="json") | {"seed": seed}


def fitted_session(document: dict[str, Any], folder: Path) -> FittedSession:
    """Simulate, select, fit, and make every selected neuron's stimuli, as the workflow does."""
    config = parse_config(document)
    nwb, frames, truth = folder / "session.nwb", folder / "frames", folder / "truth.csv"
    tables, models, stimuli = folder / "tables", folder / "models", folder / "stimuli"
    simulate_session(config, nwb, frames, truth)
    build_tables(config, frames, nwb, tables)
    select_neurons(config, tables, tables / "presentations.csv", folder)
    responses = load_responses(tables)
    fit_models(config, tables, models, threads=2)
    selection = folder / "neurons.csv"
    neurons = {n: folder / n for n in selected_neurons(selection)}
    make_gabors(config, models / "models.pt", list(neurons), responses.images, stimuli, threads=2)
    for neuron, home in track(list(neurons.items()), "stimuli", len(neurons)):
        unpack_neuron(models / "neurons.zip", neuron, home)
        make_stimuli(config, home / "model.pt", responses.images, stimuli, neuron, home)
    return FittedSession(config, responses, neurons, tables, stimuli, selection, truth)

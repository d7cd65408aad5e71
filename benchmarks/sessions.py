"""A simulated session, from its neurons to their models and stimuli, for other benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meiflow.config.config import load_config, parse_config
from meiflow.config.sections import Config
from meiflow.progress import track
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons
from meiflow.stages.fit_models import fit_models
from meiflow.stages.fitted_neurons import take_fitted
from meiflow.stages.gabor_search import search_gabors
from meiflow.stages.selection import select
from meiflow.stages.simulate import simulate
from meiflow.stages.stimuli import make_stimuli
from meiflow.stages.tables import build_tables

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class SimulatedSession:
    """A simulated session and its results; ``neurons`` are those that have a model."""

    config: Config
    results: Layout
    has: SessionHas
    neurons: list[str]


def default_document(seed: int) -> dict[str, Any]:
    """The project's configuration with the given seed, to be modified and parsed."""
    return load_config(ROOT / "config.yaml").model_dump(mode="json") | {"seed": seed}


def recorded_session(config: Config, folder: Path) -> tuple[Layout, SessionHas]:
    """Simulate a session, build its tables and select neurons, as the workflow does."""
    results = Layout(folder)
    simulate(config, results)
    build_tables(config, results, results.scenes, results.session_file)
    has = SessionHas.found(results)
    select(config, results, has)
    return results, has


def fitted_session(document: dict[str, Any], folder: Path) -> SimulatedSession:
    """Simulate, select, fit, and make every fitted neuron's stimuli, as the workflow does."""
    config = parse_config(document)
    results, has = recorded_session(config, folder)
    fit_models(config, results, has, threads=2)
    take_fitted(results)
    neurons = fitted_neurons(results.fitted_neurons)
    search_gabors(config, results, threads=2)
    for neuron in track(neurons, "stimuli", len(neurons)):
        make_stimuli(config, results, has, neuron)
    return SimulatedSession(config, results, has, neurons)

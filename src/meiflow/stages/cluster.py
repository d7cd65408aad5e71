"""The stage that clusters the neurons of all sessions by their responses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.combined.clusters import ENOUGH, assign, cluster_neurons
from meiflow.config.sections import Config
from meiflow.experiments.aligned import CANONICAL, AlignedPopulation
from meiflow.experiments.discriminative import discriminative_stimuli
from meiflow.experiments.fingerprints import bank_responses
from meiflow.experiments.standard import Preferred
from meiflow.io.files import read_csv, write_array, write_csv
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.progress import logger
from meiflow.results.layout import CombinedLayout, Layout
from meiflow.results.neurons import selected_neurons
from meiflow.session.dataset import COMBINED, Dataset
from meiflow.session.download import chosen_sessions
from meiflow.stages.common import open_models
from meiflow.stages.experiments import read_preferred


def cluster_sessions(config: Config, results: Path) -> None:
    """Cluster the neurons of all sessions, and make the stimulus of each cluster.

    Neurons whose model is not better than chance, or that respond to none of the stimuli, are in no
    cluster. If fewer than twelve are left, no neuron is, and the log says so.

    Parameters
    ----------
    config : Config
        With its keys ``sessions`` and ``clusters``.
    results : path
        Folder that contains the results folders of the sessions.

    Raises
    ------
    MeiflowError
        If a result is missing or damaged.
    """
    output = CombinedLayout(results / COMBINED)
    dataset = Dataset(config)
    sessions = dataset.ids or chosen_sessions(output.warehouse)
    tables, models, preferred = [], list[NeuronModel](), list[Preferred]()
    for session in sessions:
        layout, own = Layout(results / session), dataset.config_of(session)
        neurons, archive = _good(layout), open_models(own, layout)
        tables.append(pd.DataFrame({"session_id": session, "neuron_id": neurons}, dtype=object))
        for neuron in neurons:
            models.append(archive.model(neuron, own.model.custom))
            path = layout.neuron(neuron).best_gabor_table
            preferred.append(read_preferred(path, own.image.geometry))
    population = AlignedPopulation(
        lambda rows: PairedModel([models[row] for row in rows]).eval(),
        preferred,
        config.clusters.align,
    )
    table, images, numbers = clustered(population, config, pd.concat(tables, ignore_index=True))
    write_csv(table, output.clusters)
    write_array(images, output.cluster_stimuli)
    write_csv(numbers, output.cluster_numbers)
    if len(images):
        logger.info(
            f"clusters: {len(images)} of {table['cluster'].notna().sum()} neurons in "
            f"{table['session_id'].nunique()} sessions"
        )


def clustered(
    population: AlignedPopulation, config: Config, neurons: pd.DataFrame
) -> tuple[pd.DataFrame, NDArray[np.float32], pd.DataFrame]:
    """Table of the neurons, stimuli of the clusters, and stability by number of clusters."""
    options, rows = config.clusters, np.arange(len(neurons))
    if len(rows) >= ENOUGH:
        responses = bank_responses(population)
        highest = responses.max(axis=1)
        rows = np.flatnonzero(highest > 0)
    if len(rows) < ENOUGH:
        return _none(neurons, len(rows))
    relative = responses[rows] / highest[rows, None]
    found = cluster_neurons(relative, options.most, options.stability, config.seed)
    chosen = population.part(rows)
    images = discriminative_stimuli(chosen, found.labels, highest[rows], seed=config.seed)
    shown = chosen.responses(images) / highest[rows, None]
    table = neurons.copy()
    values = {
        "cluster": found.labels + 1,
        "margin": assign(relative, found.labels)[1],
        "stability": found.stability,
        **{f"response_{i + 1}": column for i, column in enumerate(shown.T)},
    }
    for name, column in values.items():
        table[name] = pd.Series(column, index=rows)
    table["cluster"] = table["cluster"].astype("Int64")
    tried = np.arange(len(found.reproduced)) + 2
    numbers = pd.DataFrame({"clusters": tried, "reproduced": found.reproduced})
    return table, images, numbers.assign(chosen=tried == found.number)


def _none(
    neurons: pd.DataFrame, left: int
) -> tuple[pd.DataFrame, NDArray[np.float32], pd.DataFrame]:
    """What `clustered` returns if too few neurons are left."""
    logger.warning(
        f"clusters: none, because only {left} neurons have a model that is better than chance and "
        f"responds to the stimuli; at least {ENOUGH} are needed (more sessions, or "
        "clusters.make: false)"
    )
    table = neurons.assign(cluster=pd.NA, margin=np.nan, stability=np.nan)
    numbers = pd.DataFrame(columns=["clusters", "reproduced", "chosen"])
    return table, np.empty((0, *CANONICAL.shape), np.float32), numbers


def _good(results: Layout) -> Sequence[str]:
    """The fitted neurons whose model is not worse than chance."""
    neurons = selected_neurons(results.fitted_neurons)
    if not neurons:
        return []
    summary = read_csv(results.summary, ("neuron_id", "model_above_chance"))
    excluded = summary.loc[summary["model_above_chance"].isin([False]), "neuron_id"].astype(str)
    return [neuron for neuron in neurons if neuron not in set(excluded)]

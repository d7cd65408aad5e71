"""The Gabor stage: one search for the best Gabors in silico of all fitted neurons."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from meiflow.config.sections import Config
from meiflow.figures.stimuli import sheet
from meiflow.figures.style import save_figure
from meiflow.io.files import write_array, write_csv
from meiflow.progress import logger
from meiflow.results.layout import Layout
from meiflow.stages.common import check_custom, open_models, stimulus_targets, wanted_neurons
from meiflow.stages.kept import Made, of_neurons
from meiflow.stimuli.gabor_search import best_gabors

_IN_DEGREES = ("x", "y", "wavelength", "orientation", "phase", "sigma")


def search_gabors(config: Config, results: Layout, threads: int) -> None:
    """Search for the best Gabors in silico of all fitted neurons.

    Raises
    ------
    MeiflowError
        If there are no neurons, one has no model, or no Gabor can reach the contrast.
    """
    neurons, files = wanted_neurons(results), results.procedure("best_gabors")
    search = partial(_searched, config, results, threads)
    made = of_neurons(search, "gabor_search", config, results, neurons)
    shown, table = made.arrays["images"], made.tables["gabors"]
    write_array(shown, files.images)
    write_csv(table, files.table)
    responses = table["predicted_response"]
    titles = [f"{n}\nresponse {r:.2g}" for n, r in zip(neurons, responses, strict=True)]
    save_figure(sheet(shown, titles, config.image.geometry), files.picture)
    gain = (responses / table["grid_response"].clip(lower=1e-12)).mean()
    searched = table["searched"].iloc[0]
    logger.info(
        f"best Gabors: {len(neurons)} neurons, {searched} Gabors searched, refined to {gain:.2f} "
        "times the best of the grid"
    )


def _searched(config: Config, results: Layout, threads: int, neurons: list[str]) -> Made:
    """Images and table of the best Gabors of some neurons."""
    archive, geometry = open_models(config, results), config.image.geometry
    models = [archive.model(neuron, config.model.custom) for neuron in neurons]
    check_custom(config, results, models, neurons)
    mean, contrast = stimulus_targets(config, results)
    fits = best_gabors(models, geometry, mean, contrast, config.gabor, threads)
    rows = [
        {"neuron_id": neuron}
        | {f"{k}_deg" if k in _IN_DEGREES else k: v for k, v in fit.parameters.items()}
        | {
            "predicted_response": fit.response,
            "searched": fit.searched,
            "grid_response": fit.grid_response,
        }
        for neuron, fit in zip(neurons, fits, strict=True)
    ]
    return Made({"gabors": pd.DataFrame(rows)}, {"images": np.stack([fit.image for fit in fits])})

"""The Gabor stage: one search for the best Gabors in silico of all fitted neurons."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.config.sections import Config
from meiflow.figures.stimuli import sheet
from meiflow.figures.style import save_figure
from meiflow.io.files import write_array, write_csv
from meiflow.progress import logger
from meiflow.results.layout import Layout
from meiflow.stages.common import check_custom, open_models, stimulus_targets, wanted_neurons
from meiflow.stimuli.gabor_search import best_gabors

_IN_DEGREES = ("x", "y", "wavelength", "orientation", "phase", "sigma")


def search_gabors(config: Config, results: Layout, threads: int) -> None:
    """Search for the best Gabors in silico of all fitted neurons.

    Raises
    ------
    MeiflowError
        If there are no neurons, one has no model, or no Gabor can reach the contrast.
    """
    neurons = wanted_neurons(results)
    geometry, files = config.image.geometry, results.procedure("best_gabors")
    archive = open_models(config, results)
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
    shown = np.stack([fit.image for fit in fits])
    write_array(shown, files.images)
    write_csv(pd.DataFrame(rows), files.table)
    titles = [f"{row['neuron_id']}\nresponse {row['predicted_response']:.2g}" for row in rows]
    save_figure(sheet(shown, titles, geometry), files.picture)
    gain = np.mean([fit.response / max(fit.grid_response, 1e-12) for fit in fits])
    logger.info(
        f"best Gabors: {len(neurons)} neurons, {fits[0].searched} Gabors searched, refined to "
        f"{gain:.2f} times the best of the grid"
    )

"""The Gabor stage: the best Gabors in silico of all selected neurons, in one search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.images.projection import contrast_targets
from meiflow.io.files import read_array, read_csv, write_array, write_csv
from meiflow.models.stored import stored_models
from meiflow.progress import logger
from meiflow.stimuli.gabor_search import best_gabors

_NAME = "best_gabors"
_IN_DEGREES = ("x", "y", "wavelength", "orientation", "phase", "sigma")


def make_gabors(
    config: Config, models: Path, neurons: list[str], images: NDArray, output: Path, threads: int
) -> None:
    """Write best_gabors.npy, .csv and .png of some neurons.

    Parameters
    ----------
    models : path
        The models.pt of all neurons.
    neurons : list of str
    images : ndarray, shape (n, height, width)
        The image stack, for the mean and contrast of all stimuli.
    output : path
        Folder.
    threads : int
        Whose number changes nothing in the files.

    Raises
    ------
    MeiflowError
        If there is no neuron, one has no model, or no Gabor can have the contrast.
    """
    from meiflow.figures.stimuli import sheet
    from meiflow.figures.style import save_figure

    if not neurons:
        raise MeiflowError("no neuron was selected; there is no Gabor to search")
    geometry = config.image.geometry
    mean, contrast = contrast_targets(config.mei, images)
    fits = best_gabors(
        stored_models(config, models, neurons), geometry, mean, contrast, config.gabor, threads
    )
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
    write_array(shown, output / f"{_NAME}.npy")
    write_csv(pd.DataFrame(rows), output / f"{_NAME}.csv")
    titles = [f"{row['neuron_id']}\nresponse {row['predicted_response']:.2g}" for row in rows]
    save_figure(sheet(shown, titles, geometry), output / f"{_NAME}.png")
    gain = np.mean([fit.response / max(fit.grid_response, 1e-12) for fit in fits])
    logger.info(
        f"best Gabors: {len(neurons)} neurons, {fits[0].searched} Gabors searched, refined to "
        f"{gain:.2f} times the best of the grid"
    )


def read_gabor(folder: Path, neuron: str) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """One neuron's best Gabor (height, width) and its row, of what `make_gabors` wrote.

    Raises
    ------
    MeiflowError
        If the neuron is not among those searched.
    """
    table = read_csv(folder / f"{_NAME}.csv", ("neuron_id", "predicted_response"))
    images = read_array(folder / f"{_NAME}.npy")
    found = np.flatnonzero(table["neuron_id"] == neuron)
    if len(found) != 1 or len(images) != len(table):
        raise MeiflowError(
            f"{folder / _NAME}.csv: has no Gabor of neuron {neuron}; delete it and run the "
            "workflow again"
        )
    return images[found[0]], table.iloc[found].drop(columns="neuron_id")

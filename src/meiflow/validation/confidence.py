"""How sure a neuron's model can be of its MEI, judged without the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.images.projection import contrast_targets
from meiflow.io.files import read_array, read_csv
from meiflow.models.network import NeuronModel, load_ensemble
from meiflow.models.population import PairedModel
from meiflow.progress import track
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts

_RESTARTS = 3
_GREY = 0.5


def regrets(
    others: Sequence[NeuronModel],
    mei: NDArray,
    mean: float,
    contrast: float,
    steps: int = 100,
    step_size: tuple[float, float] = (0.3, 0.01),
    exponent: float = 1.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """What an MEI does to other models of the neuron, as a fraction of the best for each.

    Parameters
    ----------
    others : sequence of NeuronModel
    mei : ndarray, shape (height, width)
    mean, contrast : float
        Held by the images that compete; these come from ascents on each model, from the MEI and
        from noise.
    steps, step_size, exponent
        Of these ascents, as in `meiflow.stimuli.mei.most_exciting`.
    seed : int
        Of the noise.

    Returns
    -------
    ndarray, shape (models,)
        At most 1; responses count above that to grey. NaN where nothing drives a model above it.
    """
    geometry = others[0].geometry
    noise = noise_starts(_RESTARTS, geometry, exponent, mean, contrast, seed)
    shown = torch.as_tensor(np.asarray(mei, np.float32))[None]
    starts = torch.cat([shown, noise])
    paired = PairedModel(others)
    best = most_exciting_of_each(
        paired, len(others), starts, geometry, mean, contrast, steps, step_size, exponent
    ).scores.max(1)
    with torch.no_grad():
        own = paired(shown.repeat(len(others), 1, 1)).numpy().astype(float)
        grey = paired(torch.full((len(others), *geometry.shape), _GREY)).numpy().astype(float)
    best = np.maximum(best, own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(best > grey, np.maximum(own - grey, 0) / (best - grey), np.nan)


def measure_confidence(config: Config, images: NDArray, neurons: dict[str, Path]) -> pd.DataFrame:
    """What each neuron's files tell of how far its MEI can be believed.

    Parameters
    ----------
    config : Config
    images : ndarray, shape (n, height, width)
        The image stack, for the contrast targets.
    neurons : dict of str to path
        Folders with ensemble.pt, scores.csv and mei.npy.

    Returns
    -------
    DataFrame
        neuron_id; cc_abs, cc_norm, cc_norm_low of the model; cc_shuffled of its control;
        fold_agreement and fold_lowest, mean and lowest fraction of the best that the MEI reaches
        in the models of the cross-validation folds, which learned from other images.
    """
    mean, contrast = contrast_targets(config.mei, images)
    geometry = config.image.geometry
    rows = []
    for neuron, folder in track(list(neurons.items()), "confidence", len(neurons)):
        scores = read_csv(folder / "scores.csv").set_index("model")
        own = scores.loc["model"]
        folds = load_ensemble(folder / "ensemble.pt", geometry)
        shares = regrets(
            folds,
            read_array(folder / "mei.npy"),
            mean,
            contrast,
            config.mei.steps,
            config.mei.step_size,
            config.mei.smoothing_exponent,
            config.seed,
        )
        known = shares[np.isfinite(shares)]
        rows.append(
            {
                "neuron_id": neuron,
                **{name: own[name] for name in ("cc_abs", "cc_norm", "cc_norm_low")},
                "cc_shuffled": scores.loc["model_shuffled", "cc_abs"],
                "fold_agreement": known.mean() if len(known) else np.nan,
                "fold_lowest": known.min() if len(known) else np.nan,
            }
        )
    return pd.DataFrame(rows)

"""The models stage: one search for all neurons, then one model file per neuron."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.files import read_arrays, read_csv, write_arrays, write_csv
from meiflow.models.front_end import FrontEnd, features_at
from meiflow.models.nonlinearity import rate_floor
from meiflow.models.ridge import fit_reweighted
from meiflow.models.scores import score_prediction
from meiflow.models.search import MODELS, search_readouts
from meiflow.progress import say
from meiflow.sections import Config
from meiflow.selection.reliability import Groups, signal_power
from meiflow.tables.counts import Trials
from meiflow.tables.load import Responses


def search_models(
    config: Config, responses: Responses, trials: Trials, output: Path, threads: int
) -> None:
    """Search every neuron's place and score its model and baselines.

    Writes ``search.npz`` (place_x, place_y, x, y, place_score, predictions by model) and
    ``cross_validation.csv`` (one row per neuron and model) under `output`.
    """
    result = search_readouts(
        responses.images,
        responses.means,
        config.image.geometry,
        config.model,
        config.seed,
        threads,
    )
    shown = trials.of_images()
    groups = Groups.of(shown.image_ids)
    power = signal_power(shown.counts, groups)
    channels = FrontEnd.from_config(config.model).n_channels
    parameters = {
        "v1": channels + 3,
        "v1_shuffled": channels + 3,
        "pixel_ridge": responses.images[0].size + 1,
        "mean": 1,
    }
    rows = []
    for column, neuron in enumerate(responses.neuron_ids):
        for model in MODELS:
            means = result.shuffled_means if model == "v1_shuffled" else responses.means
            score = score_prediction(
                result.predictions[model][:, column],
                means[:, column],
                groups.repeats,
                power.signal[column],
                power.noise_variance[column],
                power.fev[column],
            )
            row = score.as_row()
            if model == "mean":
                # Its predictions differ only between folds; their correlation is an artefact.
                row |= {"cc_abs": np.nan, "cc_norm": np.nan}
            rows.append(
                {"neuron_id": neuron, "model": model}
                | row
                | {
                    "folds": min(config.model.folds, len(responses.means)),
                    "parameters": parameters[model],
                }
            )
    scores = pd.DataFrame(rows)
    write_csv(scores, output / "cross_validation.csv")
    write_arrays(
        {
            "neuron_ids": np.array(responses.neuron_ids),
            "x": result.x,
            "y": result.y,
            "place_x": result.place_x,
            "place_y": result.place_y,
            "place_score": result.place_score,
        }
        | {f"prediction_{name}": values for name, values in result.predictions.items()},
        output / "search.npz",
    )
    mean = scores.groupby("model")["cc_norm"].mean()
    say("cc_norm, mean over neurons: " + ", ".join(f"{m} {mean[m]:.3f}" for m in MODELS[:3]))


def fit_neuron(
    config: Config, responses: Responses, search: Path, neuron: str, output: Path
) -> None:
    """Fit one neuron on all images at the place found, and write model.pt and scores.csv."""
    from meiflow.models.network import NeuronModel, save_model

    column = responses.column(neuron)
    found = read_arrays(search / "search.npz")
    x, y = float(found["x"][column]), float(found["y"][column])
    geometry = config.image.geometry
    front_end = FrontEnd.from_config(config.model)
    means = responses.means[:, column]
    readout = fit_reweighted(
        features_at(front_end, responses.images, geometry, x, y),
        means,
        np.asarray(config.model.penalties),
        config.model.reweightings,
    )
    floor = rate_floor(float(means.mean()))
    save_model(NeuronModel(front_end, geometry, x, y, readout, floor), output / "model.pt")
    scores = read_csv(search / "cross_validation.csv")
    own = scores[scores["neuron_id"].astype(str) == neuron].drop(columns="neuron_id")
    write_csv(own, output / "scores.csv")

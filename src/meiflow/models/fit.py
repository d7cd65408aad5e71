"""The models stage: all neurons are fitted together; then each gets a model file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from meiflow.errors import MeiflowError
from meiflow.files import atomic, read_csv, write_arrays, write_csv
from meiflow.models.cross_validate import Fitted, fit_all
from meiflow.models.front_end import FrontEnd
from meiflow.models.scores import score_prediction
from meiflow.progress import say
from meiflow.sections import Config
from meiflow.selection.reliability import Groups, signal_power
from meiflow.tables.counts import Trials
from meiflow.tables.load import Responses

# Fitted and scored whether they are part of the model or not.
ALWAYS = ("v1", "ln", "gabor_energy")


def fit_models(
    config: Config, responses: Responses, trials: Trials, output: Path, threads: int
) -> None:
    """Fit every neuron's models and baselines and score them on held-out images.

    Writes ``search.npz`` (place_x, place_y, x, y, place_score, weights, predictions by model),
    ``models.pt`` (all neurons' members) and ``cross_validation.csv`` (one row per neuron and model)
    under `output`.
    """
    import torch

    shown = trials.of_images()
    groups = Groups.of(shown.image_ids)
    fitted = fit_all(
        responses.images,
        responses.means,
        groups.repeats / groups.repeats.mean(),
        config.image.geometry,
        config.model,
        config.seed,
        threads,
    )
    scores = _scores(config, responses, shown, groups, fitted)
    write_csv(scores, output / "cross_validation.csv")
    n = len(responses.neuron_ids)
    last = fitted.places.x[-1, :n], fitted.places.y[-1, :n]
    write_arrays(
        {
            "neuron_ids": np.array(responses.neuron_ids),
            "members": np.array(fitted.members),
            "weights": fitted.weights,
            "x": last[0],
            "y": last[1],
            "place_x": fitted.places.grid_x,
            "place_y": fitted.places.grid_y,
            "place_score": fitted.places.score[..., :n],
        }
        | {f"prediction_{name}": values for name, values in fitted.predictions.items()},
        output / "search.npz",
    )
    document = {
        neuron: {"x_deg": float(x), "y_deg": float(y), "members": states, "weights": w.tolist()}
        for neuron, x, y, states, w in zip(
            responses.neuron_ids, *last, fitted.states, fitted.weights, strict=True
        )
    }
    with atomic(output / "models.pt") as temporary:
        torch.save({"geometry": asdict(config.image.geometry), "neurons": document}, temporary)
    mean = scores.groupby("model")["cc_norm"].mean()
    say(
        "cc_norm, mean over neurons: "
        + ", ".join(f"{m} {mean[m]:.3f}" for m in fitted.predictions if m != "mean")
    )


def _scores(
    config: Config, responses: Responses, shown: Trials, groups: Groups, fitted: Fitted
) -> pd.DataFrame:
    power = signal_power(shown.counts, groups)
    v1 = FrontEnd.from_config(config.model).n_channels + 3
    members = {"v1": v1, "ln": responses.images[0].size + 3, "gabor_energy": 14}
    members |= {
        name: _n_parameters(fitted.states[0][i])
        for i, name in enumerate(fitted.members)
        if name not in ALWAYS
    }
    whole = sum(members[m] for m in config.model.members)
    parameters = members | {"model": whole, "model_shuffled": whole}
    parameters |= {"pixel_ridge": responses.images[0].size + 1, "mean": 1}
    rows = []
    for column, neuron in enumerate(responses.neuron_ids):
        for model in fitted.predictions:
            means = fitted.shuffled_means if model == "model_shuffled" else responses.means
            score = score_prediction(
                fitted.predictions[model][:, column],
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
    return pd.DataFrame(rows)


def _n_parameters(state: dict[str, Any]) -> int:
    """Numbers in the networks of a neuron."""
    return sum(
        tensor.numel()
        for network in state["networks"]
        for part in ("core", "readout")
        for name, tensor in network[part].items()
        if "running" not in name and "batches" not in name
    )


def write_neuron(config: Config, models: Path, neuron: str, output: Path) -> None:
    """Write one neuron's model.pt and scores.csv from what `fit_models` wrote."""
    from meiflow.models.documents import read_document
    from meiflow.models.network import NeuronModel, save_model

    path = models / "models.pt"
    document = read_document(path)
    geometry = config.image.geometry
    if document.get("geometry") != asdict(geometry) or neuron not in document["neurons"]:
        raise MeiflowError(
            f"{path}: has no neuron {neuron} for images of {geometry}; fit the models again"
        )
    own = document["neurons"][neuron]
    model = NeuronModel(geometry, own["x_deg"], own["y_deg"], own["members"], own["weights"])
    save_model(model, output / "model.pt")
    scores = read_csv(models / "cross_validation.csv")
    rows = scores[scores["neuron_id"].astype(str) == neuron].drop(columns="neuron_id")
    write_csv(rows, output / "scores.csv")

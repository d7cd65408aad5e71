"""The models stage: all neurons are fitted together; then each gets a model file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.io.files import csv_bytes, read_csv, write_arrays, write_csv
from meiflow.models.cross_validate import Fitted, fit_all, learning_curve
from meiflow.models.extra import Extra, read_extra
from meiflow.models.front_end import FrontEnd
from meiflow.models.members import State
from meiflow.models.outcome import outcomes
from meiflow.models.table import CONSTANT, Scorer, fold_scores, predicted_responses
from meiflow.progress import say
from meiflow.tables.counts import Trials
from meiflow.tables.load import load_responses, load_trials

# Keys of the section `model` that this fit does not depend on.
_LATER = {"custom", "learning_curve"}


def _image_weights(repeats: NDArray) -> NDArray[np.float64]:
    return np.asarray(repeats / repeats.mean())


def _extra(config: Config, tables: Path, trials: Trials, neurons: list[str]) -> Extra:
    geometry, shown = config.image.geometry, config.session.shown
    return read_extra(tables, config.model.extra, geometry, shown, trials, neurons)


def fit_models(config: Config, tables: Path, output: Path, threads: int) -> None:
    """Fit every neuron's models and baselines and score them on held-out images.

    A neuron whose fit fails is recorded in ``status.csv`` (neuron_id, fitted, reason), has no
    model and no scores, and stops nobody else. Writes ``search.npz`` (place_x, place_y, x, y,
    place_score, weights, predictions by model), ``models.pt`` (all neurons' members),
    ``neurons.zip`` (each neuron's model.pt, ensemble.pt and scores.csv),
    ``cross_validation.csv`` (one row per neuron and model) and ``folds.csv`` (per fold) under
    `output`. Finished parts wait there in ``parts`` until all are done, so that a killed run goes
    on.
    """
    from meiflow.models.parts import Parts

    responses, trials = load_responses(tables, config.image.geometry), load_trials(tables)
    scorer = Scorer.of(trials.of_images(), config.seed)
    weights = _image_weights(scorer.repeats)
    extra = _extra(config, tables, trials, responses.neuron_ids)
    text = config.model.model_dump_json(exclude=_LATER) + f"{config.image}{config.seed}"
    core = config.model.network.core
    bytes_of_core = np.fromfile(core, np.uint8) if core else np.empty(0, np.uint8)
    inputs = (responses.images, weights, extra.images, extra.weights, bytes_of_core)
    parts = Parts(output / "parts", version("meiflow"), text, *inputs)
    fitted = fit_all(
        responses.images,
        responses.means,
        weights,
        config.image.geometry,
        config.model,
        config.seed,
        threads,
        parts,
        extra,
    )
    folds = len(fitted.held_out)
    status = outcomes(responses.neuron_ids, responses.means, fitted)
    sizes = _sizes(config, responses.images, fitted.members, fitted.states)
    rows = []
    for column, neuron in enumerate(responses.neuron_ids):
        for model, predicted in fitted.predictions.items():
            means = predicted_responses(model, responses.means, fitted.shuffled_means)
            own = predicted[:, column], means[:, column]
            row = scorer.row(column, model, *own, folds, sizes[model])
            rows.append({"neuron_id": neuron} | row)
    scores = pd.DataFrame(rows)
    write_csv(scores, output / "cross_validation.csv")
    write_csv(
        fold_scores(
            responses.neuron_ids,
            fitted.predictions,
            responses.means,
            fitted.shuffled_means,
            fitted.held_out,
        ),
        output / "folds.csv",
    )
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
    good = [i for i, fine in enumerate(status["fitted"]) if fine]
    _write_models(config, {responses.neuron_ids[i]: i for i in good}, fitted, scores, output)
    write_csv(status, output / "status.csv")
    parts.clear()
    for _, row in status[~status["fitted"]].iterrows():
        say(f"neuron {row['neuron_id']}: no model ({row['reason']})")
    mean = scores.groupby("model", sort=False)["cc_norm"].mean().drop(CONSTANT)
    say("cc_norm, mean over neurons: " + ", ".join(f"{m} {v:.3f}" for m, v in mean.items()))


def _write_models(
    config: Config, neurons: dict[str, int], fitted: Fitted, scores: pd.DataFrame, output: Path
) -> None:
    """Write models.pt, and neurons.zip with every neuron's own files."""
    from meiflow.models.bundle import write_bundle
    from meiflow.models.documents import document_bytes, write_document
    from meiflow.models.network import file_content

    geometry = config.image.geometry

    def document(subset: int, i: int, states: list[list[State]]) -> dict[str, Any]:
        return {
            "x_deg": float(fitted.places.x[subset, i]),
            "y_deg": float(fitted.places.y[subset, i]),
            "members": states[i],
            "weights": fitted.weights[i].tolist(),
        }

    def packed(*documents: dict[str, Any]) -> bytes:
        return document_bytes(file_content(geometry, *map(_used, documents)))

    models = {neuron: document(-1, i, fitted.states) for neuron, i in neurons.items()}
    write_document({"geometry": asdict(geometry), "neurons": models}, output / "models.pt")
    files: dict[str, Callable[[], bytes]] = {}
    for neuron, i in neurons.items():
        folds = [document(k, i, states) for k, states in enumerate(fitted.fold_states)]
        own = scores[scores["neuron_id"] == neuron].drop(columns="neuron_id")
        files[f"{neuron}/model.pt"] = partial(packed, models[neuron])
        files[f"{neuron}/ensemble.pt"] = partial(packed, *folds)
        files[f"{neuron}/scores.csv"] = partial(csv_bytes, own)
    write_bundle(files, output / "neurons.zip")


def _used(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the members that have no weight in the mixture."""
    pairs = zip(document["members"], document["weights"], strict=True)
    members, weights = zip(*(pair for pair in pairs if pair[1] > 0), strict=True)
    return document | {"members": list(members), "weights": list(weights)}


def _sizes(
    config: Config, images: NDArray, members: tuple[str, ...], states: list[list[dict[str, Any]]]
) -> dict[str, int]:
    """Number of parameters of every model."""
    own = {
        # with bias, place and penalty; ln with rectifier and width, too
        "v1": FrontEnd.from_config(config.model).n_channels + 4,
        "ln": images[0].size + 6,
        "gabor_energy": 14,
    }
    fine = next((state for state in states if all(state)), None)
    own |= {
        name: _network_size(fine[i]) if fine else 0
        for i, name in enumerate(members)
        if name not in own
    }
    whole = sum(own[name] for name in config.model.members)
    return own | {
        "model": whole,
        "model_shuffled": whole,
        "pixel_ridge": images[0].size + 2,
        "mean": 1,
    }


def _network_size(state: dict[str, Any]) -> int:
    return sum(
        tensor.numel()
        for network in state["networks"]
        for part in ("core", "readout")
        for name, tensor in network[part].items()
        if "running" not in name and "batches" not in name
    )


def fit_learning_curve(
    config: Config, tables: Path, neurons: list[str], output: Path, threads: int
) -> None:
    """Fit some neurons with fewer images; write learning_curve.csv.

    Its columns: neuron_id, images (seen in training), cc_abs, cc_norm and its interval.
    """
    responses, trials = load_responses(tables, config.image.geometry), load_trials(tables)
    scorer = Scorer.of(trials.of_images(), config.seed)
    columns = [responses.column(neuron) for neuron in neurons]
    curve = learning_curve(
        responses.images,
        responses.means[:, columns],
        _image_weights(scorer.repeats),
        config.image.geometry,
        config.model,
        config.seed,
        threads,
        _extra(config, tables, trials, responses.neuron_ids).of(columns),
    )
    kept = ["cc_abs", "cc_norm", "cc_norm_low", "cc_norm_high"]
    rows = []
    for number, predicted in curve.items():
        for i, (neuron, column) in enumerate(zip(neurons, columns, strict=True)):
            means = responses.means[:, column]
            row = scorer.row(column, "model", predicted[:, i], means, config.model.folds, 0)
            rows.append({"neuron_id": neuron, "images": number} | {k: row[k] for k in kept})
    table = pd.DataFrame(rows, columns=["neuron_id", "images", *kept])
    write_csv(table.sort_values(["neuron_id", "images"], kind="stable"), output)


def write_custom_neuron(
    config: Config, tables: Path, models: Path, neuron: str, output: Path
) -> None:
    """Write one neuron's model.pt and scores.csv where ``model.custom`` is its model.

    The user's module takes the place of ours, which then is the row ``mixture``; its own row has
    0 folds, since nobody here knows what it was trained on, and it has no ensemble.
    """
    from meiflow.models.network import save_model
    from meiflow.models.stored import stored_models

    (model,) = stored_models(config, models / "models.pt", [neuron])
    scores = read_csv(models / "cross_validation.csv")
    rows = scores[scores["neuron_id"].astype(str) == neuron].drop(columns="neuron_id")
    responses, trials = load_responses(tables, model.geometry), load_trials(tables)
    column = responses.column(neuron)
    scorer = Scorer.of(trials.of_images(), config.seed)
    predicted = model.predict(responses.images)
    size = sum(p.numel() for p in model.parameters())
    first = scorer.row(column, "model", predicted, responses.means[:, column], 0, size)
    rows = rows.replace({"model": {"model": "mixture"}})
    rows = pd.concat([pd.DataFrame([first]), rows], ignore_index=True)
    save_model(model, output / "model.pt")
    write_csv(rows, output / "scores.csv")

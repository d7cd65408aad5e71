"""The models stage: all neurons are fitted together, which is many times faster."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.io.files import write_arrays, write_csv
from meiflow.models.archive import write_archive
from meiflow.models.cross_validate import Fitted, fit_all
from meiflow.models.front_end import FrontEnd
from meiflow.models.members import State
from meiflow.models.outcome import outcomes
from meiflow.models.table import CONSTANT, Scorer, fold_scores, image_weights
from meiflow.progress import say
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.stages.auxiliary import auxiliary_stimuli

# Keys of the section `model` that this fit does not depend on.
_LATER = {"custom", "learning_curve"}


def fit_models(config: Config, results: Layout, has: SessionHas, threads: int) -> None:
    """Fit every neuron's models and baselines and score them on held-out images.

    A neuron whose fit fails is recorded in the table of outcomes, has no model and no scores, and
    stops nobody else. Finished parts wait until all are done, so that a killed run resumes.
    """
    from meiflow.models.parts import Parts

    responses = read_responses(results, config.image.geometry)
    trials = read_trials(results)
    scorer = Scorer.of(trials.of_images(), config.seed)
    weights = image_weights(scorer.repeats)
    extra = auxiliary_stimuli(config, results, has, trials, responses.neuron_ids)
    text = config.model.model_dump_json(exclude=_LATER) + f"{config.image}{config.seed}"
    core = config.model.network.core
    bytes_of_core = np.fromfile(core, np.uint8) if core else np.empty(0, np.uint8)
    inputs = (responses.images, weights, extra.images, extra.weights, bytes_of_core)
    parts = Parts(results.unfinished_fits, version("meiflow"), text, *inputs)
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
            means = fitted.shuffled_means if model == "model_shuffled" else responses.means
            own = predicted[:, column], means[:, column]
            row = scorer.row(column, model, *own, folds, sizes[model])
            rows.append({"neuron_id": neuron} | row)
    scores = pd.DataFrame(rows)
    write_csv(scores, results.cross_validation)
    write_csv(
        fold_scores(
            responses.neuron_ids,
            fitted.predictions,
            responses.means,
            fitted.shuffled_means,
            fitted.held_out,
        ),
        results.fold_scores,
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
        results.model_search,
    )
    good = [i for i, fine in enumerate(status["fitted"]) if fine]
    _write_models(config, {responses.neuron_ids[i]: i for i in good}, fitted, results.models)
    write_csv(status, results.fit_status)
    parts.clear()
    for _, row in status[~status["fitted"]].iterrows():
        say(f"neuron {row['neuron_id']}: no model ({row['reason']})")
    mean = scores.groupby("model", sort=False)["cc_norm"].mean().drop(CONSTANT)
    say("cc_norm, mean over neurons: " + ", ".join(f"{m} {v:.3f}" for m, v in mean.items()))


def _write_models(config: Config, neurons: dict[str, int], fitted: Fitted, path: Path) -> None:
    def document(subset: int, i: int, states: list[list[State]]) -> dict[str, Any]:
        return {
            "x_deg": float(fitted.places.x[subset, i]),
            "y_deg": float(fitted.places.y[subset, i]),
            "members": states[i],
            "weights": fitted.weights[i].tolist(),
        }

    def folds(neuron: str) -> list[dict[str, Any]]:
        i = neurons[neuron]
        return [document(k, i, states) for k, states in enumerate(fitted.fold_states)]

    models = {neuron: document(-1, i, fitted.states) for neuron, i in neurons.items()}
    write_archive(config.image.geometry, models, folds, path)


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

"""Fit the models of a population from arrays, and score them on held-out images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.cross_validate import Fitted, fit_all
from meiflow.models.extra import Extra
from meiflow.models.front_end import FrontEnd
from meiflow.models.outcome import outcomes
from meiflow.models.parts import Parts
from meiflow.models.table import Scorer


@dataclass(frozen=True)
class PopulationFit:
    """Models of a population, their scores, and which fits failed.

    Parameters
    ----------
    fitted : Fitted
    scores : DataFrame
        One row per neuron and model; see `meiflow.models.table.Scorer.row`.
    status : DataFrame
        neuron_id, fitted, reason; see `meiflow.models.outcome.outcomes`.
    """

    fitted: Fitted
    scores: pd.DataFrame
    status: pd.DataFrame

    @property
    def columns(self) -> dict[str, int]:
        """Neurons whose fit succeeded, and their columns."""
        pairs = zip(self.status["neuron_id"], self.status["fitted"], strict=True)
        return {neuron: i for i, (neuron, fine) in enumerate(pairs) if fine}

    def document(self, column: int, fold: int | None = None) -> dict[str, Any]:
        """What a file says of one neuron's model.

        Parameters
        ----------
        column : int
        fold : int, optional
            The model that was fitted to the training images of this fold; to all images if None.
        """
        subset = -1 if fold is None else fold
        states = self.fitted.states if fold is None else self.fitted.fold_states[fold]
        return {
            "x_deg": float(self.fitted.places.x[subset, column]),
            "y_deg": float(self.fitted.places.y[subset, column]),
            "members": states[column],
            "weights": self.fitted.weights[column].tolist(),
        }


def fit_population(
    images: NDArray,
    means: NDArray,
    neuron_ids: list[str],
    scorer: Scorer,
    geometry: Geometry,
    config: Model,
    seed: int,
    threads: int = 1,
    parts: Parts | None = None,
    extra: Extra | None = None,
) -> PopulationFit:
    """Fit every neuron's models and baselines and score them on held-out images.

    Parameters
    ----------
    images, means, geometry, config, seed, threads, parts, extra
        As for `meiflow.models.cross_validate.fit_all`.
    neuron_ids : list of str
    scorer : Scorer
        Of the trials behind `means`; its weights are those of the images.

    Notes
    -----
    A neuron whose fit fails has a reason and no model, and does not stop the others.
    """
    fitted = fit_all(images, means, scorer.weights, geometry, config, seed, threads, parts, extra)
    status = outcomes(neuron_ids, means, fitted)
    folds = len(fitted.held_out)
    sizes = _sizes(config, images, fitted)
    rows = []
    for column, neuron in enumerate(neuron_ids):
        for model, predicted in fitted.predictions.items():
            target = fitted.shuffled_means if model == "model_shuffled" else means
            own = predicted[:, column], target[:, column]
            row = scorer.row(column, model, *own, folds, sizes[model])
            rows.append({"neuron_id": neuron} | row)
    return PopulationFit(fitted, pd.DataFrame(rows), status)


def _sizes(config: Model, images: NDArray, fitted: Fitted) -> dict[str, int]:
    """Number of parameters of every model."""
    own = {
        # with bias, place and penalty; ln with rectifier and width, too
        "v1": FrontEnd.from_config(config).n_channels + 4,
        "ln": images[0].size + 6,
        "gabor_energy": 14,
    }
    fine = next((state for state in fitted.states if all(state)), None)
    own |= {
        name: _network_size(fine[i]) if fine else 0
        for i, name in enumerate(fitted.members)
        if name not in own
    }
    whole = sum(own[name] for name in config.members)
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

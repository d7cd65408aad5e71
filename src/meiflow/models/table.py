"""Tables of scores: one row per neuron and model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.models.scores import bootstrap_times, norm_interval, score_prediction
from meiflow.selection.reliability import TrialGroups
from meiflow.selection.signal_power import SignalPower, signal_power
from meiflow.tables.counts import Trials

# Its predictions differ only between folds, so their correlation is an artefact.
CONSTANT = "mean"


def image_weights(repeats: NDArray) -> NDArray[np.float64]:
    """Number of trials of each image divided by the mean number, shape (images,)."""
    return np.asarray(repeats / repeats.mean())


@dataclass(frozen=True)
class Scorer:
    """Score predictions for the neurons of a session.

    Parameters
    ----------
    repeats : ndarray, shape (images,)
    power : SignalPower
    seed : int
        Seed of the bootstrap.
    """

    repeats: NDArray[np.int64]
    power: SignalPower
    seed: int

    @classmethod
    def of(cls, shown: Trials, seed: int) -> Scorer:
        """Build from the trials of images (without blanks)."""
        groups = TrialGroups.of(shown.image_ids)
        return cls(groups.repeats, signal_power(shown.counts, groups, shown.response), seed)

    def row(
        self,
        column: int,
        model: str,
        prediction: NDArray,
        means: NDArray,
        folds: int,
        parameters: int,
    ) -> dict[str, object]:
        """Scores of a model of the neuron in `column`, as a row of scores.csv."""
        ceiling = self.power.of(column)
        row: dict[str, object] = {
            "model": model,
            **score_prediction(prediction, means, ceiling).as_row(),
        }
        low, high = norm_interval(prediction, means, ceiling, self._times)
        if model == CONSTANT:
            row |= {"cc_abs": np.nan, "cc_norm": np.nan}
            low = high = np.nan
        return row | {
            "folds": folds,
            "parameters": parameters,
            "cc_norm_low": low,
            "cc_norm_high": high,
        }

    @cached_property
    def _times(self) -> NDArray[np.float64]:
        return bootstrap_times(len(self.repeats), self.seed)


def predicted_responses(model: str, means: NDArray, shuffled: NDArray) -> NDArray:
    """The responses against which a model is scored, which are those it was fitted to.

    The shuffled control is fitted to shuffled responses. Its score against the measured responses
    would be near zero even if the procedure leaked, so that it would not be a control.

    Parameters
    ----------
    model : str
        A key of `meiflow.models.cross_validate.Fitted.predictions`.
    means, shuffled : ndarray, shape (images, neurons)
        Measured mean counts, and the same permuted across images.
    """
    return shuffled if model.endswith("_shuffled") else means


def fold_scores(
    neuron_ids: list[str],
    predictions: dict[str, NDArray],
    means: NDArray,
    shuffled: NDArray,
    held_out: list[NDArray],
) -> pd.DataFrame:
    """Correlation with the mean responses in every fold: neuron_id, model, fold, cc_abs."""
    rows = []
    for model, predicted in predictions.items():
        if model == CONSTANT:
            continue
        target = predicted_responses(model, means, shuffled)
        for fold, test in enumerate(held_out):
            p, m = predicted[test] - predicted[test].mean(0), target[test] - target[test].mean(0)
            norm = np.sqrt((p**2).sum(0) * (m**2).sum(0))
            with np.errstate(invalid="ignore", divide="ignore"):
                values = np.where(norm > 1e-12, (p * m).sum(0) / norm, np.nan)
            rows.append(
                pd.DataFrame(
                    {"neuron_id": neuron_ids, "model": model, "fold": fold, "cc_abs": values}
                )
            )
    table = pd.concat(rows, ignore_index=True)
    order = {neuron: i for i, neuron in enumerate(neuron_ids)}
    return table.sort_values("neuron_id", key=lambda s: s.map(order), kind="stable")

"""The nuisances stage: what else predicts the responses of each neuron."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.io.files import read_arrays, write_csv
from meiflow.models.folds import fold_stream, folds_of
from meiflow.models.nuisances import drift, image_nuisances, nuisance_scores, trial_nuisances
from meiflow.models.table import Scorer
from meiflow.progress import logger
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.selection.reliability import TrialGroups
from meiflow.selection.signal_power import signal_power
from meiflow.stages.common import wanted_neurons
from meiflow.stages.trial_gain import behaviour_of, presentations_of
from meiflow.stages.trial_gaze import gaze_of
from meiflow.tables.counts import Trials


def score_nuisances(config: Config, results: Layout, has: SessionHas) -> None:
    """Predict the responses of the fitted neurons from nuisances alone.

    The folds, the noise ceiling and the penalties are those of the models.
    """
    neurons = wanted_neurons(results)
    responses = read_responses(results, config.image.geometry)
    columns = [responses.column(neuron) for neuron in neurons]
    trials = read_trials(results).of_images()
    groups = TrialGroups.of(trials.image_ids)
    search = read_arrays(results.model_search)
    predicted = search["prediction_model"][:, columns]
    means = responses.means[:, columns]
    nuisances = image_nuisances(responses.images)
    times = None
    if has.spike_times:
        shown = presentations_of(results, trials)
        times = shown["start_s"].to_numpy(float)
        states = behaviour_of(shown) | gaze_of(shown)
        nuisances |= trial_nuisances(states, times, groups)
    shown_as = responses.images, responses.movies
    folds = folds_of(*shown_as, config.model.folds, fold_stream(config.seed), responses.tests)
    table = nuisance_scores(
        nuisances,
        means,
        predicted,
        folds,
        responses.movies,
        Scorer.of(trials, config.seed),
        columns,
        config.model.penalties,
        config.seed,
    )
    table.insert(0, "neuron_id", neurons)
    if times is not None:
        table = table.assign(**_drift(trials, columns, times, groups, predicted, config.seed))
    write_csv(table, results.nuisances)
    named = table.loc[table["nuisance"] != "", "neuron_id"]
    logger.info(f"nuisances predict {len(named)} of {len(table)} neurons nearly as well as models")


def _drift(
    trials: Trials,
    columns: list[int],
    times: NDArray,
    groups: TrialGroups,
    predicted: NDArray,
    seed: int,
) -> pd.DataFrame:
    """Slow part of the variance of trials, and the score of the model without it."""
    share, steady = drift(trials.counts[:, columns], times, groups)
    scorer = Scorer(groups.repeats, signal_power(steady, groups, trials.response), seed)
    means = groups.means(steady)
    scores = [
        scorer.row(i, "model", predicted[:, i], means[:, i], 0, 0)["cc_norm"]
        for i in range(len(columns))
    ]
    return pd.DataFrame({"drift_share": share, "cc_norm_model_steady": np.array(scores, float)})

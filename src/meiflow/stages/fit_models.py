"""The models stage: fit all neurons together, which is many times faster."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.io.files import write_arrays, write_csv
from meiflow.io.tracking import code_files, fingerprint
from meiflow.models.archive import write_archive
from meiflow.models.fitting import PopulationFit, fit_population
from meiflow.models.gaze import GAZE_COLUMNS, NO_SHIFT
from meiflow.models.movie_stimuli import MovieStimuli
from meiflow.models.table import CONSTANT, Scorer, fold_scores, image_weights
from meiflow.progress import logger
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.stages.auxiliary import (
    auxiliary_stimuli,
    drifting_stimuli,
    movie_stimuli,
    movie_windows_table,
    read_windows,
)
from meiflow.stages.trial_gain import trial_gain
from meiflow.stages.trial_gaze import gaze_views

# Keys of the section `model` on which this fit does not depend.
_LATER = {"custom", "learning_curve", "curve_models"}


def fit_models(config: Config, results: Layout, has: SessionHas, threads: int) -> None:
    """Fit the models and baselines of all neurons, and score them on held-out images.

    A neuron whose fit fails is recorded in the table of outcomes and has no model and no scores; it
    does not stop the others. Finished parts are stored, so that a killed run can be resumed.
    """
    from meiflow.models.core_maps import core_stamp
    from meiflow.models.fit_cache import FitCache

    responses = read_responses(results, config.image.geometry)
    trials = read_trials(results)
    scorer = Scorer.of(trials.of_images(), config.seed)
    weights = image_weights(scorer.repeats)
    extra = auxiliary_stimuli(config, results, has, trials, responses.neuron_ids)
    movies = movie_stimuli(config, results, has, responses, float(scorer.repeats.mean()))
    drifting = drifting_stimuli(
        config, results, has, float(scorer.repeats.mean()), responses.neuron_ids
    )
    gain = trial_gain(config, results, has, trials)
    gaze = gaze_views(config, results, has, trials, responses)
    text = config.model.model_dump_json(exclude=_LATER) + f"{config.image}{config.seed}"
    text += str(responses.movies or "")
    code = fingerprint(code_files(config.model.network.own_core))
    core = core_stamp(config.model.network, config.image.geometry)
    inputs: list[NDArray | str] = [responses.images, weights, extra.images, extra.weights, core]
    inputs += [movies.images, movies.weights] if movies else []
    inputs.append(str(config.session.movies.windows))
    for own in drifting:
        inputs += [own.pairs, own.phases, own.weights]
    inputs += [gaze.images, gaze.weights] if gaze else []
    parts = FitCache(results.unfinished_fits, version("meiflow"), text + code, *inputs)
    found = fit_population(
        responses.images,
        responses.means,
        responses.neuron_ids,
        scorer,
        config.image.geometry,
        config.model,
        config.seed,
        threads,
        parts,
        extra,
        movies,
        gain.trials.means if gain else None,
        responses.movies,
        responses.response.real,
        responses.tests,
        drifting,
        gaze,
    )
    fitted, scores, status = found.fitted, found.scores, found.status
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
            "base_models": np.array(fitted.members),
            "weights": fitted.weights,
            "rf_x_deg": last[0],
            "rf_y_deg": last[1],
            "rf_map_x_deg": fitted.places.score["x_deg"].to_numpy(),
            "rf_map_y_deg": fitted.places.score["y_deg"].to_numpy(),
            "rf_map": fitted.places.score.to_numpy()[..., :n],
        }
        | {f"prediction_{name}": values for name, values in fitted.predictions.items()},
        results.model_search,
    )
    parts_of = found.models, found.fold_models, results.models, found.without
    write_archive(config.image.geometry, *parts_of)
    write_csv(status, results.fit_status)
    if gain:
        write_csv(gain.table(responses.neuron_ids), results.gain)
    else:
        results.gain.unlink(missing_ok=True)  # of an earlier run
    _write_gaze(config, results, fitted.gaze)
    _write_windows(config, results, has, movies, found)
    parts.clear()
    for _, row in status[~status["fitted"]].iterrows():
        logger.info(f"neuron {row['neuron_id']}: no model ({row['reason']})")
    mean = scores.groupby("model", sort=False)["cc_norm"].mean().drop(CONSTANT)
    logger.info("cc_norm, mean over neurons: " + ", ".join(f"{m} {v:.3f}" for m, v in mean.items()))


def _write_gaze(config: Config, results: Layout, compared: pd.DataFrame | None) -> None:
    """Write what shifted images explain in every fold; without rows if gaze cannot be used."""
    if config.model.gaze == "none":
        results.gaze.unlink(missing_ok=True)  # of an earlier run
        return
    table = pd.DataFrame(columns=GAZE_COLUMNS) if compared is None else compared
    folds = [*map(str, range(1, len(table))), "all"][: len(table)]
    write_csv(table.assign(fold=folds)[["fold", *GAZE_COLUMNS]], results.gaze)
    if compared is not None:
        used = compared["used"] != NO_SHIFT
        last = compared.iloc[-1]
        logger.info(
            f"images shifted by gaze explain {max(last['r2_xy'], last['r2_yx']):.3f} of the "
            f"variance of left-out training images, unshifted ones {last['r2_unshifted']:.3f}; "
            f"used in {used[:-1].sum()} of {len(used) - 1} folds, and "
            f"{'' if used.iloc[-1] else 'not '}by the final models"
        )


def _write_windows(
    config: Config,
    results: Layout,
    has: SessionHas,
    movies: MovieStimuli | None,
    found: PopulationFit,
) -> None:
    """Write the counting windows that were chosen; without rows if scenes cannot choose."""
    if not (has.movies and "movies" in config.model.learn_from and config.session.movies.windows):
        results.movie_lags.unlink(missing_ok=True)  # of an earlier run
        return
    neurons = found.status["neuron_id"].tolist() if movies else []
    table = movie_windows_table(read_windows(results), found.fitted.windows, neurons)
    write_csv(table, results.movie_lags)
    last = table[table["fold"] == "all"].groupby(["lag_s", "width_s"]).size()
    parts = [f"{lag:g} s for {width:g} s ({n} neurons)" for (lag, width), n in last.items()]
    logger.info(f"movies: counted with a delay of {', '.join(parts) or 'session.movies.lag_s'}")

"""The learning-curve stage: refit the models to fewer images."""

from __future__ import annotations

import pandas as pd

from meiflow.config.sections import Config
from meiflow.io.files import read_arrays, read_csv, write_csv
from meiflow.models.cross_validate import learning_curve
from meiflow.models.table import Scorer, image_weights
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.stages.auxiliary import auxiliary_stimuli, drifting_stimuli, movie_stimuli
from meiflow.stages.trial_gain import trial_gain
from meiflow.stages.trial_gaze import gaze_views


def fit_learning_curve(config: Config, results: Layout, has: SessionHas, threads: int) -> None:
    """Fit base models of all neurons that have a model to fewer images, and score them.

    Also those that are not selected: nearly all of the work is shared by all neurons, and a changed
    selection then needs no further fit.
    """
    status = read_csv(results.fit_status, ("neuron_id", "fitted"))
    neurons = status.loc[status["fitted"], "neuron_id"].astype(str).tolist()
    responses = read_responses(results, config.image.geometry)
    trials = read_trials(results)
    scorer = Scorer.of(trials.of_images(), config.seed)
    columns = [responses.column(neuron) for neuron in neurons]
    repeats = float(scorer.repeats.mean())
    movies = movie_stimuli(config, results, has, responses, repeats)
    gain = trial_gain(config, results, has, trials)
    gaze = gaze_views(config, results, has, trials, responses)
    names, search = config.model.curve_members, read_arrays(results.model_search)
    curve = learning_curve(
        responses.images,
        responses.means[:, columns],
        image_weights(scorer.repeats),
        config.image.geometry,
        config.model,
        config.seed,
        threads,
        auxiliary_stimuli(config, results, has, trials, responses.neuron_ids).of(columns),
        movies.of(columns) if movies else None,
        gain.trials.of(columns).means if gain else None,
        responses.movies,
        responses.response.real,
        responses.tests,
        drifting_stimuli(config, results, has, repeats, neurons),
        gaze.of_neurons(columns) if gaze else None,
        {name: search[f"prediction_{name}"][:, columns] for name in names},
    )
    model = "model" if set(names) == set(config.model.members) else "+".join(names)
    kept = ["cc_abs", "cc_norm", "cc_norm_low", "cc_norm_high"]
    rows = []
    for number, predicted in curve.items():
        for i, (neuron, column) in enumerate(zip(neurons, columns, strict=True)):
            means = responses.means[:, column]
            row = scorer.row(column, model, predicted[:, i], means, config.model.folds, 0)
            rows.append(
                {"neuron_id": neuron, "model": model, "images": number} | {k: row[k] for k in kept}
            )
    table = pd.DataFrame(rows, columns=["neuron_id", "model", "images", *kept])
    write_csv(table.sort_values(["neuron_id", "images"], kind="stable"), results.learning_curve)

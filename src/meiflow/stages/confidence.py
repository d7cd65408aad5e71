"""The confidence stage: confidence in each MEI, without using the ground truth."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd

from meiflow.config.sections import Config
from meiflow.io.files import read_array, read_csv, write_csv
from meiflow.progress import logger, track
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses
from meiflow.stages.common import open_models, stimulus_targets, wanted_neurons
from meiflow.stages.kept import Made, of_neurons
from meiflow.validation.confidence import Evidence
from meiflow.validation.trust import calibration, nuisances_of


def measure_confidence(config: Config, results: Layout, neurons: list[str]) -> pd.DataFrame:
    """Measures of confidence in the model and the MEI of each neuron.

    Returns
    -------
    DataFrame
        neuron_id; cc_abs, cc_norm, cc_norm_low, ceiling_error of the model; cc_shuffled of
        the control; and the columns of `meiflow.validation.confidence.Evidence`.
    """
    mean, contrast = stimulus_targets(config, results)
    archive = open_models(config, results)
    scores = read_csv(results.cross_validation, ("neuron_id", "model"))
    scores = scores.set_index(["neuron_id", "model"])
    responses = read_responses(results, config.image.geometry)
    rows = []
    for neuron in track(neurons, "confidence", len(neurons)):
        own = scores.loc[(neuron, "model")]
        ascent = config.mei.steps, config.mei.step_size, config.mei.smoothing_exponent
        evidence = Evidence.of(
            archive.model(neuron),
            archive.fold_models(neuron),
            read_array(results.neuron(neuron).mei),
            responses.images,
            responses.means[:, responses.column(neuron)],
            mean,
            contrast,
            *ascent,
            config.seed,
        )
        rows.append(
            {
                "neuron_id": neuron,
                **{
                    name: own[name]
                    for name in ("cc_abs", "cc_norm", "cc_norm_low", "ceiling_error")
                },
                "cc_shuffled": scores.loc[(neuron, "model_shuffled"), "cc_abs"],
                **asdict(evidence),
            }
        )
    return pd.DataFrame(rows)


def judge_neurons(config: Config, results: Layout) -> None:
    """Write the confidence in every neuron's MEI, without using the ground truth."""
    made = of_neurons(
        lambda some: Made({"evidence": measure_confidence(config, results, some)}),
        "confidence",
        config,
        results,
        wanted_neurons(results),
        aside=["nuisances"],
    )
    table = made.tables["evidence"].merge(_nuisances(results), on="neuron_id", how="left")
    judged = calibration().judge(table)
    write_csv(pd.concat([table, judged], axis=1), results.trust)
    logger.info(f"trust: {int(judged['trusted'].sum())} of {len(judged)} neurons are trusted")


def _nuisances(results: Layout) -> pd.DataFrame:
    """What predicts nearly as well as the model, and its correlation: nuisance, cc_nuisance."""
    table = read_csv(results.nuisances, ("neuron_id", "nuisance"))
    names = nuisances_of(table)
    found = [
        row[f"cc_abs_{name}"] if name else np.nan
        for row, name in zip(table.to_dict("records"), names, strict=True)
    ]
    ids = table["neuron_id"].astype(str)
    return pd.DataFrame({"neuron_id": ids, "nuisance": names, "cc_nuisance": found})

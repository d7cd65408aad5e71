"""The stage that compares recorded tuning with the predictions of the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.figures.recorded import recorded_overview
from meiflow.figures.style import save_both
from meiflow.io.files import write_csv
from meiflow.models.cross_validate import OUT_OF_CLASS
from meiflow.models.network import NeuronModel
from meiflow.models.population import SharedModel
from meiflow.progress import logger, track
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_conditions
from meiflow.session.presented import gabor_images, gabor_phases, grating_images
from meiflow.stages.common import open_models, wanted_neurons
from meiflow.stages.kept import Made, of_neurons
from meiflow.tables.conditions import Conditions
from meiflow.validation.recorded import CURVES, Curve, agreement, curves_of, preferences

_LEARNED = "{}_learned"


def shown_images(config: Config, stimulus: str, recorded: Conditions) -> list[NDArray[np.float32]]:
    """Render the conditions of a stimulus (conditions, height, width), at every phase.

    Parameters
    ----------
    stimulus : str
        gabors (which drift) or static_gratings.
    """
    geometry, shown = config.image.geometry, config.session.stimulus_parameters
    if stimulus == "static_gratings":
        return [grating_images(geometry, recorded.parameters, shown)]
    phases = gabor_phases(shown)
    return [gabor_images(geometry, recorded.parameters, shown, phase) for phase in phases]


def predict_conditions(
    models: list[NeuronModel], config: Config, stimulus: str, recorded: Conditions
) -> NDArray[np.float64]:
    """Predicted counts, shape (conditions, neurons), averaged over the phases of a drift."""
    frames = shown_images(config, stimulus, recorded)
    population = SharedModel(models).eval()
    shown = track(frames, f"showing {stimulus}", len(frames))
    return np.mean([population.predict(images) for images in shown], axis=0)


def compare_recorded(config: Config, results: Layout, has: SessionHas) -> None:
    """Compare recorded Gabor and grating tuning with the predictions of the models.

    Models that were also fitted to stimuli of the class are replaced by those that were not.
    """
    neurons = wanted_neurons(results)
    recorded: dict[str, Conditions] = {}
    files = {"gabors": results.predicted_gabors, "static_gratings": results.predicted_gratings}
    for stimulus, shown in (("gabors", has.gabors), ("static_gratings", has.gratings)):
        if not shown:
            files[stimulus].unlink(missing_ok=True)  # left by another session in this folder
            continue
        found = read_conditions(results, stimulus).of_neurons(neurons)
        if len(found.trial_ids):
            recorded[stimulus] = found
        else:  # downloaded sessions have a table of every stimulus
            write_csv(_with_parameters(found, np.empty((0, len(neurons)))), files[stimulus])
    make = partial(_predictions, config, results, recorded)
    made = of_neurons(make, "recorded", config, results, neurons, further=[str(has)]).arrays
    curves: dict[str, Curve] = {}
    for stimulus, conditions in recorded.items():
        predicted = np.ascontiguousarray(made[stimulus].T)
        write_csv(_with_parameters(conditions, predicted), files[stimulus])
        curves |= curves_of(stimulus, conditions, predicted)
    learned = {stimulus: made[_LEARNED.format(stimulus)].tolist() for stimulus in recorded}
    table = agreements(curves, neurons, learned, config.seed)
    write_csv(table, results.recorded_tuning)
    tuned = {name: rows["tuned"].to_numpy() for name, rows in table.groupby("curve", sort=False)}
    preferred = preferences(curves, tuned)
    preferred.insert(0, "neuron_id", neurons)
    write_csv(preferred, results.preferences)
    for name, rows in table[table["tuned"]].groupby("curve", sort=False):
        logger.info(
            f"{name}: correlation {rows['cc_abs'].mean():.2f} (normalised "
            f"{rows['cc_norm'].mean():.2f}) for {len(rows)} tuned neurons; with other neurons' "
            f"models {rows['cc_others'].mean():.2f}"
        )
    save_both(recorded_overview(table, preferred), results.recorded_tuning.parent, "recorded")


def _predictions(
    config: Config, results: Layout, recorded: Mapping[str, Conditions], neurons: list[str]
) -> Made:
    """Predictions (neurons, conditions) by stimulus, and whether models were fitted to it."""
    archive, custom = open_models(config, results), config.model.custom
    models = [archive.model(neuron, custom) for neuron in neurons]
    made: dict[str, NDArray] = {}
    for stimulus, conditions in recorded.items():
        own = [None if custom else archive.without(neuron, stimulus) for neuron in neurons]
        chosen = [out or model for out, model in zip(own, models, strict=True)]
        # what a custom module was fitted to is not known
        same_class = OUT_OF_CLASS[stimulus]
        among = not custom and any(kind in config.model.learn_from for kind in same_class)
        made[stimulus] = predict_conditions(chosen, config, stimulus, conditions).T
        made[_LEARNED.format(stimulus)] = np.array([among and out is None for out in own])
    return Made({}, made)


def agreements(
    curves: dict[str, Curve], neurons: list[str], learned: Mapping[str, Sequence[bool]], seed: int
) -> pd.DataFrame:
    """One row per neuron and curve; ``learned`` marks neurons whose model was fitted to it."""
    rows = [
        {
            "neuron_id": neuron,
            "curve": name,
            "points": len(curve.values),
            **asdict(one),
            "learned": fitted,
        }
        for name, curve in curves.items()
        for neuron, one, fitted in zip(
            neurons, agreement(curve, seed), learned[CURVES[name][0]], strict=True
        )
    ]
    return pd.DataFrame(rows)


def _with_parameters(recorded: Conditions, predicted: NDArray) -> pd.DataFrame:
    table = recorded.parameters.copy()
    table.insert(0, "condition_id", np.arange(len(table)))
    return pd.concat([table, pd.DataFrame(predicted, columns=recorded.neuron_ids)], axis=1)

"""Simulated neurons as models: their true drive plus a baseline."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.config.sections import Experiments
from meiflow.experiments import (
    Preferred,
    at_preferred_frequency,
    run,
    standard_experiments,
    summarise_experiments,
)
from meiflow.images.geometry import Geometry
from meiflow.simulation.truth import (
    GABOR_KINDS,
    calibrate_gain,
    draw_neurons,
    render_filters,
    true_drive,
)

GRID = Geometry(40, 64)
BASELINE = 2.0


def neurons(per_kind: int, seed: int, kinds=GABOR_KINDS) -> pd.DataFrame:
    """Neurons with thresholds and gains set on smooth noise with a natural scene's contrast."""
    rng = np.random.default_rng(seed)
    drawn = draw_neurons(list(kinds) * per_kind, rng, GRID)
    fx, fy = GRID.frequencies()
    gain = 1 / np.maximum(np.hypot(fx[None, :], fy[:, None]), 0.01)
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((30, *GRID.shape))) * gain).real
    noise = noise - noise.mean((1, 2), keepdims=True)
    images = np.clip(0.5 + 0.2 * noise / noise.std((1, 2), keepdims=True), 0, 1)
    return calibrate_gain(drawn, images, GRID, np.full(len(drawn), 5.0))


def model_of(one: pd.DataFrame):
    filters = render_filters(one, GRID)

    def respond(images):
        return BASELINE + true_drive(filters, np.asarray(images).reshape(len(images), -1))[:, 0]

    return respond


def nearly(neuron: pd.Series, rng: np.random.Generator) -> Preferred:
    """A best Gabor with small errors, like one that was searched."""
    wave = neuron["wavelength_deg"]
    return Preferred(
        GRID,
        neuron["x_deg"] + rng.uniform(-0.1, 0.1) * wave,
        neuron["y_deg"] + rng.uniform(-0.1, 0.1) * wave,
        wave * np.exp(rng.uniform(-0.2, 0.2)),
        (neuron["orientation_deg"] + rng.uniform(-15, 15)) % 180,
        rng.uniform(0, 360),
        neuron["sigma_deg"] * np.exp(rng.uniform(-0.2, 0.2)),
        neuron["aspect"],
    )


def experiments_on_truth(table: pd.DataFrame, make: list[str], seed: int) -> pd.DataFrame:
    """Truth and summary side by side, one row per neuron."""
    rng = np.random.default_rng(seed)
    options = Experiments(make=make)
    rows = []
    for i in range(len(table)):
        respond = model_of(table.iloc[[i]])
        scaled = at_preferred_frequency(nearly(table.iloc[i], rng), respond, options)
        made = standard_experiments(scaled, options)
        tables = {name: run(experiment, respond) for name, experiment in made.items()}
        grey = float(respond(np.full((1, *GRID.shape), 0.5))[0])
        rows.append(summarise_experiments(tables, grey))
    return pd.concat([table.reset_index(drop=True), pd.DataFrame(rows)], axis=1)

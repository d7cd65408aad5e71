"""A session of known neurons whose stimuli are made without the workflow, and a simulated day 2.

The model of a neuron is a linear RF of the right shape whose noise gives it the errors of a fit;
the neuron itself is the rectified one of the simulation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.io.files import write_array, write_csv
from meiflow.pack.monitor import Gamma, Monitor
from meiflow.results.layout import Layout
from meiflow.simulation.truth import draw_neurons, render_filters
from meiflow.validation.closed_loop import drives_to, true_optimum
from tests.known import linear, write_models, write_stack

GRID = Geometry(30, 48)
MEAN, CONTRAST = 0.45, 0.05
WINDOW_S = 0.25
NEURONS = 8
MONITOR = Monitor(51.92, 32.45, 15.0, 192, 120)
GAMMA = Gamma.of(2.2)


def simple_neurons() -> pd.DataFrame:
    table = draw_neurons(["simple"] * NEURONS, np.random.default_rng(7), GRID)
    table["threshold"] = 0.0
    table.index = [f"n{i}" for i in range(NEURONS)]
    return table


def make_session(root: Path) -> tuple[Layout, pd.DataFrame, NDArray[np.float32]]:
    """Results with the stimuli and models of simple cells, their truth, and their optima."""
    rng = np.random.default_rng(1)
    results, table = Layout(root), simple_neurons()
    scenes = project_array(rng.normal(0.5, 0.2, (12, *GRID.shape)).clip(0, 1), MEAN, 0.2)
    write_stack(results, scenes, GRID)
    states, optima = {}, []
    for neuron in table.index:
        one = table.loc[[neuron]]
        filters = render_filters(one, GRID)
        true = filters.even[0].reshape(GRID.shape)
        none = np.empty((0, *GRID.shape))
        optimum = true_optimum(one, GRID, MEAN, CONTRAST, none, 0, restarts=1)[0]
        # 25 Hz above the baseline for the optimum
        table.loc[neuron, "gain_hz"] = 25.0 / drives_to(one, GRID, optimum[None])[0]
        one = table.loc[[neuron]]
        noise = rng.standard_normal(GRID.shape) * (np.abs(true) > 0.05 * np.abs(true).max())
        found = true / np.linalg.norm(true) + 0.6 * noise / np.linalg.norm(noise)
        found *= np.linalg.norm(true)
        scale = float(one["gain_hz"].iloc[0]) * WINDOW_S
        base = float(one["baseline_hz"].iloc[0]) * WINDOW_S
        states[neuron] = linear(found * scale, offset=0.5 * scale * found.sum(), baseline=base)
        optima.append(optimum)
        files = results.neuron(neuron)
        gabor = np.roll(true, 2, axis=1)
        natural = scenes[np.argmax((scenes * true).sum((1, 2)))]
        made = {"mei": found, "best_gabor": gabor, "best_natural": natural}
        for name, image in made.items():
            write_array(project_array(image[None], MEAN, CONTRAST)[0], getattr(files, name))
    write_models(results, GRID, states)
    trust = pd.DataFrame({"neuron_id": table.index, "trusted": True, "expected_fraction": 0.9})
    trust.loc[NEURONS - 1, "trusted"] = False
    write_csv(trust, results.trust)
    return results, table, np.stack(optima)


def true_rates(table: pd.DataFrame, images: NDArray) -> NDArray[np.float64]:
    """Mean counts of the true neurons (images, neurons)."""
    columns = [
        WINDOW_S * (one["baseline_hz"] + drives_to(table.loc[[neuron]], GRID, images))
        for neuron, one in table.iterrows()
    ]
    return np.stack(columns, axis=1)

"""A session of known neurons whose stimuli are made without the workflow, and a simulated day 2.

The model of a neuron is a linear RF of the right shape whose noise gives it the errors of a fit;
the neuron itself is the rectified one of the simulation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.config import parse_config
from meiflow.images.geometry import Geometry
from meiflow.images.projection import project_array
from meiflow.io.files import read_array, read_csv, write_array, write_csv
from meiflow.pack.design import Design
from meiflow.pack.monitor import Gamma, Monitor
from meiflow.results.layout import Layout
from meiflow.results.pack import PackLayout
from meiflow.simulation.truth import draw_neurons, render_filters
from meiflow.stages.export_stimuli import export_stimuli
from meiflow.validation.closed_loop import drives_to
from tests.known import linear, write_models, write_stack

GRID = Geometry(30, 48)
MEAN, CONTRAST = 0.45, 0.05
WINDOW_S = 0.25
NEURONS = 6
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
        # of a linear neuron, the image within [0, 1] that drives it most is its clipped filter
        optimum = project_array(true[None], MEAN, CONTRAST)[0]
        # 25 Hz above the baseline for the optimum
        table.loc[neuron, "gain_hz"] = 25.0 / drives_to(one, GRID, optimum[None])[0]
        one = table.loc[[neuron]]
        noise = rng.standard_normal(GRID.shape) * (np.abs(true) > 0.05 * np.abs(true).max())
        found = true / np.linalg.norm(true) + 0.6 * noise / np.linalg.norm(noise)
        found *= np.linalg.norm(true)
        mei = project_array(found[None], MEAN, CONTRAST)[0]
        found *= 3.0 / float(((mei - 0.5) * found).sum())
        scale = 25.0 * WINDOW_S / 3.0
        base = float(one["baseline_hz"].iloc[0]) * WINDOW_S / scale
        states[neuron] = linear(found, baseline=float(np.log(np.expm1(base))), scale=scale)
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


def make_pack(results: Layout, folder: Path, optima: NDArray, **changes: object) -> None:
    """The pack of the trusted neurons, in which the optimum of each true neuron is shown too."""
    stack = folder.with_name("optima.npy")
    write_array(optima, stack)
    design = Design(MONITOR, GAMMA, every=True, extra={"optimum": stack}, **changes)
    export_stimuli(parse_config({}), results, folder, design)


def show(folder: Path, table: pd.DataFrame, path: Path, seed: int = 3) -> None:
    """Show a pack to the true neurons: Poisson counts in the order of frames.csv."""
    frames = read_csv(PackLayout(folder).frames)
    rates = true_rates(table, read_array(PackLayout(folder).luminance))
    counts = np.random.default_rng(seed).poisson(rates[frames["stimulus_id"]])
    shown = pd.DataFrame(counts, columns=list(table.index))
    shown.insert(0, "frame", frames["frame"])
    write_csv(shown, path)

"""The invariance stage: how far images can differ from a neuron's MEI and still drive it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.config.sections import Config
from meiflow.experiments.invariance import invariance_path
from meiflow.experiments.tolerances import tolerances
from meiflow.figures.invariance import invariance_figure
from meiflow.figures.style import save_both
from meiflow.io.files import read_array, write_array, write_csv
from meiflow.results.layout import Layout
from meiflow.results.neurons import require_selected
from meiflow.stages.common import open_models
from meiflow.stages.experiments import read_preferred

_QUARTER_DEG = 90.0


def measure_invariance(config: Config, results: Layout, neuron: str) -> None:
    """Make the invariance path of a neuron, and measure its tolerances.

    Raises
    ------
    MeiflowError
        If there is no such neuron, or a result is missing or damaged.
    """
    require_selected(results.fitted_neurons, neuron)
    geometry, files = config.image.geometry, results.neuron(neuron)
    chosen = config.experiments
    model = open_models(config, results).model(neuron, config.model.custom)
    preferred = read_preferred(files.best_gabor_table, geometry)
    mei = read_array(files.mei)
    directions = [preferred.gabor(preferred.phase_deg + sign * _QUARTER_DEG) for sign in (1, -1)]
    fraction = chosen.invariance_fraction
    path = invariance_path(model, mei, geometry, directions, fraction, seed=config.seed)
    grey = float(model.predict(np.full((1, *geometry.shape), mei.mean()))[0])
    ranges = tolerances(model.predict, mei, preferred, grey, fraction)
    row = {
        "invariance_deg": path.reach_deg,
        "path_length_deg": path.length_deg,
        "phase_tolerance_deg": ranges.phase_deg,
        "shift_tolerance_deg": ranges.shift_deg,
        "size_tolerance_octaves": ranges.size_octaves,
        "fraction": fraction,
    }
    write_csv(pd.DataFrame([row]), files.invariance)
    steps = {"image": np.arange(len(path.images)), "angle_deg": path.angle_deg}
    write_csv(pd.DataFrame(steps | {"response_fraction": path.response}), files.invariance_steps)
    write_array(path.images, files.invariance_path)
    figure = invariance_figure(
        path.images, path.angle_deg, path.response, path.reach_deg, fraction, geometry
    )
    save_both(figure, files.root, "invariance")

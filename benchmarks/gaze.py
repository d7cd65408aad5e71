"""What images shifted by gaze add, for simulated neurons whose receptive fields follow the eye.

    python -m benchmarks.gaze [--units 8] [--sd 2 4] [--repeats 30] [--scenes 118] [--seed 5]
        [--csv FILE]

The gaze of each session has a standard deviation of so many degrees in azimuth, and half as many in
elevation. Models are fitted to plain means (``none``), with ``model.gaze: auto``, and, as a
control, with auto and the gaze of other trials, as if receptive fields did not follow the eye.
``cc`` is the correlation of held-out predictions with recorded means (nested folds), ``fresh`` of
predictions with the true rates to 100 further scenes while the eye rests, and ``folds`` the
fraction of folds that use the shift. The ensemble is v1 and v1_window, and RF positions are
searched in steps of four pixels.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from benchmarks.whole_session import QUICK

from meiflow.config.config import parse_config
from meiflow.config.sections import Config
from meiflow.io.files import read_csv, write_csv
from meiflow.models.cross_validate import Fitted, fit_all
from meiflow.models.gaze import NO_SHIFT
from meiflow.models.network import NeuronModel
from meiflow.progress import log_to_stderr
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses, read_trials
from meiflow.selection.activity import column_correlations
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.rates import DISPLAY, formula_rates
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.stages.trial_gaze import gaze_views

FRESH = 100


def fresh_scores(fitted: Fitted, config: Config, truth: pd.DataFrame) -> list[float]:
    """Correlation of every model with the true rates to further scenes."""
    sizes, rng = config.session.simulation, np.random.default_rng([config.seed, 99])
    drawn = [dead_leaves((sizes.frame_height, sizes.frame_width), rng) for _ in range(FRESH)]
    display = resize(np.stack(drawn) / 255.0, DISPLAY.shape).astype(float)
    rates = formula_rates(truth)(display)
    shown = resize(display, config.image.geometry.shape)
    models = [
        NeuronModel(config.image.geometry, 0.0, 0.0, states, list(weights)).eval()
        for states, weights in zip(fitted.states, fitted.weights, strict=True)
    ]
    predicted = np.stack([model.predict(shown) for model in models], axis=1)
    return column_correlations(predicted, rates).tolist()


def scores(config: Config, seed: int) -> Iterator[pd.DataFrame]:
    """Scores of every neuron of a session, by what models were fitted to."""
    with tempfile.TemporaryDirectory() as folder:
        results = Layout(folder)
        simulate(config, results)
        build_tables(config, results, results.scenes, results.session_file)
        responses, trials = read_responses(results, config.image.geometry), read_trials(results)
        truth = read_csv(results.truth).set_index("neuron_id").loc[responses.neuron_ids]
        given = config, results, SessionHas(spike_times=True), trials, responses
        views = {"none": None, "auto": gaze_views(*given)}
        table = read_csv(results.presentations)
        own = ["gaze_x_deg", "gaze_y_deg"]
        table[own] = np.random.default_rng(seed).permutation(table[own].to_numpy())
        write_csv(table, results.presentations)
        views["auto, gaze of other trials"] = gaze_views(*given)
        screen, weights = config.image.geometry, np.ones(len(responses.images))
        for name, seen in views.items():
            shown = responses.images, responses.means, weights, screen, config.model, seed
            fitted = fit_all(*shown, gaze=seen)
            predicted = fitted.predictions["model"]
            compared = fitted.gaze
            yield pd.DataFrame(
                {
                    "gaze": name,
                    "neuron_id": responses.neuron_ids,
                    "cc": column_correlations(predicted, responses.means),
                    "fresh": fresh_scores(fitted, config, truth),
                    "folds": 0.0
                    if compared is None
                    else (compared["used"][:-1] != NO_SHIFT).mean(),
                }
            )


@log_to_stderr()
def main() -> None:
    """Print the mean scores by spread of gaze and by what models were fitted to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--units", type=int, default=8)
    parser.add_argument("--sd", type=float, nargs="*", default=[2.0, 4.0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--scenes", type=int, default=118)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--csv", type=Path, help="scores of every neuron")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = []
    for spread in options.sd:
        simulation = {
            "statistics": "ideal",
            "mean_rate_hz": 4.0,
            "units": {"VISam": options.units},
            "kinds": ["simple", "complex"],
            "failing_fraction": 0.0,
            "untuned_fraction": 0.0,
            "frames": options.scenes,
            "repeats": options.repeats,
            "gabor_repeats": 0,
            "grating_repeats": 0,
            "gaze_sd_deg": spread,
        }
        model = QUICK | {"gaze": "auto"}
        document = {"seed": options.seed, "session": {"simulation": simulation}, "model": model}
        for table in scores(parse_config(document), options.seed):
            tables.append(table.assign(sd_deg=spread))
            print(f"{spread:g} degrees: {table.groupby('gaze').mean(numeric_only=True)}")
    found = pd.concat(tables)
    by = ["sd_deg", "gaze"]
    print(found.groupby(by, sort=False).mean(numeric_only=True).round(3).to_string())
    if options.csv:
        found.to_csv(options.csv, index=False, float_format="%.4f")


if __name__ == "__main__":
    main()

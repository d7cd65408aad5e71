"""How well do the models predict the true rate of images that nobody has seen?

``python -m benchmarks.fresh_images`` simulates a session of the released size (118 images x 50
trials) with neurons of every kind, fits all of them, and correlates what the models predict with
the true, noise-free drive on 200 fresh images, kind by kind. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from meiflow.config import parse_config
from meiflow.models.fit import fit_models, write_neuron
from meiflow.models.network import load_model
from meiflow.progress import track
from meiflow.session.dead_leaves import dead_leaves
from meiflow.session.images import resize
from meiflow.session.simulate import DISPLAY, simulate_session
from meiflow.tables.build import build_tables
from meiflow.tables.load import load_responses, load_trials
from meiflow.truth import DEFAULT_KINDS, SHAPE_KINDS, render_filters, true_drive

FRESH = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-kind", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kinds = [*DEFAULT_KINDS, *SHAPE_KINDS]
    simulation = {
        "units": {"VISam": arguments.per_kind * len(kinds)},
        "kinds": kinds,
        "untuned_fraction": 0.0,
        "failing_fraction": 0.0,
        "repeats": 50,
        "gabor_repeats": 0,
        "grating_repeats": 0,
    }
    config = parse_config({"seed": arguments.seed, "session": {"simulation": simulation}})
    geometry = config.image.geometry
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nwb, frames, truth = folder / "s.nwb", folder / "frames", folder / "truth.csv"
        simulate_session(config, nwb, frames, truth)
        build_tables(config, frames, nwb, folder)
        responses = load_responses(folder)
        fit_models(config, responses, load_trials(folder), folder, threads=2)
        known = pd.read_csv(truth, dtype={"neuron_id": str}).set_index("neuron_id")
        known = known.loc[responses.neuron_ids]
        shape = (config.session.simulation.frame_height, config.session.simulation.frame_width)
        rng = np.random.default_rng([arguments.seed, 99])
        drawn = np.stack([dead_leaves(shape, rng) for _ in track(range(FRESH), "fresh images")])
        display = resize(drawn / 255.0, DISPLAY.shape).astype(float)
        rate = true_drive(render_filters(known, DISPLAY), display.reshape(FRESH, -1))
        images = resize(display, geometry.shape)
        rows = []
        for column, neuron in enumerate(responses.neuron_ids):
            write_neuron(config, folder, neuron, folder / neuron)
            predicted = load_model(folder / neuron / "model.pt", geometry).predict(images)
            rows.append(
                {
                    "kind": known["kind"].iloc[column],
                    "default": np.corrcoef(predicted, rate[:, column])[0, 1],
                }
            )
    table = pd.DataFrame(rows)
    print(table.groupby("kind")["default"].agg(["mean", "median", "min", "count"]).round(3))
    shapes = table["kind"].isin(SHAPE_KINDS)
    centred = table["kind"].isin(["on_centre", "off_centre"])
    for name, part in (
        ("Gabor kinds", ~shapes & ~centred),
        ("centre-surround", centred),
        ("corner, curved, two bars", shapes),
    ):
        print(f"{name}: {table.loc[part, 'default'].mean():.3f}")


if __name__ == "__main__":
    main()

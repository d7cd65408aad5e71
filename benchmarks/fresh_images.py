"""Model predictions for fresh images, compared with the true rates.

``python -m benchmarks.fresh_images`` simulates a session of the released size (118 images x 50
trials) with neurons of every kind, fits all of them, and correlates the predictions with the true,
noise-free drive on 200 fresh images, by kind of neuron. For comparison, the notebook's network is
trained from scratch for 60 epochs on the mean responses of one neuron of each kind (``--scratch 0``
leaves it out). Both are timed; our time includes all folds, baselines and shuffled controls. About
ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from meiflow.config.config import parse_config
from meiflow.config.sections import Network
from meiflow.images.geometry import Geometry
from meiflow.models.archive import ModelArchive
from meiflow.models.jobs import Jobs
from meiflow.models.network import NeuronModel
from meiflow.models.network_fitter import NetworkFitter
from meiflow.progress import log_to_stderr, track
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.tables import read_responses
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.rates import DISPLAY
from meiflow.simulation.truth import DEFAULT_KINDS, SHAPE_KINDS, render_filters, true_drive
from meiflow.stages.fit_models import fit_models
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables
from meiflow.tables.counts import Responses

FRESH = 200


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-kind", type=int, default=10)
    parser.add_argument("--scratch", type=int, default=9, help="networks trained from scratch")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kinds = [*DEFAULT_KINDS, *SHAPE_KINDS]
    simulation = {
        "statistics": "ideal",
        "mean_rate_hz": 4.0,
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
        results = Layout(name)
        simulate(config, results)
        build_tables(config, results, results.scenes, results.session_file)
        responses = read_responses(results)
        began = time.monotonic()
        fit_models(config, results, SessionHas.found(results), threads=2)
        ours = time.monotonic() - began
        known = pd.read_csv(results.truth, dtype={"neuron_id": str}).set_index("neuron_id")
        known = known.loc[responses.neuron_ids]
        shape = (config.session.simulation.frame_height, config.session.simulation.frame_width)
        rng = np.random.default_rng([arguments.seed, 99])
        drawn = np.stack([dead_leaves(shape, rng) for _ in track(range(FRESH), "fresh images")])
        display = resize(drawn / 255.0, DISPLAY.shape).astype(float)
        rate = true_drive(render_filters(known, DISPLAY), display.reshape(FRESH, -1))
        images = resize(display, geometry.shape)
        archive = ModelArchive(results.models, geometry)
        rows = []
        for column, neuron in enumerate(responses.neuron_ids):
            models = {"model": archive.model(neuron)}
            models |= {kind: archive.member(neuron, kind) for kind in config.model.members}
            scores = {
                kind: np.corrcoef(model.predict(images), rate[:, column])[0, 1]
                for kind, model in models.items()
            }
            rows.append({"kind": known["kind"].iloc[column]} | scores)
        table = pd.DataFrame(rows)
        first = [int(np.flatnonzero(known["kind"] == kind)[0]) for kind in kinds]
        chosen = first[: arguments.scratch]
        began = time.monotonic()
        for column in track(chosen, "networks from scratch"):
            predicted = from_scratch(responses, column, geometry, images)
            table.loc[column, "scratch"] = np.corrcoef(predicted, rate[:, column])[0, 1]
        theirs = time.monotonic() - began
    show(table, ours, theirs, len(chosen))


def show(table: pd.DataFrame, ours: float, theirs: float, chosen: int) -> None:
    """Print the scores by kind and group, and the times."""
    print(table.groupby("kind", sort=False).mean().round(3).to_string())
    shapes = table["kind"].isin(SHAPE_KINDS)
    centred = table["kind"].isin(["on_centre", "off_centre"])
    for name, part in (
        ("Gabor kinds", ~shapes & ~centred),
        ("centre-surround", centred),
        ("corner, curved, two bars", shapes),
    ):
        print(f"{name}:")
        print(table[part].drop(columns="kind").agg(["mean", "min"]).round(3).to_string())
    each = ours / len(table)
    print(f"meiflow: {ours:.0f} s for {len(table)} neurons, {each:.2f} s per neuron")
    if chosen:
        alone = theirs / chosen
        print(f"from scratch: {alone:.1f} s per neuron ({chosen} neurons, two threads)")
        print(f"49 neurons: {49 * alone:.0f} s and {49 * each:.0f} s (both extrapolated)")
        print(f"ratio: {alone / each:.0f}")


def from_scratch(
    responses: Responses, column: int, geometry: Geometry, fresh: NDArray
) -> NDArray[np.float64]:
    """Predictions of the notebook's network for fresh images, after 60 epochs at its settings."""
    n = len(responses.images)
    # its readout starts at the centre of the screen
    centre = np.zeros(1), np.zeros(1), np.zeros((1, 0, 5))
    jobs = Jobs(responses.means.T[column : column + 1], np.ones((1, n), bool), *centre)
    config = Network(epochs=60, patience=60, batch=16, positive_weights=True)
    torch.set_num_threads(2)
    fitter = NetworkFitter(responses.images, np.ones(n), geometry, config, 0, "scratch")
    state = fitter(jobs).states[0]
    torch.set_num_threads(1)
    return NeuronModel(geometry, 0.0, 0.0, [state], [1.0]).predict(fresh)


if __name__ == "__main__":
    main()

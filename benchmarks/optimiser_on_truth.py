"""Accuracy of the optimiser alone, with the true neurons as models.

``python -m benchmarks.optimiser_on_truth`` simulates neurons of every kind and optimises the MEI of
each for its true drive, from noise alone. The maximal drive is that of `true_optimum`, which starts
from the neuron's own filters and takes three times as many steps. Printed by kind: MEI and median
restart as fractions of the maximal drive, the fraction of restarts that reach 95 % of the best one,
and the correlation between these. About two minutes on one core.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
import torch

from meiflow.images.geometry import Geometry
from meiflow.progress import log_to_stderr, track
from meiflow.session.images import resize
from meiflow.simulation.dead_leaves import dead_leaves
from meiflow.simulation.truth import KINDS, calibrate_gain, draw_neurons, render_filters, true_drive
from meiflow.stimuli import most_exciting, noise_starts, stimulus_correlations
from meiflow.validation.closed_loop import as_tensors, true_optimum

GRID = Geometry(60, 96)
CONTRAST = 0.05
_IMAGES = 60
_FRAME = (236, 302)


def simulated(kinds: list[str], seed: int) -> tuple[pd.DataFrame, float]:
    """Neurons that respond to natural images with 5 Hz on average, and the mean luminance."""
    rng = np.random.default_rng([seed, 6])
    drawn = np.stack([dead_leaves(_FRAME, rng) for _ in range(_IMAGES)])
    images = resize(drawn / 255.0, GRID.shape)
    neurons = draw_neurons(kinds, rng, GRID)
    neurons = calibrate_gain(neurons, images.astype(float), GRID, np.full(len(neurons), 5.0))
    return neurons, float(images.mean())


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--per-kind", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=12)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    kinds = [kind for kind in KINDS if kind != "untuned"] * arguments.per_kind
    neurons, mean = simulated(kinds, arguments.seed)
    rows = []
    for i in track(range(len(neurons)), "neurons"):
        one = neurons.iloc[[i]]
        filters = as_tensors(render_filters(one, GRID))

        def drive(x: torch.Tensor, filters=filters) -> torch.Tensor:
            return true_drive(filters, x.reshape(len(x), -1))[:, 0]

        starts = noise_starts(arguments.restarts, GRID, 1.0, mean, CONTRAST, arguments.seed)
        found = most_exciting(drive, starts, GRID, mean, CONTRAST, arguments.steps)
        best = found.images[found.best][None]
        optimum = true_optimum(one, GRID, mean, CONTRAST, best, arguments.seed)[1]
        same = found.scores > 0.95 * found.scores.max()
        similarity = stimulus_correlations(found.stimuli[torch.as_tensor(same)]).numpy()
        pairs = similarity[np.triu_indices(len(similarity), 1)]
        rows.append(
            {
                "kind": one["kind"].iloc[0],
                "mei": found.scores.max() / optimum,
                "median_restart": np.median(found.scores) / optimum,
                "restarts_agreeing": same.mean(),
                "restart_correlation": pairs.mean() if len(pairs) else np.nan,
                "contrast_error": np.abs(found.trace.rms_contrast - CONTRAST).max(),
            }
        )
    table = pd.DataFrame(rows)
    worst = table.pop("contrast_error").max()
    print(table.groupby("kind", sort=False).mean().round(4).to_string())
    print(table.drop(columns="kind").agg(["mean", "min", "max"]).round(4).to_string())
    print(f"largest contrast error at any step: {worst:.1e}")


if __name__ == "__main__":
    main()

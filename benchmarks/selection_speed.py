"""Oracle correlation and raster order at the session's size, compared with the notebook's methods.

``python -m benchmarks.selection_speed`` simulates counts of 135 neurons x 119 images x 50 trials.
The notebook's oracle is run for one repetition of one neuron and extrapolated to 50 repetitions of
all.

The raster orders (by clustering; by the package rastermap; by rastermap without clusters, as the
notebook called it, which takes minutes for 135 neurons) are found for simulated neurons along a
line, 26,597 bins, on one core. They are scored by the mean correlation of neighbours, by
Rastermap's objective relative to the order by clustering, and by the rank correlation of the order
with the true positions on the line. ``CPU time`` is relative to the order by clustering.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import numba
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rastermap import Rastermap
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from meiflow.selection.raster import (
    lagged_similarity,
    matching_score,
    matching_weights,
    raster_order,
)
from meiflow.selection.rastermap import MOST_SINGLE
from meiflow.selection.reliability import TrialGroups, oracle_correlation

NEURONS, IMAGES, TRIALS, BINS, REPETITIONS = 135, 119, 50, 26_597, 50
SIZES, SESSIONS = (20, 135, 900), 3


def notebook_oracle(table: pd.DataFrame, neuron: int) -> float:
    """One repetition for one neuron, by masks over the whole long table, as in the notebook."""
    chosen, others = [], []
    for image in table[table["neuron_id"] == neuron]["image_id"].unique():

        def here(table: pd.DataFrame = table, image: int = image) -> pd.Series:
            return (table["neuron_id"] == neuron) & (table["image_id"] == image)

        if len(table[here()]["trial_id"].unique()) == 1:
            continue
        trial = random.choice(table[here()]["trial_id"].unique())
        chosen.append(table[here() & (table["trial_id"] == trial)]["spike_count"].to_numpy()[0])
        others.append(table[here() & (table["trial_id"] != trial)]["spike_count"].mean())
    return float(np.corrcoef(chosen, others)[0, 1]) * len(chosen) / IMAGES


def oracle(rng: np.random.Generator) -> None:
    ids = rng.permutation(np.repeat(np.arange(IMAGES), TRIALS))
    counts = rng.poisson(rng.gamma(1.0, 1.0, (IMAGES, NEURONS))[ids])
    trial, neuron = np.nonzero(counts)
    table = pd.DataFrame(
        {
            "trial_id": trial,
            "neuron_id": neuron,
            "spike_count": counts[trial, neuron],
            "image_id": ids[trial],
        }
    )
    start = time.perf_counter()
    notebook_oracle(table, 0)
    theirs = (time.perf_counter() - start) * NEURONS * REPETITIONS
    times = []
    for _ in range(5):
        start = time.perf_counter()
        oracle_correlation(counts, TrialGroups.of(ids))
        times.append(time.perf_counter() - start)
    ours = min(times)
    print(
        f"oracle: closed form {1000 * ours:.1f} ms; the notebook's 50 repetitions "
        f"{theirs / 60:.0f} min (extrapolated) = {theirs / ours:,.0f} x"
    )


def line_session(
    rng: np.random.Generator, neurons: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Counts of neurons along a line, and their positions on it.

    A bump of activity wanders along the line (a random walk, reflected at its ends) and multiplies
    the rates of the neurons there by up to three; image tuning, which neighbours do not share,
    multiplies them by more.
    """
    centre = np.abs((rng.uniform() + np.cumsum(rng.normal(0, 0.03, BINS))) % 2 - 1)
    place = rng.uniform(size=neurons)
    near = np.exp(-0.5 * ((centre[:, None] - place) / 0.1) ** 2)
    image = np.repeat(rng.integers(0, IMAGES, BINS // 2 + 1), 2)[:BINS]
    tuning = rng.gamma(1.0, 1.0, (IMAGES, neurons))
    rate = 0.01 + 0.3 * rng.gamma(2.0, 0.5, neurons)
    return rng.poisson(rate * (0.5 + near) * (0.5 + tuning[image])), place


def single_neurons(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Order by rastermap without clusters, as the notebook called it."""
    z = (counts - counts.mean(axis=0)) / np.maximum(counts.std(axis=0), 1e-9)
    model = Rastermap(
        n_clusters=None, n_PCs=64, locality=0.15, time_lag_window=15, grid_upsample=0, verbose=False
    )
    return model.fit(z.T).isort


def orders(rng: np.random.Generator, neurons: int) -> Iterator[dict[str, str | float]]:
    """Cost and quality of every order of one simulated session."""
    counts, place = line_session(rng, neurons)
    correlations = np.corrcoef(counts.T)
    similarity = lagged_similarity((counts - counts.mean(0)) / counts.std(0))
    weights = matching_weights(neurons)
    ways: dict[str, Callable[[], NDArray[np.int64]]] = {
        "clustering": lambda: raster_order(counts, "clustering"),
        "rastermap": lambda: raster_order(counts),
    }
    if MOST_SINGLE < neurons <= 200:  # fewer are always ordered this way; the package takes no more
        ways["rastermap, single neurons"] = lambda: single_neurons(counts)
    ways |= {"true positions": place.argsort, "random": lambda: rng.permutation(neurons)}
    for name, find in ways.items():
        start = time.process_time()
        order = find()
        yield {
            "order": name,
            "CPU seconds": time.process_time() - start,
            "neighbours": correlations[order[:-1], order[1:]].mean(),
            "objective": matching_score(similarity[np.ix_(order, order)], weights),
            "truth": abs(spearmanr(place[order], np.arange(neurons))[0]),
        }


def raster(neurons: int) -> None:
    """Print cost and quality of every order, averaged over simulated sessions."""
    rows = [row for seed in range(SESSIONS) for row in orders(np.random.default_rng(seed), neurons)]
    table = pd.DataFrame(rows).groupby("order", sort=False).mean()
    table.insert(1, "CPU time", table["CPU seconds"] / table.loc["clustering", "CPU seconds"])
    table["objective"] /= table.loc["clustering", "objective"]
    print(f"\n{neurons} neurons x {BINS} bins, mean of {SESSIONS} sessions")
    print(table.to_string(float_format=lambda value: f"{value:.3f}"), flush=True)


if __name__ == "__main__":
    numba.set_num_threads(1)
    with threadpool_limits(1):
        oracle(np.random.default_rng(0))
        for size in SIZES:
            raster(size)

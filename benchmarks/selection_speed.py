"""Oracle correlation and raster order at the session's size, against the notebook's ways.

``python -m benchmarks.selection_speed`` counts 135 neurons x 119 images x 50 trials. The notebook's
oracle is run for one repetition of a few neurons and extrapolated to 50 repetitions of all. For
the raster order (135 neurons x 26,597 bins) the package ``rastermap`` is asked with the notebook's
settings if it is installed (``pip install rastermap``; it takes a minute or two), and both orders
are judged by Rastermap's own objective and by the mean correlation of neighbours.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
import time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.selection.raster import (
    lagged_similarity,
    matching_score,
    matching_weights,
    raster_order,
)
from meiflow.selection.reliability import Groups, oracle_correlation

NEURONS, IMAGES, TRIALS, BINS, REPETITIONS = 135, 119, 50, 26_597, 50


def notebook_oracle(table: pd.DataFrame, neuron: int) -> float:
    """One repetition for one neuron, by masks over the whole long table, as the notebook has it."""
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
        oracle_correlation(counts, Groups.of(ids))
        times.append(time.perf_counter() - start)
    ours = min(times)
    print(
        f"oracle: closed form {1000 * ours:.1f} ms; the notebook's 50 repetitions "
        f"{theirs / 60:.0f} min (extrapolated) = {theirs / ours:,.0f} x"
    )


def activity(rng: np.random.Generator) -> NDArray[np.int64]:
    """Neurons along a line share slow components with their neighbours, and like images."""
    slow = np.cumsum(rng.normal(size=(8, BINS)), axis=1)
    slow = (slow - slow.mean(1, keepdims=True)) / slow.std(1, keepdims=True)
    image = np.repeat(rng.integers(0, IMAGES, BINS // 2 + 1), 2)[:BINS]
    place = rng.uniform(0, 8, NEURONS)
    weight = np.exp(-0.5 * ((place[:, None] - np.arange(8)) / 0.8) ** 2)
    tuning = rng.gamma(1.0, 1.0, (NEURONS, IMAGES))
    return rng.poisson(0.2 * np.exp(0.5 * weight @ slow) * (0.5 + tuning[:, image])).T


def raster(rng: np.random.Generator) -> None:
    counts = activity(rng)
    z = ((counts - counts.mean(0)) / counts.std(0)).astype(np.float32)
    similarity, weights = lagged_similarity(z.astype(float)), matching_weights(NEURONS)
    beside = np.corrcoef(z.T)

    def judge(name: str, order: NDArray[np.int64], seconds: float) -> None:
        score = matching_score(similarity[np.ix_(order, order)], weights)
        near = beside[order[:-1], order[1:]].mean()
        print(
            f"raster order, {name}: {seconds:.1f} s, objective {score:.0f}, neighbours {near:.3f}"
        )

    start = time.perf_counter()
    order = raster_order(counts)
    judge("meiflow", order, time.perf_counter() - start)
    judge("random", rng.permutation(NEURONS), 0.0)
    if importlib.util.find_spec("rastermap") is None:
        print("rastermap is not installed: no comparison")
        return
    package = importlib.import_module("rastermap")
    start = time.perf_counter()
    model = package.Rastermap(
        n_clusters=None, n_PCs=64, locality=0.15, time_lag_window=15, grid_upsample=0, verbose=False
    ).fit(z.T)
    judge("rastermap, the notebook's settings", model.isort, time.perf_counter() - start)


if __name__ == "__main__":
    oracle(np.random.default_rng(0))
    raster(np.random.default_rng(0))

"""Speed and quality of the Gabor search for all neurons at once.

``python -m benchmarks.gabor_search --results results/demo`` takes the models of a finished run and
prints

1. the time of the default grid for ``--neurons`` neurons (the models of the run, repeated) with
   ``--threads`` threads, compared with a search neuron by neuron: the same Gabors, rendered and
   shown to one model after another, measured on part of the grid and extrapolated;
2. the time of the search with refinement, and the responses to the best Gabors, for the neurons of
   the run: in a small grid around the model's RF position (2,880 Gabors), in the 72,800 Gabors of
   Walker et al. (2019), whose pixels are taken as 1/64 of the screen's width, in our grid with all
   shapes everywhere, and in our search, each before and after the same refinement; for a simulated
   session also their true drive.

About four minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from meiflow.config.config import load_config
from meiflow.config.sections import Gabor
from meiflow.images.geometry import Geometry
from meiflow.models.archive import ModelArchive
from meiflow.models.network import NeuronModel
from meiflow.progress import log_to_stderr
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons
from meiflow.simulation.truth import render_filters, true_drive
from meiflow.stages.common import stimulus_targets
from meiflow.stimuli.gabor_search import GaborFit, best_gabors, gabor_grid, render_gabors

ROOT = Path(__file__).resolve().parents[1]
PART = 1024  # Gabors with which the search neuron by neuron is timed
BATCH = 256


def product(*axes: list[float] | NDArray) -> NDArray[np.float64]:
    """All combinations, the last axis fastest."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


def walkers_grid(geometry: Geometry) -> NDArray[np.float64]:
    """72,800 Gabors: 5 wavelengths, 8 orientations, 5 sizes, 7 x 13 positions, 4 phases."""
    pixel = geometry.width_deg / 64
    lengths, angles, sigmas, y, x, phases = product(
        pixel * np.array([4, 7, 10, 15, 20]),
        180.0 * np.arange(8) / 8,
        pixel * np.array([2, 3, 5, 7, 9]),
        geometry.height_deg * np.linspace(-0.3, 0.3, 7),
        geometry.width_deg * np.linspace(-0.3, 0.3, 13),
        90.0 * np.arange(4),
    ).T
    return np.column_stack([x, y, lengths, angles, phases, sigmas, np.ones(len(x))])


def local_grid(x: float, y: float) -> NDArray[np.float64]:
    """Gabors within a quarter of a wavelength of a position."""
    lengths, angles, envelopes, dy, dx, phases = product(
        [8.0, 11.3, 16.0, 22.6, 32.0],
        180.0 * np.arange(8) / 8,
        [0.3, 0.5],
        [-0.25, 0.0, 0.25],
        [-0.25, 0.0, 0.25],
        90.0 * np.arange(4),
    ).T
    places = (x + dx * lengths, y + dy * lengths)
    aspects = np.full(len(dx), 1.3)
    return np.column_stack([*places, lengths, angles, phases, envelopes * lengths, aspects])


def one_by_one(
    models: list[NeuronModel], geometry: Geometry, mean: float, contrast: float, threads: int
) -> float:
    """Seconds per Gabor and neuron of rendering and predicting for each neuron separately."""
    grid = gabor_grid(Gabor(), geometry)
    part = torch.as_tensor(grid[:: len(grid) // PART][:PART], dtype=torch.float32)

    def whole(model: NeuronModel) -> None:
        with torch.no_grad():
            for some in part.split(BATCH):
                model.predict(render_gabors(some, geometry, mean, contrast).numpy())

    begin = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(whole, models))
    return (time.perf_counter() - begin) / len(part) / len(models)


def described(found: dict[str, list[GaborFit]], truth: Path, ids: list[str]) -> pd.DataFrame:
    """One row per search: means over neurons, relative to our refined Gabors."""
    best = np.array([fit.response for fit in found["ours"]])
    table = pd.DataFrame(
        {
            name: {
                "Gabors": fits[0].searched,
                "grid": np.mean([f.grid_response for f in fits] / best),
                "grid, lowest": np.min([f.grid_response for f in fits] / best),
                "refined": np.mean([f.response for f in fits] / best),
                "refined, lowest": np.min([f.response for f in fits] / best),
            }
            for name, fits in found.items()
        }
    ).T
    if truth.exists():
        neurons = pd.read_csv(truth, dtype={"neuron_id": str}).set_index("neuron_id").loc[ids]
        geometry = Geometry(*found["ours"][0].image.shape)
        filters = render_filters(neurons, geometry)
        drives = {
            name: true_drive(filters, np.stack([f.image.ravel() for f in fits]).astype(float))
            for name, fits in found.items()
        }
        own = {name: np.diag(drive) for name, drive in drives.items()}
        table["true drive"] = {n: np.mean(d / own["ours"]) for n, d in own.items()}
        table["true drive, lowest"] = {n: np.min(d / own["ours"]) for n, d in own.items()}
    return table


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "results" / "demo")
    parser.add_argument("--neurons", type=int, default=49)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results, threads = Layout(arguments.results), arguments.threads
    config = load_config(ROOT / "config.yaml")
    geometry = config.image.geometry
    mean, contrast = stimulus_targets(config, results)
    ids = fitted_neurons(results.fitted_neurons)
    archive = ModelArchive(results.models, geometry)
    models = [archive.model(neuron) for neuron in ids]
    many = (models * -(-arguments.neurons // len(models)))[: arguments.neurons]

    def search(
        who: list[NeuronModel], options: Gabor, grid: NDArray | None = None
    ) -> list[GaborFit]:
        with redirect_stderr(StringIO()):
            return best_gabors(who, geometry, mean, contrast, options, threads, grid)

    begin = time.perf_counter()
    fits = search(many, config.gabor.model_copy(update={"refine_steps": 0}))
    seconds = time.perf_counter() - begin
    each = one_by_one(models, geometry, mean, contrast, threads)
    alone = each * fits[0].searched * len(many)
    print(
        f"{fits[0].searched:,} Gabors x {len(many)} neurons, {threads} threads: {seconds:.0f} s; "
        f"neuron by neuron {alone:.0f} s ({alone / seconds:.1f} times as long)",
        flush=True,
    )
    begin = time.perf_counter()
    found = {"ours": search(models, config.gabor)}
    print(f"{len(models)} neurons with refinement: {time.perf_counter() - begin:.0f} s", flush=True)
    found["all shapes everywhere"] = search(
        models, config.gabor, gabor_grid(config.gabor, geometry)
    )
    found["Walker et al."] = search(models, config.gabor, walkers_grid(geometry))
    found["around the RF position"] = [
        search([model], config.gabor, local_grid(model.x, model.y))[0] for model in models
    ]
    print(described(found, results.truth, ids).round(3).to_string())


if __name__ == "__main__":
    main()

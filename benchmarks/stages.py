"""Cost of a finished run, stage by stage, compared with the notebook's implementation.

``python -m benchmarks.stages --results results/full`` reads the cost of every job of a finished run
of a session file (``results/{id}/benchmarks``), runs part of each stage as the notebook did, on the
same data and machine, and extrapolates. For the notebook CPU seconds are counted; for our jobs wall
time times the cores they could use (``--cores`` of that run), which is at least their CPU time:
Snakemake misses the last CPU seconds of a job. The notebook's implementation:

counting      AllenSDK's list of spikes by presentation, grouped (all measured)
oracle        masks over the long table, 50 repetitions (1 repetition of 2 neurons measured)
raster order  the package rastermap with the notebook's settings (all measured)
training      one convolutional network per neuron and fold, and for the control (1 measured)
MEI           1000 steps of its ascent on that network, neuron by neuron (``--steps`` measured)
Gabor search  our Gabors, rendered and shown to that network, neuron by neuron (512 measured)

Two totals are given: with the notebook's single training per neuron, which gives no score on
held-out images and no control, and with the training that gives the same scores as our fit. About
ten minutes.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from benchmarks.selection_speed import notebook_oracle, single_neurons
from snakemake.utils import update_config

from meiflow.combined.gather import costs
from meiflow.config.config import load_config, parse_config
from meiflow.config.sections import Config
from meiflow.models.jobs import Jobs
from meiflow.models.network import NeuronModel
from meiflow.models.network_fitter import NetworkFitter
from meiflow.progress import log_to_stderr
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons
from meiflow.results.tables import read_raster, read_responses, read_trials
from meiflow.selection.raster import raster_order
from meiflow.selection.reliability import TrialGroups, oracle_correlation
from meiflow.session.recording import read_session
from meiflow.session.sdk import ecephys_project
from meiflow.stages.combine import timings
from meiflow.stages.common import stimulus_targets
from meiflow.stimuli.gabor_search import gabor_grid, render_gabors
from meiflow.stimuli.published import notebook_mei
from meiflow.tables.counts import count_spikes

ROOT = Path(__file__).resolve().parents[1]
REPETITIONS, STEPS, GABORS, ORACLES = 50, 1000, 512, 2
# Jobs that use all cores, up to eight.
THREADED = ("fit_models", "learning_curve", "gabor_search")


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of `work`, and its result."""
    start = time.process_time()
    with redirect_stderr(StringIO()):
        result = work()
    return time.process_time() - start, result


def counting(nwb: Path, areas: tuple[str, ...] | None, quality: Any) -> tuple[float, float]:
    """CPU seconds of meiflow and AllenSDK for the natural scenes, with the session already open."""
    session = read_session(nwb, areas, quality)
    onset = session.scenes["start_time"].to_numpy()
    ours, _ = cpu(lambda: count_spikes(session.spike_times, onset, onset + 0.25))
    ecephys_project()
    sdk = importlib.import_module("allensdk.brain_observatory.ecephys.ecephys_session")
    theirs_session = sdk.EcephysSession.from_nwb_path(str(nwb))
    shown = theirs_session.get_stimulus_table("natural_scenes").index.to_numpy()
    units = theirs_session.units.index.to_numpy()

    def listed() -> None:
        spikes = theirs_session.presentationwise_spike_times(shown, units)
        spikes = spikes[spikes["time_since_stimulus_presentation_onset"] <= 0.25]
        spikes.groupby(["stimulus_presentation_id", "unit_id"]).size()

    return ours, cpu(listed)[0]


Row = tuple[str, float, float, str]


def before_models(config: Config, results: Layout) -> list[Row]:
    """Counting, oracle and raster order: our seconds, the notebook's, and its measured part."""
    session = config.session
    counted = counting(results.session_file, session.areas, session.quality)
    rows: list[Row] = [("counting", *counted, "all")]
    trials = read_trials(results).of_images()
    long = pd.read_csv(results.trials)  # ids as numbers, as the notebook had them: faster
    long = long[(long["image_id"] >= 0) & (long["spike_count"] > 0)]
    mine, _ = cpu(lambda: oracle_correlation(trials.counts, TrialGroups.of(trials.image_ids)))
    asked: list[Any] = long["neuron_id"].unique()[:ORACLES].tolist()
    theirs, _ = cpu(lambda: [notebook_oracle(long, one) for one in asked])
    theirs *= len(trials.neuron_ids) * REPETITIONS / ORACLES
    rows.append(("oracle", mine, theirs, f"{ORACLES} neurons, 1 of {REPETITIONS} repetitions"))
    counts = read_raster(results).counts
    mine, _ = cpu(lambda: raster_order(counts))
    theirs, _ = cpu(lambda: single_neurons(counts))
    rows.append(("raster order", mine, theirs, "all"))
    return rows


def of_models(
    config: Config, results: Layout, ours: pd.DataFrame, modelled: list[str], steps: int
) -> tuple[list[Row], float]:
    """Rows for training, MEI and Gabor search, and the seconds of one training."""
    geometry = config.image.geometry
    responses = read_responses(results, geometry)
    images, everyone = responses.images, len(responses.neuron_ids)
    one = Jobs(
        responses.means[:, [responses.column(modelled[0])]].T,
        np.ones((1, len(images)), bool),
        np.zeros(1),
        np.zeros(1),
        np.zeros((1, 1, 5)),
    )
    network = load_config(ROOT / "workflow" / "presets" / "notebook_network.yaml").model.network
    fitter = NetworkFitter(images, np.ones(len(images)), geometry, network, 0, "scratch", None)
    training, fits = cpu(lambda: fitter(one))
    trainings = everyone * 2 * (config.model.folds + 1)
    part = f"1 network of {trainings}"
    rows: list[Row] = [("training and scores", ours["fit_models"], training * trainings, part)]

    model = NeuronModel(geometry, 0.0, 0.0, fits.states, [1.0]).eval()
    theirs, _ = cpu(lambda: notebook_mei(model, geometry, images, 0, steps))
    theirs *= len(modelled) * STEPS / steps
    part = f"1 neuron of {len(modelled)}, {steps} of {STEPS} steps"
    rows.append(("MEI", ours["stimuli"], theirs, part))

    grid = gabor_grid(config.gabor, geometry)
    few = torch.as_tensor(grid[:: len(grid) // GABORS][:GABORS], dtype=torch.float32)
    mean, contrast = stimulus_targets(config, results)

    def shown() -> None:
        for some in few.split(64):
            model.predict(render_gabors(some, geometry, mean, contrast).numpy())

    theirs = cpu(shown)[0] * len(modelled) * len(grid) / len(few)
    part = f"1 neuron of {len(modelled)}, {len(few)} of {len(grid):,} Gabors"
    rows.append(("Gabor search", ours["gabor_search"], theirs, part))
    return rows, training


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--config", nargs="*", default=[], help="further configuration files")
    parser.add_argument("--cores", type=int, default=2, help="of that run")
    parser.add_argument("--steps", type=int, default=100, help="of the MEI, measured")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = Layout(arguments.results)
    document = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name in arguments.config:
        update_config(document, yaml.safe_load(Path(name).read_text()))
    config = parse_config(document)
    timed = timings(results.root.parent, [results.root.name])
    jobs = costs(timed).drop(columns="session_id").set_index("stage")
    jobs = jobs.sort_values("cpu_seconds", ascending=False)
    print(jobs.round(1).to_string(), "\n")
    ours = jobs["seconds"].where(~jobs.index.isin(THREADED), jobs["seconds"] * arguments.cores)
    modelled = fitted_neurons(results.fitted_neurons)
    rows, training = of_models(config, results, ours, modelled, arguments.steps)
    rows = before_models(config, results) + rows
    table = pd.DataFrame(rows, columns=["stage", "meiflow_s", "notebook_s", "measured"])
    table["ratio"] = table["notebook_s"] / table["meiflow_s"]
    print(table.to_string(index=False, float_format=lambda v: f"{v:,.3g}"))

    recorded = [rule for rule in ("simulate", "download") if rule in jobs.index]
    whole, stages = float(ours.drop(index=recorded).sum()), table["meiflow_s"].sum()
    everyone = len(read_trials(results).neuron_ids)
    same = float(table["notebook_s"].sum())
    once = same - training * everyone * (2 * (config.model.folds + 1) - 1)
    print(
        f"\nmeiflow, tables to report: {whole:,.0f} core seconds, of which {stages:,.0f} s "
        f"for these stages; {everyone} units, {len(modelled)} fitted."
    )
    for what, theirs in (
        ("with held-out scores and a shuffled control, like ours", same),
        ("with one training per neuron and no such score", once),
    ):
        print(
            f"The notebook {what}: {theirs / 3600:.1f} h = {theirs / stages:.0f} times our time "
            f"for these stages, {theirs / whole:.0f} times that of the whole workflow."
        )


if __name__ == "__main__":
    main()

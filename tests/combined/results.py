"""Results folders of several finished sessions, made without any model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.images.geometry import Geometry
from meiflow.images.patterns import gabor
from meiflow.io.files import write_array, write_csv, write_text
from meiflow.results.layout import Layout

GRID = Geometry(30, 48)
BENCHMARK = (
    "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    "{seconds}\t0:00:02\t{memory}\t1\t1\t1\t0\t0\t50.00\t{cpu}\n"
)


def session_results(
    folder: Path,
    modelled: dict[str, str],
    seed: int = 0,
    failed: int = 0,
    unselected: int = 2,
    trusted: float = 0.5,
) -> Layout:
    """Fill the results folder of one session.

    Parameters
    ----------
    folder : path
    modelled : dict of str to str
        Area by neuron id.
    seed : int
    failed, unselected : int
        Number of further neurons whose fit failed, and of those that are not selected.
    trusted : float
        Fraction of the fitted neurons that are trusted.
    """
    rng, results = np.random.default_rng(seed), Layout(folder)
    others = [f"x{i}" for i in range(failed + unselected)]
    neurons = [*modelled, *others]
    kinds = ["modelled"] * len(modelled) + ["fit failed"] * failed + ["not selected"] * unselected
    why = {"modelled": "all conditions hold", "fit failed": "the fit of ln failed"}
    reasons = [why.get(kind, "oracle_p > 0.01") for kind in kinds]
    table = pd.DataFrame({"neuron_id": neurons, "status": kinds, "reason": reasons})
    chosen = table.assign(selected=table["status"] != "not selected").drop(columns="status")
    write_csv(chosen, results.selection)
    status = table.assign(selected=table["status"] == "modelled")
    write_csv(status, results.fitted_neurons)
    areas = [modelled.get(n, next(iter(modelled.values()), "VISp")) for n in neurons]
    units = pd.DataFrame({"neuron_id": neurons, "area": areas})
    write_csv(units, results.units)
    for name, seconds, memory, cpu in (
        ("fit_models", 2.5, 300.0, 4.0),
        ("neurons/a/stimuli", 0.5, 90.0, 0.25),
        ("neurons/b/stimuli", 0.5, "-", "NA"),  # too short to be measured
    ):
        text = BENCHMARK.format(seconds=seconds, memory=memory, cpu=cpu)
        write_text(text, results.timings / f"{name}.tsv")
    if modelled:
        summary = _summary(list(modelled), trusted, rng).assign(area=list(modelled.values()))
        summary["spiking"] = np.where(np.arange(len(modelled)) % 3, "regular", "fast")
        write_csv(summary, results.summary)
        for i, neuron in enumerate(modelled):
            wave = gabor(GRID, 5.0 * (i % 9) - 20, 5.0, 15.0, 40.0 * i, 0.0, 6.0, 0.6)
            image = 0.5 + 0.3 * np.asarray(wave)
            write_array(image, results.neuron(neuron).mei)
    return results


def _summary(neurons: list[str], trusted: float, rng: np.random.Generator) -> pd.DataFrame:
    n = len(neurons)
    score = np.clip(rng.normal(0.65 + rng.normal(0, 0.06), 0.18, n), -0.2, 1.1)
    believed = rng.permutation(n) < round(trusted * n)
    over = rng.normal(0, 0.08, n)
    columns = {
        "neuron_id": neurons,
        "oracle": np.clip(score * 0.6, -1, 1),
        "cc_norm_model": score,
        "cc_norm_v1": score - 0.05,
        "cc_norm_ln": score - 0.2,
        "cc_norm_pixel_ridge": score - 0.4,
        "cc_norm_model_shuffled": rng.normal(0, 0.08, n),
        "model_above_chance": score > 0.3,
        "trusted": believed,
        "expected_fraction": np.where(believed, 0.9, 0.4) + rng.uniform(0, 0.05, n),
        "trust_reason": np.where(believed, "", "expected to reach 0.40 of the maximal drive"),
        "mei_response": rng.uniform(2, 6, n),
        "mei_orientation_deg": rng.uniform(0, 180, n),
        "mei_peak_frequency_cpd": np.exp(rng.normal(-3 + rng.normal(0, 0.1), 0.4, n)),
        "mei_x_deg": rng.normal(0, 15, n),
        "mei_y_deg": rng.normal(5, 12, n),
        "mei_size_deg": np.exp(rng.normal(3.1 + rng.normal(0, 0.08), 0.3, n)),
        "mei_symmetry_1": rng.uniform(0, 1, n),
        "mei_gabor_r2": np.clip(rng.normal(0.8, 0.1, n), 0, 1),
        "mei_over_best_gabor": 1 + np.abs(over),
        "mei_over_windowed_natural": 1.3 + 2 * np.abs(over),
    }
    return pd.DataFrame(columns)

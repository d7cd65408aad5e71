"""Accuracy of experiments on fitted models, compared with the true neurons.

``python -m benchmarks.experiments_on_truth`` simulates a session with more neurons than the
default one, fits their models, searches their best Gabors, runs the experiments and compares the
results with the ground truth: cell type, orientation (within 10 degrees) and spatial frequency
(within 20 %) of Gabor-like neurons, and the RF position. ``--results results/demo`` compares a
finished run instead. About six minutes on two cores for 48 neurons.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from benchmarks.sessions import default_document, fitted_session

from meiflow.progress import log_to_stderr
from meiflow.results.layout import Layout
from meiflow.simulation.truth import GABOR_KINDS
from meiflow.stages.experiments import run_population


def session(units: int, seed: int, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """summary.csv and truth.csv of a simulated session."""
    document = default_document(seed)
    document["session"]["simulation"]["units"] = {"VISam": units}
    document["mei"] |= {"restarts": 1, "steps": 10}  # the best Gabor is what matters here
    made = fitted_session(document, folder)
    summary = run_population(made.config, made.results, made.neurons).summary
    return summary, pd.read_csv(made.results.truth, dtype={"neuron_id": str})


def compared(summary: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """Errors for every neuron; empty where the true neuron has no such property."""
    both = summary.merge(truth, on="neuron_id")
    gabor = both["kind"].isin(GABOR_KINDS)
    true_type = np.where(both["kind"].str.startswith("complex"), "complex", "simple")
    away = (both["preferred_orientation_deg"] - both["orientation_deg"] + 90) % 180 - 90
    ratio = both["preferred_frequency_cpd"] * both["wavelength_deg"]
    far = np.hypot(both["field_x_deg"] - both["x_deg"], both["field_y_deg"] - both["y_deg"])
    return pd.DataFrame(
        {
            "kind": both["kind"],
            "type_correct": (both["cell_type"] == true_type).astype(float),
            "type_correct_with_grey": (
                (both["f1_f0_with_grey"] > 1) == (true_type == "simple")
            ).astype(float),
            "orientation_error": away.abs().where(gabor),
            "orientation_correct": (away.abs() < 10).astype(float).where(gabor),
            "frequency_ratio": ratio.where(gabor),
            "frequency_correct": ratio.between(1 / 1.2, 1.2).astype(float).where(gabor),
            "field_error_deg": far,
        }
    )


@log_to_stderr()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=48)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, help="of a finished session")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.results:
        results = Layout(arguments.results)
        summary, truth = (
            pd.read_csv(path, dtype={"neuron_id": str})
            for path in (results.experiment_summary, results.truth)
        )
    else:
        with tempfile.TemporaryDirectory() as folder:
            summary, truth = session(arguments.units, arguments.seed, Path(folder))
    table = compared(summary, truth)
    print(f"{len(table)} neurons selected")
    means = table.groupby("kind", sort=False).mean()
    means.loc["all"] = table.drop(columns="kind").mean()
    print(means.round(3).to_string())
    worst = table[["orientation_error", "field_error_deg"]].max().round(2).to_dict()
    print(f"largest errors: {worst}")


if __name__ == "__main__":
    main()

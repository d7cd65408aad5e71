"""Coverage of the intervals of response ratios.

``python -m benchmarks.ratio_coverage results/demo`` reads a finished simulated session and
compares mei_ratio of every neuron and stimulus with the ratio of the true neurons' counts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from meiflow.config.config import load_config
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons

ROOT = Path(__file__).resolve().parents[1]


def true_counts(results: Layout) -> pd.Series:
    """Expected counts of the true neurons, by neuron and stimulus.

    Until the latency of the response, a neuron fires at its baseline.
    """
    session = load_config(ROOT / "config.yaml").session
    window = (session.window_s[1] or 0.25) - session.window_s[0]
    loop = pd.read_csv(results.closed_loop, dtype={"neuron_id": str})
    truth = pd.read_csv(results.truth, dtype={"neuron_id": str})
    baseline = loop["neuron_id"].map(truth.set_index("neuron_id")["baseline_hz"])
    driven = window - session.simulation.latency_s
    counts = loop["true_drive"] * driven + baseline * window
    counts.index = pd.MultiIndex.from_frame(loop[["neuron_id", "stimulus"]])
    return counts


def main() -> None:
    """Print how many intervals contain the true ratio."""
    results = Layout(sys.argv[1])
    counts = true_counts(results)
    rows = []
    for neuron in fitted_neurons(results.fitted_neurons):
        table = pd.read_csv(results.neuron(neuron).comparison)
        for _, row in table[table["stimulus"] != "mei"].iterrows():
            true = counts[neuron, "mei"] / counts[neuron, row["stimulus"]]
            covered = row["mei_ratio_low"] <= true <= row["mei_ratio_high"]
            rows.append((row["stimulus"], covered, row["mei_ratio"] / true))
    found = pd.DataFrame(rows, columns=["stimulus", "covered", "over_true"])
    grouped = found.groupby("stimulus")
    table = (
        grouped["covered"]
        .agg(["sum", "size"])
        .join(grouped["over_true"].agg(["min", "mean", "max"]))
    )
    print("95 % intervals that contain the true ratio, and the estimate divided by the true ratio")
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()

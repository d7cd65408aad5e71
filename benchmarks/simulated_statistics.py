"""Responses of a simulated session beside those of a recorded one.

    python -m benchmarks.simulated_statistics UNITS [--units 135] [--figure FILE]

UNITS is a CSV of units with Allen's released metrics, such as the units of session 798911424 in
the warehouse (``ecephys_structure_acronym`` and the columns below). Those in VISam that pass the
filters are compared with the units in VISam of a simulated session with 118 images and 50 trials.
Quantiles are printed for rate, Fano factor, lifetime sparseness and image selectivity during
natural scenes; the figure shows the cumulative distributions.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.config import parse_config
from meiflow.io.files import read_csv
from meiflow.progress import log_to_stderr
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.stages.selection import select
from meiflow.stages.simulate import simulate
from meiflow.stages.tables import build_tables

# Released column -> column of selection/neurons.csv, label.
MEASURES = {
    "firing_rate_ns": ("mean_rate_hz", "rate (Hz)"),
    "fano_ns": ("fano_factor", "Fano factor"),
    "lifetime_sparseness_ns": ("lifetime_sparseness", "lifetime sparseness"),
    "image_selectivity_ns": ("image_selectivity", "image selectivity"),
}
QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9]


def recorded_units(path: Path) -> pd.DataFrame:
    """Units in VISam that pass AllenSDK's default filters."""
    table = pd.read_csv(path)
    passing = (
        (table["ecephys_structure_acronym"] == "VISam")
        & (table["isi_violations"] <= 0.5)
        & (table["amplitude_cutoff"] <= 0.1)
        & (table["presence_ratio"] >= 0.95)
    )
    return table[passing]


def simulated_units(statistics: str, units: int, seed: int) -> pd.DataFrame:
    """Measures of the units of a simulated session."""
    sizes = {
        "units": {"VISam": units}, "statistics": statistics, "failing_fraction": 0.0,
        "repeats": 50, "gabor_repeats": 0, "grating_repeats": 0,
    }  # fmt: skip
    document = {"seed": seed, "session": {"simulation": sizes}}
    config = parse_config(document)
    with tempfile.TemporaryDirectory() as folder:
        results = Layout(folder)
        simulate(config, results)
        build_tables(config, results, results.scenes, results.session_file)
        select(config, results, SessionHas(spike_times=True), allow_empty=True)
        return read_csv(results.selection)


def draw(samples: dict[str, dict[str, NDArray]], path: Path) -> None:
    """Cumulative distributions of every measure."""
    figure, axes = plt.subplots(1, len(MEASURES), figsize=(11, 2.8), layout="tight")
    colours = {"recorded": "black", "simulated": "#c1440e", "ideal": "#8aa0b8"}
    for axis, (name, (_, label)) in zip(axes, MEASURES.items(), strict=True):
        for source, values in samples.items():
            x = np.sort(values[name])
            axis.step(x, np.arange(1, len(x) + 1) / len(x), label=source, color=colours[source])
        if name in ("firing_rate_ns", "fano_ns"):
            axis.set_xscale("log")
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("fraction of units")
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=150)


@log_to_stderr()
def main() -> None:
    """Print the quantiles, and draw the figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("recorded", type=Path, metavar="UNITS")
    parser.add_argument("--units", type=int, default=135)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path)
    options = parser.parse_args()
    known = recorded_units(options.recorded)
    tables = {
        "simulated": simulated_units("recorded", options.units, options.seed),
        "ideal": simulated_units("ideal", options.units, options.seed),
    }
    samples = {"recorded": {name: known[name].dropna().to_numpy() for name in MEASURES}}
    for source, table in tables.items():
        samples[source] = {
            name: table[own].dropna().to_numpy() for name, (own, _) in MEASURES.items()
        }
    rows = [
        {"measure": label, "units": source} | dict(
            zip(QUANTILES, np.quantile(values[name], QUANTILES), strict=True)
        )
        for name, (_, label) in MEASURES.items()
        for source, values in samples.items()
    ]  # fmt: skip
    print(pd.DataFrame(rows).round(3).to_string(index=False))
    for source, table in tables.items():
        oracle = np.quantile(table["oracle"], [*QUANTILES, 1.0])
        print(f"oracle, {source}: {oracle.round(2)}")
    if options.figure:
        draw(samples, options.figure)


if __name__ == "__main__":
    main()

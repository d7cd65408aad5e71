"""The figure of one neuron's experiments, from the files of the stage; no model is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.errors import MeiflowError, shorten
from meiflow.experiments.measures import MAPS, SUMMARY_COLUMNS
from meiflow.figures.experiments import neuron_figure
from meiflow.figures.style import save_both
from meiflow.io.files import read_arrays, read_csv


def untidy(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The experiments of one neuron, each with its own parameters alone."""
    return {
        str(name): part.drop(columns=["neuron_id", "experiment"]).dropna(axis=1, how="all")
        for name, part in table.groupby("experiment", sort=False)
    }


def draw_neuron(folder: Path, neuron: str, output: Path) -> None:
    """Draw experiments.png and .svg of one neuron from the files of the stage.

    Raises
    ------
    MeiflowError
        If the neuron is not there.
    """
    summary = read_csv(folder / "summary.csv", ("neuron_id", *SUMMARY_COLUMNS))
    found = summary[summary["neuron_id"] == neuron]
    if len(found) != 1:
        raise MeiflowError(
            f"{folder / 'summary.csv'}: no neuron {neuron}; there are "
            f"{shorten(summary['neuron_id'])}"
        )
    table = read_csv(folder / "tuning.csv", ("neuron_id", "experiment", "response"))
    arrays = read_arrays(folder / "maps.npz")
    row = int(np.flatnonzero(arrays["neuron_id"] == neuron)[0])
    fields = {
        name: pd.DataFrame(arrays[name][row], arrays["y_deg"], arrays["x_deg"])
        for name in MAPS
        if name in arrays
    }
    figure = neuron_figure(untidy(table[table["neuron_id"] == neuron]), fields, found.iloc[0])
    save_both(figure, output, "experiments")

"""Draw the experiments of a neuron from the results of the experiments stage."""

from __future__ import annotations

import numpy as np
import pandas as pd

from meiflow.errors import MeiflowError, shorten
from meiflow.experiments.measures import MAPS, SUMMARY_COLUMNS
from meiflow.figures.experiments import neuron_figure
from meiflow.figures.style import save_both
from meiflow.io.files import read_arrays, read_csv
from meiflow.results.layout import Layout
from meiflow.results.tables import read_stack_info


def untidy(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Split a neuron's table by experiment, keeping only the parameters of each."""
    return {
        str(name): part.drop(columns=["neuron_id", "experiment"]).dropna(axis=1, how="all")
        for name, part in table.groupby("experiment", sort=False)
    }


def draw_neuron(results: Layout, neuron: str) -> None:
    """Draw the experiments on a neuron's model.

    Raises
    ------
    MeiflowError
        If there is no such neuron.
    """
    summary = read_csv(results.experiment_summary, ("neuron_id", *SUMMARY_COLUMNS))
    found = summary[summary["neuron_id"] == neuron]
    if len(found) != 1:
        raise MeiflowError(
            f"{results.experiment_summary}: no neuron {neuron}; available: "
            f"{shorten(summary['neuron_id'])}"
        )
    table = read_csv(results.experiment_tuning, ("neuron_id", "experiment", "response"))
    arrays = read_arrays(results.experiment_maps)
    row = int(np.flatnonzero(arrays["neuron_id"] == neuron)[0])
    fields = {
        name: pd.DataFrame(arrays[name][row], arrays["y_deg"], arrays["x_deg"])
        for name in MAPS
        if name in arrays
    }
    figure = neuron_figure(untidy(table[table["neuron_id"] == neuron]), fields, found.iloc[0])
    response = read_stack_info(results).response
    save_both(figure, results.neuron(neuron).root, "experiments", response)

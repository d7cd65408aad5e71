"""The stage that lists the selected neurons whose fit succeeded."""

from __future__ import annotations

from meiflow.io.files import read_csv, write_csv
from meiflow.models.outcome import fitted_table
from meiflow.results.layout import Layout
from meiflow.selection.rule import require_somebody


def take_fitted(results: Layout, allow_empty: bool = False) -> None:
    """Write which neurons are selected and have a model, and why others have none.

    Parameters
    ----------
    results : Layout
    allow_empty : bool
        Do not raise an error if no neuron is left, as in one of many sessions.

    Raises
    ------
    MeiflowError
        If no neuron is left, with the reasons and the number of neurons excluded by each.
    """
    table = fitted_table(
        read_csv(results.selection, ("neuron_id", "selected", "reason")),
        read_csv(results.fit_status, ("neuron_id", "fitted", "reason")),
    )
    if not allow_empty:
        require_somebody(table)
    write_csv(table, results.fitted_neurons)

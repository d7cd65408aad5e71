"""Commands of validation on recorded data."""

from __future__ import annotations

from collections.abc import Callable

import typer

from meiflow.cli_options import ConfigOption, OutputOption, ResultsOption, TablesOption
from meiflow.config import load_config


def register(app: typer.Typer, prepare: Callable[[], None]) -> None:
    """Add the command; it calls `prepare` first."""

    @app.command()
    def recorded(
        config: ConfigOption,
        tables: TablesOption,
        results: ResultsOption,
        output: OutputOption,
    ) -> None:
        """Predict the recorded Gabor and grating tuning, and compare."""
        prepare()
        from meiflow.figures.recorded import recorded_overview
        from meiflow.figures.style import save_both
        from meiflow.selection.select import selected_neurons
        from meiflow.validation.predict import compare_recorded

        neurons = selected_neurons(results / "selection" / "neurons.csv")
        folders = {neuron: results / "neurons" / neuron for neuron in neurons}
        found = compare_recorded(load_config(config), tables, folders, output)
        save_both(recorded_overview(*found), output, "recorded")

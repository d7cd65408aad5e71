"""Commands of the experiments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from meiflow.cli.options import (
    ConfigOption,
    NeuronOption,
    NeuronsOption,
    OutputOption,
    ResultsOption,
)
from meiflow.config.config import load_config


def register(app: typer.Typer, prepare: Callable[[], None]) -> None:
    """Add the commands; those that use models call `prepare` first."""

    @app.command()
    def experiments(
        config: ConfigOption,
        results: ResultsOption,
        output: OutputOption,
        neuron: NeuronsOption = None,
    ) -> None:
        """Tuning curves, maps and their measures, of every neuron's model."""
        prepare()
        from meiflow.selection.select import require_selected, selected_neurons
        from meiflow.stages.experiments import make_experiments

        table = results / "models" / "neurons.csv"
        for one in neuron or ():
            require_selected(table, one)
        neurons = neuron or selected_neurons(table)
        folders = {one: results / "neurons" / one for one in neurons}
        make_experiments(load_config(config), folders, output)

    @app.command("draw-experiments")
    def draw_experiments(
        experiments: Annotated[Path, typer.Option("--experiments", help="folder of that stage")],
        neuron: NeuronOption,
        output: OutputOption,
    ) -> None:
        """Draw the experiments on one neuron's model."""
        from meiflow.stages.experiment_figures import draw_neuron

        draw_neuron(experiments, neuron, output)

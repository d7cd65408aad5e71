"""Commands of validation: closed loop, trust, recorded data, and the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from meiflow.cli.options import (
    ConfigOption,
    GaborsOption,
    OutputOption,
    ResultsOption,
    TablesOption,
    ThreadsOption,
)
from meiflow.config.config import load_config


def register(app: typer.Typer, prepare: Callable[[], None]) -> None:
    """Add the commands; they call `prepare` first."""

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
        from meiflow.stages.recorded import compare_recorded

        neurons = selected_neurons(results / "models" / "neurons.csv")
        folders = {neuron: results / "neurons" / neuron for neuron in neurons}
        found = compare_recorded(load_config(config), tables, folders, output)
        save_both(recorded_overview(*found), output, "recorded")

    @app.command("closed-loop")
    def closed_loop(
        config: ConfigOption,
        tables: TablesOption,
        truth: Annotated[Path, typer.Option(help="truth of the simulated session")],
        results: ResultsOption,
        output: OutputOption,
        gabors: GaborsOption = True,
    ) -> None:
        """Show the stimuli to the simulated neurons: the closed loop."""
        prepare()
        from meiflow.selection.select import selected_neurons
        from meiflow.tables.stack import read_stack
        from meiflow.validation.closed_loop import close_loop

        neurons = selected_neurons(results / "models" / "neurons.csv")
        folders = {neuron: results / "neurons" / neuron for neuron in neurons}
        parsed = load_config(config)
        images = read_stack(tables, parsed.image.geometry)[1]
        close_loop(parsed, truth, images, folders, gabors, output, results / "stimuli")

    @app.command()
    def trust(
        config: ConfigOption, tables: TablesOption, results: ResultsOption, output: OutputOption
    ) -> None:
        """Judge, without any truth, how far each neuron's MEI can be believed."""
        prepare()
        from meiflow.selection.select import selected_neurons
        from meiflow.tables.stack import read_stack
        from meiflow.validation.trust import judge_neurons

        neurons = selected_neurons(results / "models" / "neurons.csv")
        folders = {neuron: results / "neurons" / neuron for neuron in neurons}
        parsed = load_config(config)
        judge_neurons(parsed, read_stack(tables, parsed.image.geometry)[1], folders, output)

    @app.command()
    def validate(
        output: Annotated[
            Path, typer.Option("--output", help="folder; what is done there is kept")
        ] = Path("results/benchmark"),
        quick: Annotated[
            bool, typer.Option("--quick", help="one cell, compared with the published one")
        ] = False,
        threads: ThreadsOption = 2,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", "-n", help="list the recordings, run nothing")
        ] = False,
    ) -> None:
        """Run the closed-loop benchmark on simulated neurons: table, figure, calibration."""
        if dry_run:
            from meiflow.benchmark.run import listed

            print(listed(output, quick))
            return
        prepare()
        from meiflow.benchmark.publish import run_full, run_quick

        (run_quick if quick else run_full)(output, threads)

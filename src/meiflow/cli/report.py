"""Commands of the report: the page, and the hashes of what it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meiflow.cli.options import (
    ClosedLoopOption,
    ConfigOption,
    OutputOption,
    RecordedOption,
    ResultsOption,
)
from meiflow.config.config import load_config


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""

    @app.command()
    def provenance(
        inputs: Annotated[list[Path], typer.Argument(help="files, or folders of files")],
        output: OutputOption,
    ) -> None:
        """Write the SHA-256 of every input as JSON."""
        from meiflow.report.provenance import write_provenance

        write_provenance(inputs, output)

    @app.command()
    def report(
        config: ConfigOption,
        results: ResultsOption,
        figures: Annotated[Path, typer.Option(help="folder for the figures")],
        output: OutputOption,
        closed_loop: ClosedLoopOption = None,
        recorded: RecordedOption = False,
    ) -> None:
        """Write the figures and the HTML report."""
        from meiflow.report.page import write_report

        write_report(load_config(config), results, closed_loop, recorded, figures, output)

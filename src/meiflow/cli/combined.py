"""Command of many sessions: what they say together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meiflow.cli.options import ConfigOption, OutputOption
from meiflow.config.config import load_config


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def combine(
        config: ConfigOption,
        output: OutputOption = Path("results/combined"),
        results: Annotated[
            Path, typer.Option(help="folder of the sessions' results folders")
        ] = Path("results"),
        warehouse: Annotated[
            Path | None, typer.Option(help="the choice among the warehouse's sessions")
        ] = None,
    ) -> None:
        """Put all sessions together: tables, figures and one page."""
        from meiflow.report.combined_page import combine_sessions

        combine_sessions(load_config(config), results, warehouse, output)

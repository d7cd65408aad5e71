"""Commands about session files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from meiflow.cli.options import ConfigOption
from meiflow.config.config import load_config

session_app = typer.Typer(help="Look at a session file.", no_args_is_help=True)


@session_app.callback()
def _session() -> None:
    """Look at a session file."""


@session_app.command()
def info(
    source: Annotated[str, typer.Argument(help="session file, NWB-Zarr folder, or http address")],
    config: ConfigOption = "{}",
) -> None:
    """Print what a session file holds, what can be run on it, and what is missing.

    Of a file at an address only the tables are read, by HTTP ranges.
    """
    from meiflow.session.info import describe_session
    from meiflow.session.ranges import connect

    session = load_config(config).session
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(source)
        if source.startswith(("http://", "https://")):
            path = Path(scratch) / (
                source.partition("?")[0].rstrip("/").rpartition("/")[2] or "file"
            )
            connect(source, path)
        for line in describe_session(path, session.quality, session.columns):
            print(line)

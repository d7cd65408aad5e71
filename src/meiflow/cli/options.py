"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meiflow.errors import MeiflowError
from meiflow.io.paths import is_name

ConfigOption = Annotated[
    str, typer.Option("--config", help="YAML file, or JSON text: whole or only the sections used")
]
ResultsOption = Annotated[Path, typer.Option("--results", help="results folder of the session")]


def _names(value: str | list[str] | None) -> str | list[str] | None:
    """A neuron's id names a folder of the results, and never another place."""
    for name in [value] if isinstance(value, str) else value or []:
        if not is_name(name):
            raise MeiflowError(
                f"--neuron {name[:80]!r}: invalid neuron id; tables/units.csv lists them"
            )
    return value


NeuronOption = Annotated[str, typer.Option("--neuron", callback=_names, help="neuron id")]
NeuronsOption = Annotated[
    list[str] | None,
    typer.Option("--neuron", callback=_names, help="neuron id; all fitted neurons if none"),
]
HasOption = Annotated[
    str | None,
    typer.Option(
        "--has",
        help="what the session has, separated by commas: spike_times, gabors, gratings, truth; "
        "none; found by its files if not given",
    ),
]
EmptyOption = Annotated[
    bool, typer.Option("--allow-empty", help="whether it is no error if no neuron is left")
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1)]
DataOption = Annotated[Path, typer.Option("--data", help="folder of downloads")]
ImagesOption = Annotated[Path, typer.Option("--images", help="folder of frames or .npy stack")]
NwbOption = Annotated[
    Path | None, typer.Option("--nwb", help="session file; none for source tables")
]
AnyAreaOption = Annotated[
    bool, typer.Option("--any-area", help="whether units of one of the areas are enough")
]
InputsArgument = Annotated[list[Path], typer.Argument(help="files, or folders of files")]

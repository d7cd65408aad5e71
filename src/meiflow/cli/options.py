"""Options shared by several commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from meiflow.errors import MeiflowError
from meiflow.io.paths import is_name

ConfigOption = Annotated[
    str, typer.Option("--config", help="YAML file or JSON text, complete or only the sections used")
]
ResultsOption = Annotated[Path, typer.Option("--results", help="results folder of the session")]


def _names(value: str | list[str] | None) -> str | list[str] | None:
    """Check that a neuron id is valid as the name of a results folder."""
    for name in [value] if isinstance(value, str) else value or []:
        if not is_name(name):
            raise MeiflowError(
                f"--neuron {name[:80]!r}: invalid neuron id; tables/units.csv lists all ids"
            )
    return value


NeuronOption = Annotated[str, typer.Option("--neuron", callback=_names, help="neuron id")]
NeuronsOption = Annotated[
    list[str] | None,
    typer.Option("--neuron", callback=_names, help="neuron id; by default all fitted neurons"),
]
HasOption = Annotated[
    str | None,
    typer.Option(
        "--has",
        help="features of the session, separated by commas: spike_times, gabors, gratings, movies, "
        "truth, drifting, flashes; "
        "or none; by default determined from its files",
    ),
]
EmptyOption = Annotated[
    bool, typer.Option("--allow-empty", help="do not fail if no neuron is left")
]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1)]
DataOption = Annotated[Path, typer.Option("--data", help="folder of downloads")]
ImagesOption = Annotated[
    Path | None,
    typer.Option("--images", help="folder of frames or .npy stack; omit without natural scenes"),
]
NwbOption = Annotated[
    Path | None, typer.Option("--nwb", help="session file; omit for source tables")
]
MoviesOption = Annotated[
    Path | None, typer.Option("--movies", help="folder with the frames of the natural movies")
]
AnyAreaOption = Annotated[
    bool, typer.Option("--any-area", help="accept sessions with units in only some of the areas")
]
InputsArgument = Annotated[list[Path], typer.Argument(help="files or folders of files")]

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
TablesOption = Annotated[Path, typer.Option("--tables", help="folder of the tables stage")]
ResultsOption = Annotated[Path, typer.Option("--results", help="results folder of the session")]


def _names(value: str | list[str] | None) -> str | list[str] | None:
    """A neuron's id names a folder of the results, and never another place."""
    for name in [value] if isinstance(value, str) else value or []:
        if not is_name(name):
            raise MeiflowError(
                f"--neuron {name[:80]!r}: no neuron can be called so; tables/units.csv lists them"
            )
    return value


NeuronOption = Annotated[str, typer.Option("--neuron", callback=_names, help="neuron id")]
NeuronsOption = Annotated[
    list[str] | None,
    typer.Option("--neuron", callback=_names, help="neuron id; all selected if none"),
]
ModelOption = Annotated[Path, typer.Option("--model", help="model.pt of the neuron")]
OutputOption = Annotated[Path, typer.Option("--output", help="file or folder to write")]
ClosedLoopOption = Annotated[
    Path | None, typer.Option(help="closed_loop.csv; none for a recorded session")
]
RecordedOption = Annotated[
    bool, typer.Option(help="whether recorded tuning was compared with the predicted")
]
GaborsOption = Annotated[bool, typer.Option(help="whether the session showed Gabors")]
NobodyOption = Annotated[bool, typer.Option(help="whether it may be that no neuron is left")]
ThreadsOption = Annotated[int, typer.Option("--threads", min=1)]

"""The command that draws figures of single neurons for a publication."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meiflow.errors import MeiflowError
from meiflow.io.paths import is_name

_EVERYTHING = "all"


class Format(StrEnum):
    """File formats of figures."""

    PDF = "pdf"
    SVG = "svg"
    PNG = "png"


def figure(
    neuron: Annotated[str | None, typer.Argument(help="neuron id, or all")] = None,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="figures; by default all")
    ] = None,
    results: Annotated[
        Path, typer.Option("--results", help="results, project or variant; by default those here")
    ] = Path(),
    kind: Annotated[
        Format | None, typer.Option("--format", help="by default that of --output, or pdf")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="file for one figure, or folder; by default neurons/ID/figures/"),
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="panels of the whole session, in figures/paper/")
    ] = False,
) -> None:
    """Draw figures of a neuron for a publication, at the width of a column or page.

    The figures: mei, transparent, rivals, responses, ascent, trials, reliability, prediction,
    scores, profiles, spectra, tuning, experiments. With --paper, the panels of the session, each
    with its letter, and all of them as one figure: meis, responses, trust, tuning.
    """
    from meiflow.cli.variants import results_of
    from meiflow.results.layout import Layout
    from meiflow.stages.neuron_figures import draw_figures

    if paper:
        _draw_paper(results, [*([neuron] if neuron else []), *(names or [])], kind, output)
        return
    if neuron is None:
        raise MeiflowError("figure: give a neuron id or all, or --paper for the whole session")
    if neuron != _EVERYTHING and not is_name(neuron):
        raise MeiflowError(f"{neuron[:80]!r}: invalid neuron id; tables/units.csv lists all ids")
    given = None if output is None else output.suffix.removeprefix(".")
    if output is not None and kind is not None and given in set(Format) - {kind}:
        raise MeiflowError(f"--output {output}: is not a {kind} file; change it or --format")
    suffix = kind or (Format(given) if given in set(Format) else Format.PDF)
    wanted = [name for name in names or () if name != _EVERYTHING]
    neurons = [] if neuron == _EVERYTHING else [neuron]
    for path in draw_figures(Layout(results_of(results)), neurons, wanted, suffix.value, output):
        print(path)


def _draw_paper(results: Path, names: list[str], kind: Format | None, output: Path | None) -> None:
    from meiflow.benchmark.calibrate import kept_back
    from meiflow.cli.variants import results_of
    from meiflow.results.layout import Layout
    from meiflow.stages.paper_figures import draw_paper

    if output is not None and output.suffix.removeprefix(".") in set(Format):
        raise MeiflowError(f"--output {output}: --paper writes several files; name a folder")
    wanted = [name for name in names if name != _EVERYTHING]
    suffix = (kind or Format.PDF).value
    for path in draw_paper(Layout(results_of(results)), kept_back(), wanted, suffix, output):
        print(path)

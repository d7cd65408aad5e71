"""The commands that a user needs first: run, open, status, new, compare, figure."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from meiflow.cli.figure import figure
from meiflow.cli.options import NeuronsOption
from meiflow.errors import MeiflowError
from meiflow.io.paths import require_file

RUN = "Run"

ConfigArgument = Annotated[Path, typer.Argument(metavar="[FILE]", help="YAML file")]
CoresOption = Annotated[int | None, typer.Option(min=1, help="number of cores; by default all")]
AsOption = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="keep the results as a variant, in variants/NAME"),
]


class Source(StrEnum):
    """Sources of a recording for which there is a template."""

    TABLES = "tables"
    ALLEN = "allen"
    NWB = "nwb"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (run, status, compare, figure, new):
        app.command(rich_help_panel=RUN)(command)
    app.command("open", rich_help_panel=RUN)(open_report)


def run(
    config: ConfigArgument = Path("config.yaml"),
    neuron: NeuronsOption = None,
    until: Annotated[
        str | None, typer.Option(help="last stage to run, such as selection or models")
    ] = None,
    cores: CoresOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="list what would be done, and why")
    ] = False,
    variant: AsOption = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="show Snakemake's own messages")
    ] = False,
    unlock: Annotated[
        bool, typer.Option("--unlock", help="remove the lock of a killed run, and run nothing")
    ] = False,
) -> None:
    """Run the workflow from recording to report; finished parts are not repeated.

    The results are in results/, beside the file. A config.yaml beside it is read first. Snakemake
    does the work; its own log is in .snakemake/log.
    """
    from meiflow.cli.runs import Request, run_workflow

    request = Request.of(config, neuron, until, cores or _all_cores(), variant)
    sys.exit(run_workflow(request, dry_run=dry_run, verbose=verbose, unlock=unlock))


def status(
    config: ConfigArgument = Path("config.yaml"),
    variant: AsOption = None,
) -> None:
    """Print what is done, what is left to do, and why."""
    from meiflow.cli.runs import Request, describe_status

    for line in describe_status(Request.of(config, None, None, _all_cores(), variant)):
        print(line)


def open_report(
    results: Annotated[
        Path | None,
        typer.Argument(help="results, project or variant; by default the newest report here"),
    ] = None,
) -> None:
    """Open a report in the browser."""
    import webbrowser

    report = _report(results)
    print(report)
    # without a screen, a browser would be one of the terminal
    if sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(os.environ):
        webbrowser.open(report.absolute().as_uri())


def _report(results: Path | None) -> Path:
    from meiflow.cli.variants import VARIANTS, results_of
    from meiflow.results.layout import Layout

    if results is None:
        folders = [p for root in ("", f"{VARIANTS}/*/") for p in Path().glob(f"{root}results/*")]
    elif results.suffix == ".html":
        require_file(results)
        return results
    else:
        folders = [results_of(results)]
    pages = [page for root in folders for page in Layout(root).named("report", "provisional")]
    found = [page for page in pages if page.is_file()]
    if found:
        return max(found, key=lambda page: page.stat().st_mtime)
    if results is not None:
        require_file(pages[0])
    raise MeiflowError("results: no report in this folder; run: meiflow run FILE")


def new(
    source: Annotated[Source, typer.Argument(help="where the recording comes from")],
    file: Annotated[Path, typer.Argument(help="file to write")],
) -> None:
    """Write a commented configuration for a recording."""
    from meiflow.cli.project import write_template

    write_template(source.value, file)
    print(f"{file}: edit it, then run: meiflow check {file} && meiflow run {file}")


def compare(
    first: Annotated[str, typer.Argument(help="results, project or variant")],
    second: Annotated[str, typer.Argument(help="the same, to compare with")],
    output: Annotated[Path | None, typer.Option(help="CSV to write instead of printing")] = None,
) -> None:
    """Compare two variants neuron by neuron: scores, similarity of the MEIs, trust."""
    from meiflow.cli.variants import results_of
    from meiflow.comparison.variants import compare_variants
    from meiflow.io.files import write_csv
    from meiflow.results.session import open_results

    runs = [open_results(results_of(name)) for name in (first, second)]
    for run in runs:
        require_file(run.layout.summary)
    meis = [{neuron: run[neuron].mei.to_numpy() for neuron in run} for run in runs]
    table = compare_variants(runs[0].summary, runs[1].summary, meis[0], meis[1])
    if output is not None:
        write_csv(table, output)
        return
    print(table.round(3).to_string(index=False, na_rep="-"))


def _all_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1

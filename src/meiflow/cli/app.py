"""Command line of meiflow, used by the rules of the workflow and by users."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from meiflow import __version__
from meiflow.cli import stages
from meiflow.cli.options import ConfigOption, ThreadsOption
from meiflow.cli.process import end_with_run, require_version, stoppable
from meiflow.cli.session import session_app
from meiflow.config.config import config_schema, load_config
from meiflow.config.cores import KNOWN_CORES
from meiflow.errors import MeiflowError, closest, out_of_memory, shorten
from meiflow.io.checksums import sha256_of
from meiflow.progress import log_to_stderr

if TYPE_CHECKING:
    from meiflow.session.dataset import Dataset

app = typer.Typer(
    help="From a recording session to each neuron's most exciting input (MEI).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Page(StrEnum):
    """Pages that are generated from the code."""

    CONFIGURATION = "configuration"
    FILES = "files"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"meiflow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="print the version and exit"
        ),
    ] = False,
) -> None:
    """From a recording session to each neuron's most exciting input (MEI)."""


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="folder of the new project")],
) -> None:
    """Lay out a project: config.yaml, and a Snakefile that includes the installed workflow."""
    from meiflow.cli.project import lay_out

    written = lay_out(folder)
    print(
        f"{folder}: {len(written)} files; edit config.yaml there, then run: snakemake --cores all"
    )


@app.command()
def check(
    config: Annotated[str, typer.Argument(help="YAML file")] = "config.yaml",
    inputs: Annotated[bool, typer.Option(help="open the inputs and describe them")] = True,
    run_code: Annotated[
        bool, typer.Option("--run-code", help="also import model.custom and try it on the images")
    ] = False,
) -> None:
    """Validate a configuration, open its inputs, and print what a run will see and leave out."""
    from meiflow.session.dataset import Dataset

    parsed = load_config(config)
    data = Dataset(parsed)
    data.check()
    areas = parsed.session.areas
    tables = parsed.session.source == "tables"
    details = "" if tables else f", areas {', '.join(areas) if areas else 'all'}"
    if data.ids is None:
        where = "all sessions in the warehouse"
    elif data.many:
        where = f"{len(data.ids)} sessions ({shorten(data.ids)})"
    else:
        where = f"session {parsed.session.id}"
        details += f", results in results/{parsed.session.id}"
    print(f"{config}: valid; {where} from source {parsed.session.source}{details}")
    for session in (data.ids or ()) if inputs else ():
        _describe(data, session, run_code)


def _describe(data: Dataset, session: str, run_code: bool) -> None:
    """Print what a session contains, if its inputs are already there."""
    config, files = data.config_of(session), data.files_of(session)
    title = f"session {session}, " if data.many else ""
    if config.session.source == "simulated":
        units = sum(config.session.simulation.units.values())
        print(f"  {title}units: {units} to be simulated")
        return
    needed = [files.nwb, files.images, files.movies]
    if files.download and files.nwb and files.nwb.exists():
        from meiflow.session.source import stimuli_shown

        if not stimuli_shown(files.nwb, ["natural_scenes"]):  # templates are not downloaded
            needed.remove(files.images)
    missing = [str(path) for path in needed if path is not None and not path.exists()]
    if missing:
        print(f"  {title}inputs: to be downloaded ({shorten(missing, 2)})")
        return
    from meiflow.stages.check import describe_inputs

    try:
        lines = describe_inputs(config, files, data.many, run_code)
    except MeiflowError as error:
        raise MeiflowError(f"sessions, {session}: {error}" if data.many else str(error)) from None
    if data.many:
        print(f"session {session}")
    for line in lines:
        print(f"  {line}")


@app.command()
def schema() -> None:
    """Print the configuration's JSON schema as YAML."""
    print(config_schema(), end="")


@app.command()
def reference(
    page: Annotated[Page, typer.Argument(help="page to print")] = Page.CONFIGURATION,
) -> None:
    """Print the reference of the configuration, or of all files and stages, as Markdown."""
    from meiflow.cli.reference_files import files_reference
    from meiflow.config.reference import configuration_reference

    print(files_reference() if page is Page.FILES else configuration_reference(), end="")


stages.register(app)
app.add_typer(session_app, name="session")


@app.command()
def sessions(
    config: ConfigOption = "{}",
    data: Annotated[Path, typer.Option(help="folder of downloads")] = Path("data/allen"),
    choose: Annotated[
        bool, typer.Option(help="show which can be run: natural scenes, units in session.area")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="CSV to write instead of printing")] = None,
) -> None:
    """List the sessions in the Allen warehouse with areas, units, and whether they are cached."""
    from meiflow.io.files import write_csv
    from meiflow.session.download import choose_sessions, list_sessions

    found = (choose_sessions if choose else list_sessions)(load_config(config).session, data)
    if output is None:
        print(found.to_string(index=False))
    else:
        write_csv(found, output)


@app.command()
def pretrain(
    config: ConfigOption,
    output: Annotated[Path, typer.Option("--output", help="file to write")],
    neurons: Annotated[int, typer.Option(min=1, help="number of simulated neurons")] = 400,
    images: Annotated[int, typer.Option(min=10, help="number of simulated scenes")] = 1200,
) -> None:
    """Train a convolutional core on simulated neurons, for the base model `pretrained`."""
    from meiflow.models.network_fitter import pretrain_core, save_core
    from meiflow.simulation.pretraining import training_set

    parsed = load_config(config)
    geometry = parsed.image.geometry
    scenes, rates, places = training_set(geometry, neurons, images, parsed.seed)
    core = pretrain_core(scenes, rates, geometry, places, parsed.model.network, parsed.seed)
    save_core(core, parsed.model.network, geometry, output)


@app.command()
def core(
    name: Annotated[str, typer.Argument(help=f"one of: {', '.join(KNOWN_CORES)}")],
    url: Annotated[str | None, typer.Option(help="another address of the same file")] = None,
) -> None:
    """Download a published core for the base model `core_window`, and verify it."""
    from meiflow.session.transfer import fetch

    if name not in KNOWN_CORES:
        raise MeiflowError(
            f"core: {name!r} is not known{closest(name, KNOWN_CORES)}; known: "
            f"{', '.join(KNOWN_CORES)}; any other file can be given as model.network.core"
        )
    known = KNOWN_CORES[name]
    known.path.parent.mkdir(parents=True, exist_ok=True)
    fetch(url or known.url, known.path, check=partial(_require_hash, known.sha256))
    print(f"{known.path}: {known.about}; licence {known.licence}; cite {known.citation}")
    print(f"Use it with model.base_models: [..., core_window] and model.network.core: {name}")


def _require_hash(expected: str, path: Path) -> None:
    if sha256_of(path) != expected:
        raise MeiflowError(f"the SHA-256 is not {expected}; this is a different file")


@app.command()
def validate(
    output: Annotated[
        Path, typer.Option("--output", help="output folder; finished parts are reused")
    ] = Path("results/benchmark"),
    quick: Annotated[
        bool, typer.Option("--quick", help="run one recording, compared with the published results")
    ] = False,
    threads: ThreadsOption = 2,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", "-n", help="list the recordings without running them")
    ] = False,
) -> None:
    """Run the closed-loop benchmark on simulated neurons: tables, figures, calibration."""
    if dry_run:
        from meiflow.benchmark.run import listed

        print(listed(output, quick))
        return
    stages.one_thread()
    from meiflow.benchmark.publish import run_full, run_quick

    (run_quick if quick else run_full)(output, threads)


# Modules that are not part of a plain installation, by the extra that provides them.
PROVIDED = {
    "workflow": ("hdmf", "numba", "pynwb", "rastermap", "seaborn", "snakemake"),
    "allen": (
        *("SimpleITK", "aiohttp", "allensdk", "argschema", "cachetools", "dateutil", "marshmallow"),
        *("nest_asyncio", "psycopg2", "pytz", "simplejson", "six"),
    ),
}
_HOW = {
    "workflow": "pip install 'meiflow[workflow]'",
    "allen": "pip install 'meiflow[allen]' && pip install --no-deps allensdk==2.16.2",
}


def _missing(error: BaseException) -> str | None:
    """How to install the module that was not found, if an extra provides it."""
    name = (getattr(error, "name", None) or "").partition(".")[0]
    known = isinstance(error, ModuleNotFoundError)
    how = [_HOW[extra] for extra, names in PROVIDED.items() if known and name in names]
    return f"{name} is not installed; run: {how[0]}" if how else None


_MORE_MEMORY = (
    "out of memory; give the job more memory (mem_mb of its rule, or a higher limit of the shell), "
    "or run fewer jobs at once"
)


def main() -> None:
    """Entry point; errors that a user can fix become one line and exit status 1."""
    try:
        with stoppable(), log_to_stderr():
            end_with_run()
            require_version()
            app()
    except MeiflowError as error:
        _fail(str(error))
    except (OSError, RuntimeError, ImportError, MemoryError, SystemError) as error:
        if out_of_memory(error):
            _fail(_MORE_MEMORY)
        if missing := _missing(error):
            _fail(missing)
        if not isinstance(error, OSError):
            raise
        # a folder that is a file, no permission, a full disk
        named = " and ".join(str(f) for f in (error.filename, error.filename2) if f)
        _fail(": ".join(filter(None, (named, error.strerror or str(error)))))


def _fail(message: str) -> NoReturn:
    print(f"meiflow: error: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()

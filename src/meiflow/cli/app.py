"""Command line of meiflow, used by the rules of the workflow and by users."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from meiflow import __version__
from meiflow.cli import front, own_data, pack, stages
from meiflow.cli.options import ConfigOption, ThreadsOption
from meiflow.cli.process import end_with_run, hide_echoes, require_version, stoppable
from meiflow.cli.session import session_app
from meiflow.config.config import config_schema, load_config
from meiflow.config.cores import KNOWN_CORES
from meiflow.config.layers import base_of, layered_config
from meiflow.errors import MeiflowError, out_of_memory, shorten
from meiflow.progress import log_to_stderr

if TYPE_CHECKING:
    from meiflow.session.dataset import Dataset

# Groups of `meiflow --help`, after those of `front` and `stages`.
LOOK_UP, DATA, BENCHMARKS = "Look up", "Data and models", "Benchmarks"

app = typer.Typer(
    help="From a recording session to each neuron's most exciting input (MEI).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # a command may be written like its rule: fit_models for fit-models
    context_settings={"token_normalize_func": lambda name: name.replace("_", "-")},
)


class ExportFormat(StrEnum):
    """Layouts of other packages in which the tables of a session can be written."""

    SENSORIUM = "sensorium"
    EXPERANTO = "experanto"


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
    hide_echoes()  # here, because Typer sets a hook of its own


front.register(app)
stages.register(app)


@app.command(rich_help_panel=front.RUN)
def init(
    folder: Annotated[Path, typer.Argument(help="folder of the new project")],
) -> None:
    """Lay out a project: config.yaml, and a Snakefile that includes the installed workflow."""
    from meiflow.cli.project import lay_out

    written = lay_out(folder)
    print(
        f"{folder}: {len(written)} files; edit config.yaml there, then run: snakemake --cores all"
    )


@app.command(rich_help_panel=front.RUN)
def check(
    config: Annotated[str, typer.Argument(help="YAML file")] = "config.yaml",
    inputs: Annotated[bool, typer.Option(help="open the inputs and describe them")] = True,
    run_code: Annotated[
        bool, typer.Option("--run-code", help="also import model.custom and try it on the images")
    ] = False,
) -> None:
    """Validate a configuration, open its inputs, and print what a run will see and leave out.

    As in a run, a config.yaml beside it is read first.
    """
    from meiflow.session.dataset import Dataset

    parsed = layered_config(config)
    data = Dataset(parsed)
    data.check()
    areas = parsed.session.areas
    tables = parsed.session.custom_tables
    details = "" if tables else f", areas {', '.join(areas) if areas else 'all'}"
    if data.ids is None:
        where = "all sessions in the warehouse"
    elif data.many:
        where = f"{len(data.ids)} sessions ({shorten(data.ids)})"
    else:
        where = f"session {parsed.session.id}"
        details += f", results in results/{parsed.session.id}"
    base = base_of(config)
    on_top = f" on top of {base}" if base else ""
    print(f"{config}: valid{on_top}; {where} from source {parsed.session.source}{details}")
    known = data.example.model.network.known_core
    if known:
        at_hand = known.path.exists()
        if at_hand:
            known.require_copy()
        size = f"{known.size / 1e6:.1f} MB"
        print(
            f"  core: {known.path}{'' if at_hand else f', to be downloaded ({size})'}: "
            f"{known.about}; {known.credit}"
        )
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


@app.command(rich_help_panel=LOOK_UP)
def schema() -> None:
    """Print the configuration's JSON schema as YAML."""
    print(config_schema(), end="")


@app.command(rich_help_panel=LOOK_UP)
def reference(
    page: Annotated[Page, typer.Argument(help="page to print")] = Page.CONFIGURATION,
) -> None:
    """Print the reference of the configuration, or of all files and stages, as Markdown."""
    from meiflow.cli.reference_files import files_reference
    from meiflow.config.reference import configuration_reference

    print(files_reference() if page is Page.FILES else configuration_reference(), end="")


app.add_typer(session_app, name="session", rich_help_panel=LOOK_UP)


@app.command(rich_help_panel=LOOK_UP)
def sessions(
    config: ConfigOption = "{}",
    data: Annotated[Path, typer.Option(help="folder of downloads")] = Path("data/allen"),
    choose: Annotated[
        bool, typer.Option(help="show which can be run: natural scenes, units in session.area")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="CSV to write instead of printing")] = None,
) -> None:
    """List the sessions of the Allen Brain Observatory: areas, units, whether there is a copy."""
    from meiflow.io.files import write_csv
    from meiflow.session.download import choose_sessions, list_sessions

    found = (choose_sessions if choose else list_sessions)(load_config(config).session, data)
    if output is None:
        print(found.to_string(index=False))
    else:
        write_csv(found, output)


@app.command(rich_help_panel=DATA)
def convert(
    experiment: Annotated[Path, typer.Argument(help="Allen two-photon experiment (NWB 1 or 2)")],
    folder: Annotated[Path, typer.Argument(help="folder for tables, images and config.yaml")],
    window: Annotated[
        tuple[float, float], typer.Option(help="start and stop of the response after the onset, s")
    ] = (0.25, 0.5),
    events: Annotated[
        Path | None, typer.Option(help=".npz with the events of the cells, used in place of dF/F")
    ] = None,
    stored_events: Annotated[
        bool, typer.Option("--stored-events", help="use the events in the file (NWB 2)")
    ] = False,
    movies: Annotated[bool, typer.Option(help="also convert natural movies")] = True,
) -> None:
    """Convert a two-photon experiment of the Allen Brain Observatory to tables."""
    from meiflow.stages.convert import convert_two_photon

    print(convert_two_photon(experiment, folder, window, events, stored_events, movies))


own_data.register(app, DATA)
pack.register(app)


@app.command(rich_help_panel=DATA)
def export(
    layout: Annotated[ExportFormat, typer.Argument(help="layout of the folder")],
    results: Annotated[Path, typer.Argument(help="results of a session, such as results/demo")],
    folder: Annotated[Path, typer.Argument(help="new folder")],
    test_images: Annotated[
        float, typer.Option(min=0, max=0.5, help="fraction of the images in the tier test")
    ] = 0.1,
    trial_s: Annotated[
        float, typer.Option(min=0.001, max=1000, help="experanto: seconds from trial to trial")
    ] = 0.25,
) -> None:
    """Write the trials and images of a session in the layout of sensorium or experanto."""
    from meiflow.results.layout import Layout
    from meiflow.stages.export import export_session

    made = export_session(Layout(results), layout.value, folder, test_images, trial_s)
    print(f"{folder}: {made}")


@app.command(rich_help_panel=DATA)
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


@app.command(rich_help_panel=DATA)
def core(
    name: Annotated[str, typer.Argument(help=f"one of: {', '.join(KNOWN_CORES)}")],
    url: Annotated[str | None, typer.Option(help="another address of the same file")] = None,
) -> None:
    """Download a published core for the base model `core_window`, and verify it."""
    from meiflow.session.cores import download_core

    path = download_core(name, url)
    known = KNOWN_CORES[name]
    print(f"{path}: {known.about}; {known.credit}")
    print(f"With model.network.core: {name}, core_window is one of the default base models.")


@app.command(rich_help_panel=BENCHMARKS)
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


@app.command(rich_help_panel=BENCHMARKS)
def benchmark(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METHOD",
            help="meiflow, best-gabor, best-natural, notebook, walker, "
            "openretina, or module:function; by default the named ones",
        ),
    ] = None,
    source: Annotated[str, typer.Option(help="random, kinds, or the file of a network")] = "random",
    published: Annotated[
        bool, typer.Option("--published", help="random neurons on which no choice may be made")
    ] = False,
    judge: Annotated[
        Path | None, typer.Option(help="another network of the same neurons, to judge the stimuli")
    ] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="pictures to show instead of dead leaves")
    ] = None,
    neurons: Annotated[int, typer.Option(min=1, help="number of neurons, 12 in a session")] = 12,
    images: Annotated[int, typer.Option(min=10, help="number of images")] = 118,
    repeats: Annotated[int, typer.Option(min=2, help="presentations of each image")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="other seeds are other neurons")] = 0,
    out: Annotated[
        Path, typer.Option("--out", help="output folder; finished parts are reused")
    ] = Path("results/methods"),
    jobs: Annotated[int, typer.Option(min=1, help="number of sessions at once")] = 1,
    cite: Annotated[
        bool, typer.Option("--cite", help="print what to cite instead of running")
    ] = False,
) -> None:
    """Score methods that find stimuli, ours or custom ones, on neurons of known optimum."""
    stages.one_thread()
    from meiflow.benchmark import enter
    from meiflow.benchmark.cite import citation
    from meiflow.benchmark.score import Plan

    opened = enter.open_source(source, judge, scenes, seed, published)
    plan = Plan(opened, neurons, images, repeats, seed, out)
    chosen = methods or list(enter.METHODS)
    if cite:
        print(citation(plan, chosen), end="")
        return
    print(enter.as_text(enter.benchmark(plan, chosen, jobs)))


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

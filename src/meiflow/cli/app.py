"""Command line: what the workflow's rules call, and what a person can call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from meiflow import __version__
from meiflow.cli import combined, experiments, procedures, report, validation
from meiflow.cli.options import (
    ClosedLoopOption,
    ConfigOption,
    GaborsOption,
    ModelOption,
    NeuronOption,
    NobodyOption,
    OutputOption,
    RecordedOption,
    ResultsOption,
    TablesOption,
    ThreadsOption,
)
from meiflow.cli.process import end_with_run, stoppable
from meiflow.config.config import config_schema, load_config
from meiflow.errors import MeiflowError, out_of_memory, shorten
from meiflow.progress import log_to_stderr

app = typer.Typer(
    help="From a recording session to each neuron's most exciting input (MEI).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"meiflow {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="and exit")
    ] = False,
) -> None:
    """From a recording session to each neuron's most exciting input (MEI)."""


@app.command()
def check(config: Annotated[str, typer.Argument(help="YAML file")] = "config.yaml") -> None:
    """Validate a configuration, and that the inputs it names exist; print what will be run."""
    from meiflow.session.dataset import Dataset

    parsed = load_config(config)
    data = Dataset(parsed)
    data.check()
    areas = parsed.session.areas
    told = f"areas {', '.join(areas) if areas else 'all'}"
    if data.ids is None:
        where = "all sessions of the warehouse"
    elif data.many:
        where = f"{len(data.ids)} sessions ({shorten(data.ids)})"
    else:
        where = f"session {parsed.session.id}"
        told += f", results in results/{parsed.session.id}"
    print(f"{config}: valid; {where} from source {parsed.session.source}, {told}")


@app.command()
def schema() -> None:
    """Print the configuration's JSON schema as YAML."""
    print(config_schema(), end="")


@app.command()
def reference() -> None:
    """Print the configuration reference as Markdown."""
    from meiflow.config.reference import configuration_reference

    print(configuration_reference(), end="")


@app.command()
def simulate(
    config: ConfigOption,
    nwb: Annotated[Path, typer.Option(help="session file to write")],
    images: Annotated[Path, typer.Option(help="folder to fill with frames")],
    truth: Annotated[Path, typer.Option(help="CSV to write; only validation reads it")],
) -> None:
    """Simulate a session: NWB file, natural-like images and the neurons' truth."""
    from meiflow.simulation.simulate import simulate_session

    simulate_session(load_config(config), nwb, images, truth)


@app.command()
def download(
    config: ConfigOption,
    nwb: Annotated[Path, typer.Option(help="where the session file goes")],
    images: Annotated[Path, typer.Option(help="folder for the 118 templates")],
    cache: Annotated[Path, typer.Option(help="AllenSDK cache folder")],
    output: OutputOption,
) -> None:
    """Download a session and the natural-scene templates; write a record of what is there."""
    from meiflow.io.files import write_text
    from meiflow.session.download import download_session
    from meiflow.session.transfer import record_path

    session = load_config(config).session
    if session.source != "allen":
        raise MeiflowError(f"session.source: {session.source} has nothing to download; set allen")
    download_session(session, nwb, images, cache)
    write_text(record_path(nwb).read_text(encoding="utf-8"), output)


@app.command()
def sessions(
    config: ConfigOption = "{}",
    data: Annotated[Path, typer.Option(help="folder of downloads")] = Path("data/allen"),
    choose: Annotated[
        bool, typer.Option(help="which can be run: natural scenes, units in session.area")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="CSV to write instead of printing")] = None,
) -> None:
    """List the sessions of the Allen warehouse: areas, units, and which are cached."""
    from meiflow.io.files import write_csv
    from meiflow.session.download import choose_sessions, list_sessions

    found = (choose_sessions if choose else list_sessions)(load_config(config).session, data)
    if output is None:
        print(found.to_string(index=False))
    else:
        write_csv(found, output)


@app.command()
def tables(
    config: ConfigOption,
    images: Annotated[Path, typer.Option(help="folder of frames or .npy stack")],
    output: OutputOption,
    nwb: Annotated[Path | None, typer.Option(help="session file; none for source tables")] = None,
    any_area: Annotated[
        bool, typer.Option(help="whether units of one of the areas are enough")
    ] = False,
) -> None:
    """Count spikes per trial and write the tables and the image stack."""
    from meiflow.stages.tables import build_tables

    build_tables(load_config(config), images, nwb, output, any_area)


@app.command()
def select(
    config: ConfigOption,
    tables: TablesOption,
    output: OutputOption,
    presentations: Annotated[
        Path | None, typer.Option(help="presentations.csv, where the session has one")
    ] = None,
    nobody: NobodyOption = False,
) -> None:
    """Measure every neuron and pick those worth a model."""
    from threadpoolctl import threadpool_limits

    from meiflow.selection.select import select_neurons

    with threadpool_limits(1):  # the last bits of a sum depend on the number of threads
        select_neurons(load_config(config), tables, presentations, output, nobody)


@app.command()
def draw(
    tables: TablesOption,
    selection: Annotated[Path, typer.Option(help="folder of neurons.csv")],
    output: OutputOption,
    probes: Annotated[bool, typer.Option(help="whether units.csv tells places")] = True,
) -> None:
    """Draw the figures of the selection."""
    from meiflow.stages.selection_figures import draw_selection

    draw_selection(tables, selection, probes, output)


@app.command()
def search(
    config: ConfigOption, tables: TablesOption, output: OutputOption, threads: ThreadsOption = 1
) -> None:
    """Fit all neurons' models and baselines, and score them on images held out."""
    from meiflow.stages.models import fit_models

    fit_models(load_config(config), tables, output, threads)


@app.command()
def modelled(
    selection: Annotated[Path, typer.Option(help="neurons.csv of the selection")],
    status: Annotated[Path, typer.Option(help="status.csv of the search")],
    output: OutputOption,
    nobody: NobodyOption = False,
) -> None:
    """Write which neurons are selected and have a model."""
    from meiflow.models.outcome import write_modelled

    write_modelled(selection, status, nobody, output)


@app.command()
def fit(
    config: ConfigOption,
    tables: TablesOption,
    search: Annotated[Path, typer.Option(help="folder of the search")],
    neurons: Annotated[Path, typer.Option(help="neurons.csv")],
    neuron: NeuronOption,
    output: OutputOption,
) -> None:
    """Write one neuron's model file and scores."""
    from meiflow.models.bundle import unpack_neuron
    from meiflow.models.modelled import require_modelled

    require_modelled(neurons, neuron)
    parsed = load_config(config)
    if parsed.model.custom is None:
        unpack_neuron(search / "neurons.zip", neuron, output)
        return
    from meiflow.stages.models import write_custom_neuron

    write_custom_neuron(parsed, tables, search, neuron, output)


@app.command("learning-curve")
def curve(
    config: ConfigOption,
    tables: TablesOption,
    neurons: Annotated[Path, typer.Option(help="neurons.csv")],
    output: OutputOption,
    threads: ThreadsOption = 1,
) -> None:
    """Fit the selected neurons with fewer images, and score them on images held out."""
    from meiflow.selection.select import selected_neurons
    from meiflow.stages.models import fit_learning_curve

    fit_learning_curve(load_config(config), tables, selected_neurons(neurons), output, threads)


@app.command()
def pretrain(
    config: ConfigOption,
    output: OutputOption,
    neurons: Annotated[int, typer.Option(min=1, help="simulated neurons")] = 400,
    images: Annotated[int, typer.Option(min=10, help="simulated scenes")] = 1200,
) -> None:
    """Learn a convolutional core on simulated neurons, for the member `pretrained`."""
    from meiflow.models.cnn import pretrain_core, save_core
    from meiflow.simulation.pretraining import training_set

    parsed = load_config(config)
    geometry = parsed.image.geometry
    scenes, rates, places = training_set(geometry, neurons, images, parsed.seed)
    core = pretrain_core(scenes, rates, geometry, places, parsed.model.network, parsed.seed)
    save_core(core, parsed.model.network, geometry, output)


def _one_thread() -> None:
    """Sums may differ in the last bit between thread counts; results must not."""
    import torch

    torch.set_num_threads(1)


@app.command("gabor-search")
def gabors_of_all(
    config: ConfigOption,
    tables: TablesOption,
    models: Annotated[Path, typer.Option(help="models.pt of the search")],
    neurons: Annotated[Path, typer.Option(help="neurons.csv")],
    output: OutputOption,
    threads: ThreadsOption = 1,
) -> None:
    """Search the best Gabors in silico of all selected neurons."""
    _one_thread()
    from meiflow.selection.select import selected_neurons
    from meiflow.stimuli.gabors import make_gabors
    from meiflow.tables.stack import read_stack

    parsed = load_config(config)
    images = read_stack(tables, parsed.image.geometry)[1]
    make_gabors(parsed, models, selected_neurons(neurons), images, output, threads)


@app.command()
def stimuli(
    config: ConfigOption,
    tables: TablesOption,
    model: ModelOption,
    neuron: NeuronOption,
    best_gabors: Annotated[Path, typer.Option(help="folder of best_gabors.npy and .csv")],
    output: OutputOption,
    gabors: GaborsOption = True,
) -> None:
    """Make one neuron's MEI, best Gabors and best natural images."""
    _one_thread()
    from meiflow.stages.stimuli import make_recorded_gabor, make_stimuli
    from meiflow.tables.stack import read_stack

    parsed = load_config(config)
    images = read_stack(tables, parsed.image.geometry)[1]
    make_stimuli(parsed, model, images, best_gabors, neuron, output)
    if gabors:
        make_recorded_gabor(parsed, model, images, tables, neuron, output)


procedures.register(app, _one_thread)
experiments.register(app, _one_thread)
validation.register(app, _one_thread)


@app.command()
def compare(
    config: ConfigOption,
    model: ModelOption,
    tables: TablesOption,
    stimuli: Annotated[Path, typer.Option(help="folder of the neuron's stimuli")],
    output: OutputOption,
    gabors: GaborsOption = True,
    folds: Annotated[Path | None, typer.Option(help="ensemble.pt of the neuron")] = None,
) -> None:
    """Measure one neuron's stimuli and write comparison.csv."""
    _one_thread()
    from meiflow.comparison.compare import compare_neuron
    from meiflow.tables.stack import read_stack

    parsed = load_config(config)
    images = read_stack(tables, parsed.image.geometry)[1]
    compare_neuron(parsed, model, folds, images, stimuli, gabors, output)


@app.command()
def notebook(
    config: ConfigOption,
    tables: TablesOption,
    results: ResultsOption,
    neuron: NeuronOption,
    output: OutputOption,
    gabors: GaborsOption = True,
) -> None:
    """Draw and measure one neuron's stimuli as the notebook did, beside ours."""
    _one_thread()
    from meiflow.stages.notebook import compare_with_notebook

    compare_with_notebook(load_config(config), tables, results, neuron, gabors, output)


@app.command()
def summary(
    results: ResultsOption,
    output: OutputOption,
    closed_loop: ClosedLoopOption = None,
    recorded: RecordedOption = False,
    trust: Annotated[bool, typer.Option(help="whether confidence was measured")] = False,
    experiments: Annotated[
        bool, typer.Option(help="whether experiments were done with the models")
    ] = False,
) -> None:
    """Write one row per selected neuron."""
    from meiflow.io.files import write_csv
    from meiflow.stages.summary import summarise

    write_csv(summarise(results, closed_loop, recorded, experiments, trust), output)


report.register(app)
combined.register(app)


_MORE_MEMORY = (
    "out of memory; give the job more (mem_mb of its rule, or a larger limit of the shell), or run "
    "fewer jobs at once"
)


def main() -> None:
    """Entry point: what a user can mend becomes one line and exit status 1."""
    try:
        with stoppable(), log_to_stderr():
            end_with_run()
            app()
    except MeiflowError as error:
        _fail(str(error))
    except (OSError, RuntimeError, ImportError, MemoryError) as error:
        if out_of_memory(error):
            _fail(_MORE_MEMORY)
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

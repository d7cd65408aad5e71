"""Commands of the procedures, one for each kind of optimal stimulus."""

from __future__ import annotations

from collections.abc import Callable

import typer

from meiflow.cli.options import (
    ConfigOption,
    NeuronsOption,
    OutputOption,
    ResultsOption,
    TablesOption,
)
from meiflow.config.config import load_config
from meiflow.config.sections import Procedure

_HELP: dict[Procedure, str] = {
    "population_mei": "MEIs of all neurons in one batch, from noise, and how far restarts agree.",
    "suppressive": "The images that suppress each neuron most.",
    "diverse": "Sets of different images that all excite a neuron nearly as much as its MEI.",
    "natural": "The natural image each neuron responds to most, of the session's and others.",
    "regularised_natural": "Best natural images with all that the neuron does not mind faded.",
    "receptive_field": "Linear receptive field of each model, and its gradient at grey.",
    "notebook_mei": "MEIs by the procedure of the notebook, faults included.",
    "walker_mei": "MEIs by the procedure of Walker et al. (2019).",
}


def _command(name: Procedure, prepare: Callable[[], None]) -> Callable[..., None]:
    def run(
        config: ConfigOption,
        tables: TablesOption,
        results: ResultsOption,
        output: OutputOption,
        neuron: NeuronsOption = None,
    ) -> None:
        prepare()
        from meiflow.selection.select import require_selected, selected_neurons
        from meiflow.stages.procedures import load_population, make_procedure
        from meiflow.tables.stack import read_stack

        parsed = load_config(config)
        table = results / "models" / "neurons.csv"
        for one in neuron or ():
            require_selected(table, one)
        neurons = neuron or selected_neurons(table)
        image_ids, images = read_stack(tables, parsed.image.geometry)
        folders = {one: results / "neurons" / one for one in neurons}
        population = load_population(parsed, image_ids, images, folders)
        make_procedure(name, population, output)

    run.__doc__ = _HELP[name]
    return run


def register(app: typer.Typer, prepare: Callable[[], None]) -> None:
    """Add a command for every procedure; each calls `prepare` first."""
    for name in _HELP:
        app.command(name.replace("_", "-"))(_command(name, prepare))

    @app.command()
    def movie(
        config: ConfigOption,
        output: OutputOption,
    ) -> None:
        """Optimal movies of a spatio-temporal model of yours (movie.model)."""
        prepare()
        from meiflow.stages.movies import make_movies

        make_movies(load_config(config), output)

"""The experiments stage: in-silico experiments on every fitted neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.experiments import MAP_EXPERIMENTS, STANDARD
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.experiments.experiment import RESERVED, Experiment, run
from meiflow.experiments.measures import MAPS, maps, summarise_experiments
from meiflow.experiments.scale import at_preferred_frequency
from meiflow.experiments.standard import Preferred, map_grid, standard_experiments
from meiflow.figures.custom_experiments import custom_sheet
from meiflow.figures.experiments import population_figure
from meiflow.figures.style import save_both
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.io.files import read_array, read_csv, write_arrays, write_csv
from meiflow.models.custom import call_function
from meiflow.models.device import chosen_device
from meiflow.models.network import NeuronModel
from meiflow.progress import track
from meiflow.results.layout import Layout
from meiflow.results.tables import read_stack_info
from meiflow.stages.common import open_models, wanted_neurons
from meiflow.stages.kept import Made, of_neurons

_SUMMARY = "-summary"  # not the name of an experiment
GABOR_COLUMNS = tuple(field.name for field in fields(Preferred) if field.name != "geometry")
_HINT = (
    "it must return an Experiment, or a dict that maps names to Experiment or (render, axes); "
    "see docs/experiments.md for an example"
)


@dataclass(frozen=True)
class Findings:
    """Results of the experiments on a population.

    Parameters
    ----------
    tables : dict of neuron id to dict of experiment name to DataFrame
        Values of the axes and ``response``.
    maps : dict of neuron id to dict of map name to DataFrame
        Response minus that to grey, with y (decreasing) in rows and x in columns.
    summary : DataFrame
        One row per neuron.
    """

    tables: dict[str, dict[str, pd.DataFrame]]
    maps: dict[str, dict[str, pd.DataFrame]]
    summary: pd.DataFrame


def read_preferred(path: Path, geometry: Geometry) -> Preferred:
    """Read the best Gabor written by the stimuli stage.

    Raises
    ------
    MeiflowError
        If the file is invalid.
    """
    table = read_csv(path, GABOR_COLUMNS)
    values = table[list(GABOR_COLUMNS)].iloc[0] if len(table) == 1 else pd.Series(dtype=float)
    try:
        numbers = {name: float(value) for name, value in values.items()}
    except ValueError:
        numbers = {}
    lengths = [numbers.get(k, 0.0) for k in ("wavelength_deg", "sigma_deg", "aspect")]
    if not numbers or not np.isfinite(list(numbers.values())).all() or min(lengths) <= 0:
        raise MeiflowError(
            f"{path}: expected one row of finite numbers with wavelength, sigma and aspect above "
            "0; make the stimuli again"
        )
    return Preferred(geometry, **numbers)


def custom_experiments(spec: str, preferred: Preferred) -> dict[str, Experiment]:
    """Call a custom ``module:function`` with the geometry and the Gabor parameters (a dict).

    Raises
    ------
    MeiflowError
        If this fails or does not return an experiment.
    """
    name = f"experiments.custom {spec}"
    gabor = {column: getattr(preferred, column) for column in GABOR_COLUMNS}
    given = call_function(spec, name, preferred.geometry, gabor, what="(geometry, gabor)")
    if isinstance(given, Experiment):
        return {given.name: given}
    if not isinstance(given, Mapping) or not given:
        raise MeiflowError(f"{name}: returned a {type(given).__name__}; {_HINT}")
    found = {}
    for key, value in given.items():
        if isinstance(value, Experiment):
            found[str(key)] = value
            continue
        try:
            render, axes = value
            found[str(key)] = Experiment(key, render, axes)
        except (TypeError, ValueError) as error:
            raise MeiflowError(f"{name}: {key}: {error}; {_HINT}") from None
    return found


def _all_experiments(
    config: Config, preferred: Preferred, mei: NDArray, model: NeuronModel
) -> dict[str, Experiment]:
    scaled = at_preferred_frequency(preferred, model.predict, config.experiments)
    found = dict(standard_experiments(scaled, config.experiments, mei))
    for spec in config.experiments.custom:
        for name, experiment in custom_experiments(spec, preferred).items():
            if name in found or name in STANDARD:
                raise MeiflowError(
                    f"experiments.custom {spec}: there is already an experiment {name}; use "
                    "another name"
                )
            found[name] = experiment
    return found


def _shown(
    experiments: Mapping[str, Experiment], model: NeuronModel, neuron: str
) -> dict[str, pd.DataFrame]:
    tables = {}
    for name, experiment in experiments.items():
        try:
            tables[name] = run(experiment, model.predict)
        except Exception as error:  # user code may raise anything
            raise MeiflowError(
                f"experiments: {name} of neuron {neuron}: {type(error).__name__}: {error}"
            ) from None
    return tables


def run_population(config: Config, results: Layout, neurons: list[str]) -> Findings:
    """Run all experiments on some neurons."""
    geometry = config.image.geometry
    tables, found, rows = {}, {}, []
    grey_image = np.full((1, *geometry.shape), GREY, np.float32)
    archive = open_models(config, results)
    for neuron in track(neurons, "experiments", len(neurons)):
        files = results.neuron(neuron)
        model = archive.model(neuron, config.model.custom).to(chosen_device())
        preferred = read_preferred(files.best_gabor_table, geometry)
        mei = read_array(files.mei)
        try:
            experiments = _all_experiments(config, preferred, mei, model)
        except ValueError as error:
            raise MeiflowError(f"experiments: neuron {neuron}: {error}") from None
        tables[neuron] = _shown(experiments, model, neuron)
        grey = float(model.predict(grey_image)[0])
        found[neuron] = maps(tables[neuron], grey)
        rows.append({"neuron_id": neuron} | summarise_experiments(tables[neuron], grey))
    return Findings(tables, found, pd.DataFrame(rows))


def tidy(tables: Mapping[str, Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """All experiments except maps as a table: neuron_id, experiment, parameters, response."""
    parts = [
        table.assign(neuron_id=neuron, experiment=name)
        for neuron, of_neuron in tables.items()
        for name, table in of_neuron.items()
        if name not in MAP_EXPERIMENTS
    ]
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(RESERVED))
    axes = [column for column in whole.columns if column not in RESERVED]
    return whole[["neuron_id", "experiment", *axes, "response"]]


def _tables(config: Config, results: Layout, neurons: list[str]) -> Made:
    """Tables of the experiments by name, and the summary, of some neurons."""
    found = run_population(config, results, neurons)
    names = dict.fromkeys(name for own in found.tables.values() for name in own)
    tables = {
        name: pd.concat(own[name].assign(neuron_id=neuron) for neuron, own in found.tables.items())
        for name in names
    }
    return Made(tables | {_SUMMARY: found.summary})


def _findings(made: Made, neurons: list[str]) -> Findings:
    tables: dict[str, dict[str, pd.DataFrame]] = {neuron: {} for neuron in neurons}
    for name, whole in made.tables.items():
        for neuron, table in whole.groupby("neuron_id", sort=False):
            own = table.drop(columns="neuron_id").reset_index(drop=True)
            tables[str(neuron)][name] = own
    summary = made.tables[_SUMMARY]
    grey = dict(zip(neurons, summary["grey_response"], strict=True))
    for own in tables.values():
        del own[_SUMMARY]
    return Findings(tables, {n: maps(tables[n], grey[n]) for n in neurons}, summary)


def make_experiments(config: Config, results: Layout, neurons: list[str] | None = None) -> None:
    """Run the in-silico experiments on every fitted neuron, or on some neurons.

    Figures of experiments that were made only by an earlier run in this folder are removed.
    """
    chosen = wanted_neurons(results, neurons)
    if config.experiments.custom:  # which may be others for each neuron
        found = run_population(config, results, chosen)
    else:
        make = partial(_tables, config, results)
        found = _findings(of_neurons(make, "experiments", config, results, chosen), chosen)
    response = read_stack_info(results).response
    write_csv(tidy(found.tables), results.experiment_tuning)
    write_csv(found.summary, results.experiment_summary)
    x, y = map_grid(config.image.geometry, config.experiments.map_step_deg)
    arrays = {"neuron_id": np.array(chosen), "x_deg": x, "y_deg": y}
    for name in MAPS:
        if all(name in field for field in found.maps.values()):
            stack = [field[name].to_numpy() for field in found.maps.values()]
            arrays[name] = np.stack(stack).astype(np.float32)
    write_arrays(arrays, results.experiment_maps)
    figures = {
        str(name): population_figure(name, found.tables, found.maps, found.summary)
        for name in config.experiments.make
    }
    if config.experiments.custom:
        figures["custom"] = custom_sheet(found.tables, found.summary)
    for name in (*STANDARD, "custom"):
        if name in figures:
            save_both(figures[name], results.experiment_maps.parent, name, response)
        else:
            for path in results.experiment_figures(name):  # made by an earlier run
                path.unlink(missing_ok=True)

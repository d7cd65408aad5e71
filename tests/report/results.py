"""A results folder like that of a finished run, created in a second without any model."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from meiflow.comparison.compare import spectra_table
from meiflow.config.sections import Config
from meiflow.experiments.measures import SUMMARY_COLUMNS
from meiflow.images.patterns import gabor
from meiflow.images.spectrum import power_spectrum
from meiflow.io.files import (
    read_csv,
    write_array,
    write_arrays,
    write_csv,
    write_picture,
    write_text,
)
from meiflow.report.session_data import read_session_data
from meiflow.report.view import NeuronPage, ReportView, build_view
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.results.stimuli import write_ascent
from meiflow.results.tables import read_responses
from meiflow.stages.provenance import write_provenance
from meiflow.stages.selection import select
from meiflow.stages.summary import write_summary

SCORED = {
    "model": 0.9,
    "v1": 0.8,
    "ln": 0.6,
    "gabor_energy": 0.85,
    "pixel_ridge": 0.2,
    "luminance": 0.1,
    "model_shuffled": 0.0,
}
STIMULI = ("mei", "gabor", "best_gabor", "best_natural", "windowed_natural")
NAMES = ("mei", "recorded_gabor", "best_gabor", "best_natural", "windowed_natural")
STUB = (  # a figure drawn by another stage
    '<svg xmlns="http://www.w3.org/2000/svg" width="504pt" height="100pt" viewBox="0 0 504 100">'
    '<path d="M0 0L504 100" stroke="black"/></svg>'
)
CURVES = ("gabors", "position", "gratings", "orientation", "spatial_frequency")


@dataclass(frozen=True)
class Measured:
    """Measured precision of the trust marks, with made-up numbers."""

    level: float = 0.8
    precision: float = 0.93
    precision_low: float = 0.87
    neurons: int = 214
    source: str = "Measured on simulated sessions."


def make_results(
    config: Config, source: Layout, results: Layout, has: SessionHas, neurons: list[str]
) -> None:
    """Fill a folder with everything that the report reads, for neurons of the tables."""
    rng = np.random.default_rng(3)
    shutil.copytree(source.trials.parent, results.trials.parent)
    if config.session.custom_tables:  # nothing else is known of the units
        write_csv(read_csv(results.units)[["neuron_id"]], results.units)
    select(config, results, has)
    table = read_csv(results.selection)
    table["selected"] = table["neuron_id"].isin(neurons)
    write_csv(table, results.selection)
    status = table["selected"].map({True: "modelled", False: "not selected"})
    write_csv(
        table[["neuron_id", "selected", "reason"]].assign(status=status), results.fitted_neurons
    )
    for picture in results.selection_figures("oracle", "measures", "rastermap")[1::2]:
        write_text(STUB, picture)
    _models(results, table["neuron_id"].tolist(), rng)
    for i, neuron in enumerate(neurons):
        _neuron(config, results, has, neuron, i, rng)
    if "transparent" in config.stimuli.make:
        _transparent(config, results, neurons)
    if has.truth:
        _closed_loop(results, neurons)
    if has.conditions:
        _recorded(results, neurons, rng)
    if config.experiments.make:
        _experiments(results, neurons)
    _trust(results, neurons)
    write_summary(config, results, has)
    write_provenance(results, [results.images])


def _models(results: Layout, neurons: list[str], rng: np.random.Generator) -> None:
    responses = read_responses(results)
    rows, curve = [], []
    for neuron in neurons:
        for model, score in SCORED.items():
            value = score + rng.uniform(-0.1, 0.05)
            rows.append((neuron, model, value, value, 5, value - 0.1, value + 0.05))
        for images in (10, 20):
            curve.append((neuron, "v1", images, *(images * c for c in (0.03, 0.03, 0.01, 0.04))))
    columns = ["neuron_id", "model", "cc_abs", "cc_norm", "folds", "cc_norm_low", "cc_norm_high"]
    write_csv(pd.DataFrame(rows, columns=columns), results.cross_validation)
    columns = ["neuron_id", "model", "images", "cc_abs", "cc_norm", "cc_norm_low", "cc_norm_high"]
    write_csv(pd.DataFrame(curve, columns=columns), results.learning_curve)
    x, y = np.linspace(-55, 55, 48), np.linspace(45, -45, 30)
    write_arrays(
        {
            "neuron_ids": np.array(neurons),
            "prediction_model": responses.means + rng.normal(0, 0.2, responses.means.shape),
            "rf_map": rng.uniform(-0.1, 0.6, (30, 48, len(neurons))),
            "rf_map_x_deg": x,
            "rf_map_y_deg": y,
            "rf_x_deg": np.zeros(len(neurons)),
            "rf_y_deg": np.zeros(len(neurons)),
        },
        results.model_search,
    )


def _transparent(config: Config, results: Layout, neurons: list[str]) -> None:
    """Round masks; the model of the last neuron does not respond."""
    grid = config.image.geometry
    alpha = np.exp(-0.5 * (np.hypot(grid.x, grid.y[:, None]) / 12) ** 2)
    wave = 0.5 + 0.3 * alpha * np.asarray(gabor(grid, 0.0, 0.0, 15.0, 40.0, 0.0, 9.0))
    files = results.procedure("transparent")
    write_array(np.stack([[wave, alpha]] * len(neurons)).astype(np.float32), files.images)
    names = ("predicted_response", "mei_response", "background_response", "fraction_of_mei")
    sizes = ("mean_alpha", "mask_deg2", "mei_energy_deg2", "mei_overlap", "rf_overlap")
    table = pd.DataFrame({"neuron_id": neurons} | dict.fromkeys((*names, *sizes), 0.9))
    table.loc[len(neurons) - 1, ["fraction_of_mei", *sizes]] = np.nan
    write_csv(table, files.table)


def _neuron(
    config: Config,
    results: Layout,
    has: SessionHas,
    neuron: str,
    i: int,
    rng: np.random.Generator,
) -> None:
    files = results.neuron(neuron)
    grid = config.image.geometry
    images = read_responses(results).images
    wave = gabor(grid, 5.0 * i - 10, 5.0, 15.0, 40.0 * i, 0.0, 6.0, 0.6)
    pattern = 0.5 + 0.4 * np.asarray(wave)
    noisy = pattern + rng.normal(0, 0.004, pattern.shape)
    made = dict(zip(STIMULI, (noisy, pattern, pattern, images[i], images[i + 1]), strict=True))
    for name, image in made.items():
        write_array(image, getattr(files, name))
    mask = np.abs(wave) > 0.2
    write_array(mask, files.mei_mask)
    write_picture(mask, files.mei_mask_picture)
    steps = np.arange(100)
    trace = {"step": steps, "response": 5 - 4 * np.exp(-steps / 10)}
    write_csv(pd.DataFrame(trace), files.mei_trace)
    write_ascent({0: 1 - noisy, 10: pattern, 99: noisy}, files)
    scores = read_csv(results.cross_validation)
    write_csv(scores[scores["neuron_id"] == neuron].drop(columns="neuron_id"), files.scores)
    kept = [n for n in NAMES if n != "recorded_gabor" or has.gabors]
    counts = {"mei": 5.0, "recorded_gabor": 3.0, "best_gabor": 4.5, "best_natural": 1.0}
    counts["windowed_natural"] = 2.0
    ratio = np.array([5.0 / counts[name] for name in kept])
    values = {
        "stimulus": kept,
        "predicted_response": [counts[name] for name in kept],
        "matched": True,
        "mei_ratio": ratio,
        "mei_ratio_low": ratio * 0.9,
        "mei_ratio_high": ratio * 1.1,
        "similarity_to_mei": 1.0,
        "shifted_similarity_to_mei": 1.0,
        "orientation_deg": 40.0 * i,
        "peak_frequency_cpd": 0.067,
        "x_deg": 5.0 * i - 10,
        "y_deg": 5.0,
        "size_deg": 20.0 + i,
        "symmetry_1": 0.8 if i else 0.1,
        "symmetry_2": 0.5,
        "bandwidth_octaves": 1.0,
        "luminance": 0.5,
        "contrast": 0.2,
        "tight_fraction": 0.9,
        "gabor_r2": 0.95,
        "gabor_wavelength_deg": 15.0,
        "gabor_orientation_deg": 40.0 * i,
    }
    write_csv(pd.DataFrame(values), files.comparison)
    spectra = {
        name: power_spectrum(made[stem].astype(float), grid)
        for name, stem in zip(NAMES, STIMULI, strict=True)
        if name in kept
    }
    write_csv(spectra_table(spectra), files.spectra)


def _closed_loop(results: Layout, neurons: list[str]) -> None:
    rows = [
        (neuron, "simple" if i % 2 else "complex", name, 10.0, 0.95 - 0.1 * k)
        for i, neuron in enumerate(neurons)
        for k, name in enumerate((*NAMES, "optimum"))
    ]
    columns = ["neuron_id", "kind", "stimulus", "true_drive", "fraction_of_optimum"]
    write_csv(pd.DataFrame(rows, columns=columns), results.closed_loop)


def _recorded(results: Layout, neurons: list[str], rng: np.random.Generator) -> None:
    for recorded, predicted in (
        (results.gabor_responses, results.predicted_gabors),
        (results.grating_responses, results.predicted_gratings),
    ):
        table = read_csv(recorded).drop(columns="repeats")
        noise = rng.uniform(0.8, 1.2, (len(table), len(neurons)))
        fixed = table.columns[:4].tolist()  # the condition and its parameters
        write_csv(pd.concat([table[fixed], table[neurons] * noise], axis=1), predicted)
    rows = [
        (n, c, 6, 0.8, 0.9, 0.1, 0.3, True, False) for n in neurons for c in CURVES
    ]  # fmt: skip
    columns = ["neuron_id", "curve", "points", "cc_abs", "cc_max", "cc_others", "cc_shuffled_95"]
    table = pd.DataFrame(rows, columns=[*columns, "tuned", "learned"])
    write_csv(table, results.recorded_tuning)
    errors = ("field_error_deg", "orientation_error_deg", "frequency_error_octaves")
    found = pd.DataFrame({"neuron_id": neurons})
    for error in errors:
        found = found.assign(**{error: 2.0, f"{error}_others": 30.0})
    for name in ("x_deg", "y_deg", "orientation_deg", "frequency_cpd"):
        values = np.linspace(0.1, 1, len(neurons))
        found = found.assign(**{f"recorded_{name}": values, f"predicted_{name}": values})
    write_csv(found, results.preferences)
    write_text(STUB, results.recorded_svg)


def _experiments(results: Layout, neurons: list[str]) -> None:
    parts = []
    for neuron in neurons:
        angle = np.arange(0, 180, 15.0)
        tuning = {"orientation_deg": angle, "response": 1 + np.cos(np.deg2rad(2 * angle))}
        part = pd.DataFrame({"neuron_id": neuron, "experiment": "orientation"} | tuning)
        contrasts = {"rms_contrast": np.geomspace(0.01, 0.1, 5), "response": np.arange(5.0)}
        more = pd.DataFrame({"neuron_id": neuron, "experiment": "mei_contrast"} | contrasts)
        parts += [part, more]
    write_csv(pd.concat(parts), results.experiment_tuning)
    summary = pd.DataFrame({"neuron_id": neurons} | dict.fromkeys(SUMMARY_COLUMNS, 1.5))
    write_csv(summary.assign(cell_type="simple"), results.experiment_summary)
    places = {"x_deg": np.linspace(-50, 50, 6), "y_deg": np.linspace(40, -40, 5)}
    shape = (len(neurons), 5, 6)
    maps = {"position": np.arange(np.prod(shape), dtype=float).reshape(shape)}
    write_arrays({"neuron_id": np.array(neurons)} | places | maps, results.experiment_maps)


def _trust(results: Layout, neurons: list[str]) -> None:
    """The last neuron is not trusted."""
    last = np.arange(len(neurons)) == len(neurons) - 1
    table = {
        "neuron_id": neurons,
        "trusted": ~last,
        "expected_fraction": np.where(last, 0.41, 0.93),
        "cc_norm_low": np.where(last, 0.2, 0.8),
        "fold_agreement": np.where(last, 0.5, 0.9),
        "peak_ratio": np.where(last, 0.4, 1.0),
        "trust_reason": np.where(last, "its Gabor disagrees", ""),
        "nuisance": np.where(last, "luminance_lower", ""),
    }
    write_csv(pd.DataFrame(table), results.trust)


def view_of(config: Config, results: Layout, has: SessionHas) -> ReportView:
    """The data of the page."""
    return build_view(read_session_data(config, results, has), Measured())


def many(view: ReportView, n: int, change: Callable[[NeuronPage, int], NeuronPage]) -> ReportView:
    """The same page with `n` neurons: copies of the existing ones, each changed."""
    pages = [change(view.pages[i % len(view.pages)], i) for i in range(n)]
    return replace(view, pages=pages)

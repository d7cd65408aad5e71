"""Export of a stimulus pack: the stimuli of chosen neurons, ready for a monitor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow import __version__
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError, shorten
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import luminance
from meiflow.images.projection import is_matched
from meiflow.io.checksums import CHECKSUMS, bookkeeping, sha256_of
from meiflow.io.files import read_array, read_csv, write_array, write_csv, write_text
from meiflow.io.writing import atomic_folder
from meiflow.models.archive import ModelArchive
from meiflow.pack.controls import pattern_position
from meiflow.pack.design import Design
from meiflow.pack.monitor import Gamma
from meiflow.pack.render import CONTRAST_TOLERANCE, Rendered, Renderer
from meiflow.pack.stimuli import (
    BLANK,
    OTHER,
    PackStimuli,
    contrast_series,
    pick_others,
    with_controls,
)
from meiflow.progress import note, track
from meiflow.results.layout import Layout
from meiflow.results.neurons import fitted_neurons
from meiflow.results.pack import FORMAT, PackLayout
from meiflow.results.stimuli import STIMULI
from meiflow.results.tables import read_stack_info
from meiflow.session.sensorium import new_folder
from meiflow.stages.common import wanted_neurons
from meiflow.stages.pack_files import (
    level_table,
    presentations,
    psychopy_conditions,
    readme,
    write_nwb,
    write_pictures,
)

_SERIES = (0.5, 1.0)  # of the contrast at which the MEIs were made
_VISIBLE, _MOSTLY = 0.5, 0.95  # of the contrast energy of an MEI
_PACKAGES = ("meiflow", "numpy", "scipy", "torch", "pillow", "pynwb")


def read_gamma(text: str) -> Gamma:
    """A gamma from an exponent or from a CSV with the columns level and luminance."""
    try:
        return Gamma.of(float(text))
    except ValueError:
        table = read_csv(text, ("level", "luminance"))
        for column in ("level", "luminance"):
            if not pd.api.types.is_numeric_dtype(table[column]):
                raise MeiflowError(f"{text}: column {column} must contain numbers") from None
        return Gamma.measured(table["level"], table["luminance"], text)


def export_stimuli(config: Config, results: Layout, folder: Path, design: Design) -> str:
    """Write the stimulus pack of chosen neurons.

    Parameters
    ----------
    config : Config
        Needed for models that call custom code.
    results : Layout
        Of a session whose stimuli are made.
    folder : path
        New folder.
    design : Design

    Returns
    -------
    str
        Numbers of neurons, stimuli and presentations.

    Raises
    ------
    MeiflowError
        If no neuron is left, a file is missing, or a stimulus does not keep its contrast on this
        monitor.
    """
    new_folder(folder)
    trust = _trust(results)
    neurons = _chosen(results, design, trust)
    info = read_stack_info(results)
    geometry = info.geometry
    mean, contrast = _targets(results, neurons)
    contrasts = tuple(sorted(design.contrasts or (round(part * contrast, 5) for part in _SERIES)))
    background = mean if design.background is None else design.background
    stimuli = _stimuli(results, design, neurons, geometry, mean, contrasts, background)
    places = _places(stimuli, design, neurons, geometry)
    renderer = Renderer(geometry, design.monitor, design.gamma, mean, background)
    shifts = zip(places["shift_x_deg"], places["shift_y_deg"], strict=True)
    moves = dict(zip(neurons, shifts, strict=True))
    drawn = [
        renderer.blank()
        if row.stimulus == BLANK
        else renderer.draw(stimuli.images[row.stimulus_id], moves[row.neuron_id])
        for row in track(stimuli.table.itertuples(), "drawing", len(stimuli.table))
    ]
    table = _with_measures(stimuli.table, drawn)
    _check(table, design)
    predicted = _predictions(config, results, neurons, geometry, stimuli.images)
    found = places.merge(trust, on="neuron_id", how="left")
    frames = presentations(table, design)
    reference = min(contrasts, key=lambda c: abs(c - contrast))
    document = {
        "format": FORMAT,
        "versions": {name: version(name) for name in _PACKAGES} | {"meiflow": __version__},
        "monitor": design.monitor.document()
        | {
            "gamma": "gamma.csv",
            "black_and_white_as_measured": [design.gamma.black, design.gamma.white],
        },
        "images": {
            "unit": "luminance from 0 (black) to 1 (white) of this monitor",
            "shape": list(geometry.shape),
            "size_deg": [geometry.width_deg, geometry.height_deg],
            "mean_luminance": mean,
            "background_luminance": background,
            "background_level": int(design.gamma.levels(background)),
            "rms_contrasts": list(contrasts),
            "reference_contrast": reference,
            "contrast_of_the_meis": contrast,
        },
        "design": {
            "seed": design.seed,
            "blocks": design.blocks,
            "duration_s": design.duration_s,
            "gap_s": design.gap_s,
            "presentations": len(frames),
        },
        **info.response.as_document(),
        "sources": _sources(results, neurons),
    }
    with atomic_folder(folder) as unfinished:
        files = PackLayout(unfinished)
        write_pictures(files, table, drawn)
        write_array(stimuli.images, files.luminance)
        for content, path in (
            (table, files.stimuli),
            (found, files.neurons),
            (predicted, files.predicted),
            (frames, files.frames),
            (psychopy_conditions(table, design), files.conditions),
            (level_table(design.gamma), files.gamma),
        ):
            write_csv(content, path)
        write_nwb(files.nwb, table, drawn, frames, document)
        write_text(readme(document, table, found), files.readme)
        listed = sorted(p for p in unfinished.rglob("*") if p.is_file() and p.suffix != ".lock")
        hashes = {
            p.relative_to(unfinished).as_posix(): sha256_of(p)
            for p in listed
            if p.name != CHECKSUMS
        }
        write_text(json.dumps(document | {"sha256": hashes}, indent=1) + "\n", files.document)
        bookkeeping(unfinished)[2].unlink(missing_ok=True)
    minutes = len(frames) * (design.duration_s + design.gap_s) / 60
    return (
        f"{len(neurons)} neurons, {len(table)} stimuli x {design.blocks} blocks = {len(frames)} "
        f"presentations ({minutes:.1f} min); contrast within "
        f"{100 * np.nanmax(np.abs(table['contrast_error'])):.2g} % of that asked for"
    )


def _trust(results: Layout) -> pd.DataFrame:
    """neuron_id, trusted, expected_fraction; empty for custom modules, which have no such table."""
    columns = ["neuron_id", "trusted", "expected_fraction"]
    if not results.trust.exists():
        return pd.DataFrame(columns=columns)
    return read_csv(results.trust, tuple(columns))[columns]


def _chosen(results: Layout, design: Design, trust: pd.DataFrame) -> list[str]:
    if design.every:
        return wanted_neurons(results)
    if design.neurons:
        return wanted_neurons(results, list(dict.fromkeys(design.neurons)))
    fitted = wanted_neurons(results)
    names = set(trust.loc[trust["trusted"].astype(bool), "neuron_id"].astype(str))
    chosen = [name for name in fitted if name in names]
    if not chosen:
        why = (
            f"none of the {len(fitted)} MEIs is trusted"
            if len(trust)
            else f"{results.trust} is missing, so it is not known which MEIs can be trusted"
        )
        raise MeiflowError(f"{results.root}: {why}; name neurons with --neuron, or use --all")
    return chosen


def _targets(results: Layout, neurons: list[str]) -> tuple[float, float]:
    """Mean and RMS contrast of the MEIs, which all have the same."""
    found = []
    for neuron in neurons:
        image = read_array(results.neuron(neuron).mei)
        found.append((float(image.mean(dtype=float)), float(image.std(dtype=float))))
        if not is_matched(image, *found[0]):
            raise MeiflowError(
                f"{results.neuron(neuron).mei}: mean {found[-1][0]:.4f} and RMS contrast "
                f"{found[-1][1]:.4f} differ from those of neuron {neurons[0]} "
                f"({found[0][0]:.4f}, {found[0][1]:.4f}); run the workflow again"
            )
    return found[0]


def _stimuli(
    results: Layout,
    design: Design,
    neurons: list[str],
    geometry: Geometry,
    mean: float,
    contrasts: Sequence[float],
    blank: float,
) -> PackStimuli:
    wanted = tuple(dict.fromkeys(("mei", *design.stimuli)))
    others = pick_others(neurons, fitted_neurons(results.fitted_neurons), design.seed)
    if OTHER in wanted and not others:
        note("no other neuron has an MEI, so the pack has no control other_mei")
    extra = {name: _extra(name, path, neurons, geometry) for name, path in design.extra.items()}
    made = {}
    for i, neuron in enumerate(neurons):
        files = results.neuron(neuron)
        own = {n: read_array(getattr(files, STIMULI[n])) for n in wanted if n in STIMULI}
        own |= {name: stack[i] for name, stack in extra.items()}
        other = read_array(results.neuron(others[neuron]).mei) if neuron in others else None
        names = (*wanted, *extra)
        made[neuron] = with_controls(own, other, geometry, design.seed + i, names)
    return contrast_series(made, others, mean, contrasts, blank)


def _extra(name: str, path: Path, neurons: list[str], geometry: Geometry) -> NDArray[np.float32]:
    images = read_array(path)
    if images.shape[:1] != (len(neurons),):
        raise MeiflowError(
            f"--extra {name}: {path} has shape {images.shape}; expected one image for each of the "
            f"{len(neurons)} neurons: ({len(neurons)}, {geometry.height}, {geometry.width})"
        )
    try:
        return luminance(images, geometry)
    except MeiflowError as error:
        raise MeiflowError(f"--extra {name}: {path}: {error}") from None


def _places(
    stimuli: PackStimuli, design: Design, neurons: list[str], geometry: Geometry
) -> pd.DataFrame:
    """Position of every neuron's MEI as recorded, and its displacement on the new monitor."""
    rows = []
    for neuron in neurons:
        is_mei = (stimuli.table["neuron_id"] == neuron) & (stimuli.table["stimulus"] == "mei")
        image = stimuli.images[stimuli.table.index[is_mei][-1]].astype(float)
        x, y = pattern_position(image, geometry)
        dx, dy = design.shift or (0.0, 0.0)
        if design.centre is not None:
            dx, dy = design.centre[0] - x, design.centre[1] - y
        rows.append(
            {"neuron_id": neuron, "recorded_x_deg": x, "recorded_y_deg": y}
            | {"shown_x_deg": x + dx, "shown_y_deg": y + dy, "shift_x_deg": dx, "shift_y_deg": dy}
        )
    return pd.DataFrame(rows)


def _with_measures(table: pd.DataFrame, drawn: list[Rendered]) -> pd.DataFrame:
    files = [PackLayout("").picture(i).as_posix() for i in table["stimulus_id"]]
    shown = np.array([d.contrast for d in drawn])
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.where(table["contrast"] > 0, shown / table["contrast"] - 1, 0.0)
    return table.assign(
        contrast_shown=shown,
        contrast_error=error,
        mean_shown=[d.mean for d in drawn],
        mean_error=[d.mean_error for d in drawn],
        clipped=[d.clipped for d in drawn],
        on_screen=[d.on_screen for d in drawn],
        grey_levels=[d.grey_levels for d in drawn],
        image_file=files,
    )


def _check(table: pd.DataFrame, design: Design) -> None:
    """Check that every stimulus is on the monitor and has kept its mean and contrast."""
    meis = table[table["stimulus"] == "mei"]
    off = meis[meis["on_screen"] < _VISIBLE]
    if len(off):
        row = off.iloc[0]
        raise MeiflowError(
            f"neuron {row['neuron_id']}: only {100 * row['on_screen']:.0f} % of the contrast "
            "energy of its MEI would be on this monitor "
            f"({off['neuron_id'].nunique()} neurons in all); "
            "move the stimuli with --centre or --shift, move the monitor closer, or leave these "
            "neurons out"
        )
    partly = meis.loc[meis["on_screen"] < _MOSTLY, "neuron_id"].unique()
    if len(partly):
        note(f"part of the MEI is off the monitor for {shorten(partly)}; see on_screen")
    wrong = table[~(table["contrast_error"].abs() <= CONTRAST_TOLERANCE)]
    if len(wrong):
        row = wrong.iloc[0]
        raise MeiflowError(
            f"neuron {row['neuron_id']}, {row['stimulus']}: contrast {row['contrast']:g} asked "
            f"for, but {row['contrast_shown']:.4g} with this gamma and 8 bits "
            f"({row['grey_levels']} grey levels, {100 * row['clipped']:.1f} % of the image "
            f"clipped; "
            f"{len(wrong)} of {len(table)} stimuli are off by more than "
            f"{100 * CONTRAST_TOLERANCE:g} %); give other contrasts with --contrast"
        )
    wrong = table[~(table["mean_error"] <= CONTRAST_TOLERANCE)]
    if len(wrong):
        row = wrong.iloc[0]
        raise MeiflowError(
            f"{row['stimulus']} {row['neuron_id']}: mean luminance off by "
            f"{100 * row['mean_error']:.2g} % with this gamma and 8 bits "
            f"({row['mean_shown']:.4g}); give a lower contrast, or a brighter --background"
        )
    clipped = table[table["clipped"] > 0]
    if len(clipped):
        note(
            f"{len(clipped)} of {len(table)} stimuli have pixels at black or white (at most "
            f"{100 * clipped['clipped'].max():.2g} % of the image); see clipped in stimuli.csv"
        )
    if design.background is not None:
        note("the images have another mean than the background, so that their edges are visible")


def _predictions(
    config: Config, results: Layout, neurons: list[str], geometry: Geometry, images: NDArray
) -> pd.DataFrame:
    archive = ModelArchive(results.models, geometry, config.model.network.own_core)
    table = pd.DataFrame({"stimulus_id": np.arange(len(images))})
    found = {n: archive.model(n, config.model.custom).predict(images) for n in neurons}
    return table.assign(**found)


def _sources(results: Layout, neurons: list[str]) -> dict[str, object]:
    """The session and hashes of the MEIs and models from which the pack was made."""
    return {
        "session": results.root.resolve().name,
        "models": sha256_of(results.models),
        "meis": {neuron: sha256_of(results.neuron(neuron).mei) for neuron in neurons},
    }

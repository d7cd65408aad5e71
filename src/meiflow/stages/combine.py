"""The stage that combines all sessions: tables, figures, and one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.combined.atlas import centred_tile
from meiflow.combined.estimates import estimate, session_values
from meiflow.combined.gather import SessionTables, costs, gather
from meiflow.combined.hierarchical import compare_groups
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.figures.style import save_both
from meiflow.io.files import read_array, read_csv, write_csv, write_text
from meiflow.progress import logger
from meiflow.report.atlas_page import render_atlas
from meiflow.report.cluster_cards import ClusterCard, cluster_cards, typical_members
from meiflow.report.combined_page import render_combined
from meiflow.report.combined_view import build_combined_view, figures_of, gallery_rows
from meiflow.report.trust import TrustCalibration, calibration_of
from meiflow.results.layout import CombinedLayout, Layout
from meiflow.session.dataset import COMBINED, Dataset
from meiflow.session.download import chosen_sessions
from meiflow.stages.outdated import as_text, made_of_sessions


def combine_sessions(
    config: Config, results: Path, calibration: TrustCalibration | None = None
) -> None:
    """Combine all sessions: tables, figures and one page.

    Parameters
    ----------
    config : Config
        The whole configuration, with its key ``sessions``.
    results : path
        Folder that contains the results folders of the sessions.
    calibration : TrustCalibration, optional
        Precision of the trust flag; by default, if there are flags, as measured for this version.

    Raises
    ------
    MeiflowError
        If a result is missing or damaged, or if no session has any neurons left.
    """
    output = CombinedLayout(results / COMBINED)
    sessions = Dataset(config).ids or chosen_sessions(output.warehouse)
    data = gather({session: _tables(Layout(results / session)) for session in sessions})
    clusters = _clusters(output, data.neurons, results, config) if config.clusters.make else []
    calibration = calibration or calibration_of(data.neurons)
    values = session_values(data.neurons)
    numbers = {"values": values, "estimates": estimate(values, config.seed)}
    gallery = gallery_rows(data.neurons)[["session_id", "neuron_id"]].astype(str)
    numbers["groups"], numbers["differences"] = compare_groups(data.neurons, config.seed)
    images = [
        read_array(Layout(results / session).neuron(neuron).mei)
        for session, neuron in gallery.itertuples(index=False)
    ]
    figures = figures_of(
        data, values, numbers["estimates"], images, config.image.geometry, config.seed
    )
    for name, figure in figures.items():
        save_both(figure, output.figures(name)[0].parent, name)
    write_csv(data.neurons, output.neurons)
    write_csv(data.sessions, output.sessions)
    write_csv(numbers["estimates"], output.estimates)
    write_csv(numbers["groups"], output.groups)
    write_csv(numbers["differences"], output.differences)
    write_csv(costs(timings(results, list(data.sessions["session_id"]))), output.cost)
    view = build_combined_view(
        data,
        config.report.title or f"{len(data.sessions)} sessions",
        config.session.source,
        figures,
        numbers,
        images,
        calibration,
        _left_out(output.warehouse) if config.sessions == "all" else [],
    )
    shown = gallery.groupby("session_id")["neuron_id"].apply(list).to_dict()
    state = as_text(made_of_sessions(results, {s: shown.get(s, []) for s in sessions}))
    write_text(render_combined(view, config, state, clusters), output.report)
    write_atlas(data.neurons, results, config, view.title, output.atlas)
    logger.info(f"combined: {len(data.neurons)} neurons in {len(data.sessions)} sessions")


def write_atlas(
    neurons: pd.DataFrame, results: Path, config: Config, title: str, path: Path
) -> None:
    """Write the page of all MEIs, arranged by similarity."""
    tiles = _tiles(neurons, results, config)
    write_text(render_atlas(neurons, tiles, title, config.seed), path)


def _tiles(neurons: pd.DataFrame, results: Path, config: Config) -> list[NDArray[np.float64]]:
    return [
        centred_tile(
            read_array(Layout(results / row["session_id"]).neuron(row["neuron_id"]).mei),
            row["mei_x_deg"],
            row["mei_y_deg"],
            config.image.geometry,
        )
        for row in neurons.to_dict("records")
    ]


def _clusters(
    output: CombinedLayout, neurons: pd.DataFrame, results: Path, config: Config
) -> list[ClusterCard]:
    """Add the cluster of every neuron to the table; return what the page shows of each."""
    keys = ["session_id", "neuron_id"]
    table = read_csv(output.clusters, (*keys, "cluster", "margin", "stability"))
    table[keys] = table[keys].astype(str)
    merged = neurons[keys].astype(str).merge(table, "left", on=keys)
    if merged["cluster"].notna().sum() != table["cluster"].notna().sum():
        raise MeiflowError(f"{output.clusters}: made of other neurons; run the stage cluster again")
    neurons["cluster"] = merged["cluster"].astype("Int64").array
    members = typical_members(neurons.assign(margin=merged["margin"].to_numpy()))
    tiles = _tiles(members, results, config)
    return cluster_cards(table, read_array(output.cluster_stimuli), members, tiles)


def _tables(results: Layout) -> SessionTables:
    fitted = read_csv(results.fitted_neurons, ("neuron_id", "selected", "status", "reason"))
    summary = ("neuron_id", "cc_norm_model", "model_above_chance")
    return SessionTables(
        read_csv(results.selection, ("neuron_id", "selected")),
        fitted,
        read_csv(results.units, ("neuron_id",)),
        read_csv(results.summary, summary) if fitted["selected"].any() else None,
    )


def timings(results: Path, sessions: list[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Session, stage, and time and memory of every job."""
    for session in sessions:
        for path in sorted(Layout(results / session).timings.rglob("*.tsv")):
            yield session, path.stem, pd.read_csv(path, sep="\t", na_values=["-", "NA"])


def _left_out(warehouse: Path) -> list[str]:
    """Sentence on which sessions of the warehouse were not chosen, and why."""
    table = read_csv(warehouse, ("session_id", "chosen", "reason"))
    reasons = table.loc[~table["chosen"], "reason"].value_counts()
    excluded = [f"{count} ({reason})" for reason, count in reasons.items()]
    chosen = int(table["chosen"].sum())
    text = f"Of the {len(table)} sessions in the warehouse, {chosen} were chosen"
    return [f"{text}; excluded: {'; '.join(excluded)}." if excluded else f"{text}."]

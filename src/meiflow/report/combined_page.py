"""The stage that combines all sessions: tables, figures, and one self-contained page."""

from __future__ import annotations

import json
from pathlib import Path

from meiflow.combined.estimates import estimate, session_values
from meiflow.combined.gather import costs, gather
from meiflow.config.sections import Config
from meiflow.errors import MeiflowError
from meiflow.figures.style import save_both
from meiflow.io.files import read_array, read_csv, write_csv, write_text
from meiflow.progress import say
from meiflow.report.combined_view import CombinedView, build_view, figures_of, gallery_rows
from meiflow.report.page import filled
from meiflow.report.provenance import versions
from meiflow.report.trust import Calibration, calibration_of
from meiflow.session.dataset import Dataset


def combine_sessions(
    config: Config,
    results: Path,
    warehouse: Path | None,
    output: Path,
    calibration: Calibration | None = None,
) -> None:
    """Write neurons.csv, sessions.csv, estimates.csv, cost.csv, the figures and report.html.

    Parameters
    ----------
    config : Config
        The whole configuration, with its key ``sessions``.
    results : path
        Folder that contains the results folders of the sessions.
    warehouse : path or None
        Table of `meiflow.session.download.choose_sessions`; needed for ``sessions: all``.
    output : path
        Folder to fill.
    calibration : Calibration, optional
        Precision of the trust flag; by default, if there are flags, as measured for this version.

    Raises
    ------
    MeiflowError
        If a result is missing or damaged, or if no session has any neurons left.
    """
    data = gather(results, _ids(config, warehouse))
    calibration = calibration or calibration_of(data.neurons)
    values = session_values(data.neurons)
    numbers = {"values": values, "estimates": estimate(values, config.seed)}
    images = [
        read_array(results / row["session_id"] / "neurons" / row["neuron_id"] / "mei.npy")
        for row in gallery_rows(data.neurons).to_dict("records")
    ]
    figures = figures_of(
        data, values, numbers["estimates"], images, config.image.geometry, config.seed
    )
    for name, figure in figures.items():
        save_both(figure, output / "figures", name)
    write_csv(data.neurons, output / "neurons.csv")
    write_csv(data.sessions, output / "sessions.csv")
    write_csv(numbers["estimates"], output / "estimates.csv")
    write_csv(costs(results, list(data.sessions["session_id"])), output / "cost.csv")
    view = build_view(
        data,
        config.report.title or f"{len(data.sessions)} sessions",
        config.session.source,
        figures,
        numbers,
        images,
        calibration,
        _left_out(warehouse),
    )
    write_text(render(view, config), output / "report.html")
    say(f"combined: {len(data.neurons)} neurons in {len(data.sessions)} sessions")


def render(view: CombinedView, config: Config) -> str:
    """The page as HTML.

    Parameters
    ----------
    view : CombinedView
    config : Config
    """
    return filled(
        "combined",
        view=view,
        seed=config.seed,
        config_text=json.dumps(config.model_dump(mode="json"), indent=1),
        versions=versions(),
        data={key: d.data for key, d in view.drawings.items()},
        table={"columns": [c.name for c in view.columns], "rows": view.rows},
    )


def _ids(config: Config, warehouse: Path | None) -> list[str]:
    ids = Dataset(config).ids
    if ids is not None:
        return list(ids)
    if warehouse is None:
        raise MeiflowError(
            "sessions: 'all' needs --warehouse, the table that meiflow sessions --choose writes"
        )
    from meiflow.session.download import chosen_sessions

    return chosen_sessions(warehouse)


def _left_out(warehouse: Path | None) -> list[str]:
    """Sentence on which sessions of the warehouse were not chosen, and why."""
    if warehouse is None:
        return []
    table = read_csv(warehouse, ("session_id", "chosen", "reason"))
    reasons = table.loc[~table["chosen"], "reason"].value_counts()
    excluded = [f"{count} ({reason})" for reason, count in reasons.items()]
    chosen = int(table["chosen"].sum())
    text = f"Of the {len(table)} sessions in the warehouse, {chosen} were chosen"
    return [f"{text}; excluded: {'; '.join(excluded)}." if excluded else f"{text}."]

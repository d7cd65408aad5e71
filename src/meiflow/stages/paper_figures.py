"""Figures of a whole session for a paper, drawn from the results when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pandas as pd
from matplotlib.figure import FigureBase

from meiflow.errors import MeiflowError, closest
from meiflow.figures.benchmark import draw_calibration
from meiflow.figures.overview import draw_gallery, draw_ratios, ratios_height
from meiflow.figures.paper import Panel, assembled, panel_figure
from meiflow.figures.recorded import draw_recorded, recorded_height
from meiflow.figures.style import PAGE, relabelled, save_figure
from meiflow.io.files import read_csv
from meiflow.report.overview_drawings import ranked
from meiflow.report.page import config_of_report
from meiflow.report.session_data import SessionData, read_session_data
from meiflow.report.trust import trusted_rows
from meiflow.results.has import SessionHas
from meiflow.results.layout import Layout
from meiflow.validation.trust import calibration

PANELS = ("meis", "responses", "trust", "tuning")
_WHOLE = "figure"
_NEURONS = 8
_ROWS = {"mei": "MEI", "best_gabor": "best Gabor", "windowed_natural": "natural"}
_SIZE = 7  # points


def _meis(data: SessionData) -> Panel:
    geometry = data.config.image.geometry
    best = ranked(data)[:_NEURONS]
    ids, trusted = data.summary["neuron_id"].astype(str), trusted_rows(data.summary)
    titles = dict.fromkeys(best, "")
    if trusted is not None:
        marked = np.where(trusted, "\ntrusted", "\nnot trusted")
        titles |= dict(zip(ids, marked, strict=True))
    titles = {neuron: f"{neuron}{titles[neuron]}" for neuron in best}
    images = {neuron: data.images(neuron) for neuron in best}

    def draw(figure: FigureBase) -> None:
        draw_gallery(figure, images, geometry, titles, _ROWS, _SIZE)

    width = (PAGE - 0.4) / max(len(best), 4)
    height = len(_ROWS) * width * geometry.height_deg / geometry.width_deg + 0.6
    return Panel("meis", draw, height, wide=True)


def _responses(data: SessionData) -> Panel:
    trusted = trusted_rows(data.summary)
    counted = None if trusted is None else trusted.to_numpy()

    def draw(figure: FigureBase) -> None:
        draw_ratios(figure.subplots(), data.summary, counted)

    return Panel("responses", draw, max(ratios_height(data.summary), 2.6), wide=False)


def _trust(data: SessionData, measured: pd.DataFrame) -> Panel | None:
    if "expected_fraction" not in data.summary:
        return None
    own = data.summary["expected_fraction"].to_numpy(float)
    level = calibration().level

    def draw(figure: FigureBase) -> None:
        draw_calibration(figure.subplots(), measured, level, own[np.isfinite(own)])

    return Panel("trust", draw, 2.6, wide=False)


def _tuning(data: SessionData) -> Panel | None:
    if not data.tuning:
        return None
    table, preferences = read_csv(data.results.recorded_tuning), read_csv(data.results.preferences)

    def draw(figure: FigureBase) -> None:
        draw_recorded(figure, table, preferences)

    return Panel("tuning", draw, recorded_height(preferences) - 0.4, wide=True)


_WHY = {
    "trust": "the trust rule does not apply to custom modules",
    "tuning": "neither Gabors nor static gratings were shown in this session",
}


def draw_paper(
    results: Layout,
    measured: pd.DataFrame,
    names: Sequence[str],
    suffix: str,
    output: Path | None,
) -> list[Path]:
    """Draw the panels of a figure of a finished session, and the whole figure.

    Parameters
    ----------
    results : Layout
    measured : DataFrame
        Neurons of known optimum, as for `meiflow.figures.benchmark.trust_calibration`.
    names : sequence of str
        `PANELS` to draw, in this order; all that the session has if empty.
    suffix : {"pdf", "svg", "png"}
    output : Path or None
        Folder; by default ``figures/paper``.

    Returns
    -------
    list of Path
        The files written: a panel each, and the whole figure.

    Raises
    ------
    MeiflowError
        If a name is unknown, or if the session does not have what a panel shows.
    """
    for name in names:
        if name not in PANELS:
            raise MeiflowError(
                f"panel {name!r}: unknown{closest(name, PANELS)}; allowed: {', '.join(PANELS)}"
            )
    data = read_session_data(config_of_report(results.report), results, SessionHas.found(results))
    found = {
        "meis": _meis(data),
        "responses": _responses(data),
        "trust": _trust(data, measured),
        "tuning": _tuning(data),
    }
    for name in names:
        if found[name] is None:
            raise MeiflowError(f"panel {name}: {_WHY[name]}")
    panels = [panel for name in names or PANELS if (panel := found[name]) is not None]
    figures = {
        f"{letter}_{panel.name}": panel_figure(panel, letter)
        for letter, panel in zip(ascii_lowercase, panels, strict=False)
    }
    written = []
    for name, figure in (figures | {_WHOLE: assembled(panels)}).items():
        path = results.paper_figure(name, suffix)
        path = path if output is None else output / path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_figure(relabelled(figure, data.response), path)
        written.append(path)
    return written

"""Data for the report of all sessions: no markup, no file access."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.combined.estimates import FEWEST, MEASURES, areas_of
from meiflow.combined.gather import Combined
from meiflow.config.recording import CUSTOM_TABLES
from meiflow.figures.combined import CUMULATIVE, by_area, distributions, most_confident, scores
from meiflow.images.geometry import Geometry
from meiflow.images.spectrum import ORIENTED
from meiflow.report.columns import Column, cell, choices_of, columns_of, corrected
from meiflow.report.drawing import Drawing, drawing, picture_uri
from meiflow.report.group_rows import (
    DIFFERENCE_HEADINGS,
    GROUP_HEADINGS,
    difference_rows,
    group_rows,
)
from meiflow.report.headline import FunnelStep
from meiflow.report.trust import (
    Trust,
    TrustCalibration,
    precision_text,
    sort_by_confidence,
    trust_of,
)

SHOWN = 24  # MEIs in the gallery
_KEYS = ["session_id", "neuron_id", "area"]
_DRAWN = [*CUMULATIVE, "mei_orientation_deg", "mei_x_deg", "mei_y_deg"]
_MEANT = "MEIs of models that are not better than chance are excluded."
_CALCULATED = "Each session counts once; 95 % intervals from a bootstrap over whole sessions."


@dataclass(frozen=True)
class Card:
    """A neuron in the gallery."""

    session: str
    neuron: str
    link: str
    picture: str
    alt: str
    trust: Trust | None
    text: str


@dataclass(frozen=True)
class CombinedView:
    """All data shown on the page; `rows` are the neurons for the script, ordered as `columns`."""

    title: str
    simulated: bool
    source: str
    areas: list[str]
    stages: list[FunnelStep]
    confidence_summary: list[str]
    mean_areas: list[str]
    means: list[tuple[str, list[str]]]
    groups: list[tuple[str, tuple[str, ...], list[list[str]]]]
    left_out: list[str]
    precision: str
    cards: list[Card]
    drawings: dict[str, Drawing]
    session_columns: list[str]
    sessions: list[dict[str, Any]]
    columns: list[Column]
    choices: list[tuple[str, str, list[str]]]
    rows: list[list[Any]]
    judged: bool


def gallery_rows(neurons: pd.DataFrame) -> pd.DataFrame:
    """Neurons in the gallery: the most confident ones, with an equal share for each session."""
    share = max(2, -(-SHOWN // neurons["session_id"].nunique()))
    rows = sort_by_confidence(neurons)
    return rows[rows.groupby("session_id").cumcount() < share].head(SHOWN)


def figures_of(
    data: Combined,
    values: pd.DataFrame,
    estimates: pd.DataFrame,
    images: list[NDArray],
    geometry: Geometry,
    seed: int,
) -> dict[str, Figure]:
    """The figures by name.

    Parameters
    ----------
    data : Combined
    values, estimates : DataFrame
        Tables made by `meiflow.combined.estimates`.
    images : list of ndarray
        MEIs of `gallery_rows`.
    geometry : Geometry
    seed : int
    """
    titles = []
    for row in gallery_rows(data.neurons).to_dict("records"):
        trust = trust_of(row)
        mark = f"{trust.mark} " if trust is not None else ""
        titles.append(
            f"{row['session_id']}, {_area(row)}\n{mark}{row['neuron_id']}, "
            f"CC {corrected(row['cc_norm_model'])}"
        )
    return {
        "gallery": most_confident(images, titles, geometry),
        "areas": by_area(data.neurons, values, estimates),
        "distributions": distributions(data.neurons, geometry, seed),
        "models": scores(data.neurons, seed),
    }


def build_combined_view(
    data: Combined,
    title: str,
    source: str,
    figures: dict[str, Figure],
    numbers: dict[str, pd.DataFrame],
    images: list[NDArray],
    calibration: TrustCalibration | None,
    left_out: list[str],
) -> CombinedView:
    """Collect the data shown on the page.

    Parameters
    ----------
    data : Combined
    title, source : str
    figures : dict of str to Figure
        Output of `figures_of`.
    numbers : dict of str to DataFrame
        Tables made by `meiflow.combined.estimates` (``values`` and ``estimates``) and
        `meiflow.combined.hierarchical` (``groups`` and ``differences``).
    images : list of ndarray
        MEIs of `gallery_rows`.
    calibration : TrustCalibration or None
    left_out : list of str
        Sentences about sessions that were not chosen.
    """
    neurons = data.neurons
    columns = columns_of(neurons.drop(columns=["session_id", "area"]))
    own = [
        Column("session_id", "session", "results folder", first=True),
        columns[0],
        Column("area", "area", "area of the unit's channel", first=True),
    ]
    columns = [*own, *columns[1:]]
    table = sort_by_confidence(neurons)[[column.name for column in columns]]
    # a round MEI has no orientation
    round_ones = ~(table["mei_symmetry_1"] >= ORIENTED)
    table["mei_orientation_deg"] = table["mei_orientation_deg"].mask(round_ones)
    trusts = [trust_of(row) for row in neurons.to_dict("records")]
    behind = {
        "areas": numbers["values"],
        "distributions": neurons[[*_KEYS, "mei_symmetry_1", *(n for n in _DRAWN if n in neurons)]],
        "models": neurons[[*_KEYS, *(c for c in neurons if c.startswith("cc_norm"))]],
    }
    return CombinedView(
        title=title,
        simulated=source == "simulated",
        source=source,
        areas=areas_of(neurons),
        stages=_funnel(data, source),
        confidence_summary=_confidence_summary(data, numbers["estimates"], calibration),
        mean_areas=list(numbers["estimates"]["area"].unique()),
        means=_means(numbers["estimates"]),
        groups=[
            ("MEI properties by area and class", GROUP_HEADINGS, group_rows(numbers["groups"])),
            (
                "Differences between areas and classes",
                DIFFERENCE_HEADINGS,
                difference_rows(numbers["differences"]),
            ),
        ],
        left_out=left_out,
        precision=precision_text(calibration),
        cards=[
            _card(row, image)
            for row, image in zip(gallery_rows(neurons).to_dict("records"), images, strict=True)
        ],
        drawings={k: drawing(k, *_WORDS[k], figures[k], behind[k]) for k in behind},
        session_columns=[c for c in data.sessions if c not in ("session_id", "status", "reason")],
        sessions=[_session(row) for row in data.sessions.to_dict("records")],
        columns=columns,
        choices=choices_of(neurons, ("cluster",)),
        rows=[[_value(v) for v in row] for row in table.itertuples(index=False)],
        judged=any(t is not None and t.kind != "unknown" for t in trusts),
    )


def _value(value: Any) -> Any:
    """A cell for the script: rounded, and representable in JSON."""
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}")
    return int(value) if isinstance(value, np.integer) else value


def link(session: object, neuron: object = None) -> str:
    """Link to a session's report, or to a neuron in it, relative to the page."""
    page = f"../{quote(str(session))}/report.html"
    return page if neuron is None else f"{page}#neuron-{quote(str(neuron))}"


def _area(row: dict[Any, Any]) -> str:
    return "area unknown" if pd.isna(row["area"]) else str(row["area"])


def _card(row: dict[Any, Any], image: NDArray) -> Card:
    session, neuron = str(row["session_id"]), str(row["neuron_id"])
    return Card(
        session=session,
        neuron=neuron,
        link=link(session, neuron),
        picture=picture_uri(image),
        alt=f"MEI of neuron {neuron} in session {session}",
        trust=trust_of(row),
        text=f"{_area(row)}; CC_norm {corrected(row['cc_norm_model'])}",
    )


def _session(row: dict[Any, Any]) -> dict[str, Any]:
    shown = {k: "–" if pd.isna(v) else cell(k, v).text for k, v in row.items()}
    return shown | {"link": link(row["session_id"]) if row["modelled"] else ""}


def _funnel(data: Combined, source: str) -> list[FunnelStep]:
    table = data.sessions
    left = int((table["modelled"] > 0).sum())
    meaning = f"in {len(table)} sessions"
    if source not in CUSTOM_TABLES:
        meaning += "; in the chosen areas, passing the quality filters"
    stages = [
        FunnelStep(int(table["units"].sum()), "units", meaning),
        FunnelStep(int(table["selected"].sum()), "selected", "criteria of the section selection"),
        FunnelStep(int(table["modelled"].sum()), "have a model", f"in {left} sessions"),
    ]
    if "model_above_chance" in table:
        held = "held-out correlation above the shuffled controls of their session"
        stages.append(
            FunnelStep(int(table["model_above_chance"].sum()), "model better than chance", held)
        )
    if "trusted" in table:
        sessions = int((table["trusted"] > 0).sum())
        meaning = f"the MEI is expected to drive the neuron; in {sessions} sessions"
        stages.append(FunnelStep(int(table["trusted"].sum()), "trusted", meaning))
    return stages


def _confidence_summary(
    data: Combined, estimates: pd.DataFrame, calibration: TrustCalibration | None
) -> list[str]:
    lines = [
        "The neurons of a session share an animal, a screen and slow drifts, and are not "
        "independent. Each session therefore contributes one value per measure, the median over "
        "its neurons or a fraction of them. Overall values are means over sessions; their 95 % "
        "intervals are a percentile bootstrap over whole sessions."
    ]
    sessions = data.neurons["session_id"].nunique()
    if sessions < FEWEST:
        lines.append(f"With only {sessions} sessions with a model, no interval is given.")
    elif sessions < 2 * FEWEST:
        lines.append(f"With only {sessions} sessions, these intervals are slightly too narrow.")
    if calibration is not None:
        lines.append(calibration.source)
    empty = data.sessions[data.sessions["modelled"] == 0]
    if len(empty):
        named = ", ".join(empty["session_id"])
        lines.append(f"No neurons remain in {named}; see the table of sessions for the reason.")
    return lines


def _means(estimates: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Mean over sessions of each measure with its interval, one column per area."""
    areas = list(estimates["area"].unique())
    lines = []
    for measure in MEASURES:
        own = estimates[estimates["measure"] == measure.name].set_index("area").reindex(areas)
        if own["mean"].notna().any():
            digits = 3 if measure.name.endswith("_cpd") else 2
            rows = own[["mean", "low", "high"]].to_numpy(float)
            lines.append((measure.label, [_with_interval(row, digits) for row in rows]))
    return lines


def _with_interval(row: NDArray, digits: int) -> str:
    mean, low, high = (f"{value:.{digits}f}" for value in row)
    return mean if np.isnan(row[1]) else f"{mean} ({low} to {high})"


# Title, alternative text, caption.
_WORDS = {
    "areas": (
        "By area",
        "Scores, trust, ratios, spatial frequency and size by area, one point per session",
        "One point per session: the median over its neurons, or a fraction of them; its size shows "
        f"the number of neurons. Diamond and bar: mean over sessions. {_CALCULATED} {_MEANT} "
        "Ratios: predicted count for the MEI divided by that for the other stimulus at the same "
        "mean and contrast.",
    ),
    "distributions": (
        "Distributions",
        "Cumulative distributions of score, frequency, size and ratio, and orientations and "
        "positions of the MEIs, by area",
        "Cumulative fraction of neurons, orientations of the oriented MEIs (symmetry at "
        "least 0.3; dotted: uniform distribution) and their positions on the screen. Thin lines: "
        f"sessions; thick lines: their mean, with its interval. {_CALCULATED} {_MEANT}",
    ),
    "models": (
        "Models and controls",
        "Cross-validated correlation of the model, its base models, the pixel ridge and the "
        "shuffled control, one line per session",
        "Median over the neurons of each session, on held-out images. The shuffled control is the "
        f"same procedure on responses permuted across images. {_CALCULATED}",
    ),
}

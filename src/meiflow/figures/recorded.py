"""Figures of recorded tuning against what the models of natural scenes predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.style import BLUE, GREY, VERMILION, new_figure, style

CURVE_NAMES = {
    "gabors": "Gabors:\nall conditions",
    "position": "Gabors:\nposition map",
    "gratings": "gratings:\nall conditions",
    "orientation": "gratings:\norientation",
    "spatial_frequency": "gratings:\nfrequency",
}


@dataclass(frozen=True)
class TuningView:
    """What `tuning_figure` shows of one neuron.

    Parameters
    ----------
    maps : dict of str to ndarray, shape (rows, columns)
        ``recorded`` and ``predicted`` counts by Gabor position, highest row first; empty where no
        Gabors were shown.
    x, y : ndarray
        Degrees of columns and rows.
    curves : dict of str to tuple of ndarray
        By ``orientation`` and ``spatial_frequency``: values, recorded counts, their standard
        errors, predicted counts.
    scores : DataFrame
        The neuron's rows of recorded.csv, indexed by curve.
    """

    maps: Mapping[str, NDArray]
    x: NDArray
    y: NDArray
    curves: Mapping[str, tuple[NDArray, NDArray, NDArray, NDArray]]
    scores: pd.DataFrame


def _verdict(scores: pd.DataFrame, curve: str) -> str:
    row = scores.loc[curve]
    text = f"r {row['cc_abs']:.2f}"
    if np.isfinite(row["cc_max"]):
        text += f", ceiling {row['cc_max']:.2f}"
    if not row["tuned"]:
        return f"{text}\nrecorded: no significant tuning"
    return f"{text}\n95 % of shuffled below {row['cc_shuffled_95']:.2f}"


def tuning_figure(view: TuningView) -> Figure:
    """Recorded and predicted position map, orientation and frequency tuning, side by side."""
    panels = (2 if view.maps else 0) + len(view.curves)
    with style():
        figure = new_figure(2.25 * panels, 2.3)
        axes = list(figure.subplots(1, panels, squeeze=False)[0])
        for kind, field in view.maps.items():
            _draw_map(axes.pop(0), kind, field, view)
        for name, curve in view.curves.items():
            _draw_curve(axes.pop(0), name, curve, view.scores)
    return figure


def _step(places: NDArray) -> float:
    """Distance of the positions; any, where there is one alone."""
    return float(abs(places[1] - places[0])) if len(places) > 1 else 10.0


def _draw_map(ax: Any, kind: str, field: NDArray, view: TuningView) -> None:
    step_x, step_y = _step(view.x), _step(view.y)
    box = (
        view.x[0] - step_x / 2,
        view.x[-1] + step_x / 2,
        view.y[-1] - step_y / 2,
        view.y[0] + step_y / 2,
    )
    picture = ax.imshow(field, cmap="viridis", extent=box)
    ax.figure.colorbar(picture, ax=ax, shrink=0.55, label="count" if kind == "predicted" else None)
    ax.set(xlabel="azimuth (deg)", ylabel="elevation (deg)" if kind == "recorded" else "")
    below = "\n\n" if kind == "recorded" else f"\n{_verdict(view.scores, 'position')}"
    ax.set_title(f"Gabor position, {kind}{below}", fontsize=7.5)


def _draw_curve(
    ax: Any, name: str, curve: tuple[NDArray, NDArray, NDArray, NDArray], scores: pd.DataFrame
) -> None:
    values, recorded, error, predicted = curve
    ax.errorbar(values, recorded, error, color="black", marker="o", ms=3, lw=1, label="recorded")
    ax.plot(values, predicted, color=VERMILION, marker="s", ms=3, lw=1, label="predicted")
    ax.set_ylim(0, 1.25 * max(float(recorded.max()), float(predicted.max()), 1e-3))
    frequency = name == "spatial_frequency"
    if frequency:
        ax.set_xscale("log")
        ax.set_xticks(values, [f"{v:g}" for v in values])
        ax.minorticks_off()
    else:
        ax.set_xticks(values)
    label = "spatial frequency (cycles/deg)" if frequency else "orientation (deg)"
    ax.set(xlabel=label, ylabel="" if frequency else "count")
    ax.set_title(f"static gratings\n{_verdict(scores, name)}", fontsize=7.5)
    ax.legend(loc="upper right", ncols=2, columnspacing=0.8, handlelength=1.2)


def recorded_overview(table: pd.DataFrame, preferences: pd.DataFrame) -> Figure:
    """Agreement of all neurons with its controls, and recorded against predicted preferences.

    Parameters
    ----------
    table, preferences : DataFrame
        recorded.csv and preferences.csv.
    """
    shown = [
        (names, unit)
        for names, unit in (
            (("x_deg", "field_error_deg"), "azimuth of the field\n(deg"),
            (("y_deg", "field_error_deg"), "elevation of the field\n(deg"),
            (("orientation_deg", "orientation_error_deg"), "orientation\n(deg, nearest turn"),
            (("frequency_cpd", "frequency_error_octaves"), "spatial frequency\n(cycles/deg"),
        )
        if names[1] in preferences and preferences[names[1]].notna().any()
    ]
    with style():
        figure = new_figure(max(4.6, 2.1 * len(shown)), 5.2 if shown else 2.7)
        upper, lower = figure.subfigures(2 if shown else 1, 1, squeeze=False)[:, 0].tolist() + (
            [] if shown else [None]
        )
        _draw_agreement(upper.subplots(), table)
        if shown:
            axes = lower.subplots(1, len(shown), squeeze=False)[0]
            for ax, ((name, error), label) in zip(axes, shown, strict=True):
                _draw_preference(ax, preferences[preferences[error].notna()], name, label)
    return figure


def _draw_agreement(ax: Any, table: pd.DataFrame) -> None:
    usable = table[table["tuned"] & table["cc_abs"].notna()]
    curves = [c for c in CURVE_NAMES if (table["curve"] == c).any()]
    named: set[str] = set()

    def once(label: str) -> str | None:
        first = label not in named
        named.add(label)
        return label if first else None

    for position, curve in enumerate(curves):
        rows = usable[usable["curve"] == curve]
        for offset, column, colour, label in (
            (-0.22, "cc_abs", BLUE, "own model"),
            (0.0, "cc_max", "black", "noise ceiling"),
            (0.2, "cc_others", GREY, "other neurons' models"),
        ):
            values = rows[column].dropna().to_numpy()
            spread = np.linspace(-0.06, 0.06, len(values)) if len(values) > 1 else np.zeros(1)
            at = position + offset + spread[: len(values)]
            if len(values):
                ax.scatter(at, np.sort(values), s=8, c=colour, alpha=0.8, label=once(label))
        limit = rows["cc_shuffled_95"].median()
        if np.isfinite(limit):
            chance = once("95 % of shuffled")
            ax.hlines(limit, position - 0.35, position + 0.35, VERMILION, lw=1.2, label=chance)
    counts = [int((usable["curve"] == c).sum()) for c in curves]
    labels = [f"{CURVE_NAMES[c]}\n(n = {n})" for c, n in zip(curves, counts, strict=True)]
    ax.axhline(0, color=GREY, lw=0.6)
    ax.set_xticks(range(len(curves)), labels)
    ax.set(ylabel="correlation, recorded with predicted", ylim=(None, 1.05))
    if named:
        ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_preference(ax: Any, rows: pd.DataFrame, name: str, label: str) -> None:
    recorded, predicted = rows[f"recorded_{name}"], rows[f"predicted_{name}"]
    if name == "orientation_deg":  # shown where it is nearest on the circle
        predicted = recorded + (predicted - recorded + 90) % 180 - 90
    low = float(min(recorded.min(), predicted.min()))
    high = float(max(recorded.max(), predicted.max()))
    ax.plot([low, high], [low, high], color=GREY, lw=0.8)
    ax.scatter(recorded, predicted, s=14, c=BLUE, alpha=0.8)
    margin = 0.06 * (high - low) + 1e-6
    ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    ax.set_aspect("equal")
    ax.set(xlabel="recorded", ylabel="predicted", title=f"{label}; n = {len(rows)})")

"""Figures of recorded tuning and of the predictions of models of natural scenes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

from meiflow.figures.style import BLUE, COLUMN, GREY, PAGE, VERMILION, new_figure, style

if TYPE_CHECKING:
    import xarray as xr

CURVE_NAMES = {
    "gabors": "Gabors:\nall conditions",
    "position": "Gabors:\nposition map",
    "gratings": "gratings:\nall conditions",
    "orientation": "gratings:\norientation",
    "spatial_frequency": "gratings:\nfrequency",
}


@dataclass(frozen=True)
class TuningView:
    """Data of one neuron for `tuning_figure`.

    Parameters
    ----------
    maps : dict of str to DataArray, dims (y_deg, x_deg)
        ``recorded`` and ``predicted`` counts by Gabor position, highest row first; empty where no
        Gabors were shown.
    curves : dict of str to tuple of ndarray
        For ``orientation`` and ``spatial_frequency``: values, recorded counts, their standard
        errors, predicted counts.
    scores : DataFrame
        The neuron's rows of recorded.csv, indexed by curve.
    """

    maps: Mapping[str, xr.DataArray]
    curves: Mapping[str, tuple[NDArray, NDArray, NDArray, NDArray]]
    scores: pd.DataFrame


def verdict(scores: pd.DataFrame, curve: str) -> str:
    """Correlation of a curve with its prediction, and its ceiling or control, in two lines."""
    row = scores.loc[curve]
    text = f"r {row['cc_abs']:.2f}"
    if np.isfinite(row["cc_max"]):
        text += f" (ceiling {row['cc_max']:.2f})"
    if not row["tuned"]:
        return f"{text}\nno significant tuning"
    return f"{text}\nshuffled 95 %: {row['cc_shuffled_95']:.2f}"


def tuning_figure(view: TuningView) -> Figure:
    """Recorded and predicted position maps (top), orientation and frequency tuning (bottom)."""
    lines = bool(view.maps) + bool(view.curves)
    with style():
        figure = new_figure(COLUMN, 2.15 * lines)
        parts = list(figure.subfigures(lines, 1, squeeze=False)[:, 0])
        if view.maps:
            axes = parts.pop(0).subplots(1, 2)
            top = max(float(field.max()) for field in view.maps.values())
            for ax, (kind, field) in zip(axes, view.maps.items(), strict=True):
                picture = _draw_map(ax, kind, field, view.scores, top)
            axes[0].figure.colorbar(picture, ax=list(axes), shrink=0.6, aspect=14, label="count")
        if view.curves:
            axes = parts[0].subplots(1, len(view.curves), squeeze=False)[0]
            for ax, (name, curve) in zip(axes, view.curves.items(), strict=True):
                _draw_curve(ax, name, curve, view.scores, first=ax is axes[0])
            handles, labels = axes[0].get_legend_handles_labels()
            parts[0].legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _step(places: NDArray) -> float:
    """Distance between the positions; 10 if there is only one."""
    return float(abs(places[1] - places[0])) if len(places) > 1 else 10.0


def _draw_map(ax: Any, kind: str, field: xr.DataArray, scores: pd.DataFrame, top: float) -> Any:
    x, y = field["x_deg"].to_numpy(), field["y_deg"].to_numpy()
    step_x, step_y = _step(x), _step(y)
    box = (x[0] - step_x / 2, x[-1] + step_x / 2, y[-1] - step_y / 2, y[0] + step_y / 2)
    picture = ax.imshow(field.to_numpy(), cmap="viridis", vmin=0, vmax=max(top, 1e-9), extent=box,
                        interpolation="none")  # fmt: skip
    ax.set(xlabel="azimuth (deg)")
    if kind == "recorded":
        ax.set_ylabel("elevation (deg)")
        ax.set_title("Gabor positions,\nrecorded\n", fontsize=7)
    else:
        ax.set_title(f"predicted\n{verdict(scores, 'position')}", fontsize=7)
        ax.set_yticklabels([])
    return picture


def _draw_curve(
    ax: Any,
    name: str,
    curve: tuple[NDArray, NDArray, NDArray, NDArray],
    scores: pd.DataFrame,
    first: bool,
) -> None:
    values, recorded, error, predicted = curve
    ax.errorbar(values, recorded, error, color="black", marker="o", ms=3, lw=1, label="recorded")
    ax.plot(values, predicted, color=VERMILION, marker="s", ms=3, lw=1, label="predicted")
    top = (recorded + np.nan_to_num(error)).max()  # a single trial has no error
    top = max(float(top), float(predicted.max()))
    low = min(0.0, float((recorded - np.nan_to_num(error)).min()), float(predicted.min()))
    ax.set_ylim(1.08 * low, 1.08 * max(top, 1e-3 if low == 0 else 0.0))
    frequency = name == "spatial_frequency"
    if frequency:
        ax.set_xscale("log")
        ax.set_xticks(values, [f"{v:g}".removeprefix("0") for v in values])
        ax.minorticks_off()
    else:
        ax.set_xticks(values[::2] if len(values) > 4 else values)
    label = "frequency (cycles/deg)" if frequency else "orientation (deg)"
    ax.set(xlabel=label, ylabel="count" if first else "")
    ax.set_title(verdict(scores, name), fontsize=7)


def recorded_overview(table: pd.DataFrame, preferences: pd.DataFrame) -> Figure:
    """Agreement for all neurons with controls, and recorded and predicted preferences.

    Parameters
    ----------
    table, preferences : DataFrame
        recorded.csv and preferences.csv.
    """
    with style():
        figure = new_figure(PAGE, recorded_height(preferences))
        draw_recorded(figure, table, preferences)
    return figure


_PREFERENCES = (
    (("x_deg", "field_error_deg"), "RF azimuth\n(deg"),
    (("y_deg", "field_error_deg"), "RF elevation\n(deg"),
    (("orientation_deg", "orientation_error_deg"), "orientation\n(deg, unwrapped"),
    (("frequency_cpd", "frequency_error_octaves"), "spatial frequency\n(cycles/deg"),
)


def _preferences_in(preferences: pd.DataFrame) -> list[tuple[tuple[str, str], str]]:
    """Names, errors and labels of the preferences that a table has."""
    return [
        (names, label)
        for names, label in _PREFERENCES
        if names[1] in preferences and preferences[names[1]].notna().any()
    ]


def recorded_height(preferences: pd.DataFrame) -> float:
    """Height in inches of a figure of `draw_recorded`."""
    return 4.8 if _preferences_in(preferences) else 2.6


def draw_recorded(figure: FigureBase, table: pd.DataFrame, preferences: pd.DataFrame) -> None:
    """Draw what `recorded_overview` shows into a figure."""
    shown = _preferences_in(preferences)
    if not shown:
        _draw_agreement(figure.subplots(), table)
        return
    upper, lower = figure.subfigures(2, 1, squeeze=False)[:, 0]
    _draw_agreement(upper.subplots(), table)
    axes = lower.subplots(1, len(shown), squeeze=False)[0]
    for ax, ((name, error), label) in zip(axes, shown, strict=True):
        _draw_preference(ax, preferences[preferences[error].notna()], name, label)


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
            (-0.22, "cc_abs", BLUE, "neuron's own model"),
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
            chance = once("95th percentile, permuted")
            ax.hlines(limit, position - 0.35, position + 0.35, VERMILION, lw=1.2, label=chance)
    counts = [int((usable["curve"] == c).sum()) for c in curves]
    labels = [f"{CURVE_NAMES[c]}\n(n = {n})" for c, n in zip(curves, counts, strict=True)]
    ax.axhline(0, color=GREY, lw=0.6)
    ax.set_xticks(range(len(curves)), labels)
    ax.set(ylabel="correlation with prediction", ylim=(None, 1.05))
    if named:
        ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))


def _draw_preference(ax: Any, rows: pd.DataFrame, name: str, label: str) -> None:
    recorded, predicted = rows[f"recorded_{name}"], rows[f"predicted_{name}"]
    if name == "orientation_deg":  # unwrapped to the nearest angle on the circle
        predicted = recorded + (predicted - recorded + 90) % 180 - 90
    low = float(min(recorded.min(), predicted.min()))
    high = float(max(recorded.max(), predicted.max()))
    ax.plot([low, high], [low, high], color=GREY, lw=0.8)
    ax.scatter(recorded, predicted, s=14, c=BLUE, alpha=0.8)
    margin = 0.06 * (high - low) + 1e-6
    ax.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin))
    ax.set_aspect("equal")
    ax.set(xlabel="recorded", ylabel="predicted", title=f"{label}; n = {len(rows)})")
    ax.locator_params(nbins=3)  # labels of a single neuron's small range are long

"""Figures of the experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from meiflow.experiments.measures import response_curve
from meiflow.figures.custom_experiments import COUNTS, Tables, draw_custom
from meiflow.figures.experiment_curves import BOTH, CURVES, Curve
from meiflow.figures.style import BLUE, GREY, PAGE, VERMILION, new_figure, style

_TYPE_COLOURS = {"simple": BLUE, "complex": VERMILION}
_PREFERRED = {"orientation": "preferred_orientation_deg", "bars": "bar_orientation_deg"}
_MARKS = {
    "orientation": "preferred_orientation_deg",
    "size": "preferred_size_deg",
    "frequency": "preferred_frequency_cpd",
    "contrast": "half_contrast",
    "mei_crop": "mei_crop_deg",
}
_POLARITIES = ((1, "#E69F00", "bright"), (-1, "black", "dark"))
MAP_NAMES = {"position": "small Gabors", "on": "bright spots", "off": "dark spots"}


@dataclass(frozen=True)
class CurvePanel:
    """What the panel of a one-dimensional experiment on a neuron shows.

    Parameters
    ----------
    title, xlabel, ylabel : str
    log : bool
        Whether the horizontal axis is logarithmic.
    mark : float
        Preferred value; NaN if there is none.
    lines : mapping of str to Series
        Responses by position, by the name of the line, which is empty if there is only one.
    """

    title: str
    xlabel: str
    ylabel: str
    log: bool
    mark: float
    lines: Mapping[str, pd.Series]


def curve_panel(name: str, table: pd.DataFrame, row: pd.Series) -> CurvePanel | None:
    """The panel of an experiment; None if it has no curve.

    Parameters
    ----------
    name : str
        Name of the experiment.
    table : DataFrame
        Values of the axes and response.
    row : Series
        The neuron's row of summary.csv.
    """
    if name not in CURVES:
        return None
    look, grey = CURVES[name], float(row["grey_response"])
    lines = {"": _reduced(name, table, grey)}
    measure = COUNTS[str(lines[""].name)]
    if name == "bars":
        parts = {label: table[table["polarity"] == sign] for sign, _, label in _POLARITIES}
        lines = {label: _reduced(name, part, grey) for label, part in parts.items() if len(part)}
    value = float(row[look.index])
    shown = f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"
    return CurvePanel(
        f"{name}: {look.short} {shown}",
        look.label,
        ("best " if name == "bars" else "") + measure,
        look.log,
        float(row[_MARKS[name]]) if name in _MARKS else np.nan,
        lines,
    )


def _reduced(name: str, table: pd.DataFrame, grey: float) -> pd.Series:
    """The curve of a one-dimensional experiment."""
    axis = CURVES[name].axis
    if name == "bars":
        every = response_curve(table, [axis, "polarity", "offset_deg"], grey)
        return every.groupby(axis, sort=False).max()
    return response_curve(table, axis, grey)


def population_figure(
    name: str,
    tables: Mapping[str, Tables],
    maps: Mapping[str, Tables],
    summary: pd.DataFrame,
) -> Figure:
    """Curves or maps of all neurons in one built-in experiment, and their indices.

    Parameters
    ----------
    name : str
        Name of the experiment.
    tables : mapping of neuron id to mapping of experiment name to DataFrame
    maps : mapping of neuron id to mapping of map name to DataFrame
        Rows are y, columns x.
    summary : DataFrame
        One row per neuron, with neuron_id.
    """
    rows = summary.set_index("neuron_id")
    with style():
        figure = new_figure(6.4, 2.8)
        left, right = figure.subplots(1, 2)
        if name in CURVES:
            _curves(left, name, tables, rows)
            _histogram(right, rows, CURVES[name])
        elif name == "position":
            _contours(left, maps, rows)
            size = np.sqrt(4 / np.pi * rows["field_area_deg2"])
            _stacked(right, rows, size, 12)
            right.set(xlabel="RF diameter (deg)", ylabel="neurons")
        else:
            _opponents(left, maps, rows)
            _stacked(right, rows, rows["on_off_index"], np.linspace(*BOTH, 13))
            right.set_xticks(np.linspace(*BOTH, 5))
            right.set(xlabel="bright minus dark (ON-OFF index)", ylabel="neurons")
        made = any("phase" in of_neuron for of_neuron in tables.values())
        _legend(figure, rows, "" if made else " without phase")
        figure.suptitle(f"{name}: {len(rows)} neurons", fontsize=8)
    return figure


def _curves(ax: Any, name: str, tables: Mapping[str, Tables], rows: pd.DataFrame) -> None:
    look = CURVES[name]
    lowest, measure = 0.0, ""
    for neuron, row in rows.iterrows():
        drive = _reduced(name, tables[str(neuron)][name], row["grey_response"])
        measure = str(drive.name)
        drive = drive / max(float(drive.abs().max()), 1e-9)
        lowest = min(lowest, float(drive.min()))
        if name in _PREFERRED:
            drive = _aligned(drive, float(row[_PREFERRED[name]]))
        colour = _TYPE_COLOURS.get(row["cell_type"], GREY)
        ax.plot(drive.index, drive, color=colour, lw=0.8, alpha=0.7)
    what = "response" if measure == "response" else "F1 or F0"
    label = f"{look.label}, relative to preferred" if name in _PREFERRED else look.label
    ax.set(xlabel=label, ylabel=f"{what} / largest", ylim=(min(-0.2, lowest - 0.05), 1.05))
    if look.log:  # the MEIs of the neurons reach different contrasts
        _log_axis(ax, pd.concat([table[name][look.axis] for table in tables.values()]))


def _aligned(drive: pd.Series, preferred: float) -> pd.Series:
    """Express an orientation curve relative to the preferred orientation."""
    away = (drive.index.to_numpy(float) - preferred + 90) % 180 - 90
    return drive.set_axis(away).sort_index()


def _log_axis(ax: Any, values: pd.Series) -> None:
    ax.set_xscale("log")
    low, high = float(values.min()), float(values.max())
    ax.set_xlim(low / 1.1, high * 1.1)
    span = high / low
    subs = (1, 2, 5) if span < 8 else (1, 3) if span < 40 else (1,)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _stacked(ax: Any, rows: pd.DataFrame, values: pd.Series, bins: Any) -> None:
    kinds = [kind for kind in (*_TYPE_COLOURS, "") if (rows["cell_type"].fillna("") == kind).any()]
    parts = [values[rows["cell_type"].fillna("") == kind].dropna() for kind in kinds]
    colours = [_TYPE_COLOURS.get(kind, GREY) for kind in kinds]
    if sum(map(len, parts)):
        ax.hist(parts, bins=bins, stacked=True, color=colours)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))


def _histogram(ax: Any, rows: pd.DataFrame, look: Curve) -> None:
    values = rows[look.index].astype(float)
    bins: Any = 12
    note = ""
    if look.index_range is not None:
        low, high = look.index_range
        note = f" ({high:g}: or more)" if (values > high).any() else ""
        note += f" ({low:g}: or less)" if (values < low).any() else ""
        values = values.clip(low, high)
        bins = np.linspace(low, high, 13)
        ax.set_xticks(np.linspace(low, high, 5))
    _stacked(ax, rows, values, bins)
    if look.index == "f1_f0":
        ax.axvline(1, color="black", lw=0.8, ls="--")
    ax.set(xlabel=look.index_label + note, ylabel="neurons")


def _legend(figure: Figure, rows: pd.DataFrame, why_unknown: str) -> None:
    """Add a legend below the axes, where it hides nothing."""
    shown = [kind for kind in _TYPE_COLOURS if (rows["cell_type"] == kind).any()]
    handles = [Patch(color=_TYPE_COLOURS[kind], label=kind) for kind in shown]
    if not rows["cell_type"].isin(_TYPE_COLOURS).all():
        handles.append(Patch(color=GREY, label=f"cell type unknown{why_unknown}"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _contours(ax: Any, maps: Mapping[str, Tables], rows: pd.DataFrame) -> None:
    for neuron, row in rows.iterrows():
        field = maps[str(neuron)]["position"]
        top = float(field.to_numpy().max())
        colour = _TYPE_COLOURS.get(row["cell_type"], GREY)
        if top > 0:
            x, y = field.columns.to_numpy(float), field.index.to_numpy(float)
            ax.contour(x, y, field.to_numpy(), levels=[top / 2], colors=colour, linewidths=0.8)
            ax.plot(row["field_x_deg"], row["field_y_deg"], ".", color=colour, ms=4)
    ax.set(xlabel="azimuth (deg)", ylabel="elevation (deg)", title="RFs at half height")
    ax.set_aspect("equal")


def _opponents(ax: Any, maps: Mapping[str, Tables], rows: pd.DataFrame) -> None:
    for neuron, row in rows.iterrows():
        on, off = (max(float(maps[str(neuron)][k].to_numpy().max()), 0) for k in ("on", "off"))
        ax.plot(on, off, "o", ms=4, color=_TYPE_COLOURS.get(row["cell_type"], GREY))
    top = max(*ax.get_xlim(), *ax.get_ylim())
    ax.plot([0, top], [0, top], color=GREY, lw=0.8)
    ax.set(xlabel="best bright spot (count)", ylabel="best dark spot (count)")


def neuron_figure(tables: Tables, maps: Tables, row: pd.Series) -> Figure:
    """All experiments on one neuron, one panel each; custom experiments at the end.

    Parameters
    ----------
    tables : mapping of experiment name to DataFrame
        Values of the axes and response.
    maps : mapping of map name to DataFrame
    row : Series
        Row of summary.csv.
    """
    grey = float(row["grey_response"])
    columns = 4
    panels: list[Callable[[Any], None] | None] = []
    kind = str(row["cell_type"])
    for name, table in tables.items():
        if (curve := curve_panel(name, table, row)) is not None:
            panels.append(lambda ax, c=curve: _neuron_curve(ax, c, kind))  # type: ignore[misc]
    if maps:  # on a separate line, because their colour bars make columns wider
        panels += [None] * (-len(panels) % columns)
    top = max([float(m.to_numpy().max()) for k, m in maps.items() if k != "position"], default=0.0)
    for name, field in maps.items():
        reach = float(field.to_numpy().max()) if name == "position" else top
        panels.append(lambda ax, n=name, f=field, t=reach: _neuron_map(ax, n, f, t, row))  # type: ignore[misc]
    for name, table in tables.items():
        if name not in CURVES:
            panels.append(lambda ax, n=name, t=table: draw_custom(ax, n, t, grey))  # type: ignore[misc]
    with style():
        lines = max(-(-len(panels) // columns), 1)
        figure = new_figure(PAGE, 1.6 * lines + 0.4)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for ax, panel in zip_longest(axes, panels):
            if panel is None:
                ax.axis("off")
            else:
                panel(ax)
        for ax in figure.axes:
            ax.tick_params(labelsize=6)
            for label in (ax.xaxis.label, ax.yaxis.label):
                label.set_fontsize(6.5)
            ax.title.set_fontsize(6)
        known = kind if kind in _TYPE_COLOURS else "cell type unknown"
        figure.suptitle(
            f"neuron {row['neuron_id']}, {known}: predicted count ({grey:.2g} for grey);\n"
            "over phases its amplitude (F1) or its mean minus grey (F0), as labelled",
            fontsize=8,
        )
    return figure


def _neuron_curve(ax: Any, panel: CurvePanel, kind: str) -> None:
    colours = {label: colour for _, colour, label in _POLARITIES}
    ax.axhline(0, color=GREY, lw=0.6)
    for label, drive in panel.lines.items():
        if label:
            ax.plot(drive.index, drive, color=colours[label], lw=0.8, label=label)
        else:
            colour = _TYPE_COLOURS.get(kind, GREY)
            ax.plot(drive.index, drive, ".-", color=colour, lw=1, ms=3)
    if len(panel.lines) > 1:
        ax.legend(fontsize=5.5)
    if panel.log:
        _log_axis(ax, pd.concat([line.index.to_series() for line in panel.lines.values()]))
    ax.set(xlabel=panel.xlabel, ylabel=panel.ylabel)
    ax.set_title(panel.title, fontsize=7)
    if np.isfinite(panel.mark):
        ax.axvline(panel.mark, color="black", lw=0.6, ls="--")


def _neuron_map(ax: Any, name: str, field: pd.DataFrame, top: float, row: pd.Series) -> None:
    x, y = field.columns.to_numpy(float), field.index.to_numpy(float)
    step_x, step_y = (float(np.abs(np.diff(v)).mean()) / 2 if len(v) > 1 else 1.0 for v in (x, y))
    box = (x.min() - step_x, x.max() + step_x, y.min() - step_y, y.max() + step_y)
    upright = field.sort_index(ascending=False).to_numpy()
    picture = ax.imshow(  # a bitmap, because a mesh shows seams in vector graphics
        upright, vmin=0, vmax=max(top, 1e-9), cmap="viridis", extent=box, interpolation="none"
    )
    label = "F1 or F0" if name == "position" else COUNTS["response"]
    below = "min" if (field.to_numpy() < 0).any() else "neither"
    ax.figure.colorbar(picture, ax=ax, shrink=0.7, label=label, extend=below)
    ax.set_aspect("equal")
    ax.set(xlabel="azimuth (deg)", ylabel="elevation (deg)")
    ax.set_title(f"{MAP_NAMES[name]}: up to {float(field.to_numpy().max()):.2g}", fontsize=7)
    if name == "position":
        ax.plot(row["field_x_deg"], row["field_y_deg"], "+", color="white")

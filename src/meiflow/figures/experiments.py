"""Figures of the experiments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.experiments.measures import PHASE, curve
from meiflow.figures.style import BLUE, GREY, VERMILION, new_figure, style

Tables = Mapping[str, pd.DataFrame]
_TYPE_COLOURS = {"simple": BLUE, "complex": VERMILION}
_RATIO_TOP = 2.0
_OWN_PANELS = 12
_OWN_COLUMNS = 4


@dataclass(frozen=True)
class _Curve:
    """How a one-dimensional experiment is drawn."""

    axis: str
    label: str
    index: str
    index_label: str
    log: bool = False
    index_log: bool = False
    index_range: tuple[float, float] | None = None


_CURVES = {
    "orientation": _Curve(
        "orientation_deg", "orientation (deg)", "osi", "selectivity (OSI)", index_range=(0, 1)
    ),
    "frequency": _Curve(
        "frequency_cpd",
        "frequency (cycles/deg)",
        "preferred_frequency_cpd",
        "preferred frequency (cycles/deg)",
        log=True,
        index_log=True,
    ),
    "phase": _Curve("phase_deg", "phase (deg)", "f1_f0", "F1 / F0", index_range=(0, _RATIO_TOP)),
    "size": _Curve(
        "diameter_deg",
        "diameter (deg)",
        "suppression_index",
        "suppression index",
        log=True,
        index_range=(0, 1),
    ),
    "contrast": _Curve("contrast", "Michelson contrast", "c50", "c50", log=True, index_log=True),
    "mei_contrast": _Curve(
        "rms_contrast",
        "RMS contrast of the MEI",
        "mei_c50_rms",
        "c50 (RMS)",
        log=True,
        index_log=True,
    ),
    "surround": _Curve(
        "surround",
        "surround",
        "surround_iso_index",
        "iso-oriented suppression",
        index_range=(-1, 1),
    ),
    "plaid": _Curve(
        "mask_contrast",
        "contrast of the mask",
        "cross_orientation_index",
        "cross-orientation suppression",
        index_range=(-1, 1),
    ),
    "bars": _Curve(
        "orientation_deg",
        "orientation of the bar (deg)",
        "bar_on_off_index",
        "bright less dark",
        index_range=(-1, 1),
    ),
    "shift": _Curve(
        "shift_deg", "shift (deg)", "shift_invariance", "mean / highest", index_range=(0, 1)
    ),
}


def _reduced(name: str, table: pd.DataFrame, grey: float) -> pd.Series:
    """The curve of a one-dimensional experiment."""
    axis = _CURVES[name].axis
    if name == "bars":
        every = curve(table, [axis, "polarity", "offset_deg"], grey)
        return every.groupby(axis, sort=False).max()
    return curve(table, axis, grey)


def population_figure(
    name: str,
    tables: Mapping[str, Tables],
    maps: Mapping[str, Tables],
    summary: pd.DataFrame,
) -> Figure:
    """All neurons in one built-in experiment: their curves or maps, and the index it gives.

    Parameters
    ----------
    name : str
        Of the experiment.
    tables : mapping of neuron id to mapping of experiment name to DataFrame
    maps : mapping of neuron id to mapping of map name to DataFrame
        Rows are y, columns x.
    summary : DataFrame
        One row per neuron, with neuron_id.
    """
    rows = summary.set_index("neuron_id")
    with style():
        figure = new_figure(6.4, 2.6)
        left, right = figure.subplots(1, 2)
        if name in _CURVES:
            look = _CURVES[name]
            for neuron, row in rows.iterrows():
                drive = _reduced(name, tables[str(neuron)][name], row["grey_response"])
                top = max(float(drive.max()), 1e-9)
                colour = _TYPE_COLOURS.get(row["cell_type"], GREY)
                left.plot(drive.index, drive / top, color=colour, lw=0.8, alpha=0.7)
            left.set(xlabel=look.label, ylabel="response / highest", ylim=(-0.2, 1.05))
            if look.log:
                _log_axis(left, next(iter(tables.values()))[name][look.axis])
            _histogram(right, rows, look)
        elif name == "position":
            _contours(left, maps, rows)
            size = np.sqrt(4 / np.pi * rows["field_area_deg2"])
            _stacked(right, rows, size, 12)
            right.set(xlabel="diameter of the field (deg)", ylabel="neurons")
        else:
            _opponents(left, maps, rows)
            _stacked(right, rows, rows["on_off_index"], np.linspace(-1, 1, 13))
            right.set(xlabel="bright less dark (ON-OFF index)", ylabel="neurons")
        _legend(right, rows)
        figure.suptitle(f"{name}: {len(rows)} neurons", fontsize=8)
    return figure


def _log_axis(ax: Any, values: pd.Series) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_xscale("log")
    ax.set_xlim(float(values.min()) / 1.1, float(values.max()) * 1.1)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _stacked(ax: Any, rows: pd.DataFrame, values: pd.Series, bins: Any) -> None:
    kinds = [kind for kind in (*_TYPE_COLOURS, "") if (rows["cell_type"].fillna("") == kind).any()]
    parts = [values[rows["cell_type"].fillna("") == kind].dropna() for kind in kinds]
    colours = [_TYPE_COLOURS.get(kind, GREY) for kind in kinds]
    if sum(map(len, parts)):
        ax.hist(parts, bins=bins, stacked=True, color=colours)


def _histogram(ax: Any, rows: pd.DataFrame, look: _Curve) -> None:
    values = rows[look.index].astype(float)
    note = ""
    if look.index_range is not None:
        low, high = look.index_range
        if (values > high).any():
            note = f" (last: {high:g} and more)"
        values = values.clip(low, high)
        bins: Any = np.linspace(low, high, 13)
    elif look.index_log and values.notna().any():
        bins = np.geomspace(values.min() / 1.05, values.max() * 1.05, 13)
        ax.set_xscale("log")
    else:
        bins = 12
    _stacked(ax, rows, values, bins)
    if look.index == "f1_f0":
        ax.axvline(1, color="black", lw=0.8, ls="--")
    if look.index_log and values.notna().any():
        _log_axis(ax, values.dropna())
    ax.set(xlabel=look.index_label + note, ylabel="neurons")


def _legend(ax: Any, rows: pd.DataFrame) -> None:
    from matplotlib.patches import Patch

    shown = [kind for kind in _TYPE_COLOURS if (rows["cell_type"] == kind).any()]
    if shown:
        ax.legend(handles=[Patch(color=_TYPE_COLOURS[kind], label=kind) for kind in shown])


def _contours(ax: Any, maps: Mapping[str, Tables], rows: pd.DataFrame) -> None:
    for neuron, row in rows.iterrows():
        field = maps[str(neuron)]["position"]
        top = float(field.to_numpy().max())
        colour = _TYPE_COLOURS.get(row["cell_type"], GREY)
        if top > 0:
            x, y = field.columns.to_numpy(float), field.index.to_numpy(float)
            ax.contour(x, y, field.to_numpy(), levels=[top / 2], colors=colour, linewidths=0.8)
            ax.plot(row["field_x_deg"], row["field_y_deg"], ".", color=colour, ms=4)
    ax.set(xlabel="azimuth (deg)", ylabel="elevation (deg)", title="fields at half height")
    ax.set_aspect("equal")


def _opponents(ax: Any, maps: Mapping[str, Tables], rows: pd.DataFrame) -> None:
    for neuron, row in rows.iterrows():
        on, off = (max(float(maps[str(neuron)][k].to_numpy().max()), 0) for k in ("on", "off"))
        ax.plot(on, off, "o", ms=4, color=_TYPE_COLOURS.get(row["cell_type"], GREY))
    top = max(*ax.get_xlim(), *ax.get_ylim())
    ax.plot([0, top], [0, top], color=GREY, lw=0.8)
    ax.set(xlabel="best bright spot (count)", ylabel="best dark spot (count)")


def neuron_figure(tables: Tables, maps: Tables, row: pd.Series) -> Figure:
    """Every experiment on one neuron, a panel each; own ones at the end.

    Parameters
    ----------
    tables : mapping of experiment name to DataFrame
        Axes and response.
    maps : mapping of map name to DataFrame
    row : Series
        Of summary.csv.
    """
    grey = float(row["grey_response"])
    panels: list[Callable[[Any], None]] = []
    for name, table in tables.items():
        if name in _CURVES:
            panels.append(lambda ax, n=name, t=table: _neuron_curve(ax, n, t, row))  # type: ignore[misc]
    top = max([float(m.to_numpy().max()) for k, m in maps.items() if k != "position"], default=0.0)
    for name, field in maps.items():
        reach = float(field.to_numpy().max()) if name == "position" else top
        panels.append(lambda ax, n=name, f=field, t=reach: _neuron_map(ax, n, f, t, row))  # type: ignore[misc]
    for name, table in tables.items():
        if name not in _CURVES:
            panels.append(lambda ax, n=name, t=table: _own(ax, n, t, grey))  # type: ignore[misc]
    with style():
        columns = 4
        lines = max(-(-len(panels) // columns), 1)
        figure = new_figure(9.0, 1.9 * lines + 0.3)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for ax in axes[len(panels) :]:
            ax.axis("off")
        for ax, panel in zip(axes, panels, strict=False):
            panel(ax)
        kind = f", {row['cell_type']}" if row["cell_type"] in _TYPE_COLOURS else ""
        figure.suptitle(
            f"neuron {row['neuron_id']}{kind}: predicted count less that to grey ({grey:.2g})",
            fontsize=8,
        )
    return figure


def _neuron_curve(ax: Any, name: str, table: pd.DataFrame, row: pd.Series) -> None:
    look, grey = _CURVES[name], float(row["grey_response"])
    drive = _reduced(name, table, grey)
    colour = _TYPE_COLOURS.get(row["cell_type"], GREY)
    ax.axhline(0, color=GREY, lw=0.6)
    ax.plot(drive.index, drive, ".-", color=colour, lw=1, ms=3)
    if name == "bars":
        _bar_lines(ax, table, grey)
    if look.log:
        _log_axis(ax, table[look.axis])
    value = float(row[look.index])
    ax.set_xlabel(look.label)
    ax.set_title(f"{name}: {look.index_label} {value:.2g}", fontsize=6.5)
    marks = {"orientation": "preferred_orientation_deg", "size": "preferred_size_deg"}
    marks |= {"frequency": "preferred_frequency_cpd"}
    if name in marks and np.isfinite(row[marks[name]]):
        ax.axvline(row[marks[name]], color="black", lw=0.6, ls="--")


def _bar_lines(ax: Any, table: pd.DataFrame, grey: float) -> None:
    """Bright and dark bars apart."""
    for polarity, colour, label in ((1, "#E69F00", "bright"), (-1, "black", "dark")):
        part = table[table["polarity"] == polarity]
        drive = _reduced("bars", part, grey)
        ax.plot(drive.index, drive, color=colour, lw=0.8, label=label)
    ax.legend(fontsize=5.5)


def _neuron_map(ax: Any, name: str, field: pd.DataFrame, top: float, row: pd.Series) -> None:
    x, y = field.columns.to_numpy(float), field.index.to_numpy(float)
    ax.pcolormesh(x, y, field.to_numpy(), vmin=0, vmax=max(top, 1e-9), cmap="viridis")
    ax.set_aspect("equal")
    ax.set(xlabel="azimuth (deg)", ylabel="elevation (deg)")
    names = {"position": "small Gabors", "on": "bright spots", "off": "dark spots"}
    ax.set_title(f"{names[name]}: up to {float(field.to_numpy().max()):.2g}", fontsize=6.5)
    if name == "position":
        ax.plot(row["field_x_deg"], row["field_y_deg"], "+", color="white")


def _own(ax: Any, name: str, table: pd.DataFrame, grey: float) -> None:
    """An own experiment: a curve over its first axis, or a picture over its first two."""
    axes = [c for c in table.columns if c != "response" and table[c].nunique() > 1]
    axes = [c for c in axes if c != PHASE] or axes or [str(table.columns[0])]
    ax.set_title(name, fontsize=6.5)
    two = [c for c in axes if pd.api.types.is_numeric_dtype(table[c])][:2]
    if len(two) == 2:
        field = curve(table, two, grey).unstack().sort_index()
        ax.pcolormesh(field.columns, field.index, field.to_numpy(), cmap="viridis")
        ax.set(xlabel=two[1], ylabel=two[0])
        return
    drive = curve(table, axes[0], grey)
    ax.axhline(0, color=GREY, lw=0.6)
    ax.plot(drive.index, drive, ".-", color=BLUE, lw=1, ms=3)
    ax.set_xlabel(axes[0])


def own_sheet(tables: Mapping[str, Tables], summary: pd.DataFrame) -> Figure:
    """The own experiments, a row each; the first neurons, a column each."""
    shown = summary.iloc[:_OWN_COLUMNS]
    first = tables[str(shown["neuron_id"].iloc[0])]
    names = [name for name in first if name not in (*_CURVES, "position", "spots")][:_OWN_PANELS]
    with style():
        figure = new_figure(2.3 * len(shown) + 0.2, 1.9 * len(names) + 0.3)
        axes = figure.subplots(len(names), len(shown), squeeze=False)
        for column, (_, row) in enumerate(shown.iterrows()):
            for line, name in enumerate(names):
                table = tables[str(row["neuron_id"])][name]
                _own(axes[line, column], name, table, float(row["grey_response"]))
                axes[line, column].set_title(f"{row['neuron_id']}: {name}", fontsize=6.5)
        left = len(summary) - len(shown)
        more = f" ({left} more in tuning.csv)" if left else ""
        figure.suptitle(f"own experiments{more}", fontsize=8)
    return figure


def gradient_figure(
    contrasts: tuple[NDArray, ...], responses: NDArray, gradients: NDArray
) -> Figure:
    """Response and gradient over channel contrasts: a curve, arrows, or slices of arrows.

    Parameters
    ----------
    contrasts, responses, gradients
        As in ``GradientGrid``. With three channels and more, a panel per combination of all but
        the first two, at most 12 of them evenly spaced.
    """
    with style():
        if len(contrasts) == 1:
            figure = new_figure(3.2, 2.6)
            ax = figure.subplots()
            ax.plot(contrasts[0], responses, color=BLUE, label="response")
            ax.plot(contrasts[0], gradients[:, 0], color=VERMILION, ls="--", label="gradient")
            ax.set_xlabel("contrast")
            ax.legend()
            return figure
        first, second, *others = contrasts
        shape = tuple(len(axis) for axis in others)
        every = np.arange(int(np.prod(shape)))
        chosen = np.unique(np.linspace(0, len(every) - 1, min(len(every), _OWN_PANELS)).astype(int))
        columns = min(len(chosen), 4)
        lines = -(-len(chosen) // columns)
        figure = new_figure(2.9 * columns + 0.6, 2.7 * lines)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for ax in axes[len(chosen) :]:
            ax.axis("off")
        low, high = float(responses.min()), float(responses.max())
        picture: Any = None
        for ax, one in zip(axes, chosen, strict=False):
            at = np.unravel_index(int(one), shape) if shape else ()
            field = responses[(slice(None), slice(None), *at)]
            arrows = gradients[(slice(None), slice(None), *at)]
            picture = ax.pcolormesh(first, second, field.T, vmin=low, vmax=high, cmap="viridis")
            ax.quiver(first, second, arrows[..., 0].T, arrows[..., 1].T, color="white")
            ax.set(xlabel="contrast of channel 0", ylabel="contrast of channel 1")
            if shape:
                fixed = (f"{k + 2}: {axis[i]:.2g}" for k, (axis, i) in enumerate(zip(others, at)))
                ax.set_title("channel " + ", ".join(fixed))
        figure.colorbar(picture, ax=list(axes[: len(chosen)]), label="response", shrink=0.8)
    return figure

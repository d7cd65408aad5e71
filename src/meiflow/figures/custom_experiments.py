"""Figures of custom experiments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from meiflow.config.experiments import STANDARD
from meiflow.experiments.measures import PHASE, response_curve, spread
from meiflow.figures.style import GREY, new_figure, style

Tables = Mapping[str, pd.DataFrame]
COUNTS = {"response": "count minus grey", "f0": "F0 (minus grey)", "f1": "F1 of the count"}
_PANELS = 12
_COLUMNS = 4
_LINES = 6


@dataclass(frozen=True)
class CustomPanel:
    """What the panel of a custom experiment shows.

    Parameters
    ----------
    title : str
        Its second line, if any, names the axes that are averaged.
    along, other : str
        Horizontal axis; axis of the lines or the vertical axis, empty if there is none.
    measure : str
        What the values are.
    values : DataFrame
        One row per position along the horizontal axis, one column per line.
    is_map : bool
        Whether it is a map, which has more than six columns.
    """

    title: str
    along: str
    other: str
    measure: str
    values: pd.DataFrame
    is_map: bool


def custom_panel(title: str, table: pd.DataFrame, grey: float) -> CustomPanel:
    """An experiment over its two longest axes: lines for few values, otherwise a map.

    Parameters
    ----------
    title : str
        Title, to which axes averaged over are appended.
    table : DataFrame
        Output of `meiflow.experiments.run` for one experiment.
    grey : float
        Response to grey.
    """
    axes = [c for c in table.columns if c != "response" and (c != PHASE or len(table.columns) < 3)]
    counts = {c: table[c].nunique() for c in sorted(axes, key=lambda c: -table[c].nunique())}
    along, *rest = list(counts)[:2]
    averaged = [c for c in list(counts)[2:] if counts[c] > 1]
    other = rest[0] if rest and counts[rest[0]] > 1 else ""
    drive = response_curve(table, [other, along] if other else [along], grey)
    shown = spread(drive, other) if other else drive.to_frame("")
    is_map = bool(other) and counts[other] > _LINES
    if is_map:
        title += f", up to {float(shown.to_numpy().max()):.2g}"
    if averaged:
        title += f"\nmean over {', '.join(averaged)}"
    return CustomPanel(title, along, other, COUNTS[str(drive.name)], shown, is_map)


def draw_custom(ax: Any, title: str, table: pd.DataFrame, grey: float) -> None:
    """Draw an experiment; parameters as for `custom_panel`."""
    panel = custom_panel(title, table, grey)
    ax.set(xlabel=panel.along)
    if panel.is_map:
        field = panel.values.T
        places = map(_places, (field.columns, field.index))
        picture = ax.pcolormesh(*places, field.to_numpy(), cmap="viridis")
        ax.figure.colorbar(picture, ax=ax, shrink=0.7, label=panel.measure)
        ax.set(ylabel=panel.other)
    else:
        ax.axhline(0, color=GREY, lw=0.6)
        lines = panel.values
        for value in lines:
            ax.plot(_places(lines.index), lines[value], ".-", lw=1, ms=3, label=_label(value))
        if panel.other:
            low, high = ax.get_ylim()
            ax.set_ylim(low, high + 0.4 * (high - low))  # room for the legend above the lines
            ax.legend(
                title=panel.other, fontsize=5.5, title_fontsize=5.5, loc="upper center", ncols=3
            )
        ax.set(ylabel=panel.measure)
    ax.set_title(panel.title, fontsize=7)


def _label(value: Any) -> str:
    return str(value) if isinstance(value, str) else f"{value:.3g}"


def _places(values: pd.Index) -> Any:
    """Positions on an axis: numbers themselves, texts by category."""
    return values.to_numpy(float) if pd.api.types.is_numeric_dtype(values) else values.astype(str)


def custom_sheet(tables: Mapping[str, Tables], summary: pd.DataFrame) -> Figure:
    """Sheet of custom experiments, one row each; the first neurons, one column each.

    Parameters
    ----------
    tables : mapping of neuron id to mapping of experiment name to DataFrame
    summary : DataFrame
        One row per neuron, with neuron_id and grey_response.
    """
    shown = summary.iloc[:_COLUMNS]
    every = [name for neuron in shown["neuron_id"] for name in tables[str(neuron)]]
    found = [name for name in dict.fromkeys(every) if name not in STANDARD]
    names = found[:_PANELS]
    with style():
        figure = new_figure(2.3 * len(shown) + 0.2, 1.9 * len(names) + 0.3)
        axes = figure.subplots(len(names), len(shown), squeeze=False)
        for column, (_, row) in enumerate(shown.iterrows()):
            for line, name in enumerate(names):
                table = tables[str(row["neuron_id"])].get(name)
                if table is None:  # not shown to this neuron
                    axes[line, column].axis("off")
                    continue
                title = f"{row['neuron_id']}: {name}"
                draw_custom(axes[line, column], title, table, float(row["grey_response"]))
        rest = {"experiment": len(found) - len(names), "neuron": len(summary) - len(shown)}
        more = [f"{n} more {what}{'s' * (n > 1)}" for what, n in rest.items() if n]
        note = f" ({' and '.join(more)} in tuning.csv)" if more else ""
        figure.suptitle(f"custom experiments{note}", fontsize=8)
    return figure

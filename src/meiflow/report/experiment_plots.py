"""Figures of the experiments on a neuron's model, as data that the page draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from meiflow.figures.custom_experiments import CustomPanel, custom_panel
from meiflow.figures.experiments import MAP_NAMES, CurvePanel, curve_panel
from meiflow.report.plot import Plot, columns, pixels, values
from meiflow.report.session_data import SessionData

_CAPTION = (
    "Standard physiology experiments, run on the model. Curves are predicted counts minus the "
    "response to grey ({grey:.2g}), without errors because a model does not vary; over phases, the "
    "amplitude of the modulation (F1) or the mean (F0), whichever is larger, as labelled. "
    "Dashed: the preferred value."
)


def experiment_plots(data: SessionData, neuron: str) -> list[Plot]:
    """Figures of the experiments; none if there were none.

    Parameters
    ----------
    data : SessionData
    neuron : str
    """
    if data.experiments is None or neuron not in data.experiments.tables:
        return []
    tables = data.experiments.tables[neuron]
    row = data.experiments.summary.loc[neuron]
    grey = float(row["grey_response"])
    panels: list[dict[str, Any]] = []
    for name, table in tables.items():
        curve = curve_panel(name, table, row)
        if curve is not None:
            panels.append({"name": name} | _curve(curve))
        else:
            panels.append({"name": name} | _custom(custom_panel(name, table, grey)))
    maps = data.experiments.maps.get(neuron, {})
    top = max([float(m.to_numpy().max()) for k, m in maps.items() if k != "position"], default=0.0)
    for name, field in maps.items():
        own = float(field.to_numpy().max())
        shown = pixels(field.to_numpy(), 0.0, max(own if name == "position" else top, 1e-9))
        panels.append(
            {
                "name": name,
                "title": f"{MAP_NAMES[name]}: up to {own:.2g}",
                "ylabel": "F1 or F0" if name == "position" else "count minus grey",
                "map": shown | {"x": values(field.columns), "y": values(field.index)},
                "centre": values(row[["field_x_deg", "field_y_deg"]].to_numpy(float))
                if name == "position"
                else None,
            }
        )
    return [
        Plot(
            "experiments",
            "Experiments on the model",
            f"Predicted tuning of neuron {neuron} in experiments on its model: "
            f"{', '.join(tables)}.",
            _CAPTION.format(grey=grey),
            {"kind": row["cell_type"] if isinstance(row["cell_type"], str) else "",
             "panels": panels},
            wide=True,
        )
    ]  # fmt: skip


def _curve(panel: CurvePanel) -> dict[str, Any]:
    return {
        "title": panel.title,
        "xlabel": panel.xlabel,
        "ylabel": panel.ylabel,
        "log": panel.log,
        "mark": values([panel.mark])[0],
        "lines": [
            {"name": name, "x": _places(line.index), "y": values(line)}
            for name, line in panel.lines.items()
        ],
    }


def _custom(panel: CustomPanel) -> dict[str, Any]:
    shown = {"title": panel.title, "xlabel": panel.along, "ylabel": panel.measure, "log": False}
    if panel.is_map:
        shown["xlabel"] = panel.along
        field = panel.values.T
        x, y = _places(field.columns), _places(field.index)
        low, high = float(np.nanmin(field)), float(np.nanmax(field))
        more = {"map": pixels(field.to_numpy(), low, high) | {"x": x, "y": y}, "other": panel.other}
        return shown | more
    lines = [
        {"name": _name(panel.other, name), "x": _places(line.index), "y": values(line)}
        for name, line in panel.values.items()
    ]
    return shown | {"lines": lines, "mark": None}


def _name(other: str, value: Any) -> str:
    if not other:
        return ""
    return f"{other} {value}" if isinstance(value, str) else f"{other} {value:.3g}"


def _places(index: pd.Index) -> list[Any]:
    """Positions on an axis: numbers, or texts."""
    numeric = pd.api.types.is_numeric_dtype(index)
    return values(index.to_numpy(float)) if numeric else index.astype(str).tolist()


def contrast_plots(data: SessionData, neuron: str) -> list[Plot]:
    """The MEI at other contrasts, where this experiment was run.

    Parameters
    ----------
    data : SessionData
    neuron : str
    """
    tables = data.experiments.tables.get(neuron, {}) if data.experiments is not None else {}
    if data.experiments is None or "mei_contrast" not in tables:
        return []
    rows = tables["mei_contrast"][["rms_contrast", "response"]]
    grey = float(data.experiments.summary.loc[neuron, "grey_response"])
    return [
        Plot(
            "contrast",
            "The MEI at other contrasts",
            f"Predicted count of neuron {neuron} to its MEI, from an RMS contrast of "
            f"{rows['rms_contrast'].min():.2g} to {rows['rms_contrast'].max():.2g}.",
            "The MEI at the contrast chosen below, on a fixed grey scale, and the predicted count "
            "as a function of its RMS contrast. Dotted: response to grey; circle: the contrast "
            "chosen, at first that of the MEI.",
            {"grey": values([grey])[0], "table": columns(rows)},
        )
    ]

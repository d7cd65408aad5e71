"""The presentations of all stimuli of an NWB file in one table, as AllenSDK gives it.

Values, types and the text ``null`` in place of missing values are those of
``EcephysSession.stimulus_presentations``; tests compare the two.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from meiflow.config.columns import Columns
from meiflow.session.nwb_names import renamed
from meiflow.session.stimulus_names import SUFFIX, standard_name, stimulus_tables
from meiflow.session.store import Node, Table

INVALID = "invalid_presentation"
_NULL = "null"
_TRIPLET = re.compile(r"\[(-?\d*\.\d*,\s*)*-?\d*\.\d*\]")
# Columns of intervals that are references, or the same for all rows.
IGNORED = ("tags", "timeseries")
# Constant properties of a stimulus, which AllenSDK leaves out.
_DETAILS = (
    "colorSpace", "flipHoriz", "flipVert", "depth", "interpolate", "mask", "opacity", "rgbPedestal",
    "tex", "texRes", "units", "rgb", "signalDots", "noiseDots", "fieldSize", "fieldShape",
    "fieldPos", "nDots", "dotSize", "dotLife", "color_triplet",
)  # fmt: skip


def read_presentations(root: Node, columns: Columns, failed: pd.DataFrame) -> pd.DataFrame:
    """Presentations of all stimuli in the order in which they were shown.

    Parameters
    ----------
    root : Node
    columns : Columns
        Names of columns and stimuli in this file.
    failed : DataFrame
        Intervals with start_time and stop_time in which the stimulus failed. Their presentations
        are renamed to ``invalid_presentation`` and have no parameters.

    Returns
    -------
    DataFrame
        Columns start_time, stop_time, stimulus_name, stimulus_block, duration and the parameters of
        all stimuli; empty if the file has no presentations.
    """
    parts = [_part(name, table, columns) for name, table in stimulus_tables(root).items()]
    parts = [part for part in parts if len(part)]
    if not parts:
        return pd.DataFrame({"start_time": [], "stop_time": [], "stimulus_name": []})
    table = pd.concat(parts, sort=False)
    integers = table.select_dtypes(include="integer").columns
    table = table.astype(dict.fromkeys(integers, "int64"))
    two_valued = [c for c in table.select_dtypes(include="float") if _is_two_valued(c, table[c])]
    table = table.astype(dict.fromkeys(two_valued, "boolean"))
    table = table.sort_values("start_time", kind="stable").reset_index(drop=True)
    table.index.name = "stimulus_presentation_id"
    table = _merge_spellings(_numeric_colours(table)).drop(
        columns="stimulus_index", errors="ignore"
    )
    names = table["stimulus_name"].map(lambda n: n if isinstance(n, str) else "")
    table["stimulus_name"] = names.map(
        {name: standard_name(name, columns.stimuli) for name in names.unique()}
    )
    table = table.drop(columns=list(_DETAILS), errors="ignore")
    table = _with_null(table)
    table["duration"] = table["stop_time"] - table["start_time"]
    return _mask(table, failed)


def _part(name: str, table: Table, columns: Columns) -> pd.DataFrame:
    """One stimulus table, with AllenSDK's names of columns."""
    table.require_columns()
    own = {c: table.column(c) for c in table.columns if c not in IGNORED}
    part = pd.DataFrame({c: values for c, values in own.items() if values is not None})
    part = part.rename(columns=renamed(part.columns, columns.presentations))
    part = part.replace({"N/A": ""})
    if "stimulus_name" not in part:
        part["stimulus_name"] = name.removesuffix(SUFFIX)
    for column in ("start_time", "stop_time"):
        if column not in part:
            raise table.error(
                f"has no {column}; name its column in session.columns.presentations "
                f"({', '.join(table.columns)})"
            )
        if part[column].dtype.kind not in "fiu":
            raise table.error(f"has a {column} that is not a number")
    return part


def _is_two_valued(name: str, values: pd.Series) -> bool:
    return not name.endswith("_index") and bool(values.dropna().isin((0, 1)).all())


def _numeric_colours(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers in place of their text in the column of colours, without colour triplets."""
    if "color" not in table:
        return table

    def number(value: Any) -> Any:
        if not isinstance(value, str):
            return "" if pd.isna(value) else value
        if _TRIPLET.match(value):
            return ""
        try:
            return float(value)
        except ValueError:
            return value

    return table.assign(color=table["color"].astype(object).map(number))


def _merge_spellings(table: pd.DataFrame) -> pd.DataFrame:
    """Merge columns whose names differ in capitals and that are never both filled."""
    for name in list(table.columns):
        for other in (name.upper(), name.capitalize()):
            if other == name or name not in table or other not in table:
                continue
            if not (table[name].notna() & table[other].notna()).any():
                merged = table[name].where(table[name].notna(), table[other])
                table = table.assign(**{name: merged}).drop(columns=other)
                break
    return table


def _with_null(table: pd.DataFrame) -> pd.DataFrame:
    """The text ``null`` in place of empty text and missing values."""

    def filled(values: pd.Series) -> pd.Series:
        numbers = values.dtype not in (object, "boolean")
        if numbers and not values.isna().any():
            return values
        values = values.astype(object)
        return values.where(values.notna() & (values != ""), _NULL)

    return pd.DataFrame({name: filled(table[name]) for name in table}, index=table.index)


def _mask(table: pd.DataFrame, failed: pd.DataFrame) -> pd.DataFrame:
    start, stop = (table[c].to_numpy(float)[:, None] for c in ("start_time", "stop_time"))
    over = (start <= failed["stop_time"].to_numpy()) & (stop >= failed["start_time"].to_numpy())
    lost = over.any(axis=1)
    if not lost.any():
        return table
    masked = table.copy()
    kept = ["start_time", "stop_time"]
    for name in table.columns.difference([*kept, "stimulus_name"]):
        if masked[name].dtype.kind in "iub":
            masked[name] = masked[name].astype(float)
        masked.loc[lost, name] = np.nan
    masked.loc[lost, "stimulus_name"] = INVALID
    return masked


def presentations_of(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Presentations of one stimulus, with the columns that have a value in any of them.

    Examples
    --------
    >>> names = ["gabors", "gabors", "flashes"]
    >>> table = pd.DataFrame({"stimulus_name": names, "color": ["null", "null", 1.0]})
    >>> presentations_of(table, "gabors").columns.tolist()
    ['stimulus_name']
    """
    shown = table[table["stimulus_name"] == name]
    empty = [c for c in shown if shown[c].isna().all() or shown[c].isin(("", _NULL)).all()]
    return shown.drop(columns=empty)

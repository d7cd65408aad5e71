"""Rows of the tables of MEI properties by area and class of neurons."""

from __future__ import annotations

from typing import Any

import pandas as pd

from meiflow.combined.hierarchical import GROUPINGS, PROPERTIES

GROUP_HEADINGS = ("property", "class", "group", "sessions", "neurons", "mean (95 % interval)")
DIFFERENCE_HEADINGS = (
    *("property", "class", "groups", "sessions with both", "difference (95 % interval)", "p"),
    "p, corrected",
)


def group_rows(groups: pd.DataFrame) -> list[list[str]]:
    """One row of text per property and group."""
    return [
        [
            *_names(row),
            row["group"],
            str(row["sessions"]),
            str(row["neurons"]),
            _interval(row, "mean"),
        ]
        for row in groups.to_dict("records")
    ]


def difference_rows(differences: pd.DataFrame) -> list[list[str]]:
    """One row of text per property and pair of groups, the most certain differences first."""
    ordered = differences.sort_values("p_holm", kind="stable")
    return [
        [
            *_names(row),
            f"{row['group']} - {row['other']}",
            str(row["shared_sessions"]),
            _interval(row, "difference"),
            _p(row["p"]),
            _p(row["p_holm"]),
        ]
        for row in ordered.to_dict("records")
    ]


def _names(row: dict[Any, Any]) -> list[str]:
    return [PROPERTIES[row["measure"]], GROUPINGS[row["grouping"]]]


def _interval(row: dict[Any, Any], name: str) -> str:
    digits = 3 if row["measure"].endswith("_cpd") else 2
    value, low, high = (f"{row[k]:.{digits}f}" for k in (name, "low", "high"))
    return value if pd.isna(row["low"]) else f"{value} ({low} to {high})"


def _p(value: float) -> str:
    return "–" if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"

"""Whether the MEI of a neuron can be believed, as the summary says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd


class Calibration(Protocol):
    """How often trust was right, on simulated neurons whose truth is known."""

    @property
    def level(self) -> float:
        """Share of the best possible drive that a trusted MEI is expected to reach."""

    @property
    def precision(self) -> float:
        """Measured share of trusted simulated neurons whose MEI reached it."""

    @property
    def precision_low(self) -> float:
        """Lower end of its 95 % interval."""

    @property
    def neurons(self) -> int:
        """How many trusted neurons that was measured on."""

    @property
    def source(self) -> str:
        """Where that comes from, in a sentence."""


@dataclass(frozen=True)
class Trust:
    """A verdict: a symbol and words, never a colour alone.

    Parameters
    ----------
    mark, text : str
        ``✓`` trusted, ``✗`` not trusted, ``?`` not judged.
    kind : str
        ``yes``, ``no`` or ``unknown``.
    reason : str
        Why not; empty if trusted.
    expected : float or None
        Expected drive as a fraction of the best possible, 0 to 1.
    """

    mark: str
    text: str
    kind: str
    reason: str
    expected: float | None


def calibration_of(summary: pd.DataFrame) -> Calibration | None:
    """What the marks in a summary are worth, as it was measured for this version; None where the
    summary has no marks.
    """
    if "trusted" not in summary:
        return None
    from meiflow.validation.trust import calibration

    return calibration()


def trust_of(row: Mapping[Any, Any]) -> Trust | None:
    """The verdict in a row of summary.csv; None where the summary has no such column."""
    if "trusted" not in row:
        return None
    expected = row.get("expected_fraction")
    known = None if expected is None or pd.isna(expected) else float(expected)
    given = row.get("trust_reason")
    reason = "" if given is None or pd.isna(given) else str(given)
    value = row["trusted"]
    if value is None or pd.isna(value):
        return Trust("?", "not judged", "unknown", reason, known)
    if bool(value):
        return Trust("✓", "trusted", "yes", reason, known)
    return Trust("✗", "not trusted", "no", reason, known)


def surest_first(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows by trust, then, where nothing is known of it or it is the same, by score.

    Parameters
    ----------
    summary : DataFrame
        summary.csv, of one session or of all.
    """
    verdicts = [trust_of(row) for row in summary.to_dict("records")]
    order = {"yes": 0, "unknown": 1, "no": 2}
    rows = summary.assign(
        _trust=[order[v.kind] if v is not None else 0 for v in verdicts],
        _weak=summary["model_holds"].isin([False]),
    )
    sure = [c for c in ("expected_fraction", "cc_norm_model") if c in rows]
    ascending = [True, True, *[False] * len(sure)]
    rows = rows.sort_values(["_trust", "_weak", *sure], ascending=ascending, kind="stable")
    return rows.drop(columns=["_trust", "_weak"])


def precision_text(calibration: Calibration | None) -> str:
    """What a mark is worth, to stand beside marks; empty where nothing was measured."""
    if calibration is None:
        return ""
    return (
        f"✓ trusted: right for {calibration.precision:.0%} of simulated neurons (at least "
        f"{calibration.precision_low:.0%}, with 95 % confidence): their MEI reached "
        f"{calibration.level:.0%} of the best possible drive."
    )

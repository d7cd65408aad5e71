"""Confidence in the MEI of each neuron, read from the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pandas as pd


class TrustCalibration(Protocol):
    """How often the flag was right for simulated neurons with known ground truth."""

    @property
    def level(self) -> float:
        """Fraction of the maximal drive that a trusted MEI is expected to reach."""

    @property
    def precision(self) -> float:
        """Measured fraction of trusted MEIs of simulated neurons that reached `level`."""

    @property
    def precision_low(self) -> float:
        """Lower end of the 95 % interval of `precision`."""

    @property
    def neurons(self) -> int:
        """Number of trusted neurons on which it was measured."""

    @property
    def source(self) -> str:
        """How the precision was measured."""


@dataclass(frozen=True)
class Trust:
    """A verdict, given as symbol and words and never by colour alone.

    Parameters
    ----------
    mark, text : str
        ``✓`` trusted, ``✗`` not trusted, ``?`` not judged.
    kind : str
        ``yes``, ``no`` or ``unknown``.
    reason : str
        Reason why the MEI is not trusted; empty if trusted.
    expected : float or None
        Expected drive as a fraction of the maximal drive, 0 to 1.
    """

    mark: str
    text: str
    kind: str
    reason: str
    expected: float | None


def calibration_of(summary: pd.DataFrame) -> TrustCalibration | None:
    """Precision of the flags in a summary, as measured for this version.

    None if the summary contains no flags.
    """
    if "trusted" not in summary:
        return None
    from meiflow.validation.trust import calibration

    return calibration()


def trust_of(row: Mapping[Any, Any]) -> Trust | None:
    """The verdict in a row of summary.csv; None if the summary has no such column."""
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


def is_doubted(trust: Trust | None) -> bool:
    """Whether an MEI was judged, and is not trusted."""
    return trust is not None and trust.kind != "yes"


def trusted_rows(summary: pd.DataFrame) -> pd.Series | None:
    """Which rows of summary.csv are trusted; None if no neuron was judged.

    Examples
    --------
    >>> trusted_rows(pd.DataFrame({"trusted": [True, False, None]})).tolist()
    [True, False, False]
    >>> trusted_rows(pd.DataFrame({"cc_norm_model": [0.9]}))
    """
    verdicts = [trust_of(row) for row in summary.to_dict("records")]
    if all(verdict is None or verdict.kind == "unknown" for verdict in verdicts):
        return None
    return pd.Series([v is not None and v.kind == "yes" for v in verdicts], summary.index, bool)


def nuisance_of(row: Mapping[Any, Any]) -> str:
    """What predicts nearly as well as the model, in words; empty if nothing does.

    Examples
    --------
    >>> nuisance_of({"nuisance": "luminance_lower"})
    'mean luminance of the lower half of the screen alone predicts nearly as well as the model'
    """
    name = row.get("nuisance")
    if name is None or pd.isna(name) or not name:
        return ""
    from meiflow.validation.trust import NUISANCES

    return f"{NUISANCES[name][0]} alone predicts nearly as well as the model"


def sort_by_confidence(summary: pd.DataFrame) -> pd.DataFrame:
    """Sort the rows by trust, then by expected drive and score.

    Parameters
    ----------
    summary : DataFrame
        summary.csv of one session or of all sessions.
    """
    verdicts = [trust_of(row) for row in summary.to_dict("records")]
    order = {"yes": 0, "unknown": 1, "no": 2}
    rows = summary.assign(
        _trust=[order[v.kind] if v is not None else 0 for v in verdicts],
        _weak=summary["model_above_chance"].isin([False]),
    )
    measures = [c for c in ("expected_fraction", "cc_norm_model") if c in rows]
    ascending = [True, True, *[False] * len(measures)]
    rows = rows.sort_values(["_trust", "_weak", *measures], ascending=ascending, kind="stable")
    return rows.drop(columns=["_trust", "_weak"])


def precision_text(calibration: TrustCalibration | None, real: bool = False) -> str:
    """Precision of the flag, to be shown next to it; empty if it was not measured.

    Parameters
    ----------
    calibration : TrustCalibration or None
    real : bool
        Whether the responses here are real numbers, of which none were simulated.
    """
    if calibration is None:
        return ""
    return (
        f"✓ trusted: in simulated neurons {'with spike counts ' if real else ''}that took no part "
        "in choosing the rule, "
        f"{100 * calibration.precision:.0f} % of the MEIs with this mark reached at least "
        f"{100 * calibration.level:.0f} % of the maximal drive (95 % CI from "
        f"{100 * calibration.precision_low:.0f} %)."
    )

"""The rule that picks neurons, and what it says about each."""

from __future__ import annotations

import pandas as pd

from meiflow.errors import MeiflowError, closest
from meiflow.sections import Selection

# A condition: how it reads when it fails, and whom it passes.
Condition = tuple[str, "pd.Series[bool]"]


def apply_rule(table: pd.DataFrame, rule: Selection) -> pd.DataFrame:
    """Add the columns ``selected`` and ``reason`` (every condition that failed, or what kept it).

    A neuron whose measure is undefined fails the conditions on that measure.

    Raises
    ------
    MeiflowError
        If an id to include or exclude, or a measure, does not exist, or nobody is left.
    """
    for key in ("include", "exclude"):
        for neuron in getattr(rule, key):
            if neuron not in set(table["neuron_id"]):
                raise MeiflowError(
                    f"selection.{key}: no neuron {neuron!r} in this session"
                    f"{closest(neuron, table['neuron_id'])}; tables/units.csv lists them"
                )
    selected = pd.Series(True, index=table.index)
    failed = pd.Series("", index=table.index)
    for text, passed in _conditions(table, rule):
        failed[~passed] += text + "; "
        selected &= passed
    reason = failed.str.removesuffix("; ").where(~selected, "all conditions hold")
    if rule.top_k is not None:
        measure = _measure(table, rule.rank_by, "selection.rank_by")
        ranked = measure.where(selected).rank(ascending=False, method="first")
        beyond = selected & ~(ranked <= rule.top_k)
        reason[beyond] = f"not among the top {rule.top_k} by {rule.rank_by}"
        selected &= ~beyond
    for key, value in (("include", True), ("exclude", False)):
        named = table["neuron_id"].isin(getattr(rule, key))
        selected[named] = value
        reason[named] = f"selection.{key}"
    if not selected.any():
        dropped = reason.value_counts()
        counts = ". ".join(f"{n} of {len(table)}: {text}" for text, n in dropped.items())
        raise MeiflowError(
            f"selection: no neuron is left ({counts}); loosen the rule or name neurons in "
            "selection.include"
        )
    judged = table.assign(selected=selected, reason=reason)
    columns = list(table.columns)
    at = columns.index("mean_rate_hz") + 1 if "mean_rate_hz" in columns else len(columns)
    return judged[[*columns[:at], "selected", "reason", *columns[at:]]]


def _conditions(table: pd.DataFrame, rule: Selection) -> list[Condition]:
    found: list[Condition] = []
    minimum, maximum = dict(rule.minimum), dict(rule.maximum)
    if rule.oracle_p_max is not None or rule.oracle_min is not None:
        text = "oracle undefined: no image was repeated, or the counts do not vary"
        found.append((text, table["oracle"].notna()))
    if rule.oracle_p_max is not None:
        maximum.setdefault("oracle_p", rule.oracle_p_max)
    if rule.oracle_min is not None:
        minimum.setdefault("oracle", rule.oracle_min)
    for name, limit in maximum.items():
        value = _measure(table, name, "selection.maximum")
        found.append((f"{name} > {limit:g}", (value <= limit) | _told(name, value)))
    for name, limit in minimum.items():
        value = _measure(table, name, "selection.minimum")
        found.append((f"{name} < {limit:g}", (value >= limit) | _told(name, value)))
    at_least = dict(rule.quantile_min)
    for name in ("oracle", "variance"):
        quantile = getattr(rule, f"{name}_quantile")
        if quantile is not None:
            at_least.setdefault(name, quantile)
    for name, quantile in at_least.items():
        value = _measure(table, name, "selection.quantile_min")
        passed = value >= value.quantile(quantile)
        found.append((f"{name} below its {quantile:g} quantile", passed))
    for name, quantile in rule.quantile_above.items():
        value = _measure(table, name, "selection.quantile_above")
        passed = value > value.quantile(quantile)
        found.append((f"{name} not above its {quantile:g} quantile", passed))
    return found


def _told(name: str, value: pd.Series) -> pd.Series:
    """An undefined oracle has a reason of its own, which is not repeated for each condition."""
    return value.isna() & (name in ("oracle", "oracle_p"))


def _measure(table: pd.DataFrame, name: str, key: str) -> pd.Series:
    numeric = table.select_dtypes(["number", "bool"]).columns
    if name not in numeric:
        raise MeiflowError(
            f"{key}: no measure {name!r} in neurons.csv{closest(name, numeric)}; it has "
            f"{', '.join(numeric)}"
        )
    return table[name].astype(float)

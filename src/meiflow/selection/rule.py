"""The selection rule, and the reason it gives for each neuron."""

from __future__ import annotations

import pandas as pd

from meiflow.config.sections import Selection
from meiflow.errors import MeiflowError, closest

# A condition: the text if it fails, and the neurons that pass.
Condition = tuple[str, "pd.Series[bool]"]
_BEFORE = ("mean_rate_hz", "mean_response")  # column before selected and reason
UNDEFINED = "oracle undefined: no image was repeated, or the counts do not vary"


def apply_rule(table: pd.DataFrame, rule: Selection) -> pd.DataFrame:
    """Add the columns ``selected`` and ``reason`` (failed conditions, or why it was selected).

    A neuron whose measure is undefined fails the conditions on that measure.

    Raises
    ------
    MeiflowError
        If an id to include or exclude or a measure does not exist.
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
    excluded = table["neuron_id"].isin(rule.exclude)
    measure = _measure(table, rule.rank_by, "selection.rank_by")
    if rule.top_k is not None:
        ranked = measure.where(selected & ~excluded).rank(ascending=False, method="first")
        beyond = selected & ~(ranked <= rule.top_k)
        reason[beyond] = f"not among the top {rule.top_k} by {rule.rank_by}"
        selected &= ~beyond
    for key, value in (("include", True), ("exclude", False)):
        named = table["neuron_id"].isin(getattr(rule, key))
        selected[named] = value
        reason[named] = f"selection.{key}"
    judged = table.assign(selected=selected, reason=reason)
    columns = list(table.columns)
    at = next((columns.index(name) + 1 for name in _BEFORE if name in columns), len(columns))
    return judged[[*columns[:at], "selected", "reason", *columns[at:]]]


def require_somebody(judged: pd.DataFrame) -> None:
    """Check that at least one neuron is left in a table with ``selected`` and ``reason``.

    Raises
    ------
    MeiflowError
        If none is left, with the reasons and the number of neurons excluded by each.
    """
    if not judged["selected"].any():
        raise MeiflowError(
            f"selection: no neuron is left ({reasons_told(judged)}); {_advice(judged)}"
        )


def _advice(judged: pd.DataFrame) -> str:
    """What can help, given why no neuron is left."""
    if "status" in judged and (judged["status"] == "fit failed").any():
        return (
            "selected neurons have no model because their fits failed, which neither criteria nor "
            "selection.include can change; check their responses and the images"
        )
    reasons = judged["reason"]
    if (reasons == "selection.exclude").all():
        return "remove neurons from selection.exclude"
    if reasons.str.contains(UNDEFINED, regex=False).all():
        return (
            "use null for selection.oracle_p_max and selection.oracle_min, or list neurons in "
            "selection.include"
        )
    return "relax the criteria or list neurons in selection.include"


def reasons_told(judged: pd.DataFrame) -> str:
    """The reasons in a table with ``reason``, and the number of neurons excluded by each."""
    counts = judged["reason"].value_counts()
    return ". ".join(f"{n} of {len(judged)}: {text}" for text, n in counts.items())


def _conditions(table: pd.DataFrame, rule: Selection) -> list[Condition]:
    """All conditions of the rule; an undefined measure is a separate reason."""
    limits: list[tuple[str, str, float, str]] = []
    if rule.oracle_p_max is not None:
        limits.append(("oracle_p", ">", rule.oracle_p_max, "selection.oracle_p_max"))
    limits += [(name, ">", value, "selection.maximum") for name, value in rule.maximum.items()]
    if rule.oracle_min is not None:
        limits.append(("oracle", "<", rule.oracle_min, "selection.oracle_min"))
    limits += [(name, "<", value, "selection.minimum") for name, value in rule.minimum.items()]
    quantiles: list[tuple[str, str, float, str]] = []
    for name in ("oracle", "variance"):
        share = getattr(rule, f"{name}_quantile")
        if share is not None:
            quantiles.append((name, "below", share, f"selection.{name}_quantile"))
    for name, share in rule.quantile_min.items():
        quantiles.append((name, "below", share, "selection.quantile_min"))
    for name, share in rule.quantile_above.items():
        quantiles.append((name, "not above", share, "selection.quantile_above"))

    found: dict[str, Condition] = {}
    for name, _, _, key in (*limits, *quantiles):
        measure = _measure(table, name, key)
        text = UNDEFINED if name in ("oracle", "oracle_p") else f"{name} undefined"
        found[text] = (text, measure.notna())
    for name, sign, limit, key in limits:
        value = _measure(table, name, key)
        passed = value <= limit if sign == ">" else value >= limit
        text = f"{name} {sign} {limit:g}"
        found[text] = (text, passed | value.isna())
    for name, words, share, key in quantiles:
        value = _measure(table, name, key)
        at = value.quantile(share)
        passed = value > at if words == "not above" else value >= at
        text = f"{name} {words} the {share:g} quantile"
        found[text] = (text, passed | value.isna())
    return list(found.values())


def _measure(table: pd.DataFrame, name: str, key: str) -> pd.Series:
    numeric = table.select_dtypes(["number", "bool"]).columns
    if name not in numeric:
        notebook = name.startswith("notebook_") and "notebook_oracle" not in table
        hint = "; set selection.notebook_measures: true" if notebook else closest(name, numeric)
        raise MeiflowError(
            f"{key}: no measure {name!r} in neurons.csv{hint}; available: {', '.join(numeric)}"
        )
    return table[name].astype(float)

"""The selection stage: one row of measures per neuron, and the rule that picks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.config import Config, Selection
from meiflow.errors import MeiflowError, closest
from meiflow.files import read_csv, write_csv
from meiflow.progress import say
from meiflow.selection.activity import anomalies, correlated_partners, response_entropy
from meiflow.selection.reliability import Groups, oracle_correlation, oracle_p_values, signal_power
from meiflow.selection.tuning import (
    image_selectivity,
    lifetime_sparseness,
    preferred_fano_factor,
    preferred_image,
)
from meiflow.tables.counts import Trials, mean_responses
from meiflow.tables.load import load_trials, window_length


def measure_neurons(
    trials: Trials, window_length_s: float, shuffles: int, seed: int
) -> pd.DataFrame:
    """One row per neuron: every column of neurons.csv but ``selected`` and ``reason``.

    Parameters
    ----------
    trials : Trials
        Without blank trials.
    window_length_s : float
        Length of the counting window, for rates.
    shuffles, seed : int
        Of the shuffled null of the oracle correlation.
    """
    groups = Groups.of(trials.image_ids)
    counts = trials.counts
    image_ids, means = mean_responses(trials)
    oracle = oracle_correlation(counts, groups)
    power = signal_power(counts, groups)
    entropy = response_entropy(counts)
    variance = means.var(axis=0)
    rate = counts.mean(axis=0) / window_length_s
    score, is_anomaly = anomalies(
        np.column_stack([oracle, entropy, variance, rate, power.fev]), seed
    )
    partners = correlated_partners(means)

    preferred = preferred_image(image_ids, means)

    def name(index: int) -> str:
        return trials.neuron_ids[index] if index >= 0 else ""

    return pd.DataFrame(
        {
            "neuron_id": trials.neuron_ids,
            "oracle": oracle,
            "oracle_p": oracle_p_values(counts, groups, shuffles, np.random.default_rng([seed, 1])),
            "cc_max": power.cc_max,
            "fev": power.fev,
            "entropy": entropy,
            "variance": variance,
            "anomaly_score": score,
            "is_anomaly": is_anomaly,
            "most_correlated": [name(i) for i in partners.most],
            "highest_correlation": partners.highest,
            "least_correlated": [name(i) for i in partners.least],
            "lowest_correlation": partners.lowest,
            "mean_rate_hz": rate,
            "preferred_image": preferred,
            "image_selectivity": image_selectivity(means),
            "lifetime_sparseness": lifetime_sparseness(means),
            "fano_factor": preferred_fano_factor(counts, trials.image_ids, preferred),
        }
    )


def apply_rule(table: pd.DataFrame, rule: Selection) -> pd.DataFrame:
    """Add the columns ``selected`` and ``reason`` (the condition that decided).

    Raises
    ------
    MeiflowError
        If an id to include or exclude does not exist, or nobody is left.
    """
    for key in ("include", "exclude"):
        for neuron in getattr(rule, key):
            if neuron not in set(table["neuron_id"]):
                raise MeiflowError(
                    f"selection.{key}: no neuron {neuron!r} in this session"
                    f"{closest(neuron, table['neuron_id'])}; tables/units.csv lists them"
                )
    conditions: list[tuple[str, pd.Series]] = []
    if rule.oracle_p_max is not None or rule.oracle_min is not None:
        text = "oracle undefined: no image was repeated, or the counts do not vary"
        conditions.append((text, table["oracle"].notna()))
    if rule.oracle_p_max is not None:
        conditions.append(
            (f"oracle_p > {rule.oracle_p_max:g}", table["oracle_p"] <= rule.oracle_p_max)
        )
    if rule.oracle_min is not None:
        conditions.append((f"oracle < {rule.oracle_min:g}", table["oracle"] >= rule.oracle_min))
    for measure in ("oracle", "variance"):
        quantile = getattr(rule, f"{measure}_quantile")
        if quantile is not None:
            limit = table[measure].quantile(quantile)
            passed = table[measure] >= limit
            conditions.append((f"{measure} below its {quantile:g} quantile", passed))
    selected = pd.Series(True, index=table.index)
    reason = pd.Series("all conditions hold", index=table.index)
    for text, passed in conditions:
        reason[selected & ~passed] = text
        selected &= passed
    if rule.top_k is not None:
        ranked = table["oracle"].where(selected).rank(ascending=False, method="first")
        beyond = selected & ~(ranked <= rule.top_k)
        reason[beyond] = f"not among the top {rule.top_k} by oracle"
        selected &= ~beyond
    for key, value in (("include", True), ("exclude", False)):
        named = table["neuron_id"].isin(getattr(rule, key))
        selected[named] = value
        reason[named] = f"selection.{key}"
    if not selected.any():
        dropped = reason.value_counts()
        counts = "; ".join(f"{n} of {len(table)}: {text}" for text, n in dropped.items())
        raise MeiflowError(
            f"selection: no neuron is left ({counts}); loosen the rule or name neurons in "
            "selection.include"
        )
    judged = table.assign(selected=selected, reason=reason)
    columns = list(table.columns)
    at = columns.index("mean_rate_hz") + 1 if "mean_rate_hz" in columns else len(columns)
    return judged[[*columns[:at], "selected", "reason", *columns[at:]]]


def select_neurons(config: Config, tables: Path, output: Path) -> None:
    """Write neurons.csv from a folder of tables."""
    trials = load_trials(tables)
    table = measure_neurons(
        trials.of_images(),
        window_length(config.session.window_s, tables),
        config.selection.shuffles,
        config.seed,
    )
    chosen = apply_rule(table, config.selection)
    write_csv(chosen, output)
    say(f"selection: {int(chosen['selected'].sum())} of {len(chosen)} neurons")


def selected_neurons(path: str | Path) -> list[str]:
    """Ids of the selected neurons in a neurons.csv."""
    table = read_csv(path, ("neuron_id", "selected"))
    return [str(i) for i in table.loc[table["selected"], "neuron_id"]]


def require_selected(path: str | Path, neuron: str) -> None:
    """Make sure that `neuron` may be modelled.

    Raises
    ------
    MeiflowError
        If the session has no such neuron, or the rule left it out (and why).
    """
    table = read_csv(path, ("neuron_id", "selected", "reason"))
    ids = table["neuron_id"].astype(str)
    if neuron not in set(ids):
        raise MeiflowError(
            f"neuron {neuron!r} is not in this session{closest(neuron, ids)}; "
            f"{path} lists those that are"
        )
    row = table[ids == neuron].iloc[0]
    if not row["selected"]:
        raise MeiflowError(
            f"neuron {neuron} is not selected ({row['reason']}); to model it all the same, "
            f'add "{neuron}" to selection.include'
        )

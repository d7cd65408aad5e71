"""Tables of the benchmark: fractions of the true optimum by kind, data, noise and model."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from meiflow.benchmark.design import (
    BREAKING,
    CONTRAST_GAIN,
    GABOR_LIKE,
    MAIN,
    USUAL_NOISE,
)
from meiflow.simulation.truth import CENTRED_KINDS, POOLED_KINDS, SHAPE_KINDS

KEYS = ["session", "images", "repeats", "noise", "neuron_id"]
FRACTION = "fraction_of_optimum"
MIXTURE = "mixture"
UNTUNED = "untuned"  # structure of a neuron without a best image
# Kinds that are reported together; from the second group on they violate the Gabor assumption.
GROUPS = {
    "Gabor-like": GABOR_LIKE,
    "contrast gain": CONTRAST_GAIN,
    "centre-surround": CENTRED_KINDS,
    "corner, curve, two bars": SHAPE_KINDS,
    "pools and texture": POOLED_KINDS,
    "surround suppression": ("surround_suppressed",),
}
ALL_BREAKING = "all that violate the Gabor assumption"
WHOLE = ("Gabor-like", ALL_BREAKING)


def clopper_pearson(right: int, of: int) -> tuple[float, float]:
    """95 % interval of a proportion (Clopper & Pearson 1934); NaN of nothing.

    Examples
    --------
    >>> [round(end, 3) for end in clopper_pearson(8, 8)]
    [0.631, 1.0]
    """
    from scipy.stats import binomtest

    if not of:
        return np.nan, np.nan
    found = binomtest(right, of).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)


def _groups(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows of each group of kinds, and of all groups except Gabor-like together."""
    wanted = GROUPS | {ALL_BREAKING: BREAKING}
    return {name: table[table["kind"].isin(kinds)] for name, kinds in wanted.items()}


def at_main(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of 118 images x 50 repeats at the usual noise."""
    images, repeats = MAIN
    rows = (table["images"] == images) & (table["repeats"] == repeats)
    return table[rows & (table["noise"] == USUAL_NOISE)]


def by_stimulus(loop: pd.DataFrame) -> pd.DataFrame:
    """Mean fraction of the optimum: groups and kinds in rows, stimuli in columns.

    The column ``neurons`` is their number, ``mei_lowest`` the lowest fraction of their MEIs.
    """
    own = loop[loop["model"] == MIXTURE]
    kinds = {kind: own[own["kind"] == kind] for kinds in GROUPS.values() for kind in kinds}
    rows = {}
    for name, part in (_groups(own) | kinds).items():
        if part.empty:
            continue
        means = part.groupby("stimulus", sort=False)[FRACTION].mean()
        mei = part.loc[part["stimulus"] == "mei", FRACTION]
        rows[name] = {"neurons": len(mei), **means, "mei_lowest": mei.min()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("kind")


def by_data(judged: pd.DataFrame) -> pd.DataFrame:
    """Performance of the MEI by images, repeats and noise, one row per cell of the design.

    Parameters
    ----------
    judged : DataFrame
        One row per neuron and cell: kind, selected, trusted, right, fraction_of_optimum of the MEI.

    Returns
    -------
    DataFrame
        ``gabor_like``, ``breaking``: mean fractions; ``selected``, ``trusted``: fractions of the
        tuned neurons; ``trusted_fraction``, ``trusted_right``: mean fraction of the trusted ones,
        and fraction of them that reach the level; ``untuned_trusted``: number of untuned neurons
        that are trusted.
    """
    rows = []
    for (noise, images, repeats), part in judged.groupby(["noise", "images", "repeats"]):
        tuned, untuned = part[part["kind"] != "untuned"], part[part["kind"] == "untuned"]
        trusted = tuned[tuned["trusted"]]
        rows.append(
            {
                "noise": noise,
                "images": images,
                "repeats": repeats,
                "neurons": len(tuned),
                "gabor_like": tuned.loc[tuned["kind"].isin(GABOR_LIKE), FRACTION].mean(),
                "breaking": tuned.loc[tuned["kind"].isin(BREAKING), FRACTION].mean(),
                "lowest": tuned[FRACTION].min(),
                "selected": tuned["selected"].mean(),
                "trusted": tuned["trusted"].mean(),
                "trusted_fraction": trusted[FRACTION].mean() if len(trusted) else np.nan,
                "trusted_right": trusted["right"].mean() if len(trusted) else np.nan,
                "untuned": len(untuned),
                "untuned_selected": int(untuned["selected"].sum()),
                "untuned_trusted": int(untuned["trusted"].sum()),
            }
        )
    return pd.DataFrame(rows)


def trust_by_kind(judged: pd.DataFrame) -> pd.DataFrame:
    """Numbers of trusted neurons and of right MEIs by kind, including untuned neurons."""
    kinds = judged.assign(both=judged["trusted"] & judged["right"]).groupby("kind", sort=False)
    return kinds.agg(
        neurons=("right", "size"),
        trusted=("trusted", "sum"),
        right=("right", "sum"),
        trusted_and_right=("both", "sum"),
        expected=("expected_fraction", "mean"),
    )


def by_model(loop: pd.DataFrame) -> pd.DataFrame:
    """Mean fraction reached by the MEI of each model: groups in rows, models in columns."""
    mei = loop[loop["stimulus"] == "mei"]
    rows = {
        name: part.groupby("model", sort=False)[FRACTION].mean()
        for name, part in _groups(mei).items()
        if len(part)
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("kind")


def by_confidence(judged: pd.DataFrame) -> pd.DataFrame:
    """True against expected fraction, for neurons in bins of the expected fraction.

    Parameters
    ----------
    judged : DataFrame
        One row per neuron: expected_fraction, fraction_of_optimum (0 if untuned), right,
        structure.

    Returns
    -------
    DataFrame
        One row per bin: number of neurons, number of untuned ones, mean expected and true fraction,
        and the fraction of neurons that reach the level.
    """
    edges = [0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0]
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    bins = pd.cut(judged["expected_fraction"], edges, labels=names, include_lowest=True)
    groups = judged.assign(untuned=judged["structure"] == UNTUNED).groupby(bins, observed=True)
    found = groups.agg(
        neurons=("right", "size"),
        untuned=("untuned", "sum"),
        expected=("expected_fraction", "mean"),
        true=(FRACTION, "mean"),
        right=("right", "mean"),
    )
    return found.rename_axis("expected_fraction")


def by_feature(judged: pd.DataFrame, features: tuple[str, ...]) -> pd.DataFrame:
    """Spearman correlation of each feature with the true fraction, over tuned neurons.

    The column ``area`` is the area under the ROC curve for separating neurons that reach the level
    from those that do not, including untuned ones; 0.5 is chance.
    """
    from sklearn.metrics import roc_auc_score

    tuned = judged[judged["structure"] != UNTUNED]
    rows = {}
    for feature in features:
        known = judged[feature].fillna(-1)
        rows[feature] = {
            "spearman": tuned[[feature, FRACTION]].corr("spearman").iloc[0, 1],
            "area": roc_auc_score(judged["right"], known),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("feature")

"""Does a further measure help the trust rule?

    meiflow benchmark meiflow --source random --neurons 360 --jobs 2 --out results/choose/random
    python -m benchmarks.trust_measures results/choose/* --measure half_contrast

Each folder is the output of a `meiflow benchmark` with the method ``meiflow`` on development
neurons, and the measure is a column of its ``results.csv``. Sessions are left out in turn: the rule
is chosen on the others, with and without the measure, and the neurons of the session are judged by
it. Controls: the same with the measure permuted across neurons. The interval of the difference is a
bootstrap over sessions.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from meiflow.benchmark.calibrate import LEVEL, THRESHOLDS, WANTED, fit_expected
from meiflow.benchmark.table import FRACTION
from meiflow.io.files import read_csv
from meiflow.validation.trust import FEATURES, features_of

METHOD = "meiflow"
# Of which more is never worse; other measures are used as they are.
TRANSFORMS: dict[str, Callable[[NDArray], NDArray]] = {
    "half_contrast": lambda half: -np.maximum(half - 0.5, 0)
}
_PERMUTED, _BOOTSTRAPS = 20, 1000


def gather(folders: list[Path], measure: str, least: float) -> pd.DataFrame:
    """Tuned neurons of some benchmarks with CC_norm above a value; ``group`` is their session."""
    tables = []
    for folder in folders:
        table = read_csv(folder / "results.csv", ("method", FRACTION, *FEATURES, measure))
        table = table[(table["method"] == METHOD) & (table["cc_norm_low"] > least)]
        table = table.dropna(subset=[FRACTION, *FEATURES, measure])
        tables.append(table.assign(group=folder.name + " " + table["session"].astype(str)))
    return pd.concat(tables, ignore_index=True)


def left_out(table: pd.DataFrame, measure: NDArray | None) -> pd.DataFrame:
    """Expected fraction of every neuron and whether it is trusted, without its session."""
    features = features_of(table)
    if measure is not None:
        features = np.column_stack([features, measure])
    fraction = table[FRACTION].to_numpy()
    expected, trusted = np.empty(len(table)), np.zeros(len(table), bool)
    for group in table["group"].unique():
        own = (table["group"] == group).to_numpy()
        intercept, slopes = fit_expected(features[~own], fraction[~own])
        every = 1 / (1 + np.exp(-(intercept + features @ np.array(slopes))))
        hits = [(fraction[~own] >= LEVEL)[every[~own] >= t] for t in THRESHOLDS]
        fine = [
            t
            for t, right in zip(THRESHOLDS, hits, strict=True)
            if len(right) and right.mean() >= WANTED
        ]
        expected[own], trusted[own] = every[own], every[own] >= min(fine, default=np.inf)
    return pd.DataFrame({"expected": expected, "trusted": trusted})


def described(table: pd.DataFrame, judged: pd.DataFrame) -> dict[str, float]:
    """How well a rule separates the MEIs that reach the level from the others."""
    right, trusted = (table[FRACTION] >= LEVEL).to_numpy(), judged["trusted"].to_numpy()
    return {
        "auc": roc_auc_score(right, judged["expected"]),
        "rank_correlation": spearmanr(judged["expected"], table[FRACTION])[0],
        "trusted": trusted.sum(),
        "trusted_right": (trusted & right).sum(),
        "precision": right[trusted].mean() if trusted.any() else np.nan,
        "coverage": (trusted & right).sum() / right.sum(),
    }


def difference(table: pd.DataFrame, without: NDArray, with_it: NDArray) -> NDArray:
    """95 % interval over sessions of the gain in area under the ROC curve."""
    rng, right = np.random.default_rng(0), (table[FRACTION] >= LEVEL).to_numpy()
    groups = [np.flatnonzero(table["group"] == group) for group in table["group"].unique()]
    gains = []
    for _ in range(_BOOTSTRAPS):
        rows = np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))])
        if 0 < right[rows].sum() < len(rows):
            before, after = (roc_auc_score(right[rows], e[rows]) for e in (without, with_it))
            gains.append(after - before)
    return np.quantile(gains, [0.025, 0.975])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--measure", required=True)
    parser.add_argument("--least", type=float, default=0.5, help="of cc_norm_low")
    given = parser.parse_args()
    table = gather(given.folders, given.measure, given.least)
    measure = table[given.measure].to_numpy(float)
    measure = TRANSFORMS.get(given.measure, lambda values: values)(measure)
    without, with_it = left_out(table, None), left_out(table, measure)
    rng = np.random.default_rng(0)
    permuted = [
        described(table, left_out(table, rng.permutation(measure))) for _ in range(_PERMUTED)
    ]
    rows = {
        "present measures": described(table, without),
        f"with {given.measure}": described(table, with_it),
        "permuted (mean)": pd.DataFrame(permuted).mean().to_dict(),
    }
    low, high = difference(table, without["expected"].to_numpy(), with_it["expected"].to_numpy())
    right = int((table[FRACTION] >= LEVEL).sum())
    print(
        f"{len(table)} neurons in {table['group'].nunique()} sessions, {right} MEIs reach {LEVEL:g}"
    )
    print(pd.DataFrame(rows).T.round(3).to_string())
    print(f"gain in AUC: 95 % interval {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()

"""Calibrate the trust rule on some neurons and measure its precision on others."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.benchmark.table import FRACTION, UNTUNED, clopper_pearson
from meiflow.errors import MeiflowError
from meiflow.io.files import write_text
from meiflow.validation.trust import Calibration, calibration, features_of

LEVEL = 0.8
# Column `use` of the table: the rule is chosen on the first, and measured on the second. The third
# are shown beside it, and are no part of the stated precision.
CHOOSE, MEASURE, FURTHER = "choose", "measure", "further"
WANTED = 0.9
THRESHOLDS = np.round(np.arange(0.5, 1.0, 0.002), 3)
# Without it, the slopes of measures that go together are not determined.
_RIDGE = 1e-4


def choose_rule(table: pd.DataFrame, level: float = LEVEL) -> Calibration:
    """Fit the expected fraction, choose the lowest valid threshold, and measure both.

    The threshold is the lowest at which 90 % of the trusted neurons reach the level and no untuned
    neuron is trusted.

    Parameters
    ----------
    table : DataFrame
        One row per neuron: ``structure`` ("untuned" for neurons without a best image), the
        measures of `meiflow.validation.trust.FEATURES`, ``cc_norm_low``, ``ceiling_error``,
        ``fraction_of_optimum`` of the MEI (0 of untuned neurons), and ``use``: "choose" or
        "measure".
    level : float
        Fraction of the optimum that an MEI must reach.

    Raises
    ------
    MeiflowError
        If there is no such threshold.
    """
    chosen_on = table[table["use"] == CHOOSE]
    intercept, slopes = fit_expected(features_of(chosen_on), chosen_on[FRACTION].to_numpy(float))
    rules = [_unmeasured(level, float(t), intercept, slopes) for t in THRESHOLDS]
    on_own = [measured(rule, chosen_on) for rule in rules]
    fine = [r.precision >= WANTED and not r.untuned_trusted for r in on_own]
    if not any(fine):
        raise MeiflowError(
            f"there is no threshold above which {100 * WANTED:.0f} % of the neurons reach {level:g}"
        )
    return measured(rules[fine.index(True)], table[table["use"] == MEASURE])


def fit_expected(features: NDArray, fractions: NDArray) -> tuple[float, tuple[float, ...]]:
    """Least squares of a logistic function whose slopes are at least 0, with a small penalty.

    Slopes refer to standardised features; more of any of these is never worse.

    Parameters
    ----------
    features : ndarray, shape (neurons, features)
        Output of `meiflow.validation.trust.features_of`, and of any further measures. Neurons
        without one of these have no part in the fit.
    fractions : ndarray, shape (neurons,)
        Fraction of the optimum that each MEI reaches.

    Returns
    -------
    intercept : float
    slopes : tuple of float

    Examples
    --------
    >>> x = np.linspace(-3, 3, 50)
    >>> intercept, slopes = fit_expected(np.stack([x, -x], axis=1), 1 / (1 + np.exp(-2 * x)))
    >>> bool(abs(intercept) < 0.1), bool(1.8 < slopes[0] < 2.1), slopes[1]
    (True, True, 0.0)
    """
    from scipy.optimize import minimize

    known = np.isfinite(features).all(axis=1)
    features, target = features[known], fractions[known].clip(0, 1)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    standard = (features - mean) / spread

    def error(p: NDArray) -> float:
        z = p[0] + standard @ p[1:]
        penalty = _RIDGE * (p[1:] ** 2).sum()
        return float(((1 / (1 + np.exp(-z)) - target) ** 2).mean() + penalty)

    start = np.concatenate([[0.0], np.ones(features.shape[1])])
    bounds = [(None, None)] + [(0.0, None)] * features.shape[1]
    found = minimize(error, start, method="L-BFGS-B", bounds=bounds).x
    slopes = found[1:] / spread
    intercept = found[0] - float(slopes @ mean)
    return round(float(intercept), 3), tuple(round(float(slope), 3) for slope in slopes)


def _unmeasured(
    level: float, expected_min: float, intercept: float, slopes: tuple[float, ...]
) -> Calibration:
    return Calibration(level, expected_min, intercept, slopes, np.nan, 0, 0, np.nan, 0, 0)


def measured(rule: Calibration, table: pd.DataFrame) -> Calibration:
    """The same rule with the precision measured in a table, each row a neuron of its own."""
    trusted = rule.judge(table)["trusted"]
    right = table[FRACTION] >= rule.level
    hits, n = int((right & trusted).sum()), int(trusted.sum())
    untuned = table["structure"] == UNTUNED
    return replace(
        rule,
        precision=round(hits / n, 4) if n else np.nan,
        precision_low=round(clopper_pearson(hits, n)[0], 4) if n else 0.0,
        neurons=n,
        coverage=round(hits / max(int(right.sum()), 1), 4),
        untuned=int(untuned.sum()),
        untuned_trusted=int((untuned & trusted).sum()),
    )


def by_source(rule: Calibration, table: pd.DataFrame) -> pd.DataFrame:
    """Precision and coverage of a rule, one row per use and source.

    Columns: neurons, right (MEIs that reach the level), trusted, trusted_right, precision with its
    95 % interval (Clopper & Pearson 1934), coverage, untuned, untuned_trusted.
    """
    rows = []
    for (use, source), part in table.groupby(["use", "source"], sort=False):
        found = measured(rule, part)
        reached = part[FRACTION] >= rule.level
        right = int(reached.sum())
        hits = int((reached & rule.judge(part)["trusted"]).sum())
        low, high = clopper_pearson(hits, found.neurons)
        rows.append(
            {
                "use": use,
                "source": source,
                "neurons": len(part) - found.untuned,
                "right": right,
                "trusted": found.neurons,
                "trusted_right": hits,
                "precision": found.precision,
                "precision_low": low,
                "precision_high": high,
                "coverage": found.coverage if right else np.nan,
                "untuned": found.untuned,
                "untuned_trusted": found.untuned_trusted,
            }
        )
    return pd.DataFrame(rows)


def kept_back() -> pd.DataFrame:
    """The published neurons on which the rule was measured, judged by the rule of this version.

    Returns
    -------
    DataFrame
        The columns of `choose_rule`'s table, and those of `Calibration.judge`.

    Examples
    --------
    >>> table = kept_back()
    >>> right = table.loc[table["trusted"], "fraction_of_optimum"] >= 0.8
    >>> bool(abs(right.mean() - calibration().precision) < 0.001)
    True
    """
    path = files("meiflow.benchmark") / "published_trust.csv"
    table = pd.read_csv(io.StringIO(path.read_text(encoding="utf-8")))
    table = table[table["use"] == MEASURE].reset_index(drop=True)
    return pd.concat([table, calibration().judge(table)], axis=1)


def write_rule(rule: Calibration, path: Path) -> None:
    """Write the rule as JSON, as in ``src/meiflow/validation/calibration.json``."""
    write_text(json.dumps(asdict(rule), indent=1) + "\n", path)

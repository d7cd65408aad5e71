"""Choose the trust rule on some recordings and measure it on others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from meiflow.files import write_text
from meiflow.validation.benchmark.design import CHOOSING, MEASURING
from meiflow.validation.benchmark.table import FRACTION, KEYS, MIXTURE
from meiflow.validation.trust import FEATURES, Calibration

LEVEL = 0.8
_WANTED = 0.95
# Candidates on a grid of round numbers.
_SCORES = np.round(np.arange(0.0, 0.951, 0.05), 2)
_AGREEMENTS = np.round(np.arange(0.5, 0.981, 0.02), 2)


def with_fractions(loop: pd.DataFrame, confidence: pd.DataFrame) -> pd.DataFrame:
    """Confidence of every neuron beside what its MEI does: 0 for one that nothing drives."""
    mei = loop[(loop["model"] == MIXTURE) & (loop["stimulus"] == "mei")]
    return confidence.merge(mei[[*KEYS, FRACTION]], on=KEYS).fillna({FRACTION: 0.0})


def choose_rule(table: pd.DataFrame, level: float = LEVEL) -> Calibration:
    """The rule that trusts most neurons while 95 % of those are right, and none that is untuned.

    Parameters
    ----------
    table : DataFrame
        Of `with_fractions`; split by session into a part to choose on and a part to measure on.
    level : float
        Fraction of the optimum that makes an MEI right.
    """
    from scipy.optimize import minimize

    chosen_on = table[table["session"].isin(CHOOSING)]
    right = chosen_on[FRACTION] >= level
    best: tuple[int, float, float] = (-1, np.inf, np.inf)
    for score in _SCORES:
        for agreement in _AGREEMENTS:
            trusted = (chosen_on["cc_norm_low"] >= score) & (
                chosen_on["fold_agreement"] >= agreement
            )
            if not trusted.any() or (trusted & (chosen_on["kind"] == "untuned")).any():
                continue
            if right[trusted].mean() >= _WANTED and trusted.sum() > best[0]:
                best = (int(trusted.sum()), float(score), float(agreement))
    known = chosen_on[np.isfinite(chosen_on[list(FEATURES)]).all(axis=1)]
    features = known[list(FEATURES)].to_numpy(float)
    target = known[FRACTION].clip(0, 1).to_numpy(float)

    def error(p: np.ndarray) -> float:
        z = p[0] + features @ p[1:]
        return float(((1 / (1 + np.exp(-z)) - target) ** 2).mean())

    fitted = minimize(error, np.zeros(3), method="Nelder-Mead", options={"maxiter": 4000}).x
    rule = Calibration(
        level,
        best[1],
        best[2],
        round(float(fitted[0]), 3),
        (round(float(fitted[1]), 3), round(float(fitted[2]), 3)),
        *(np.nan, np.nan, 0, np.nan, 0, 0),
    )
    return measured(rule, table[table["session"].isin(MEASURING)])


def measured(rule: Calibration, table: pd.DataFrame) -> Calibration:
    """The same rule with the precision it has in a table."""
    from dataclasses import replace

    from scipy.stats import beta

    trusted = rule.judge(table)["trusted"]
    right = table[FRACTION] >= rule.level
    hits, n = int((right & trusted).sum()), int(trusted.sum())
    untuned = table["kind"] == "untuned"
    return replace(
        rule,
        precision=round(hits / n, 4) if n else np.nan,
        precision_low=round(float(beta.ppf(0.025, hits, n - hits + 1)), 4) if hits else 0.0,
        neurons=n,
        recall=round(hits / max(int(right.sum()), 1), 4),
        untuned=int(untuned.sum()),
        untuned_trusted=int((untuned & trusted).sum()),
    )


def write_rule(rule: Calibration, path: Path) -> None:
    """As JSON; that of the package is ``src/meiflow/validation/calibration.json``."""
    write_text(json.dumps(asdict(rule), indent=1) + "\n", path)

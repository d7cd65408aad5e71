"""Calibrate the trust rule on some sessions and evaluate it on others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.benchmark.design import CHOOSING, MEASURING
from meiflow.benchmark.table import FRACTION, KEYS, MIXTURE, clopper_pearson
from meiflow.errors import MeiflowError
from meiflow.io.files import write_text
from meiflow.validation.trust import FEATURES, Calibration

LEVEL = 0.8
# Above the nominal 95 %, because a threshold is biased on the data on which it was chosen.
_WANTED = 0.98
_THRESHOLDS = np.round(np.arange(0.5, 1.0, 0.01), 2)


def with_fractions(loop: pd.DataFrame, confidence: pd.DataFrame) -> pd.DataFrame:
    """Confidence and true fraction of every neuron; 0 for untuned neurons."""
    mei = loop[(loop["model"] == MIXTURE) & (loop["stimulus"] == "mei")]
    return confidence.merge(mei[[*KEYS, FRACTION]], on=KEYS).fillna({FRACTION: 0.0})


def choose_rule(table: pd.DataFrame, level: float = LEVEL) -> Calibration:
    """Fit the expected fraction, and choose the lowest valid threshold.

    The threshold is the lowest at which 98 % of the trusted neurons reach the level and no untuned
    neuron is trusted.

    Parameters
    ----------
    table : DataFrame
        Output of `with_fractions`, split by session into a calibration and an evaluation part.
    level : float
        Fraction of the optimum that an MEI must reach.

    Raises
    ------
    MeiflowError
        If there is no such threshold.
    """
    from scipy.optimize import minimize

    chosen_on = table[table["session"].isin(CHOOSING)]
    known = chosen_on[np.isfinite(chosen_on[list(FEATURES)]).all(axis=1)]
    features = known[list(FEATURES)].to_numpy(float)
    target = known[FRACTION].clip(0, 1).to_numpy(float)

    def error(p: NDArray) -> float:
        z = p[0] + features @ p[1:]
        return float(((1 / (1 + np.exp(-z)) - target) ** 2).mean())

    fitted = minimize(error, np.zeros(3), method="Nelder-Mead", options={"maxiter": 4000}).x
    intercept, *slopes = (round(float(value), 3) for value in fitted)
    nothing_known = (np.nan, np.nan, 0, 0, np.nan, 0, 0)
    rules = [
        Calibration(level, float(t), intercept, (slopes[0], slopes[1]), *nothing_known)
        for t in _THRESHOLDS
    ]
    on_own = [measured(rule, chosen_on) for rule in rules]
    fine = [r.precision >= _WANTED and not r.untuned_trusted for r in on_own]
    if not any(fine):
        raise MeiflowError(
            f"in sessions {', '.join(map(str, CHOOSING))}, there is no threshold above which "
            f"{100 * _WANTED:.0f} % of the neurons reach {level:g}"
        )
    return measured(rules[fine.index(True)], table[table["session"].isin(MEASURING)])


def measured(rule: Calibration, table: pd.DataFrame) -> Calibration:
    """The same rule with the precision measured in a table."""
    from dataclasses import replace

    trusted = rule.judge(table)["trusted"]
    right = table[FRACTION] >= rule.level
    hits, n = int((right & trusted).sum()), int(trusted.sum())
    untuned = table["kind"] == "untuned"
    # recordings of the same neuron are not independent
    always = right[trusted].groupby([table["session"], table["neuron_id"]]).all()
    good, distinct = int(always.sum()), len(always)
    low = clopper_pearson(good, distinct)[0] if distinct else 0.0
    return replace(
        rule,
        precision=round(hits / n, 4) if n else np.nan,
        precision_low=round(low, 4),
        recordings=n,
        neurons=distinct,
        recall=round(hits / max(int(right.sum()), 1), 4),
        untuned=int(untuned.sum()),
        untuned_trusted=int((untuned & trusted).sum()),
    )


def write_rule(rule: Calibration, path: Path) -> None:
    """Write the rule as JSON, as in ``src/meiflow/validation/calibration.json``."""
    write_text(json.dumps(asdict(rule), indent=1) + "\n", path)

"""Choose the trust rule on some recordings and measure it on others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.benchmark.design import CHOOSING, MEASURING
from meiflow.benchmark.table import FRACTION, KEYS, MIXTURE
from meiflow.errors import MeiflowError
from meiflow.io.files import write_text
from meiflow.validation.trust import FEATURES, Calibration

LEVEL = 0.8
# More than the 95 % that are promised: a threshold is too good on what it was chosen on.
_WANTED = 0.98
_THRESHOLDS = np.round(np.arange(0.5, 1.0, 0.01), 2)


def with_fractions(loop: pd.DataFrame, confidence: pd.DataFrame) -> pd.DataFrame:
    """Confidence of every neuron beside what its MEI does: 0 for one that nothing drives."""
    mei = loop[(loop["model"] == MIXTURE) & (loop["stimulus"] == "mei")]
    return confidence.merge(mei[[*KEYS, FRACTION]], on=KEYS).fillna({FRACTION: 0.0})


def choose_rule(table: pd.DataFrame, level: float = LEVEL) -> Calibration:
    """Fit the expected fraction, and trust as many neurons as can be.

    The threshold is the lowest at which 98 % of the trusted neurons reach the level and no untuned
    one is trusted.

    Parameters
    ----------
    table : DataFrame
        Of `with_fractions`; split by session into a part to choose on and a part to measure on.
    level : float
        Fraction of the optimum that makes an MEI right.

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
            f"no threshold gives {_WANTED:.0%} of trusted neurons that reach {level:g} on sessions "
            f"{', '.join(map(str, CHOOSING))}; nothing can be trusted by this rule"
        )
    return measured(rules[fine.index(True)], table[table["session"].isin(MEASURING)])


def measured(rule: Calibration, table: pd.DataFrame) -> Calibration:
    """The same rule with the precision it has in a table."""
    from dataclasses import replace

    from scipy.stats import beta

    trusted = rule.judge(table)["trusted"]
    right = table[FRACTION] >= rule.level
    hits, n = int((right & trusted).sum()), int(trusted.sum())
    untuned = table["kind"] == "untuned"
    # one neuron's recordings are no independent trials
    always = right[trusted].groupby([table["session"], table["neuron_id"]]).all()
    sure, distinct = int(always.sum()), len(always)
    low = float(beta.ppf(0.025, sure, distinct - sure + 1)) if sure else 0.0
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
    """As JSON; that of the package is ``src/meiflow/validation/calibration.json``."""
    write_text(json.dumps(asdict(rule), indent=1) + "\n", path)

"""The trust flag: which MEIs can be believed, by a rule whose precision was measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.io.files import write_csv
from meiflow.progress import logger

FEATURES = ("cc_norm_low", "fold_agreement")


@dataclass(frozen=True)
class Calibration:
    """The rule, and how often it was right on simulated neurons.

    Parameters
    ----------
    level : float
        Fraction of the true optimum that a trusted MEI is to reach.
    expected_min : float
        A neuron is trusted if its expected fraction of the optimum is at least so much.
    intercept, slopes : float, tuple of float
        The expected fraction is the logistic function of the intercept plus slopes times
        `FEATURES`.
    precision : float
        Share of the trusted neurons whose MEI reached `level`.
    precision_low : float
        Lower end of a 95 % interval (Clopper & Pearson 1934) over neurons, each counted once, as
        wrong if its MEI failed in any recording in which it was trusted.
    recordings : int
        Recordings of trusted neurons that it was measured on.
    neurons : int
        How many neurons these are; some were recorded with several amounts of data.
    recall : float
        Share of the neurons whose MEI reached `level` that were trusted.
    untuned : int
        Recordings of untuned neurons among them.
    untuned_trusted : int
        How many of them were trusted.
    """

    level: float
    expected_min: float
    intercept: float
    slopes: tuple[float, float]
    precision: float
    precision_low: float
    recordings: int
    neurons: int
    recall: float
    untuned: int
    untuned_trusted: int

    @property
    def source(self) -> str:
        """Where the precision comes from, in one sentence."""
        return (
            f"Of {self.recordings} recordings of {self.neurons} simulated neurons with this flag, "
            f"{self.precision:.0%} had an MEI that reached {self.level:.0%} of the best possible "
            f"drive (95 % interval over neurons: at least {self.precision_low:.0%}); "
            f"{self.untuned_trusted} of {self.untuned} recordings of untuned ones had it. Real "
            "neurons may differ from the twelve simulated kinds."
        )

    def expected(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Expected fraction of the optimum; 0 where the features are not known."""
        features = table[list(FEATURES)].to_numpy(float)
        known = np.isfinite(features).all(1)
        z = self.intercept + np.nan_to_num(features) @ np.array(self.slopes)
        return np.where(known, 1 / (1 + np.exp(-z)), 0.0)

    def judge(self, table: pd.DataFrame) -> pd.DataFrame:
        """The columns trusted, expected_fraction and trust_reason for a table of confidence.

        Parameters
        ----------
        table : DataFrame
            As `meiflow.validation.confidence.measure_confidence` makes it.
        """
        expected = self.expected(table)
        trusted = expected >= self.expected_min
        lows, agreements = (table[name] for name in FEATURES)
        reasons = [
            ""
            if fine
            else f"expected to reach {share:.2f} of the best possible ({self.expected_min:g} "
            f"needed): held-out CC_norm at least {_shown(low)}, and the MEI is worth "
            f"{_shown(agreement)} of the best to models of other images"
            for fine, share, low, agreement in zip(trusted, expected, lows, agreements, strict=True)
        ]
        columns = {"trusted": trusted, "expected_fraction": expected, "trust_reason": reasons}
        return pd.DataFrame(columns, index=table.index)


def _shown(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "(not known)"


@cache
def calibration() -> Calibration:
    """The rule that comes with this version, as ``meiflow validate`` measured it."""
    text = files("meiflow.validation").joinpath("calibration.json").read_text(encoding="utf-8")
    values = json.loads(text)
    return Calibration(**values | {"slopes": tuple(values["slopes"])})


def judge_neurons(config: Config, images: NDArray, neurons: dict[str, Path], output: Path) -> None:
    """Write trust.csv: the confidence in every neuron's MEI and the judgement on it."""
    from meiflow.validation.confidence import measure_confidence

    table = measure_confidence(config, images, neurons)
    judged = calibration().judge(table)
    write_csv(pd.concat([table, judged], axis=1), output)
    logger.info(f"trust: {int(judged['trusted'].sum())} of {len(judged)} neurons")

"""The trust flag: which MEIs can be trusted, by a rule of measured precision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEATURES = ("cc_norm_low", "fold_agreement")
# What a nuisance is, in words, and what it may mean that it predicts as well as the model.
_LIGHT = "light of the monitor may have entered the recording, or the neuron responds to luminance"
_HALVES = ("upper", "lower", "left", "right")
NUISANCES = {
    "luminance_whole": ("mean luminance of the whole image", _LIGHT),
    **{
        f"luminance_{h}": (f"mean luminance of the {h} half of the screen", _LIGHT) for h in _HALVES
    },
    "luminance_regions": ("mean luminance of 3 x 4 regions of the screen", _LIGHT),
    "contrast": (
        "RMS contrast of the whole image",
        "the neuron may respond to any contrast, or the gain of the recording depends on it",
    ),
    "running_speed": (
        "mean running speed during each image",
        "the animal ran more during some images than during others",
    ),
    "pupil_area": (
        "mean pupil area during each image",
        "the pupil was wider during some images than during others",
    ),
    "time": (
        "time at which each image was shown",
        "the responses drifted, and images were shown at different times",
    ),
}
# Standard error of CC_norm from the noise ceiling alone; the true rates then score 0.9 to 1.1.
KNOWN_CEILING = 0.05
_CEILING = (
    "the noise ceiling is uncertain: CC_norm of a perfect model would have a standard error of {} "
    "(at most {:g} required); repeat more images, or the same ones more often"
)
_ABOVE_ONE = (
    "CC_norm is above 1 (95 % interval from {:.2f}), so that the noise ceiling must be wrong"
)


@dataclass(frozen=True)
class Calibration:
    """The rule, and how often it was right on simulated neurons.

    Parameters
    ----------
    level : float
        Fraction of the true optimum that a trusted MEI should reach.
    expected_min : float
        Minimum expected fraction of the optimum at which a neuron is trusted.
    intercept, slopes : float, tuple of float
        The expected fraction is the logistic function of the intercept plus slopes times
        `FEATURES`.
    precision : float
        Fraction of the trusted neurons whose MEI reached `level`.
    precision_low : float
        Lower end of a 95 % interval (Clopper & Pearson 1934) over neurons. Each neuron counts
        once, and as wrong if its MEI failed in any recording in which it was trusted.
    recordings : int
        Number of recordings of trusted neurons in the measurement.
    neurons : int
        Number of these neurons; some were recorded with several amounts of data.
    recall : float
        Fraction of the neurons whose MEI reached `level` that were trusted.
    untuned : int
        Number of recordings of untuned neurons.
    untuned_trusted : int
        Number of these that were trusted.
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
        """One sentence on how the precision was measured."""
        return (
            f"In simulations with known ground truth, {100 * self.precision:.0f} % of the MEIs "
            f"flagged as trusted reached at least {100 * self.level:.0f} % of the maximal drive "
            f"(n = {self.recordings} recordings of {self.neurons} neurons; 95 % CI over neurons "
            f"from {100 * self.precision_low:.0f} %); {self.untuned_trusted} of {self.untuned} "
            "recordings of untuned neurons were flagged. Of neurons of random structure, which "
            f"took part in no choice of ours, {self.on_random} did. Real neurons may differ from "
            "all of these."
        )

    @property
    def on_random(self) -> str:
        """How many trusted MEIs of neurons of random structure reached `level`."""
        found = random_structure()
        return (
            f"{found['reached']} of {found['trusted']} (95 % CI: {100 * found['low']:.0f} to "
            f"{100 * found['high']:.0f} %)"
        )

    def expected(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Expected fraction of the optimum; 0 if the features are not known."""
        features = table[list(FEATURES)].to_numpy(float)
        known = np.isfinite(features).all(1)
        z = self.intercept + np.nan_to_num(features) @ np.array(self.slopes)
        return np.where(known, 1 / (1 + np.exp(-z)), 0.0)

    def judge(self, table: pd.DataFrame) -> pd.DataFrame:
        """Compute the columns trusted, expected_fraction and trust_reason.

        Parameters
        ----------
        table : DataFrame
            Output of `meiflow.stages.confidence.measure_confidence`.
        """
        expected = self.expected(table)
        nuisances, uncertain = nuisances_of(table), ~ceiling_known(table)
        explained = np.array([name != "" for name in nuisances], bool)
        impossible = (table["cc_norm_low"] > 1).to_numpy()
        trusted = (expected >= self.expected_min) & ~explained & ~uncertain & ~impossible
        reasons = []
        for i, row in enumerate(table.to_dict("records")):
            if explained[i]:
                reasons.append(nuisance_text(nuisances[i], row["cc_nuisance"], row["cc_abs"]))
            elif impossible[i]:
                reasons.append(_ABOVE_ONE.format(row["cc_norm_low"]))
            elif uncertain[i] and expected[i] >= self.expected_min:
                reasons.append(_CEILING.format(_shown(row["ceiling_error"]), KNOWN_CEILING))
            elif trusted[i]:
                reasons.append("")
            else:
                low, agreement = (_shown(row[name]) for name in FEATURES)
                reasons.append(
                    f"expected to reach {expected[i]:.2f} of the maximal drive "
                    f"({self.expected_min:g} required): the lower end of the held-out CC_norm is "
                    f"{low}, and models trained on other folds reach {agreement} of their own "
                    "optimum with this MEI"
                )
        columns = {"trusted": trusted, "expected_fraction": expected, "trust_reason": reasons}
        return pd.DataFrame(columns, index=table.index)


def ceiling_known(table: pd.DataFrame) -> NDArray[np.bool_]:
    """Whether the noise ceiling is known well enough for CC_norm to mean anything.

    Parameters
    ----------
    table : DataFrame
        ``ceiling_error`` of `meiflow.models.scores.Score`, at most 0.05 if the ceiling is known;
        without this column, it counts as known.
    """
    if "ceiling_error" not in table:
        return np.ones(len(table), bool)
    return np.asarray(table["ceiling_error"] <= KNOWN_CEILING)


def nuisances_of(table: pd.DataFrame) -> list[str]:
    """Name of the nuisance that predicts nearly as well as each neuron's model, or empty.

    Parameters
    ----------
    table : DataFrame
        ``nuisance`` of `meiflow.models.nuisances.nuisance_scores`; without it, there is none.
    """
    if "nuisance" not in table:
        return [""] * len(table)
    return ["" if pd.isna(name) else str(name) for name in table["nuisance"]]


def nuisance_text(name: str, correlation: float, model: float) -> str:
    """What it means that a nuisance predicts nearly as well as the model.

    Parameters
    ----------
    name : str
        A key of `NUISANCES`.
    correlation, model : float
        Held-out correlations of the nuisance and of the model.

    Examples
    --------
    >>> print(nuisance_text("pupil_area", 0.5, 0.6))
    the mean pupil area during each image alone predicts the responses nearly as well as the model \
(correlation 0.50 compared with 0.60): the pupil was wider during some images than during others
    """
    words, cause = NUISANCES[name]
    compared = "nearly as well as" if correlation < model else "as well as"
    return (
        f"the {words} alone predicts the responses {compared} the model (correlation "
        f"{correlation:.2f} compared with {model:.2f}): {cause}"
    )


def _shown(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "(unknown)"


@cache
def random_structure() -> dict[str, float]:
    """Trusted MEIs of neurons of random structure, and how many of them reached the level.

    ``random_structure.json`` is the only place of these numbers in the package; the README and
    ``docs/enter_your_method.md`` repeat them, and a test compares these.

    Examples
    --------
    >>> sorted(random_structure())
    ['high', 'low', 'reached', 'trusted']
    """
    text = files("meiflow.validation").joinpath("random_structure.json").read_text("utf-8")
    return dict(json.loads(text))


@cache
def calibration() -> Calibration:
    """The rule of this version, as calibrated by ``meiflow validate``."""
    text = files("meiflow.validation").joinpath("calibration.json").read_text(encoding="utf-8")
    values = json.loads(text)
    return Calibration(**values | {"slopes": tuple(values["slopes"])})

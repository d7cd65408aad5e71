"""The trust flag: which MEIs can be trusted, by a rule of measured precision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEATURES = ("cc_norm_low", "fold_agreement", "peak_ratio")
# Differences from 1 smaller than these are noise.
_LEAST_ERROR, _LEAST_DISAGREEMENT = 0.02, 0.003
# A model that exceeds the peaks is no better than one that reproduces them.
_LEAST_PEAK, _FULL_PEAK = 0.05, 1.0
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
    **{
        f"gaze_{axis}": (
            f"mean {angle} of gaze during each image",
            "the animal looked elsewhere during some images than during others",
        )
        for axis, angle in (("x", "azimuth"), ("y", "elevation"))
    },
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
    """The rule, and how often it was right on neurons that it had not seen.

    Parameters
    ----------
    level : float
        Fraction of the true optimum that a trusted MEI should reach.
    expected_min : float
        Minimum expected fraction of the optimum at which a neuron is trusted.
    intercept, slopes : float, tuple of float
        The expected fraction is the logistic function of the intercept plus slopes times
        what `features_of` returns.
    precision : float
        Fraction of the trusted neurons whose MEI reached `level`.
    precision_low : float
        Lower end of its 95 % interval (Clopper & Pearson 1934).
    neurons : int
        Number of trusted neurons in the measurement.
    coverage : float
        Fraction of the neurons whose MEI reached `level` that were trusted.
    untuned : int
        Number of untuned neurons.
    untuned_trusted : int
        Number of these that were trusted.
    """

    level: float
    expected_min: float
    intercept: float
    slopes: tuple[float, ...]
    precision: float
    precision_low: float
    neurons: int
    coverage: float
    untuned: int
    untuned_trusted: int

    @property
    def source(self) -> str:
        """One sentence on how the precision was measured."""
        return (
            "In simulated neurons that took no part in choosing the rule, "
            f"{100 * self.precision:.0f} % of the MEIs flagged as trusted reached at least "
            f"{100 * self.level:.0f} % of the maximal drive (n = {self.neurons} neurons; 95 % CI "
            f"from {100 * self.precision_low:.0f} %), {self.untuned_trusted} of {self.untuned} "
            "untuned neurons were flagged, and "
            f"{100 * self.coverage:.0f} % of the MEIs that reached it were trusted. Real neurons "
            "may differ from these."
        )

    def expected(self, table: pd.DataFrame) -> NDArray[np.float64]:
        """Expected fraction of the optimum; 0 if the features are not known."""
        features = features_of(table)
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
                low, folds, peak = (_shown(row[name]) for name in FEATURES)
                reasons.append(
                    f"expected to reach {expected[i]:.2f} of the maximal drive "
                    f"({self.expected_min:g} required): the lower end of the held-out CC_norm is "
                    f"{low}, models trained on other folds reach {folds} of their own optimum "
                    f"with this MEI, and the model reproduces {peak} of the strongest response"
                )
        columns = {"trusted": trusted, "expected_fraction": expected, "trust_reason": reasons}
        return pd.DataFrame(columns, index=table.index)


def features_of(table: pd.DataFrame) -> NDArray[np.float64]:
    """What the rule combines, (neurons, features).

    -ln(1 - ``cc_norm_low``), -ln(1 - ``fold_agreement``) and ln(``peak_ratio``), the last at most
    0.

    Parameters
    ----------
    table : DataFrame
        Output of `meiflow.stages.confidence.measure_confidence`.
    """
    low, agreement, peak = (table[name].to_numpy(float) for name in FEATURES)
    columns = [
        -np.log((1 - low).clip(_LEAST_ERROR)),
        -np.log((1 - agreement).clip(_LEAST_DISAGREEMENT)),
        np.log(peak.clip(_LEAST_PEAK, _FULL_PEAK)),
    ]
    return np.stack(columns, axis=1)


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
def calibration() -> Calibration:
    """The rule of this version, as chosen and measured by ``python -m benchmarks.trust``."""
    text = files("meiflow.validation").joinpath("calibration.json").read_text(encoding="utf-8")
    values = json.loads(text)
    return Calibration(**values | {"slopes": tuple(values["slopes"])})

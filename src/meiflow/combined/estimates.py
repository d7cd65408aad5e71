"""Estimates over sessions: a value per session and area, their mean and its interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.combined.gather import meaningful

ALL_AREAS = "all areas"
# From the thalamus upwards, as in Siegle et al. 2021; other areas follow.
_HIERARCHY = ("LGd", "VISp", "VISl", "VISrl", "LP", "VISal", "VISpm", "VISam")
FEWEST = 5  # sessions: with fewer, a bootstrap over sessions is meaningless
_RESAMPLES = 4000


@dataclass(frozen=True)
class Measure:
    """A column summarised per session: by its median or, if boolean, by the fraction of True."""

    name: str
    label: str
    share: bool = False


MEASURES = (
    Measure("cc_norm_model", "CC_norm, held out"),
    Measure("cc_norm_model_shuffled", "CC_norm, shuffled control"),
    Measure("model_above_chance", "fraction better than chance", share=True),
    Measure("trusted", "fraction trusted", share=True),
    Measure("mei_over_best_gabor", "MEI / best Gabor"),
    Measure("mei_over_windowed_natural", "MEI / natural, windowed"),
    Measure("mei_peak_frequency_cpd", "MEI frequency (cycles/deg)"),
    Measure("mei_size_deg", "MEI size (deg)"),
    Measure("mei_gabor_r2", "R² of a Gabor fitted to the MEI"),
    Measure("cc_norm_pixel_ridge", "CC_norm, pixel ridge"),
    Measure("mei_true_fraction", "true drive of the MEI"),
)


def areas_of(neurons: pd.DataFrame) -> list[str]:
    """The areas of the neurons, from the thalamus upwards; empty if no area is known."""
    found = set(neurons["area"].dropna())
    known = [area for area in _HIERARCHY if area in found]
    return known + sorted(found - set(known))


def session_values(neurons: pd.DataFrame) -> pd.DataFrame:
    """One value of each measure per session and area, and for all areas if there are several.

    Parameters
    ----------
    neurons : DataFrame
        Output of `meiflow.combined.gather.gather`.

    Returns
    -------
    DataFrame
        measure, area, session_id, neurons, value. Neurons without the measure are excluded, and
        for measures of MEIs also neurons whose model is not better than chance.
    """
    parts = [neurons[neurons["area"].notna()]]
    parts += [neurons.assign(area=ALL_AREAS)] if len(areas_of(neurons)) != 1 else []
    rows = []
    for measure in (m for m in MEASURES if m.name in neurons):
        for part in parts:
            own = meaningful(part, measure.name).groupby(["area", "session_id"], sort=False)
            for (area, session), values in own[measure.name]:
                known = values.dropna().astype(float)
                if len(known):
                    value = known.mean() if measure.share else known.median()
                    rows.append((measure.name, area, session, len(known), value))
    return pd.DataFrame(rows, columns=["measure", "area", "session_id", "neurons", "value"])


def estimate(values: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Mean over sessions with its 95 % interval, by measure and area.

    Parameters
    ----------
    values : DataFrame
        Output of `session_values`.
    seed : int

    Returns
    -------
    DataFrame
        measure, area, sessions, neurons, mean, low, high.
    """
    rows = []
    for (measure, area), group in values.groupby(["measure", "area"], sort=False):
        own = group["value"].to_numpy(float)
        low, high = interval(own, seed)
        rows.append(
            (measure, area, len(own), group["neurons"].sum(), own.mean(), float(low), float(high))
        )
    columns = ["measure", "area", "sessions", "neurons", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def interval(values: ArrayLike, seed: int) -> tuple[NDArray, NDArray]:
    """95 % percentile bootstrap of the mean over sessions.

    Whole sessions are resampled with all their neurons, because the neurons of a session share an
    animal, a screen and slow drifts, and are not independent.

    Parameters
    ----------
    values : array, shape (sessions, ...)
    seed : int

    Returns
    -------
    low, high : ndarray, shape (...)
        NaN with fewer than `FEWEST` sessions.

    Examples
    --------
    >>> low, high = interval([0.2, 0.4, 0.5, 0.6, 0.8], seed=0)
    >>> bool(0.2 < low < 0.5 < high < 0.8)
    True
    """
    values = np.asarray(values, float)
    sessions = len(values)
    if sessions < FEWEST:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(sessions, np.full(sessions, 1 / sessions), _RESAMPLES)
    means = np.tensordot(drawn / sessions, values, axes=1)
    low, high = np.quantile(means, (0.025, 0.975), axis=0)
    return low, high

"""Comparison of recorded tuning with the predictions of models of natural scenes.

Gabors and static gratings were shown to the same neurons. A model fitted only to natural scenes
predicts the responses to them; if the predictions are correct, the model has not merely memorised
the scenes. For recorded neurons this is the closest equivalent of showing a new stimulus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.tables.conditions import Conditions
from meiflow.tables.tuning import field_centre, receptive_fields

if TYPE_CHECKING:
    import xarray as xr

# Tuning curve or map -> stimulus, and the parameters that are kept; the others are averaged.
CURVES = {
    "gabors": ("gabors", ("x_position", "y_position", "orientation")),
    "position": ("gabors", ("x_position", "y_position")),
    "gratings": ("static_gratings", ("orientation", "spatial_frequency", "phase")),
    "orientation": ("static_gratings", ("orientation",)),
    "spatial_frequency": ("static_gratings", ("spatial_frequency",)),
}
_DRAWS = 1000
_SIGNIFICANT = 0.001
_FEWEST_POINTS = 3  # two points always correlate perfectly


@dataclass(frozen=True)
class Curve:
    """Recorded and predicted mean counts by some stimulus parameters.

    Parameters
    ----------
    values : DataFrame, one row per point
        Values of the parameters.
    recorded, error, predicted : ndarray, shape (points, neurons)
        ``error`` is the standard error of ``recorded``; NaN for conditions shown only once.
    trials, conditions : int
        Numbers from which the errors are computed.
    """

    values: pd.DataFrame
    recorded: NDArray[np.float64]
    error: NDArray[np.float64]
    predicted: NDArray[np.float64]
    trials: int
    conditions: int


def tuning_curve(recorded: Conditions, predicted: NDArray, keys: tuple[str, ...]) -> Curve:
    """Average over all parameters except `keys`, with equal weights of conditions.

    Parameters
    ----------
    recorded : Conditions
    predicted : ndarray, shape (conditions, neurons)
    """
    parameters = recorded.parameters
    code = parameters.groupby(list(keys), sort=True).ngroup().to_numpy()
    members = np.zeros((code.max() + 1, len(code)))
    members[code, np.arange(len(code))] = 1
    average = members / members.sum(axis=1, keepdims=True)
    return Curve(
        parameters[list(keys)].drop_duplicates().sort_values(list(keys)).reset_index(drop=True),
        average @ recorded.means,
        np.sqrt(average**2 @ recorded.errors**2),
        average @ predicted,
        len(recorded.condition),
        len(parameters),
    )


def curves_of(stimulus: str, recorded: Conditions, predicted: NDArray) -> dict[str, Curve]:
    """All `CURVES` of a stimulus; parameters as for `tuning_curve`."""
    return {
        name: tuning_curve(recorded, predicted, keys)
        for name, (of, keys) in CURVES.items()
        if of == stimulus
    }


@dataclass(frozen=True)
class Agreement:
    """Agreement between the predicted and the recorded curve of a neuron.

    Parameters
    ----------
    cc_abs : float
        Pearson correlation over the points; NaN if either is flat.
    cc_max : float
        Noise ceiling, sqrt(signal power / variance of the recorded curve); NaN if no signal is left
        after subtracting the noise, which is known from the errors.
    cc_norm : float
        ``cc_abs / cc_max`` (Schoppe et al. 2016).
    cc_others : float
        Mean correlation with the predictions for the other neurons, which reflects shared tuning.
    cc_mirrored : float
        For orientation curves, the correlation assuming that recorded orientations are clockwise.
        NaN for other curves, and if the mirrored orientations were not shown.
    cc_shuffled_95, p_shuffled : float
        95th percentile of the correlation for permuted points, and the fraction of permutations
        (including the identity) that do at least as well.
    tuned_p : float
        p value for the recorded curve being flat (F test of its variance against its errors).
    tuned : bool
        Whether `tuned_p` is at most 0.001.
    """

    cc_abs: float
    cc_max: float
    cc_norm: float
    cc_others: float
    cc_mirrored: float
    cc_shuffled_95: float
    p_shuffled: float
    tuned_p: float
    tuned: bool


_NAN = float("nan")
_UNDEFINED = Agreement(_NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, _NAN, False)


def _standardised(curves: NDArray) -> NDArray[np.float64]:
    """Scale columns to zero mean and unit length; NaN for flat ones."""
    centred = curves - curves.mean(axis=0)
    length = np.sqrt((centred**2).sum(axis=0))
    flat = length <= 1e-9 * np.maximum(np.abs(curves).max(axis=0), 1e-300)
    return np.asarray(centred / np.where(flat, np.nan, length))


def _mirrored(values: pd.DataFrame) -> NDArray[np.int64] | None:
    """Row of the mirrored orientation for every orientation of an orientation curve."""
    if list(values.columns) != ["orientation"]:
        return None
    angles = values["orientation"].to_numpy(float) % 180
    apart = np.abs((angles[:, None] + angles[None] + 90) % 180 - 90)
    return apart.argmin(axis=1) if (apart.min(axis=1) < 1e-6).all() else None


def agreement(curve: Curve, seed: int) -> list[Agreement]:
    """`Agreement` of every neuron for a curve.

    Parameters
    ----------
    seed : int
        Seed of the permutations.
    """
    from scipy.stats import f as f_distribution

    points, neurons = curve.recorded.shape
    if points < _FEWEST_POINTS:
        return [_UNDEFINED] * neurons
    r, p = _standardised(curve.recorded), _standardised(curve.predicted)
    correlations = r.T @ p  # recorded neuron x predicted neuron
    own = np.diag(correlations)
    others = correlations + np.where(np.eye(neurons, dtype=bool), np.nan, 0.0)
    mirror = _mirrored(curve.values)
    turned = np.full(neurons, np.nan) if mirror is None else (r * p[mirror]).sum(axis=0)
    rng = np.random.default_rng([seed, 5])
    deals = rng.permuted(np.tile(np.arange(points), (_DRAWS, 1)), axis=1)
    # one permutation at a time; all at once would take gigabytes for a large dataset
    shuffled = np.stack([(r[deal] * p).sum(axis=0) for deal in deals])
    variance = curve.recorded.var(axis=0, ddof=1)
    noise = (curve.error**2).mean(axis=0)
    signal = variance - noise
    with np.errstate(divide="ignore", invalid="ignore"):
        cc_max = np.where(signal > 0, np.sqrt(np.maximum(signal, 0) / variance), np.nan)
        ratio = np.where(variance > 0, variance / noise, np.nan)
    tuned = f_distribution.sf(ratio, points - 1, max(curve.trials - curve.conditions, 1))
    found = []
    for n in range(neurons):
        deals_of_n = shuffled[:, n]
        defined = bool(np.isfinite(own[n]))
        found.append(
            Agreement(
                float(own[n]),
                float(cc_max[n]),
                float(own[n] / cc_max[n]),
                float(np.nanmean(others[n])) if np.isfinite(others[n]).any() else np.nan,
                float(turned[n]),
                float(np.quantile(deals_of_n, 0.95)) if defined else np.nan,
                float((1 + (deals_of_n >= own[n] - 1e-12).sum()) / (1 + _DRAWS))
                if defined
                else np.nan,
                float(tuned[n]),
                bool(tuned[n] <= _SIGNIFICANT),
            )
        )
    return found


def circular_mean(angles_deg: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Preferred orientation (degrees, 0 to 180) and selectivity (0 to 1) of tuning curves.

    Direction and length of the vector mean over doubled angles (Ringach et al. 2002).

    Parameters
    ----------
    angles_deg : ndarray, shape (points,)
    weights : ndarray, shape (points, neurons)
        Mean counts.
    """
    turn = np.exp(2j * np.deg2rad(angles_deg))[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        vector = (turn * weights).sum(axis=0) / weights.sum(axis=0)
    return np.rad2deg(np.angle(vector)) / 2 % 180, np.abs(vector)


def _log_mean(frequencies: NDArray, curves: NDArray) -> NDArray[np.float64]:
    """Centre of mass on a log axis of the part of each curve above half its range."""
    low, high = curves.min(axis=0), curves.max(axis=0)
    above = np.maximum(curves - (low + high) / 2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.exp((np.log(frequencies)[:, None] * above).sum(0) / above.sum(0)))


def _differences(apart: NDArray, tuned: NDArray) -> tuple[NDArray, NDArray]:
    """Error of every neuron, and its mean difference to the predictions for other neurons.

    Parameters
    ----------
    apart : ndarray, shape (neurons, neurons)
        Differences between recorded (rows) and predicted (columns) values.
    tuned : ndarray of bool, shape (neurons,)
        Neurons with recorded tuning; the others have no error.
    """
    neurons = len(apart)
    rest = np.where(np.eye(neurons, dtype=bool) | ~np.isfinite(apart), 0.0, apart)
    counted = np.isfinite(apart).sum(axis=1) - np.isfinite(np.diag(apart))
    with np.errstate(invalid="ignore", divide="ignore"):
        others = rest.sum(axis=1) / counted
    return np.where(tuned, np.diag(apart), np.nan), np.where(tuned, others, np.nan)


def preferences(curves: dict[str, Curve], tuned: dict[str, NDArray]) -> pd.DataFrame:
    """Recorded and predicted preferences, one row per neuron.

    Parameters
    ----------
    curves : dict of str to Curve
        Available curves, by the names in `CURVES`.
    tuned : dict of str to ndarray of bool, shape (neurons,)
        Neurons whose recorded curve is not flat.

    Returns
    -------
    DataFrame
        Columns ``{recorded,predicted}_{x_deg,y_deg,orientation_deg,osi,frequency_cpd}``; the
        errors ``field_error_deg``, ``orientation_error_deg`` (0 to 90) and
        ``frequency_error_octaves`` of tuned neurons; and, as a control, the same with ``_others``
        for the mean difference to the predictions for the other neurons.
    """
    found: dict[str, NDArray] = {}

    def compare(name: str, curve: str, apart: NDArray) -> None:
        own, others = _differences(apart, tuned[curve])
        found[name], found[f"{name}_others"] = own, others

    if "position" in curves:
        for kind, centres in _centres(curves["position"]).items():
            found[f"{kind}_x_deg"], found[f"{kind}_y_deg"] = centres.T
        dx = found["recorded_x_deg"][:, None] - found["predicted_x_deg"]
        dy = found["recorded_y_deg"][:, None] - found["predicted_y_deg"]
        compare("field_error_deg", "position", np.hypot(dx, dy))
    if "orientation" in curves:
        curve = curves["orientation"]
        angles = curve.values["orientation"].to_numpy(float)
        for kind, values in (("recorded", curve.recorded), ("predicted", curve.predicted)):
            pair = circular_mean(angles, values)
            found[f"{kind}_orientation_deg"], found[f"{kind}_osi"] = pair
        apart = found["recorded_orientation_deg"][:, None] - found["predicted_orientation_deg"]
        compare("orientation_error_deg", "orientation", np.abs((apart + 90) % 180 - 90))
    if "spatial_frequency" in curves:
        curve = curves["spatial_frequency"]
        frequencies = curve.values["spatial_frequency"].to_numpy(float)
        for kind, values in (("recorded", curve.recorded), ("predicted", curve.predicted)):
            found[f"{kind}_frequency_cpd"] = _log_mean(frequencies, values)
        ratio = found["recorded_frequency_cpd"][:, None] / found["predicted_frequency_cpd"]
        compare("frequency_error_octaves", "spatial_frequency", np.abs(np.log2(ratio)))
    return pd.DataFrame(found)


def position_maps(curve: Curve) -> dict[str, xr.DataArray]:
    """Maps ``recorded`` and ``predicted``, as in `meiflow.tables.tuning.receptive_fields`."""
    names = [str(i) for i in range(curve.recorded.shape[1])]
    maps = {}
    for kind, values in (("recorded", curve.recorded), ("predicted", curve.predicted)):
        table = pd.concat([curve.values, pd.DataFrame(values, columns=names)], axis=1)
        maps[kind] = receptive_fields(table, names)
    return maps


def _centres(curve: Curve) -> dict[str, NDArray[np.float64]]:
    return {
        kind: np.array([field_centre(field)[:2] for field in fields])
        for kind, fields in position_maps(curve).items()
    }

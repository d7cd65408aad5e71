"""Agreement of predictions with recorded counts, relative to the noise ceiling."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.selection.signal_power import NoiseCeiling

FEV_FLOOR = 0.15


@dataclass(frozen=True)
class Score:
    """Scores of a model for a neuron; see `score_prediction`."""

    cc_abs: float
    cc_norm: float
    cc_max: float
    feve: float
    ceiling_error: float

    def as_row(self) -> dict[str, float]:
        """The numbers by name."""
        return asdict(self)


def score_prediction(prediction: NDArray, means: NDArray, ceiling: NoiseCeiling) -> Score:
    """Score a prediction of held-out images.

    Parameters
    ----------
    prediction, means : ndarray, shape (images,)
        Predicted and measured mean counts.
    ceiling : NoiseCeiling
        Of the neuron, from `meiflow.selection.signal_power.signal_power`.

    Returns
    -------
    Score
        ``cc_abs`` is the Pearson correlation with the means; ``cc_norm = cov / sqrt(signal *
        var(prediction))`` (Schoppe et al. 2016), with variances and covariances weighted as for the
        signal power, NaN where the ceiling is not ``known``; ``cc_max`` the ceiling of ``cc_abs``;
        ``feve = 1 - (MSE - noise) / (total - noise)`` over trials (Cadena et al. 2019), NaN if fev
        < 0.15. Correlations of constant predictions are NaN. ``ceiling_error`` is ``error`` of the
        ceiling.

    Examples
    --------
    >>> from meiflow.selection.reliability import TrialGroups
    >>> from meiflow.selection.signal_power import signal_power
    >>> rng = np.random.default_rng(0)
    >>> rates, repeats = rng.gamma(1.0, 3.0, 200), np.where(np.arange(200) < 40, 10, 1)
    >>> shown = np.repeat(np.arange(200), repeats)
    >>> counts = rng.poisson(rates[shown])
    >>> ceiling = signal_power(counts[:, None], TrialGroups.of(shown)).of(0)
    >>> truth = score_prediction(rates, np.bincount(shown, counts) / repeats, ceiling)
    >>> round(truth.cc_abs, 2), round(truth.cc_norm, 2), round(truth.ceiling_error, 2)
    (0.91, 1.04, 0.04)
    """
    p, m = prediction - prediction.mean(), means - means.mean()
    variance = float((p**2).sum() / (len(p) - 1))
    spread = float((m**2).sum() / (len(m) - 1))
    covariance = float((p * m).sum() / (len(p) - 1))
    varies = variance > 1e-12 * max(float((prediction**2).mean()), 1e-300)
    signal, repeats = ceiling.signal, ceiling.repeats
    cc_abs = covariance / np.sqrt(variance * spread) if varies and spread > 0 else np.nan
    cc_norm = np.nan
    if varies and ceiling.known:
        own = float(normalised(prediction, means, ceiling, np.ones((1, len(means))), False)[0])
        cc_norm = own if np.isfinite(own) else np.nan
    cc_max = min(np.sqrt(signal / spread), 1.0) if signal > 0 and spread > 0 else np.nan
    # The error of single trials is that of their mean plus the noise around it.
    weights = repeats / repeats.sum()
    error = float((weights * (means - prediction) ** 2).sum())
    grand = float((weights * means).sum())
    explainable = float((weights * (means - grand) ** 2).sum())
    # Both include the noise of the means, noise / repeats.
    left = ceiling.noise_variance * len(repeats) / repeats.sum()
    feve = np.nan
    if ceiling.fev >= FEV_FLOOR and explainable > left:
        feve = 1 - (error - left) / (explainable - left)
    return Score(float(cc_abs), cc_norm, float(cc_max), float(feve), ceiling.error)


def normalised(
    prediction: NDArray, means: NDArray, ceiling: NoiseCeiling, times: NDArray, drawn: bool
) -> NDArray[np.float64]:
    """CC_norm of samples of the images, each with its own noise ceiling.

    Parameters
    ----------
    prediction, means : ndarray, shape (images,)
    ceiling : NoiseCeiling
    times : ndarray, shape (samples, images)
        How often each image occurs in each sample.
    drawn : bool
        Whether the samples are draws of a bootstrap, whose variance is lower by 1 / images.

    Returns
    -------
    ndarray, shape (samples,)
        Infinite for samples without signal; NaN if the prediction is constant.
    """
    w = times * ceiling.weights
    w /= w.sum(1, keepdims=True)
    p, m = prediction - prediction.mean(), means - means.mean()
    mean_p, mean_m = w @ p, w @ m
    covariance = w @ (p * m) - mean_p * mean_m
    variance = w @ p**2 - mean_p**2
    # noise of single presentations is that of the repeated images, whose ratio is drawn as well
    repeated = ceiling.repeats > 1
    left = w * (1 - ceiling.weights)
    ratio = (times @ (repeated * ceiling.noise * ceiling.repeats)) / np.maximum(times @ repeated, 1)
    usual = (ceiling.noise * ceiling.repeats)[repeated].mean()
    noise = left @ (repeated * ceiling.noise)
    noise += left @ (~repeated * ceiling.noise) * (ratio / usual if usual > 0 else 0.0)
    noise *= 1 - 1 / len(means) if drawn else 1.0
    signal = w @ m**2 - mean_m**2 - noise
    varies = variance > 1e-12 * max(float((prediction**2).mean()), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        cc = covariance / np.sqrt(np.maximum(signal, 0) * variance)
    return np.where(varies, np.where(signal > 0, cc, np.inf), np.nan)


def chance_level(control: ArrayLike) -> float:
    """Correlation exceeded by one in twenty of the shuffled controls.

    Parameters
    ----------
    control : array_like, shape (neurons,)
        ``cc_abs`` of the controls of a session; undefined ones (NaN) are ignored.

    Returns
    -------
    float
        The 95th percentile; 0 without a control.

    Examples
    --------
    >>> round(chance_level(np.arange(101) / 100), 3)
    0.95
    """
    known = np.asarray(control, dtype=float)
    known = known[np.isfinite(known)]
    return float(np.quantile(known, 0.95)) if len(known) else 0.0


def bootstrap_times(images: int, seed: int, draws: int = 1000) -> NDArray[np.float64]:
    """How often each image occurs in each sample of a bootstrap, shape (draws, images).

    Examples
    --------
    >>> times = bootstrap_times(118, seed=0)
    >>> times.shape, bool(np.allclose(times.sum(axis=1), 118))
    ((1000, 118), True)
    """
    rng = np.random.default_rng([seed, 4])
    return rng.multinomial(images, np.full(images, 1 / images), draws).astype(float)


def norm_interval(
    prediction: NDArray, means: NDArray, ceiling: NoiseCeiling, times: NDArray
) -> tuple[float, float]:
    """95 % percentile bootstrap interval of CC_norm over images, with the ceiling drawn anew.

    Parameters
    ----------
    prediction, means : ndarray, shape (images,)
    ceiling : NoiseCeiling
    times : ndarray, shape (draws, images)
        From `bootstrap_times`.

    Returns
    -------
    low, high : float
        NaN if CC_norm is not known, or if the prediction is constant in most samples; ``high`` is
        infinite if more than 2.5 % of the samples have no signal.

    Examples
    --------
    >>> from meiflow.selection.reliability import TrialGroups
    >>> from meiflow.selection.signal_power import signal_power
    >>> rng = np.random.default_rng(0)
    >>> rates, shown = rng.gamma(1.0, 3.0, 200), np.repeat(np.arange(200), 4)
    >>> counts = rng.poisson(rates[shown])
    >>> ceiling = signal_power(counts[:, None], TrialGroups.of(shown)).of(0)
    >>> means, times = counts.reshape(200, 4).mean(1), bootstrap_times(200, seed=0)
    >>> low, high = norm_interval(rates + rng.normal(0, 2, 200), means, ceiling, times)
    >>> round(low, 2), round(high, 2)
    (0.76, 0.88)
    """
    if not ceiling.known:
        return np.nan, np.nan
    values = normalised(prediction, means, ceiling, times, True)
    known = values[~np.isnan(values)]
    if len(known) < len(values) / 2:
        return np.nan, np.nan
    low, high = np.quantile(known, [0.025, 0.975], method="higher")
    return float(low), float(high)

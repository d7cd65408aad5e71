"""Agreement of predictions with recorded counts, relative to the noise ceiling."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEV_FLOOR = 0.15


@dataclass(frozen=True)
class Score:
    """Scores of a model for a neuron; see `score_prediction`."""

    cc_abs: float
    cc_norm: float
    cc_max: float
    feve: float

    def as_row(self) -> dict[str, float]:
        """The four numbers by name."""
        return asdict(self)


def score_prediction(
    prediction: NDArray,
    means: NDArray,
    repeats: NDArray,
    signal: float,
    noise_variance: float,
    fev: float,
) -> Score:
    """Score a prediction of held-out images.

    Parameters
    ----------
    prediction, means : ndarray, shape (images,)
        Predicted and measured mean counts.
    repeats : ndarray, shape (images,)
    signal, noise_variance, fev : float
        Values of the neuron from `meiflow.selection.reliability.signal_power`.

    Returns
    -------
    Score
        ``cc_abs`` is the Pearson correlation with the means; ``cc_norm = cov / sqrt(signal *
        var(prediction))`` (Schoppe et al. 2016), NaN without signal; ``cc_max`` the ceiling
        of ``cc_abs``; ``feve = 1 - (MSE - noise) / (total - noise)`` over trials (Cadena et
        al. 2019), NaN if fev < 0.15. Correlations of constant predictions are NaN.

    Examples
    --------
    >>> from meiflow.selection.reliability import TrialGroups, signal_power
    >>> rng = np.random.default_rng(0)
    >>> rates, repeats = rng.gamma(1.0, 3.0, 200), np.full(200, 10)
    >>> counts = rng.poisson(np.repeat(rates, 10))
    >>> power = signal_power(counts[:, None], TrialGroups.of(np.repeat(np.arange(200), 10)))
    >>> noise = power.signal[0], power.noise_variance[0], power.fev[0]
    >>> means = counts.reshape(200, 10).mean(1)
    >>> truth = score_prediction(rates, means, repeats, *noise)
    >>> round(truth.cc_abs, 2), round(truth.cc_norm, 2)
    (0.98, 1.0)
    """
    p, m = prediction - prediction.mean(), means - means.mean()
    variance = float((p**2).sum() / (len(p) - 1))
    spread = float((m**2).sum() / (len(m) - 1))
    covariance = float((p * m).sum() / (len(p) - 1))
    varies = variance > 1e-12 * max(float((prediction**2).mean()), 1e-300)
    cc_abs = covariance / np.sqrt(variance * spread) if varies and spread > 0 else np.nan
    cc_norm = covariance / np.sqrt(variance * signal) if varies and signal > 0 else np.nan
    cc_max = np.sqrt(signal / spread) if signal > 0 and spread > 0 else np.nan
    # The error of single trials is that of their mean plus the noise around it.
    weights = repeats / repeats.sum()
    error = float((weights * (means - prediction) ** 2).sum())
    grand = float((weights * means).sum())
    explainable = float((weights * (means - grand) ** 2).sum())
    # Both include the noise of the means, noise / repeats.
    left = noise_variance * len(repeats) / repeats.sum()
    feve = np.nan
    if fev >= FEV_FLOOR and explainable > left:
        feve = 1 - (error - left) / (explainable - left)
    return Score(float(cc_abs), float(cc_norm), float(cc_max), float(feve))


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


def correlation_interval(
    prediction: NDArray, means: NDArray, rng: np.random.Generator, draws: int = 1000
) -> tuple[float, float]:
    """95 % percentile bootstrap interval over images of the correlation ``cc_abs``.

    NaN if either is constant.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.normal(size=200)
    >>> low, high = correlation_interval(truth, truth + rng.normal(size=200), rng)
    >>> round(low, 2), round(high, 2)
    (0.58, 0.72)
    """
    n = len(means)
    index = rng.integers(0, n, (draws, n))
    p, m = prediction[index], means[index]
    p, m = p - p.mean(1, keepdims=True), m - m.mean(1, keepdims=True)
    norm = np.sqrt((p**2).sum(1) * (m**2).sum(1))
    defined = norm > 1e-9 * max(float(np.abs(prediction).max() * np.abs(means).max()), 1e-300)
    if defined.mean() < 0.5:
        return np.nan, np.nan
    values = (p * m).sum(1)[defined] / norm[defined]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)

"""Signal power and noise ceiling of every neuron, also where few images were repeated."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.response_type import COUNTS, ResponseType
from meiflow.selection.reliability import TrialGroups

# Fewer repeated images say too little about the noise: for CC_norm, and for its standard error.
FEWEST_REPEATED, FEWEST_FOR_ERROR = 10, 25
_SPLITS = 20  # of the trials of each image into halves
_LEAST_SIGNAL = 0.05  # of the variance of the means; for the weights only


@dataclass(frozen=True)
class NoiseCeiling:
    """What is known of the noise in one neuron's mean responses.

    Parameters
    ----------
    repeats : ndarray of int, shape (images,)
    weights : ndarray, shape (images,)
        Weight of each image in variances and covariances; they sum to one.
    noise : ndarray, shape (images,)
        Variance of the measured mean of each image.
    signal, fev, noise_variance, error : float
    known : bool
        As in `SignalPower`.
    """

    repeats: NDArray[np.int64]
    weights: NDArray[np.float64]
    noise: NDArray[np.float64]
    signal: float
    fev: float
    noise_variance: float
    error: float
    known: bool


@dataclass(frozen=True)
class SignalPower:
    """Limits of predictability, with a value or a column per neuron; see `signal_power`."""

    signal: NDArray[np.float64]
    cc_max: NDArray[np.float64]
    fev: NDArray[np.float64]
    noise_variance: NDArray[np.float64]
    error: NDArray[np.float64]
    known: NDArray[np.bool_]
    repeats: NDArray[np.int64]
    weights: NDArray[np.float64]
    noise: NDArray[np.float64]

    def of(self, column: int) -> NoiseCeiling:
        """The ceiling of one neuron."""
        return NoiseCeiling(
            self.repeats,
            self.weights[:, column],
            self.noise[:, column],
            float(self.signal[column]),
            float(self.fev[column]),
            float(self.noise_variance[column]),
            float(self.error[column]),
            bool(self.known[column]),
        )


def signal_power(
    counts: NDArray, groups: TrialGroups, response: ResponseType = COUNTS
) -> SignalPower:
    """Signal power, CC_max and fraction of explainable variance.

    With m the mean and v the unbiased variance over repeats of an image, the signal power is the
    variance of m over images minus its residual noise, v / r. For equal repeats this is the
    estimator of Sahani & Linden (2003) and Schoppe et al. (2016).

    Images shown only once count as well. Their noise is taken from the repeated ones: for counts,
    the mean times their ratio of variance to mean; for real numbers, their mean variance. Each
    image is weighted by the inverse of the signal power plus its noise, so that reliable means
    count more; with equal repeats, all weights are equal. With medians, m is the median, and v is
    r times its variance; see `medians`.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    groups : TrialGroups
        Trials grouped by image.
    response : ResponseType
        Whether the responses are counts, and how the trials of an image are averaged.

    Returns
    -------
    SignalPower
        ``signal`` may be negative by chance; then ``cc_max = sqrt(signal / Var(m))`` is NaN.
        ``fev = (total - noise) / total`` variance over the trials of repeated images (Cadena et
        al. 2019), unclipped. ``noise_variance`` is the mean of v. ``known`` is false where the
        signal is at most one standard error above zero, and with fewer than 10 repeated images.
        ``error`` is an upper estimate of the standard error that the ceiling alone gives to
        CC_norm, i.e. that of a model which predicts the true rates; infinite where three standard
        errors of the noise would leave no signal, and with fewer than 25 repeated images. With
        fewer than two repeated images everything is NaN or unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shown = np.repeat(np.arange(200), 10)
    >>> rates = rng.gamma(1.0, 3.0, 200)
    >>> power = signal_power(rng.poisson(rates[shown])[:, None], TrialGroups.of(shown))
    >>> float(rates.var(ddof=1).round(1)), power.signal.round(1)
    (9.6, array([10.3]))
    >>> power.cc_max.round(2), power.fev.round(2), power.error.round(3)
    (array([0.98]), array([0.76]), array([0.004]))
    """
    values = np.asarray(counts, dtype=float)
    repeated = groups.repeats > 1
    n, n_neurons = len(groups.repeats), values.shape[1]
    if repeated.sum() < 2:
        nan, each = np.full(n_neurons, np.nan), np.full((n, n_neurons), np.nan)
        unknown = np.full(n_neurons, np.inf), np.zeros(n_neurons, bool)
        return SignalPower(nan, nan, nan, nan, *unknown, groups.repeats, each, each)
    r = groups.repeats[:, None].astype(float)
    if response.real:  # rounding must not depend on the offset, as of F / F0
        values = values - values.mean(0)
    means = groups.sums(values) / r
    squares = groups.sums(values**2)[repeated]
    among = (squares - r[repeated] * means[repeated] ** 2) / (r[repeated] - 1)
    within = among
    if response.average == "median":
        means, variance = medians(values, groups)
        within = variance[repeated] * r[repeated]
    noise = np.empty_like(means)
    noise[repeated] = within / r[repeated]
    constant = response.real or (values < 0).any()
    scale = np.ones_like(means) if constant else means
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(within.sum(0) / scale[repeated].sum(0))
    noise[~repeated] = ratio * scale[~repeated]
    weights = _weights(means, noise, r)
    spread = _variance(means, weights)
    left = (weights * (1 - weights) * noise).sum(0) / (1 - (weights**2).sum(0))
    signal = spread - left
    # CC_max relates the true signal to the measured means
    with np.errstate(divide="ignore", invalid="ignore"):
        cc_max = np.where(signal > 0, np.sqrt(np.maximum(signal, 0) / means.var(0, ddof=1)), np.nan)
        total = values[repeated[groups.codes]].var(0, ddof=1)
        # over trials, images are weighted by their number of presentations in both
        own = r[repeated]
        among_trials = (own * among).sum(0) / own.sum()
        fev = np.where(total > 0, (total - among_trials) / total, np.nan)
    residual = within - ratio * scale[repeated]
    return SignalPower(
        signal,
        np.minimum(cc_max, 1.0),
        fev,
        within.mean(0),
        *_error(signal, left, weights, noise, residual, within, groups.repeats),
        groups.repeats,
        weights,
        noise,
    )


def medians(
    values: NDArray, groups: TrialGroups
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Median over the trials of each image, and its variance.

    The variance is that of the medians of random halves of the trials, divided by the ratio of
    trials; it assumes no distribution of the noise. For Gaussian noise and ten trials it is right
    within 4 % (a bootstrap of the median would be 35 % too high), and a little too high where few
    trials have heavy tails.

    Parameters
    ----------
    values : ndarray, shape (trials, neurons)
    groups : TrialGroups

    Returns
    -------
    medians, variance : ndarray, shape (images, neurons)
        The variance is zero for an image with a single trial.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> values = rng.standard_t(3, (4000, 1))
    >>> found, variance = medians(values, TrialGroups.of(np.repeat(np.arange(200), 20)))
    >>> bool(abs(variance.mean() / found.var() - 1) < 0.1)
    True
    """
    rng = np.random.default_rng(0)
    shape = len(groups.repeats), values.shape[1]
    found, variance = np.empty(shape), np.zeros(shape)
    order = np.argsort(groups.codes, kind="stable")
    for image, rows in enumerate(np.split(order, np.cumsum(groups.repeats)[:-1])):
        own, r = values[rows], len(rows)
        found[image] = np.median(own, axis=0)
        sizes = r // 2, r - r // 2
        for _ in range(_SPLITS if r > 1 else 0):
            mixed = own[rng.permutation(r)]
            apart = np.median(mixed[: sizes[0]], axis=0) - np.median(mixed[sizes[0] :], axis=0)
            variance[image] += apart**2 / (1 / sizes[0] + 1 / sizes[1]) / r / _SPLITS
    return found, variance


def clipped(values: NDArray, groups: TrialGroups) -> NDArray[np.float64]:
    """Responses no more than five robust standard deviations from the median of their image.

    Parameters
    ----------
    values : ndarray, shape (trials, neurons)
    groups : TrialGroups

    Returns
    -------
    ndarray, shape (trials, neurons)
        Unchanged for a neuron of which more than half of the trials equal the median of their
        image, so that the robust standard deviation (1.48 median absolute deviations) is zero.

    Examples
    --------
    >>> values = np.array([[1.0], [2.0], [3.0], [900.0], [0.0], [-1.0], [-2.0]])
    >>> clipped(values, TrialGroups.of(np.array([0, 0, 0, 0, 1, 1, 1]))).ravel().round(1)
    array([ 1. ,  2. ,  3. ,  9.9,  0. , -1. , -2. ])
    """
    middle = medians(values, groups)[0][groups.codes]
    reach = 5 * 1.4826 * np.median(np.abs(values - middle), axis=0)
    reach[reach == 0] = np.inf
    return np.asarray(middle + np.clip(values - middle, -reach, reach))


def _weights(means: NDArray, noise: NDArray, r: NDArray) -> NDArray[np.float64]:
    """Inverse of the variance of each mean about the grand mean: signal plus noise."""
    spread = means.var(0)
    signal = np.maximum(spread - noise.mean(0), _LEAST_SIGNAL * spread)
    variance = signal + (noise * r).mean(0) / r
    weights = 1 / np.where(variance > 0, variance, 1.0)
    return np.asarray(weights / weights.sum(0))


def _variance(values: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Unbiased weighted variance over images."""
    centred = values - (weights * values).sum(0)
    return np.asarray((weights * centred**2).sum(0) / (1 - (weights**2).sum(0)))


def _error(
    signal: NDArray,
    left: NDArray,
    weights: NDArray,
    noise: NDArray,
    residual: NDArray,
    within: NDArray,
    repeats: NDArray,
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Upper estimate of the standard error of CC_norm of the true rates, and whether it is known.

    With noise N in the variance of the means, of which an estimate is subtracted, the error is that
    of the difference divided by twice the signal power. For the upper estimate, N is increased, and
    the signal reduced, by three standard errors, because where N is underestimated by chance, so is
    its error.
    """
    k = len(within)
    if k < FEWEST_REPEATED:
        return np.full(len(signal), np.inf), np.zeros(len(signal), bool)
    degrees = float((repeats[repeats > 1] - 1).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = np.sqrt(2 * (weights**2 * noise**2).sum(0)) / (weights * noise).sum(0)
        pooled = np.sqrt((residual**2).sum(0) * k / (k - 1)) / within.sum(0)
        relative = np.hypot(chance, np.maximum(pooled, np.sqrt(2 / degrees)))
        most = left * (1 + 3 * relative)
        least = signal + left - most
        error = relative * most / (2 * least)
        known = (signal > 0) & ((left == 0) | (signal > relative * left))
    certain = (least > 0) & np.isfinite(error) & (k >= FEWEST_FOR_ERROR)
    error = np.where(certain, error, np.inf)
    return np.where((left == 0) & (signal > 0), 0.0, error), known

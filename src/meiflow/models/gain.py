"""Gain of every neuron in every trial, and mean responses at one state of the animal.

The expected response of a neuron in a trial is the mean response to the image, times a gain that
depends on the state of the animal: running speed and pupil area, or a gain that the population
shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Noise = Literal["poisson", "gaussian"]

# A priori, not tuned: bouts of arousal, and slow drift, in trials (5 and 60 s in natural scenes).
SMOOTHING = 20.0, 240.0
SHARED_GAIN = "shared_gain", "slow_shared_gain"
# Candidate prior standard deviations of the coefficients; 0, i.e. no gain, is the third.
PRIORS = 0.05, 0.2
PARTS = 5  # of consecutive trials, each left out once
_STEPS = 3  # of Newton's method, for each prior
_WIDEST = 3.0  # standard deviations to which states are clipped
_LOWEST = 0.1  # of the shared gain


@dataclass(frozen=True)
class GainFit:
    """Gain of neurons, estimated from some of the trials.

    Parameters
    ----------
    coefficients : ndarray, shape (states, neurons)
        Change of the log gain per standard deviation of a state; 0 where no gain is used.
    gain : ndarray, shape (trials, neurons)
        Gain with a mean of 1 over the trials from which it was estimated.
    means : ndarray, shape (images, neurons)
        Mean response to every image at gain 1.
    used : ndarray of bool, shape (neurons,)
        Whether the gain predicts trials that were left out.
    explained : ndarray, shape (neurons,)
        Fraction of the deviance of left-out trials around the mean of their image that the gain
        explains, with the best of `PRIORS`; NaN if there is no such deviance.
    """

    coefficients: NDArray[np.float64]
    gain: NDArray[np.float64]
    means: NDArray[np.float64]
    used: NDArray[np.bool_]
    explained: NDArray[np.float64]


@dataclass(frozen=True)
class TrialGain:
    """Trials in the order of presentation, from which the gain of every neuron is estimated.

    Parameters
    ----------
    responses : ndarray, shape (trials, neurons)
        Spike counts, or real numbers.
    images : ndarray of int, shape (trials,)
        Index of the image of each trial; -1 is the blank.
    behaviour : ndarray, shape (trials, variables)
        State of the animal, such as the log of running speed; NaN where it is unknown.
    shared : bool
        Whether the gain that the other neurons share is a further state.
    blocks : ndarray of int, shape (trials,), optional
        Block of each trial; the shared gain is not smoothed across blocks.
    noise : {"poisson", "gaussian"}
        Variance proportional to the mean, or constant (for real numbers).
    columns : sequence of int, optional
        Neurons whose gain is estimated; the others contribute to the shared gain. Default: all.

    Examples
    --------
    Two neurons that double their response while the animal runs, and one that does not. An image
    that was mostly shown during running has the same mean as the others:

    >>> rng = np.random.default_rng(0)
    >>> images = np.tile(np.arange(20), 100)
    >>> running = rng.uniform(size=2000) < np.where(images == 3, 0.9, 0.4)
    >>> counts = rng.poisson(3.0 * 2.0 ** np.outer(running, [1, 1, 0]))
    >>> fit = TrialGain(counts, images, running[:, None].astype(float)).fit(np.arange(20))
    >>> fit.used
    array([ True,  True, False])
    >>> (fit.gain[running].mean(axis=0) / fit.gain[~running].mean(axis=0)).round()
    array([2., 2., 1.])
    >>> plain = np.array([counts[images == i].mean(axis=0) for i in range(20)])
    >>> bool((plain[3] / plain.mean(axis=0))[:2].mean() > 1.25)
    True
    >>> bool(abs((fit.means[3] / fit.means.mean(axis=0))[:2].mean() - 1) < 0.1)
    True
    """

    responses: NDArray
    images: NDArray[np.int64]
    behaviour: NDArray[np.float64]
    shared: bool = False
    blocks: NDArray[np.int64] | None = None
    noise: Noise = "poisson"
    columns: Sequence[int] | None = None

    def of(self, columns: Sequence[int]) -> TrialGain:
        """The same trials, with the gain of some of the neurons only."""
        return replace(self, columns=columns)

    def fit(self, training: NDArray[np.int64]) -> GainFit:
        """Estimate the gain from the trials of training images and blanks.

        Nothing that was recorded in the other trials influences the coefficients or the means of
        the training images; the means of the other images use these coefficients.

        Parameters
        ----------
        training : ndarray of int
            Indices of training images.
        """
        values = np.asarray(self.responses, float)
        known = np.isin(self.images, training) | (self.images < 0)
        states = self._states(values, known)
        own = values[:, self._own]
        problem = _Problem(own[known], self._codes[known], [z[known] for z in states], self.noise)
        coefficients, used, explained = problem.solve()
        gain = np.exp(_log_gain(coefficients, states, own.shape))
        gain /= gain[known].mean(axis=0)
        groups = _Groups(self._codes)
        plain, at_one = (_means(own, g, groups, self.noise) for g in (np.ones_like(own), gain))
        means = np.where(used, at_one, plain)[: self.images.max() + 1]
        return GainFit(coefficients, gain, means, used, explained)

    def means(self, training: NDArray[np.int64]) -> NDArray[np.float64]:
        """Mean responses at gain 1 (images, neurons), with coefficients from training images."""
        return self.fit(training).means

    @cached_property
    def _codes(self) -> NDArray[np.int64]:
        """The image of each trial, with the blank as the last one."""
        return np.where(self.images < 0, self.images.max() + 1, self.images)

    @property
    def _own(self) -> NDArray[np.int64]:
        n = self.responses.shape[1]
        return np.arange(n) if self.columns is None else np.asarray(self.columns)

    def _states(self, values: NDArray, known: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
        """States of all trials, each (trials, 1) or (trials, neurons), with unit variance."""
        found = [self.behaviour[:, [i]] for i in range(self.behaviour.shape[1])]
        if self.shared:
            found += [self._shared_gain(values, known, width) for width in SMOOTHING]
        return [_standardised(z, known) for z in found]

    def _shared_gain(
        self, values: NDArray, known: NDArray[np.bool_], width: float
    ) -> NDArray[np.float64]:
        """Log of the gain of all other neurons, smoothed over neighbouring known trials.

        It is the maximum-likelihood estimate of a gain that is common to these neurons: the sum of
        the counts over that of the image means, or the regression of the responses on these.
        """
        codes = self._codes[known]
        mean = np.zeros_like(values)
        ones = np.ones_like(values[known])
        mean[known] = _means(values[known], ones, _Groups(codes), self.noise)[codes]
        weight = known[:, None].astype(float)
        if self.noise == "gaussian":
            spread = (values[known] - mean[known]).var(axis=0)
            weight = weight * mean / np.maximum(spread, 1e-300)
        top, bottom = weight * (values - mean), weight * mean
        top, bottom = (
            self._smoothed(part.sum(axis=1, keepdims=True) - part[:, self._own], width)
            for part in (top, bottom)
        )
        ratio = np.divide(top, bottom, where=bottom > 1e-9, out=np.zeros_like(top))
        return np.asarray(np.log(np.maximum(1 + ratio, _LOWEST)))

    def _smoothed(self, values: NDArray, width: float) -> NDArray[np.float64]:
        from scipy.ndimage import gaussian_filter1d

        found = np.empty_like(values)
        blocks = np.zeros(len(values), int) if self.blocks is None else self.blocks
        for block in np.unique(blocks):
            own = blocks == block
            found[own] = gaussian_filter1d(values[own], width, axis=0, mode="constant")
        return found


def behaviour_states(
    running_speed: NDArray | None, pupil_area: NDArray | None
) -> dict[str, NDArray[np.float64]]:
    """The recorded variables on a log scale, by name; without those that are never known.

    Parameters
    ----------
    running_speed : ndarray, shape (trials,), optional
        Speed in cm/s; backward movement counts as rest.
    pupil_area : ndarray, shape (trials,), optional
        Area in any unit.

    Examples
    --------
    >>> states = behaviour_states(np.array([-0.5, 0.0, np.e - 1]), np.full(3, np.nan))
    >>> {name: values.round(1).tolist() for name, values in states.items()}
    {'running_speed': [0.0, 0.0, 1.0]}
    """
    found = {}
    if running_speed is not None:
        found["running_speed"] = np.log1p(np.maximum(running_speed, 0))
    if pupil_area is not None:
        known = np.asarray(pupil_area) > 0
        found["pupil_area"] = np.log(np.where(known, pupil_area, np.nan))
    return {name: values for name, values in found.items() if np.isfinite(values).any()}


def _standardised(state: NDArray, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Zero mean and unit variance over the known trials; 0 where a state is unknown."""
    fine = np.isfinite(state) & known[:, None]
    n = np.maximum(fine.sum(axis=0), 1)
    centred = state - np.where(fine, state, 0).sum(axis=0) / n
    spread = np.sqrt((np.where(fine, centred, 0) ** 2).sum(axis=0) / n)
    scaled = np.divide(centred, spread, where=spread > 1e-9, out=np.zeros_like(centred))
    return np.asarray(np.clip(np.nan_to_num(scaled), -_WIDEST, _WIDEST))


@dataclass(frozen=True)
class _Groups:
    """Sums over the trials of each image."""

    codes: NDArray[np.int64]

    @cached_property
    def _matrix(self) -> csr_matrix:
        from scipy.sparse import csr_matrix

        n = len(self.codes)
        return csr_matrix((np.ones(n), (self.codes, np.arange(n))))

    def __call__(self, values: NDArray) -> NDArray[np.float64]:
        """Sum of values (trials, neurons) over the trials of each image, (images, neurons)."""
        return np.asarray(self._matrix @ values)


def _means(values: NDArray, gain: NDArray, groups: _Groups, noise: Noise) -> NDArray[np.float64]:
    """Maximum-likelihood means (images, neurons) given the gain; 0 for images without trials."""
    scale = gain if noise == "gaussian" else 1.0
    sums, total = groups(values * scale), groups(gain * scale)
    return np.divide(sums, total, where=total > 1e-6, out=np.zeros_like(sums))


def _log_gain(
    coefficients: NDArray, states: list[NDArray], shape: tuple[int, ...]
) -> NDArray[np.float64]:
    found = np.zeros(shape)
    for b, z in zip(coefficients, states, strict=True):
        found += b * z
    return found


@dataclass(frozen=True)
class _Problem:
    """Coefficients of all neurons by penalised maximum likelihood, with free image means.

    Parameters
    ----------
    values : ndarray, shape (trials, neurons)
    codes : ndarray of int, shape (trials,)
    states : list of ndarray, shape (trials, 1) or (trials, neurons)
    noise : {"poisson", "gaussian"}
    """

    values: NDArray[np.float64]
    codes: NDArray[np.int64]
    states: list[NDArray[np.float64]]
    noise: Noise

    def solve(self) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
        """Coefficients (states, neurons), whether they are used, and explained deviance.

        The prior is the one that predicts consecutive trials best that were left out. A gain is
        used if its improvement exceeds the standard error over these parts.
        """
        n = self.values.shape[1]
        parts = np.array_split(np.arange(len(self.values)), PARTS)
        better = np.zeros((PARTS, len(PRIORS), n))
        total = np.zeros(n)
        for i, part in enumerate(parts):
            kept = np.ones(len(self.values), bool)
            kept[part] = False
            better[i], deviance = self._only(kept)._improvement(self._only(~kept))
            total += deviance
        mean = better.mean(axis=0)
        best = mean.argmax(axis=0)[None]
        improvement = np.take_along_axis(better, best[None], axis=1)[:, 0]
        error = improvement.std(axis=0, ddof=1) / np.sqrt(PARTS)
        used = improvement.mean(axis=0) > error
        explained = np.divide(
            improvement.sum(axis=0), total, where=total > 1e-6, out=np.full(n, np.nan)
        )
        found = np.stack(self._path())  # (priors, states, neurons)
        coefficients = np.take_along_axis(found, best[:, None], axis=0)[0]
        return np.where(used, coefficients, 0.0), used, explained

    def _only(self, trials: NDArray[np.bool_]) -> _Problem:
        states = [z[trials] for z in self.states]
        return _Problem(self.values[trials], self.codes[trials], states, self.noise)

    def _path(self) -> list[NDArray[np.float64]]:
        """Coefficients for each prior, from the narrowest to the widest."""
        groups = _Groups(self.codes)
        found, b = [], np.zeros((len(self.states), self.values.shape[1]))
        dispersion = self._dispersion(groups)
        for prior in PRIORS:
            for _ in range(_STEPS):
                b = self._step(b, prior, dispersion, groups)
            found.append(b)
        return found

    def _dispersion(self, groups: _Groups) -> NDArray[np.float64]:
        """Variance around the image means over that of the noise model, shape (neurons,)."""
        mean = _means(self.values, np.ones_like(self.values), groups, self.noise)[self.codes]
        free = max(len(self.codes) - len(np.unique(self.codes)), 1)
        variance = np.maximum(mean, 1e-9) if self.noise == "poisson" else 1.0
        squares = ((self.values - mean) ** 2 / variance).sum(axis=0)
        return np.asarray(np.maximum(squares / free, 1e-9))

    def _step(
        self, b: NDArray, prior: float, dispersion: NDArray, groups: _Groups
    ) -> NDArray[np.float64]:
        """A step of Fisher scoring on the likelihood in which the image means are maximised out."""
        gain = np.exp(_log_gain(b, self.states, self.values.shape))
        expected = _means(self.values, gain, groups, self.noise)[self.codes] * gain
        scored = self.values - expected
        weight = expected
        if self.noise == "gaussian":
            scored, weight = scored * expected, expected**2
        total = np.maximum(groups(weight), 1e-12)
        slopes = [weight * z for z in self.states]
        sums = [groups(slope) for slope in slopes]
        score = np.stack([(scored * z).sum(axis=0) for z in self.states])
        k = len(self.states)
        information = np.empty((len(dispersion), k, k))
        for i in range(k):
            for j in range(i + 1):
                within = (slopes[i] * self.states[j]).sum(axis=0)
                within -= (sums[i] * sums[j] / total).sum(axis=0)
                information[:, i, j] = information[:, j, i] = within
        penalty = dispersion / prior**2
        information += penalty[:, None, None] * np.eye(k)
        change = np.linalg.solve(information, (score - penalty * b).T[..., None])[..., 0].T
        return np.asarray(b + np.clip(change, -0.5, 0.5))

    def _improvement(self, left_out: _Problem) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Reduction of the deviance of left-out trials (priors, neurons), and the deviance."""
        groups = _Groups(self.codes)
        fine = np.isin(left_out.codes, self.codes)
        left_out = left_out._only(fine)
        deviance = []
        for b in (np.zeros((len(self.states), self.values.shape[1])), *self._path()):
            gain = np.exp(_log_gain(b, self.states, self.values.shape))
            mean = _means(self.values, gain, groups, self.noise)
            if self.noise == "poisson":  # an image without a spike does not predict none
                mean = np.maximum(mean, 0.01 * self.values.mean(axis=0))
            shown = np.exp(_log_gain(b, left_out.states, left_out.values.shape))
            deviance.append(left_out._deviance(mean[left_out.codes] * shown))
        return deviance[0] - np.stack(deviance[1:]), deviance[0]

    def _deviance(self, expected: NDArray) -> NDArray[np.float64]:
        from scipy.special import xlogy

        if self.noise == "gaussian":
            return np.asarray(((self.values - expected) ** 2).sum(axis=0))
        positive = np.maximum(expected, 1e-12)
        terms = xlogy(self.values, self.values / positive) - (self.values - positive)
        return np.asarray(2 * terms.sum(axis=0))

"""What is to be fitted: many responses at once, each on its own training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.progress import logger, track

_PRIOR_PRECISION = 20.0


@dataclass(frozen=True)
class Jobs:
    """Fits that are made alike; one row each.

    Parameters
    ----------
    responses : ndarray, shape (jobs, images)
        Mean counts per presentation.
    train : ndarray of bool, shape (jobs, images)
        The images that a fit may see.
    x, y : ndarray, shape (jobs,)
        Place of the receptive field, degrees, found on the training images.
    starts : ndarray, shape (jobs, starts, 5)
        Gabors that agree best with the training responses: x, y, wavelength, orientation, phase;
        degrees.
    """

    responses: NDArray[np.float64]
    train: NDArray[np.bool_]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    starts: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean training response, shape (jobs,)."""
        return np.asarray((self.responses * self.train).sum(axis=1) / self.train.sum(axis=1))

    def chunks(self, size: int) -> Iterator[Jobs]:
        """Consecutive parts of at most `size` jobs."""
        for i in range(0, len(self), size):
            part = slice(i, i + size)
            yield Jobs(
                self.responses[part], self.train[part], self.x[part], self.y[part],
                self.starts[part],
            )  # fmt: skip


@dataclass(frozen=True)
class Fits:
    """Results of some jobs.

    Parameters
    ----------
    predictions : ndarray, shape (jobs, images)
        Of all images, those held out among them.
    states : list of dict
        For every job, what the member's module is built from (`meiflow.models.members`).
    """

    predictions: NDArray[np.float64]
    states: list[dict[str, Any]]


def fit_in_chunks(
    fit: Callable[[Jobs], Fits], jobs: Jobs, size: int, threads: int, label: str
) -> Fits:
    """Fit parts of `jobs` in parallel.

    The parts, and with them the result, do not depend on the number of threads. A fit that breaks
    off numerically has predictions that are NaN and an empty state; the others of its part are
    made one by one.
    """
    parts = list(jobs.chunks(size))

    def fit_part(part: Jobs) -> Fits:
        return _fit_or_fail(fit, part, label)

    with ThreadPoolExecutor(threads) as pool:
        return _joined(list(track(pool.map(fit_part, parts), label, len(parts))))


def _fit_or_fail(fit: Callable[[Jobs], Fits], jobs: Jobs, label: str) -> Fits:
    try:
        return fit(jobs)
    except (ArithmeticError, ValueError, np.linalg.LinAlgError) as error:
        if len(jobs) == 1:
            logger.info(f"{label}: a fit broke off ({error})")
            return Fits(np.full(jobs.train.shape, np.nan), [{}])
    alone = [_fit_or_fail(fit, one, label) for one in jobs.chunks(1)]
    return _joined(alone)


def _joined(fits: list[Fits]) -> Fits:
    return Fits(np.concatenate([f.predictions for f in fits]), [s for f in fits for s in f.states])


def mixture_weights(predictions: NDArray, response: NDArray) -> NDArray[np.float64]:
    """Convex weights with which predictions come nearest to a response.

    Stacking (Wolpert 1992) with weights that are not negative (Breiman 1996) and a Gaussian prior
    about equal weights, of standard deviation 0.22 each: a noisy neuron's members are averaged, a
    reliable one's are chosen among.

    Parameters
    ----------
    predictions : ndarray, shape (images, members)
        Of held-out images.
    response : ndarray, shape (images,)

    Returns
    -------
    ndarray, shape (members,)
        Not negative, with sum one.
    """
    from scipy.optimize import nnls

    n, members = predictions.shape
    noise = np.sqrt(((predictions - response[:, None]) ** 2).mean(axis=0).min())
    noise = max(float(noise), 1e-9)
    # a heavy row holds the sum at one
    heavy = 1e3 * np.sqrt(n)
    prior = np.sqrt(_PRIOR_PRECISION)
    left = np.vstack([predictions / noise, np.full(members, heavy), prior * np.eye(members)])
    right = np.concatenate([response / noise, [heavy], np.full(members, prior / members)])
    weights, _ = nnls(left, right)
    return np.asarray(weights / weights.sum())

"""Jobs: many responses to fit at once, each with different training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.progress import logger, track


@dataclass(frozen=True)
class Jobs:
    """Responses to fit in the same way, one row each.

    Parameters
    ----------
    responses : ndarray, shape (jobs, images)
        Mean counts per presentation.
    train : ndarray of bool, shape (jobs, images)
        Training images of each fit.
    x, y : ndarray, shape (jobs,)
        RF position in degrees, found on the training images.
    starts : ndarray, shape (jobs, starts, 5)
        Gabors that correlate best with the training responses: x, y, wavelength, orientation and
        phase in degrees.
    real : bool
        Whether responses are real numbers rather than counts: Gaussian noise, and no rectifier.
    """

    responses: NDArray[np.float64]
    train: NDArray[np.bool_]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    starts: NDArray[np.float64]
    real: bool = False

    def __len__(self) -> int:
        return len(self.x)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean training response, shape (jobs,)."""
        return np.asarray((self.responses * self.train).sum(axis=1) / self.train.sum(axis=1))

    def of_first(self, images: int) -> Jobs:
        """The same jobs with the first images only."""
        return replace(self, responses=self.responses[:, :images], train=self.train[:, :images])

    def chunks(self, size: int) -> Iterator[Jobs]:
        """Consecutive parts of at most `size` jobs."""
        for i in range(0, len(self), size):
            part = slice(i, i + size)
            yield Jobs(
                self.responses[part], self.train[part], self.x[part], self.y[part],
                self.starts[part], self.real,
            )  # fmt: skip


@dataclass(frozen=True)
class Fits:
    """Results of jobs.

    Parameters
    ----------
    predictions : ndarray, shape (jobs, images)
        Predictions for all images, including held-out ones.
    states : list of dict
        State of every job, from which a module is built (`meiflow.models.members`).
    """

    predictions: NDArray[np.float64]
    states: list[dict[str, Any]]


def fit_in_chunks(
    fit: Callable[[Jobs], Fits], jobs: Jobs, size: int, threads: int, label: str
) -> Fits:
    """Fit parts of `jobs` in parallel.

    The parts, and therefore the result, do not depend on the number of threads. A fit that fails
    numerically has NaN predictions and an empty state; the other jobs of its part are then fitted
    one by one.
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
            logger.info(f"{label}: a fit failed ({error})")
            return Fits(np.full(jobs.train.shape, np.nan), [{}])
    alone = [_fit_or_fail(fit, one, label) for one in jobs.chunks(1)]
    return _joined(alone)


def _joined(fits: list[Fits]) -> Fits:
    return Fits(np.concatenate([f.predictions for f in fits]), [s for f in fits for s in f.states])

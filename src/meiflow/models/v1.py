"""V1 front end at one position, with a closed-form readout."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.front_end import FrontEnd, features_at
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.nonlinearity import positive, rate_floor
from meiflow.models.ridge import FurtherRows, LinearPredictor, fit_reweighted

_KEPT_BYTES = 200_000_000  # of channels, at positions to which other responses are fitted as well


def groups_after(
    scenes: int, movies: int, drifting: Sequence[DriftingStimuli]
) -> list[NDArray[np.int64]]:
    """Rows of the movies and of every kind of drifting stimuli, which follow the scenes.

    Each group has an offset and a gain of its own.

    Examples
    --------
    >>> groups_after(3, 2, [])
    [array([3, 4])]
    """
    sizes = [movies, *map(len, drifting)]
    ends = scenes + np.cumsum(sizes)
    return [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True) if size]


class V1Fitter:
    """Fit chunks of jobs; see `meiflow.models.window.WindowFitter`.

    Attributes
    ----------
    groups : list of ndarray of int
        Rows of the movies and of every kind of drifting stimuli.
    """

    def __init__(
        self,
        images: NDArray,
        geometry: Geometry,
        config: Model,
        weights: NDArray | None = None,
        movies: int = 0,
        together: int = 1,
        drifting: Sequence[DriftingStimuli] = (),
    ) -> None:
        self._images, self._geometry, self._config = images, geometry, config
        own = np.ones(len(images)) if weights is None else weights
        self._weights = np.concatenate([own, *(shown.weights for shown in drifting)])
        self._scenes, self._together = len(images) - movies, together
        self._drifting = drifting
        self.groups = groups_after(self._scenes, movies, drifting)
        self._front_end = FrontEnd.from_config(config)
        self._lock = Lock()
        self._known: dict[tuple[float, float], NDArray] = {}

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit a ridge readout of the channels at the RF position of each job."""
        predictions = np.empty(jobs.train.shape)
        states = []
        for i, (x, y) in enumerate(zip(jobs.x, jobs.y, strict=True)):
            channels = self._channels(x, y)
            readout, _ = min(
                self._fits(channels, jobs.responses[i], jobs.train[i]), key=itemgetter(1)
            )
            train = jobs.train[i, : self._scenes]
            mean = float(jobs.responses[i, : self._scenes][train].mean())
            floor = rate_floor(mean, jobs.real)
            predictions[i] = positive(readout(channels), floor)
            states.append(
                {
                    "kind": "v1",
                    "front_end": self._front_end.as_document(),
                    "x_deg": float(x),
                    "y_deg": float(y),
                    "floor": floor,
                    "weight": torch.as_tensor(readout.weights, dtype=torch.float32),
                    "bias": readout.bias,
                }
            )
        return Fits(predictions, states)

    def from_scenes(self, jobs: Jobs) -> NDArray[np.float64]:
        """Predictions (jobs, further stimuli) of readouts fitted to scenes alone."""
        found = np.empty((len(jobs), len(self._weights) - self._scenes))
        for i, (x, y) in enumerate(zip(jobs.x, jobs.y, strict=True)):
            channels = self._channels(x, y)
            readout, _ = self._fit(channels, jobs.responses[i], jobs.train[i], [])
            found[i] = readout(channels[self._scenes :])
        return found

    def gain_by_group(self, jobs: Jobs) -> NDArray[np.float64]:
        """Reduction of the relative leave-one-out error over scenes, (jobs, groups).

        By each of `groups` alone.
        """
        found = np.empty((len(jobs), len(self.groups)))
        for i, (x, y) in enumerate(zip(jobs.x, jobs.y, strict=True)):
            channels, response, train = self._channels(x, y), jobs.responses[i], jobs.train[i]
            alone = self._fit(channels, response, train, [])[1]
            both = [self._fit(channels, response, train, [rows])[1] for rows in self.groups]
            scenes = response[: self._scenes][train[: self._scenes]]
            total = max(float(((scenes - scenes.mean()) ** 2).sum()), 1e-12)
            found[i] = (alone - np.array(both)) / total
        return found

    def _channels(self, x: float, y: float) -> NDArray:
        """Channels at a position; those of the last positions are kept."""
        with self._lock:
            known = self._known.get((x, y))
        if known is not None:
            return known
        at = self._geometry, x, y
        drifting = [shown.features_at(self._front_end, *at) for shown in self._drifting]
        found = np.concatenate([features_at(self._front_end, self._images, *at), *drifting])
        with self._lock:
            while self._known and len(self._known) * found.nbytes >= _KEPT_BYTES:
                del self._known[next(iter(self._known))]
            self._known[x, y] = found
        return found

    def _fits(
        self, channels: NDArray, response: NDArray, train: NDArray
    ) -> list[tuple[LinearPredictor, float]]:
        """Readouts with their errors over the scenes: from scenes alone, and from everything."""
        further = [rows for rows in self.groups if train[rows].any()]
        groups = [[], further] if further else [[]]
        return [self._fit(channels, response, train, group) for group in groups]

    def _fit(
        self, channels: NDArray, response: NDArray, train: NDArray, groups: list[NDArray]
    ) -> tuple[LinearPredictor, float]:
        """Readout from scenes and groups of further stimuli, with its error over the scenes."""
        scenes = np.flatnonzero(train[: self._scenes])
        further = None
        used = [rows[train[rows]] for rows in groups]
        if used:
            further = FurtherRows(
                np.concatenate([channels[rows] - channels[rows].mean(axis=0) for rows in used]),
                np.concatenate([response[rows] - response[rows].mean() for rows in used]),
                self._weights[np.concatenate(used)],
            )
        penalties, reweightings = np.asarray(self._config.penalties), self._config.reweightings
        known = channels[scenes], response[scenes]
        return fit_reweighted(*known, penalties, reweightings, further, self._together)

"""V1 front end at one position, with a closed-form readout."""

from __future__ import annotations

from operator import itemgetter

import numpy as np
import torch
from numpy.typing import NDArray

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.front_end import FrontEnd, features_at
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.nonlinearity import positive, rate_floor
from meiflow.models.ridge import FurtherRows, LinearPredictor, fit_reweighted


class V1Fitter:
    """Fit chunks of jobs; see `meiflow.models.window.WindowFitter`."""

    def __init__(
        self,
        images: NDArray,
        geometry: Geometry,
        config: Model,
        weights: NDArray | None = None,
        movies: int = 0,
        together: int = 1,
    ) -> None:
        self._images, self._geometry, self._config = images, geometry, config
        self._weights = np.ones(len(images)) if weights is None else weights
        self._scenes, self._together = len(images) - movies, together
        self._front_end = FrontEnd.from_config(config)

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
        """Predictions (jobs, movie frames) of readouts fitted to scenes alone."""
        found = np.empty((len(jobs), len(self._images) - self._scenes))
        for i, (x, y) in enumerate(zip(jobs.x, jobs.y, strict=True)):
            channels = self._channels(x, y)
            train = jobs.train[i] & (np.arange(len(channels)) < self._scenes)
            found[i] = self._fits(channels, jobs.responses[i], train)[0][0](
                channels[self._scenes :]
            )
        return found

    def gain_by_movies(self, jobs: Jobs) -> NDArray[np.float64]:
        """Reduction of the relative leave-one-out error over scenes by movies, one per job."""
        found = np.empty(len(jobs))
        for i, (x, y) in enumerate(zip(jobs.x, jobs.y, strict=True)):
            response, train = jobs.responses[i], jobs.train[i]
            (_, alone), (_, both) = self._fits(self._channels(x, y), response, train)
            scenes = response[: self._scenes][train[: self._scenes]]
            found[i] = (alone - both) / max(float(((scenes - scenes.mean()) ** 2).sum()), 1e-12)
        return found

    def _channels(self, x: float, y: float) -> NDArray:
        return features_at(self._front_end, self._images, self._geometry, x, y)

    def _fits(
        self, channels: NDArray, response: NDArray, train: NDArray
    ) -> list[tuple[LinearPredictor, float]]:
        """Readouts with their errors over the scenes: from scenes alone, and from both."""
        scenes = np.flatnonzero(train[: self._scenes])
        movies = np.flatnonzero(train[self._scenes :]) + self._scenes
        settings = np.asarray(self._config.penalties), self._config.reweightings
        known = channels[scenes], response[scenes], *settings
        found = [fit_reweighted(*known, None, self._together)]
        if len(movies):
            target = response[movies] - response[movies].mean()
            shown = FurtherRows(channels[movies], target, self._weights[movies])
            found.append(fit_reweighted(*known, shown, self._together))
        return found

"""V1 front end at one position, with a closed-form readout."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.front_end import FrontEnd, features_at
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.nonlinearity import positive, rate_floor
from meiflow.models.ridge import fit_reweighted


class V1Fitter:
    """Fit chunks of jobs; see `meiflow.models.ln.LnFitter`."""

    def __init__(self, images: NDArray, geometry: Geometry, config: Model) -> None:
        self._images, self._geometry, self._config = images, geometry, config
        self._front_end = FrontEnd.from_config(config)

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit a ridge readout of the channels at the RF position of each job."""
        predictions = np.empty(jobs.train.shape)
        states = []
        for i, (x, y) in enumerate(zip(jobs.x, jobs.y, strict=True)):
            train = jobs.train[i]
            channels = features_at(self._front_end, self._images, self._geometry, x, y)
            readout = fit_reweighted(
                channels[train],
                jobs.responses[i, train],
                np.asarray(self._config.penalties),
                self._config.reweightings,
            )
            floor = rate_floor(float(jobs.responses[i, train].mean()))
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

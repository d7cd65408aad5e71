"""A convolutional network trained on all neurons of a session: base model cnn.

Its first layer is the V1 front end or a published core; the next layer is learned and shared by all
neurons, and each neuron reads it with a pyramid spatial transformer that starts at the position
found by the window readout. Several networks, each with other images for early stopping, are
averaged.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.config.model import Cnn
from meiflow.models.boxes import Box, smallest_box
from meiflow.models.cnn_maps import CnnMaps, FixedMaps, LearnedLayer
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.nonlinearity import positive, rate_floor
from meiflow.models.readouts import SmallPyramidReadout
from meiflow.models.trainable import Core, Trainable
from meiflow.models.training import train
from meiflow.models.window import KEPT, WindowFitter, low_rank

_BATCH = 64
_STOPPING_SHARE = 5
_FEWEST = 10  # training images


class CnnFitter:
    """Fit all neurons with the same training images; see `meiflow.models.ln.LnFitter`.

    The positions of the jobs are those from which the readouts start.

    Parameters
    ----------
    window : WindowFitter
        Its channels of the images are the input of the networks; drifting stimuli are not used.
    weights : ndarray, shape (images,)
        Number of trials of each image divided by the mean number.
    config : Cnn
    seed : int
    movies : int
        Number of last images that are from movies, with responses on the scale of the scenes; they
        have no part in the decision when to stop.
    """

    def __init__(
        self, window: WindowFitter, weights: NDArray, config: Cnn, seed: int, movies: int = 0
    ) -> None:
        self._window, self._config, self._seed = window, config, seed
        self._weights = torch.as_tensor(weights, dtype=torch.float32)
        self._scenes = len(weights) - movies

    @property
    def _channels(self) -> Tensor:
        return torch.as_tensor(self._window.channels[: len(self._weights)])

    def __call__(self, jobs: Jobs) -> Fits:
        """Fit jobs, which must have the same training images."""
        networks = [self._trained(jobs, i) for i in range(self._config.networks)]
        layer = LearnedLayer.joined([network.core.layer for network in networks])
        maps = CnnMaps(self._window.maps, layer)
        # (neurons, positions, channels of all networks)
        weight = torch.cat([n.weights_of_positions() for n in networks], 2) / len(networks)
        bias = torch.stack([n.bias_of_drive() for n in networks]).mean(0)
        states: list[dict[str, Any]] = []
        document = maps.as_document()
        for whole, own_bias, mean in zip(weight.double().numpy(), bias, jobs.means, strict=True):
            box = smallest_box(np.linalg.norm(whole, axis=1).reshape(maps.shape), KEPT)
            # a readout has one profile of channels for each level of the pyramid
            rank = (self._config.scales + 1) * len(networks)
            positions, channels = low_rank(whole[box.indices(maps.shape)], rank)
            states.append(
                {
                    "kind": maps.kind,
                    "maps": document,
                    "box": list(astuple(box)),
                    "positions": torch.as_tensor(positions, dtype=torch.float32),
                    "channels": torch.as_tensor(channels, dtype=torch.float32),
                    "bias": float(own_bias),
                    "floor": rate_floor(float(mean), jobs.real),
                }
            )
        return Fits(self._predictions(maps, states), states)

    def _predictions(self, maps: CnnMaps, states: list[dict[str, Any]]) -> NDArray[np.float64]:
        channels = self._channels
        with torch.no_grad():
            parts = [maps.layer(part, maps.shape).flatten(2) for part in channels.split(_BATCH)]
        learned = torch.cat(parts).transpose(1, 2).numpy()
        predictions = np.empty((len(states), len(learned)))
        for own, state in zip(predictions, states, strict=True):
            inside = Box(*state["box"]).indices(maps.shape)
            kept = (state["positions"] @ state["channels"]).numpy()
            drive = learned[:, inside].reshape(len(learned), -1) @ kept.ravel() + state["bias"]
            own[:] = positive(drive, state["floor"])
        return predictions

    def _trained(self, jobs: Jobs, number: int) -> _Network:
        """Train one network, for which every fifth training image decides when to stop."""
        config, maps, seed = self._config, self._window.maps, self._seed + 1000 * number
        seen = torch.as_tensor(jobs.train[0])
        channels = self._channels[seen]
        responses = torch.as_tensor(jobs.responses, dtype=torch.float32).T[seen]
        spread = channels.var(0).mean(0).sqrt()
        spread = spread.clamp(min=1e-3 * float(spread.median()) + 1e-9)
        drawing = torch.Generator().manual_seed(seed)
        layer = LearnedLayer.random(channels.mean((0, 1)), spread, config.channels, drawing)
        readout = SmallPyramidReadout(config.channels, len(jobs), config.scales, maps.shape)
        readout.place.data = _places(jobs, maps)
        network = _Network(_Core(layer, maps.shape), readout, responses, jobs.real)
        stopping = (torch.arange(len(channels)) + number) % _STOPPING_SHARE == 0
        stopping[int(seen[: self._scenes].sum()) :] = False
        weights = self._weights[seen]
        # fewer cannot be divided: predicts nearly the mean
        if seen[: self._scenes].sum() >= _FEWEST:
            train(
                network,
                (channels - layer.centre) / layer.scale,
                responses,
                weights,
                stopping,
                config,
                seed,
                label=None,
                slow_down=False,
            )
        return network


class _Core(Core):
    def __init__(self, layer: LearnedLayer, shape: tuple[int, int]) -> None:
        super().__init__()
        self.layer, self.shape = layer, shape

    def forward(self, channels: Tensor) -> Tensor:
        """Learned maps of standardised channels."""
        return self.layer.of_standard(channels, self.shape)


class _Network(Trainable):
    """Learned layer, readouts, and rates in units of each neuron's spread around its mean."""

    core: _Core
    readout: SmallPyramidReadout
    spread: Tensor

    def __init__(
        self, core: _Core, readout: SmallPyramidReadout, responses: Tensor, real: bool
    ) -> None:
        super().__init__()
        self.core, self.readout, self.linear = core, readout, real
        self.register_buffer("mean", responses.mean(0))
        self.register_buffer("spread", responses.std(0) + 1e-6)

    def forward(self, channels: Tensor) -> Tensor:
        """Expected counts (batch, neurons) for standard channels (batch, positions, channels)."""
        z = self.mean + self.spread * self.readout(self.core(channels))
        return z if self.linear else torch.as_tensor(positive(z, rate_floor(self.mean)))

    @property
    def unit(self) -> Tensor:
        """Unit of the loss of each neuron."""
        return self.spread if self.linear else self.mean

    def weights_of_positions(self) -> Tensor:
        """Weights (neurons, positions, channels) of the learned maps: readouts are linear."""
        weight = self.readout.of_positions().detach()
        return weight.transpose(1, 2) * self.spread[:, None, None]

    def bias_of_drive(self) -> Tensor:
        """Drive (neurons,) if all learned maps are zero."""
        return self.mean + self.spread * self.readout.bias.detach()


def _places(jobs: Jobs, maps: FixedMaps) -> Tensor:
    """Positions (jobs, 2) from -1 to 1 over the map, with y downwards."""
    ends = (maps.x[0], maps.x[-1]), (maps.y[0], maps.y[-1])
    place = [
        2 * (values - first) / ((last - first) or 1) - 1
        for values, (first, last) in zip((jobs.x, jobs.y), ends, strict=True)
    ]
    return torch.as_tensor(np.stack(place, axis=1).clip(-1, 1), dtype=torch.float32)

"""A convolutional network for one or several neurons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from meiflow.config.sections import Network
from meiflow.images.geometry import Geometry
from meiflow.models.cores import StackedCore
from meiflow.models.readouts import FactorisedReadout, GaussianReadout, PyramidReadout
from meiflow.models.trainable import Trainable

Readout = PyramidReadout | GaussianReadout | FactorisedReadout


def build_readout(network: Network, channels: int, neurons: int, shape: tuple[int, int]) -> Readout:
    """Build the readout named in the section ``model.network``.

    Parameters
    ----------
    shape : tuple of int
        Size of the feature maps.
    """
    if network.readout == "pyramid":
        return PyramidReadout(channels, neurons, network.scales, network.positive_weights)
    if network.readout == "gaussian":
        return GaussianReadout(channels, neurons)
    return FactorisedReadout(channels, neurons, shape)


class NeuronNetwork(Trainable):
    """Core, readout and ``mean * (ELU + 1)``, or ``mean * (readout + 1)`` if linear.

    With a spread, the output is ``mean + spread * readout``, for real-valued responses.

    Parameters
    ----------
    core : StackedCore
    readout : PyramidReadout or GaussianReadout or FactorisedReadout
    mean : Tensor, shape (neurons,)
        Mean training counts.
    contrast : float
        RMS contrast of the training images, used as the unit of the input.
    linear : bool
        Omit the ELU, as in the notebook's code, so that counts may be negative.
    spread : Tensor, shape (neurons,), optional
        Standard deviation of real-valued training responses.
    """

    core: StackedCore
    readout: Readout
    spread: Tensor | None

    def __init__(
        self,
        core: StackedCore,
        readout: Readout,
        mean: Tensor,
        contrast: float,
        linear: bool = False,
        spread: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.core, self.readout, self.contrast = core, readout, float(contrast)
        self.linear = linear or spread is not None
        self.register_buffer("mean", mean)
        self.register_buffer("spread", spread, persistent=spread is not None)

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch, neurons) for contrast (batch, height, width)."""
        maps = self.core(contrast[:, None] / self.contrast)
        drive = self.readout(maps)
        if self.spread is not None:
            return torch.as_tensor(self.mean + self.spread * drive)
        return self.mean * ((drive if self.linear else elu(drive)) + 1)

    @property
    def unit(self) -> Tensor:
        """Unit of the loss of each neuron."""
        return self.mean if self.spread is None else self.spread


def map_shape(geometry: Geometry) -> tuple[int, int]:
    """Size of a core's feature maps for images of a geometry."""
    return -(-geometry.height // 2), -(-geometry.width // 2)


def places_on_maps(
    x: Iterable[float], y: Iterable[float], geometry: Geometry, offset: float
) -> Tensor:
    """Convert positions in degrees to those of readouts, -1 to 1 over the feature map.

    Parameters
    ----------
    x, y : iterable of float
        Positions in degrees, y up.
    offset : float
        Shift of the core (`StackedCore.offset`).

    Returns
    -------
    Tensor, shape (neurons, 2)
        x and y, with y downwards; -1 and 1 are the outermost pixels.
    """
    row, column = np.array([geometry.to_pixels(*at) for at in zip(x, y, strict=True)]).T
    height, width = map_shape(geometry)
    # pixel i of a map is the mean of image pixels 2 i and 2 i + 1, shifted by `offset`
    place = [
        (pixel - 0.5 - offset) / max(size - 1, 1) - 1
        for pixel, size in ((column, width), (row, height))
    ]
    return torch.as_tensor(np.stack(place, axis=1).clip(-1, 1), dtype=torch.float32)


def network_state(network: NeuronNetwork, neuron: int, config: Network) -> dict[str, Any]:
    """State of a `NetworkMember`: the core, and the readout of one neuron."""

    def copied(tensor: Tensor) -> Tensor:
        return tensor.detach().cpu().clone()

    readout = {k: copied(v)[neuron : neuron + 1] for k, v in network.readout.state_dict().items()}
    return {
        "config": config.model_dump(),
        "core": {k: copied(v) for k, v in network.core.state_dict().items()},
        "readout": readout,
        "mean": copied(network.mean)[neuron : neuron + 1],
        "contrast": network.contrast,
    } | ({} if network.spread is None else {"spread": copied(network.spread)[neuron : neuron + 1]})


class NetworkMember(nn.Module):
    """Mean of a neuron's networks trained from different seeds."""

    def __init__(self, state: dict[str, Any], geometry: Geometry) -> None:
        super().__init__()
        self.shape = geometry.shape
        self.networks = nn.ModuleList(_rebuild(s, geometry) for s in state["networks"])

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch,) for contrast (luminance minus grey), (batch, pixels)."""
        images = contrast.reshape(-1, *self.shape)
        return torch.stack([network(images)[:, 0] for network in self.networks]).mean(0)


def _rebuild(state: dict[str, Any], geometry: Geometry) -> NeuronNetwork:
    config = Network(**state["config"])
    core = StackedCore.from_config(config)
    core.load_state_dict(state["core"])
    readout = build_readout(config, core.out_channels, 1, map_shape(geometry))
    readout.load_state_dict(state["readout"])
    linear = config.output == "linear"
    own = state["mean"], state["contrast"], linear, state.get("spread")
    return NeuronNetwork(core, readout, *own).eval()

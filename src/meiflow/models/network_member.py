"""A convolutional network of one or several neurons."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from meiflow.geometry import Geometry
from meiflow.models.cores import StackedCore
from meiflow.models.readouts import FactorisedReadout, GaussianReadout, PyramidReadout
from meiflow.sections import Network

Readout = PyramidReadout | GaussianReadout | FactorisedReadout


def build_readout(network: Network, channels: int, neurons: int, shape: tuple[int, int]) -> Readout:
    """The readout that the section ``model.network`` names.

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


class NeuronNetwork(nn.Module):
    """Core, readout and ``mean * (ELU + 1)``.

    Parameters
    ----------
    core : StackedCore
    readout : PyramidReadout or GaussianReadout or FactorisedReadout
    mean : Tensor, shape (neurons,)
        Mean training counts.
    contrast : float
        RMS contrast of the training images, the unit of the input.
    """

    mean: Tensor

    def __init__(self, core: StackedCore, readout: Readout, mean: Tensor, contrast: float) -> None:
        super().__init__()
        self.core, self.readout, self.contrast = core, readout, float(contrast)
        self.register_buffer("mean", mean)

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch, neurons) of luminance less grey (batch, height, width)."""
        maps = self.core(contrast[:, None] / self.contrast)
        return self.mean * (elu(self.readout(maps)) + 1)


def map_shape(geometry: Geometry) -> tuple[int, int]:
    """Size of a core's feature maps for images of a geometry."""
    return -(-geometry.height // 2), -(-geometry.width // 2)


def network_state(network: NeuronNetwork, neuron: int, config: Network) -> dict[str, Any]:
    """What `NetworkMember` is built from: the core, and one neuron's part of the readout."""

    def copied(tensor: Tensor) -> Tensor:
        return tensor.detach().cpu().clone()

    readout = {k: copied(v)[neuron : neuron + 1] for k, v in network.readout.state_dict().items()}
    return {
        "config": config.model_dump(),
        "core": {k: copied(v) for k, v in network.core.state_dict().items()},
        "readout": readout,
        "mean": copied(network.mean)[neuron : neuron + 1],
        "contrast": network.contrast,
    }


class NetworkMember(nn.Module):
    """Mean of the networks of one neuron that were trained from different seeds."""

    def __init__(self, state: dict[str, Any], geometry: Geometry) -> None:
        super().__init__()
        self.shape = geometry.shape
        self.networks = nn.ModuleList(_rebuild(s, geometry) for s in state["networks"])

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch,) of luminance less grey (batch, pixels)."""
        images = contrast.reshape(-1, *self.shape)
        return torch.stack([network(images)[:, 0] for network in self.networks]).mean(0)


def _rebuild(state: dict[str, Any], geometry: Geometry) -> NeuronNetwork:
    config = Network(**state["config"])
    core = StackedCore.from_config(config)
    core.load_state_dict(state["core"])
    readout = build_readout(config, core.out_channels, 1, map_shape(geometry))
    readout.load_state_dict(state["readout"])
    return NeuronNetwork(core, readout, state["mean"], state["contrast"]).eval()

"""Neurons of published networks, as populations whose responses to any image are known."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import elu, grid_sample, linear, pad

from meiflow.config.seen import SeenImages
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.core_maps import at_size, core_size
from meiflow.models.documents import read_document
from meiflow.models.published_core import PublishedCore, read_core

# Pixels of the images that these networks were trained on.
ROWS, COLUMNS = 36, 64
_CHUNK = 64


class PublishedNeurons(nn.Module):
    """Neurons of a published network that see images on a screen.

    The network sees the centre of the screen, as many of its own pixels as it was trained with; its
    neurons are where its readouts are.

    Parameters
    ----------
    path : Path
        State dict of a network of the package neuralpredictors: a grey-scale ``Stacked2dCore``
        without padding of the first layer, and a ``FullGaussian2d`` readout, whose positions are
        stored or computed from cortical positions, such as those of the Sensorium competition
        (Willeke et al. 2022).
    geometry : Geometry
        Grid of the images on the screen.
    seen : SeenImages
        How the network sees images.

    Raises
    ------
    MeiflowError
        If the file is missing, damaged, or contains a different kind of network.
    """

    def __init__(self, path: Path, geometry: Geometry, seen: SeenImages) -> None:
        super().__init__()
        self.geometry, self.seen = geometry, seen
        layers = read_core(path)
        self.core = PublishedCore(layers, 1)
        state = read_document(path)
        places, weights, bias = _readout(state, path)
        channels = layers[-1]["norm.weight"].numel()
        sizes = {len(bias), len(places), weights.shape[-1]}
        if len(sizes) > 1 or weights.shape[0] != channels or places.shape[1:] != (2,):
            raise _refused(path)
        self.register_buffer("places", places.float().clamp(-1, 1), persistent=False)
        self.register_buffer("weights", weights.float(), persistent=False)
        self.register_buffer("bias", bias.float(), persistent=False)
        kernel = layers[0]["conv.weight"].shape[-1]
        self._reach = np.array([COLUMNS - kernel, ROWS - kernel]) / 2 * seen.deg_per_px

    def __len__(self) -> int:
        return len(self.get_buffer("bias"))

    @property
    def positions(self) -> NDArray[np.float64]:
        """RF centres in degrees right of and above the centre of the screen, (neurons, 2)."""
        places = self.get_buffer("places").numpy().astype(float)
        return np.asarray(places * self._reach * [1, -1])

    def of(self, neurons: ArrayLike) -> PublishedNeurons:
        """The same network with some of its neurons only."""
        chosen = torch.as_tensor(np.asarray(neurons, int))
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        for name in ("places", "bias"):
            other._buffers[name] = self.get_buffer(name)[chosen]
        other._buffers["weights"] = self.get_buffer("weights")[:, chosen]
        return other

    def forward(self, images: Tensor) -> Tensor:
        """Responses (batch, neurons) to images (batch, height, width) of luminance in [0, 1]."""
        seen = self.seen
        x = at_size(images[:, None], core_size(self.geometry, seen))
        missing = []
        for wanted, found in ((COLUMNS, x.shape[3]), (ROWS, x.shape[2])):
            before = (wanted - found) // 2
            missing += [before, wanted - found - before]
        x = (pad(x, missing, value=GREY) - seen.mean) / seen.sd
        (maps,) = self.core(x, None)
        at = self.get_buffer("places")[None, :, None].expand(len(maps), -1, 1, 2)
        sampled = grid_sample(maps, at, align_corners=True)[..., 0]
        return elu((sampled * self.get_buffer("weights")).sum(1) + self.get_buffer("bias")) + 1

    def paired(self, images: Tensor) -> Tensor:
        """Responses of each neuron to its own images, (neurons * images,), ordered by neuron."""
        every = self(images).unflatten(0, (len(self), -1))
        return torch.diagonal(every, dim1=0, dim2=2).T.flatten()

    def responses(self, images: NDArray) -> NDArray[np.float64]:
        """Responses (images, neurons) as an array."""
        shown = torch.as_tensor(np.asarray(images, np.float32))
        with torch.no_grad():
            parts = [self(part).numpy() for part in shown.split(_CHUNK)]
        return np.concatenate(parts).astype(float)


def _readout(state: dict[str, Any], path: Path) -> tuple[Tensor, Tensor, Tensor]:
    """Positions (neurons, 2), weights (channels, neurons) and biases of the only readout."""
    keys = [key.removesuffix("_features") for key in state if key.endswith("._features")]
    if len(keys) != 1:
        raise _refused(path)
    key = keys[0]
    try:
        if f"{key}_mu" in state:
            places = state[f"{key}_mu"][0, :, 0]
        else:
            first, last = (
                (state[f"{key}mu_transform.{i}.weight"], state[f"{key}mu_transform.{i}.bias"])
                for i in (0, 2)
            )
            places = torch.tanh(linear(elu(linear(state[f"{key}source_grid"], *first)), *last))
        return places, state[f"{key}_features"][0, :, 0], state[f"{key}bias"]
    except (KeyError, IndexError, RuntimeError, AttributeError, TypeError):
        raise _refused(path) from None


def _refused(path: Path) -> MeiflowError:
    return MeiflowError(
        f"{path}: not a network whose neurons can be read; expected the state dict of a grey-scale "
        "Stacked2dCore with one FullGaussian2d readout (neuralpredictors), such as "
        "sensorium_sota_model.pth"
    )

"""Published convolutional cores, read from their state dicts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, elu, pad

from meiflow.errors import MeiflowError
from meiflow.models.documents import DamagedError, read_document

Layers = list[dict[str, Tensor]]

_PREFIX = "core.features.layer"
_FIRST = ("conv.weight",)
_LATER = tuple(f"ds_conv.{part}.weight" for part in ("in_depth_conv", "spatial_conv",
                                                     "out_depth_conv"))  # fmt: skip
# Images; the maps of more do not fit in the cache of a processor, which takes three times as long.
_AT_ONCE = 8
_NORM = ("weight", "bias", "running_mean", "running_var")


def read_core(path: Path) -> Layers:
    """Read the layers of a published core without executing anything in the file.

    Parameters
    ----------
    path : Path
        State dict of a model with a ``Stacked2dCore`` of the package neuralpredictors with
        depth-separable convolutions, batch normalisation and ELU, such as those of the Sensorium
        competition (Willeke et al. 2022).

    Returns
    -------
    list of dict
        Weights of the convolutions and of the normalisation of each layer.

    Raises
    ------
    MeiflowError
        If the file is missing, damaged, or contains a different kind of network.
    """
    try:
        state = read_document(path)
    except DamagedError:  # the file of a user, which no workflow can make again
        raise _refused(path) from None
    layers: Layers = []
    while f"{_PREFIX}{len(layers)}.norm.weight" in state:
        own = f"{_PREFIX}{len(layers)}."
        names = [*(_LATER if layers else _FIRST), *(f"norm.{part}" for part in _NORM)]
        if not all(isinstance(state.get(own + name), Tensor) for name in names):
            break
        layers.append({name: state[own + name].float() for name in names})
    found = sum(key.startswith(_PREFIX) and key.endswith("norm.weight") for key in state)
    if not layers or len(layers) < found or layers[0]["conv.weight"].shape[1] != 1:
        raise _refused(path)
    return layers


def _refused(path: Path) -> MeiflowError:
    return MeiflowError(
        f"{path}: not a core that can be read; expected the state dict of a grey-scale "
        "Stacked2dCore with depth-separable convolutions (neuralpredictors), such as "
        "sensorium_sota_model.pth; any other network can be given as module:function"
    )


class PublishedCore(nn.Module):
    """The last layers of a published core.

    Parameters
    ----------
    layers : list of dict
        Output of `read_core`.
    last : int
        Number of layers that are returned.
    """

    def __init__(self, layers: Layers, last: int) -> None:
        super().__init__()
        self._names = [[*layer] for layer in layers]
        for i, layer in enumerate(layers):
            for name, tensor in layer.items():
                self.register_buffer(f"layer{i}_{name.replace('.', '_')}", tensor, False)
        self._read = range(max(0, len(layers) - last), len(layers))

    @property
    def channels(self) -> int:
        """Number of channels of all maps that are returned."""
        return sum(self._layer(i)["norm.weight"].numel() for i in self._read)

    def _layer(self, i: int) -> dict[str, Tensor]:
        return {
            name: self.get_buffer(f"layer{i}_{name.replace('.', '_')}") for name in self._names[i]
        }

    def as_document(self) -> dict[str, Any]:
        """Tensors, for a model file."""
        return {"layers": [self._layer(i) for i in range(len(self._names))]}

    def forward(self, x: Tensor, grey: float | None) -> list[Tensor]:
        """Maps (batch, channels, rows, columns) of images (batch, 1, rows, columns).

        Parameters
        ----------
        x : Tensor
        grey : float or None
            Value of the area beyond the images. None as in the published networks: the first layer
            has no maps at the edge of the images, and the later ones are padded with zeros.
        """
        parts = [self._maps(part, grey) for part in x.split(_AT_ONCE)]
        return [torch.cat(maps) for maps in zip(*parts, strict=True)]

    def _maps(self, x: Tensor, grey: float | None) -> list[Tensor]:
        found = []
        for i in range(len(self._names)):
            layer = self._layer(i)
            if i == 0:
                kernel = layer["conv.weight"]
                before, after = kernel.shape[-1] // 2, (kernel.shape[-1] - 1) // 2
                if grey is not None:
                    x = pad(x, (before, after, before, after), value=grey)
                x = conv2d(x, kernel)
            else:
                inner, spatial, outer = (layer[name] for name in _LATER)
                x = conv2d(x, inner)
                x = conv2d(x, spatial, padding=spatial.shape[-1] // 2, groups=len(spatial))
                x = conv2d(x, outer)
            scale, shift, mean, variance = (layer[f"norm.{part}"] for part in _NORM)
            x = elu(batch_norm(x, mean, variance, scale, shift))
            if i in self._read:
                found.append(x)
        return found

"""Feature maps of published convolutional cores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, batch_norm, conv2d, elu, interpolate, pad

from meiflow.config.model import CoreInput
from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.models.boxes import Box, cropped
from meiflow.models.documents import read_document
from meiflow.models.front_end import GREY

_PREFIX = "core.features.layer"
_FIRST = ("conv.weight",)
_LATER = tuple(f"ds_conv.{part}.weight" for part in ("in_depth_conv", "spatial_conv",
                                                     "out_depth_conv"))  # fmt: skip
_NORM = ("weight", "bias", "running_mean", "running_var")


def read_core(path: Path) -> list[dict[str, Tensor]]:
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
    state = read_document(path)
    layers: list[dict[str, Tensor]] = []
    while f"{_PREFIX}{len(layers)}.norm.weight" in state:
        own = f"{_PREFIX}{len(layers)}."
        names = [*(_LATER if layers else _FIRST), *(f"norm.{part}" for part in _NORM)]
        if not all(isinstance(state.get(own + name), Tensor) for name in names):
            break
        layers.append({name: state[own + name].float() for name in names})
    found = sum(key.startswith(_PREFIX) and key.endswith("norm.weight") for key in state)
    if not layers or len(layers) < found or layers[0]["conv.weight"].shape[1] != 1:
        raise MeiflowError(
            f"{path}: not a core that can be read; expected the state dict of a grey-scale "
            "Stacked2dCore with depth-separable convolutions (neuralpredictors), such as "
            "sensorium_sota_model.pth"
        )
    return layers


class CoreMaps(nn.Module):
    """Channels of the last layers of a core at a grid of positions.

    Parameters
    ----------
    layers : list of dict
        Output of `read_core`.
    geometry : Geometry
        Grid of the input images, which are resampled to the core's pixels; the area beyond the
        screen is grey.
    spacing : float
        Approximate distance between positions in degrees of visual angle.
    seen : CoreInput
        How the core sees images.

    Attributes
    ----------
    shape : tuple of int
        Number of rows and columns of the grid.
    x, y : ndarray, shape (positions,)
        Positions in degrees.
    """

    kind: ClassVar = "core_window"

    def __init__(
        self,
        layers: list[dict[str, Tensor]],
        geometry: Geometry,
        spacing: float,
        seen: CoreInput,
    ) -> None:
        super().__init__()
        self.geometry, self.seen, self.spacing = geometry, seen, spacing
        self._names = [[*layer] for layer in layers]
        for i, layer in enumerate(layers):
            for name, tensor in layer.items():
                self.register_buffer(f"layer{i}_{name.replace('.', '_')}", tensor, False)
        self.size = (
            max(1, round(geometry.height_deg / seen.deg_per_px)),
            max(1, round(geometry.width_deg / seen.deg_per_px)),
        )
        step = max(1, round(spacing / seen.deg_per_px))
        self._at = [slice((n - 1) % step // 2, None, step) for n in self.size]
        pixels = Geometry(*self.size, geometry.width_deg, geometry.height_deg)
        grid = np.meshgrid(pixels.x[self._at[1]], pixels.y[self._at[0]])
        self.x, self.y = grid[0].ravel(), grid[1].ravel()
        self.shape: tuple[int, int] = grid[0].shape

    @property
    def prior(self) -> NDArray[np.float64]:
        """Prior variance of the weight of every channel: equal."""
        n = sum(self._layer(i)["norm.weight"].numel() for i in self._read)
        return np.full(n, 1 / n)

    @property
    def _read(self) -> range:
        return range(max(0, len(self._names) - self.seen.layers), len(self._names))

    def _layer(self, i: int) -> dict[str, Tensor]:
        return {
            name: self.get_buffer(f"layer{i}_{name.replace('.', '_')}") for name in self._names[i]
        }

    def as_document(self) -> dict[str, Any]:
        """Plain numbers and tensors, for a model file."""
        return {
            "layers": [self._layer(i) for i in range(len(self._names))],
            "seen": self.seen.model_dump(),
            "spacing_deg": self.spacing,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], geometry: Geometry) -> CoreMaps:
        """Build from the output of `as_document`."""
        seen = CoreInput(**document["seen"])
        return cls(document["layers"], geometry, document["spacing_deg"], seen)

    def forward(self, contrast: Tensor, boxes: Sequence[Box] | None = None) -> Tensor:
        """Channels (batch, positions, channels) of contrast (batch, pixels).

        Parameters
        ----------
        contrast : Tensor
        boxes : sequence of Box, optional
            Return only the positions in these boxes; see `meiflow.models.boxes.cropped`.
        """
        images = contrast.reshape(-1, 1, *self.geometry.shape) + GREY
        if self.size[0] < images.shape[2] or self.size[1] < images.shape[3]:
            images = adaptive_avg_pool2d(images, self.size)
        elif self.size != tuple(images.shape[2:]):
            images = interpolate(images, self.size, mode="bilinear")
        x = (images - self.seen.mean) / self.seen.sd
        grey = (GREY - self.seen.mean) / self.seen.sd
        found = []
        for i in range(len(self._names)):
            layer = self._layer(i)
            if i == 0:
                kernel = layer["conv.weight"]
                before, after = kernel.shape[-1] // 2, (kernel.shape[-1] - 1) // 2
                x = conv2d(pad(x, (before, after, before, after), value=grey), kernel)
            else:
                inner, spatial, outer = (layer[name] for name in _LATER)
                x = conv2d(x, inner)
                x = conv2d(x, spatial, padding=spatial.shape[-1] // 2, groups=len(spatial))
                x = conv2d(x, outer)
            scale, shift, mean, variance = (layer[f"norm.{part}"] for part in _NORM)
            x = elu(batch_norm(x, mean, variance, scale, shift))
            if i in self._read:
                found.append(x[:, :, self._at[0], self._at[1]])
        maps = torch.cat(found, 1)
        if boxes is not None:
            maps = cropped(maps, boxes)
        return maps.flatten(2).transpose(1, 2)

"""Feature maps of a convolutional network whose first layer is fixed: V1 channels, or a core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, elu

from meiflow.images.geometry import Geometry
from meiflow.models.boxes import Box, cropped
from meiflow.models.core_maps import CoreMaps
from meiflow.models.window_front_end import WindowFrontEnd

_MARGIN = 1  # positions on each side that a filter of the learned layer covers

FixedMaps = WindowFrontEnd | CoreMaps
_FIXED: dict[str, type[FixedMaps]] = {maps.kind: maps for maps in (WindowFrontEnd, CoreMaps)}


class LearnedLayer(nn.Module):
    """Mixtures of channels, a spatial filter for each, and an ELU.

    A depth-separable convolution (Chollet 2017), as in the cores of Lurz et al. (2021).

    Parameters
    ----------
    centre, scale : Tensor, shape (channels,)
        Mean and spread of the input channels, by which they are standardised.
    mix : Tensor, shape (outputs, channels)
        Weights of the standardised channels.
    spatial : Tensor, shape (outputs, 1, 3, 3)
    bias : Tensor, shape (outputs,)
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self, centre: Tensor, scale: Tensor, mix: Tensor, spatial: Tensor, bias: Tensor
    ) -> None:
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)
        self.mix, self.spatial = nn.Parameter(mix), nn.Parameter(spatial)
        self.bias = nn.Parameter(bias)

    @classmethod
    def random(
        cls, centre: Tensor, scale: Tensor, outputs: int, generator: torch.Generator
    ) -> LearnedLayer:
        """Random mixtures, and spatial filters close to the identity."""
        channels = len(centre)
        bound = channels**-0.5
        mix = bound * (2 * torch.rand(outputs, channels, generator=generator) - 1)
        spatial = 0.1 * torch.randn(outputs, 1, 3, 3, generator=generator)
        spatial[:, :, 1, 1] += 1
        return cls(centre, scale, mix, spatial, torch.zeros(outputs))

    @classmethod
    def joined(cls, layers: Sequence[LearnedLayer]) -> LearnedLayer:
        """One layer with the outputs of several that have the same input."""
        names = ("mix", "spatial", "bias")
        parts = [torch.cat([getattr(layer, n).detach() for layer in layers]) for n in names]
        return cls(layers[0].centre, layers[0].scale, *parts)

    def forward(self, channels: Tensor, shape: tuple[int, int]) -> Tensor:
        """Maps (batch, outputs, rows, columns) of channels (batch, positions, channels)."""
        maps = self.by_channel(channels.transpose(1, 2), shape)
        return maps.unflatten(2, shape)

    def by_channel(self, channels: Tensor, shape: tuple[int, int]) -> Tensor:
        """The maps of channels (batch, channels, positions), as (batch, outputs, positions)."""
        mix = self.mix / self.scale
        mixed = torch.bmm(mix.expand(len(channels), -1, -1), channels)
        return self._filtered(mixed - (mix @ self.centre)[:, None], shape).flatten(2)

    def of_standard(self, channels: Tensor, shape: tuple[int, int]) -> Tensor:
        """The maps, given channels of mean 0 and spread 1."""
        return self._filtered((channels @ self.mix.T).transpose(1, 2), shape)

    def _filtered(self, mixed: Tensor, shape: tuple[int, int]) -> Tensor:
        """Maps of mixtures (batch, outputs, positions)."""
        maps = mixed.unflatten(2, shape)
        groups = len(self.spatial)
        return elu(conv2d(maps, self.spatial, self.bias, padding=_MARGIN, groups=groups))

    def as_document(self) -> dict[str, Tensor]:
        """Tensors, for a model file."""
        return {name: tensor.detach().clone() for name, tensor in self.state_dict().items()}


class CnnMaps(nn.Module):
    """Channels of a learned layer on fixed feature maps, at the same positions.

    Parameters
    ----------
    fixed : WindowFrontEnd or CoreMaps
    layer : LearnedLayer
    """

    kind: ClassVar = "cnn"
    margin: ClassVar = _MARGIN

    def __init__(self, fixed: FixedMaps, layer: LearnedLayer) -> None:
        super().__init__()
        self.fixed, self.layer = fixed, layer
        self.x, self.y = fixed.x, fixed.y
        self.shape: tuple[int, int] = fixed.shape

    def as_document(self) -> dict[str, Any]:
        """Plain numbers and tensors, for a model file."""
        return {
            "fixed_kind": self.fixed.kind,
            "fixed": self.fixed.as_document(),
            "layer": self.layer.as_document(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any], geometry: Geometry) -> CnnMaps:
        """Build from the output of `as_document`."""
        fixed = _FIXED[document["fixed_kind"]].from_document(document["fixed"], geometry)
        return cls(fixed, LearnedLayer(**document["layer"]))

    def forward(self, contrast: Tensor, boxes: Sequence[Box] | None = None) -> Tensor:
        """Channels (batch, positions, channels) of contrast (batch, pixels).

        Parameters
        ----------
        contrast : Tensor
        boxes : sequence of Box, optional
            Compute only the positions in these boxes; see `meiflow.models.boxes.cropped`.
        """
        if boxes is None:
            channels = self.fixed.by_channel(contrast)
            return self.layer.by_channel(channels, self.shape).transpose(1, 2)
        wide = [box.grown(_MARGIN, self.shape) for box in boxes]
        size = wide[0].rows, wide[0].columns
        maps = self.layer.by_channel(self.fixed.by_channel(contrast, wide), size).unflatten(2, size)
        inner = [
            Box(box.row - w.row, box.column - w.column, box.rows, box.columns)
            for box, w in zip(boxes, wide, strict=True)
        ]
        return cropped(maps, inner).flatten(2).transpose(1, 2)

"""Feature maps of convolutional cores that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, grid_sample, interpolate

from meiflow.config.model import CoreInput, Network
from meiflow.config.seen import SeenImages
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models.boxes import Box, cropped
from meiflow.models.own_core import OwnCore
from meiflow.models.published_core import PublishedCore, read_core


class CoreMaps(nn.Module):
    """Channels of a core at a grid of positions.

    Parameters
    ----------
    core : PublishedCore or OwnCore
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
        self, core: PublishedCore | OwnCore, geometry: Geometry, spacing: float, seen: CoreInput
    ) -> None:
        super().__init__()
        self.core = core
        self.geometry, self.seen, self.spacing = geometry, seen, spacing
        self.size = core_size(geometry, seen)
        step = max(1, round(spacing / seen.deg_per_px))
        self._at = [slice((n - 1) % step // 2, None, step) for n in self.size]
        pixels = Geometry(*self.size, geometry.width_deg, geometry.height_deg)
        grid = np.meshgrid(pixels.x[self._at[1]], pixels.y[self._at[0]])
        self.x, self.y = grid[0].ravel(), grid[1].ravel()
        self.shape: tuple[int, int] = grid[0].shape
        # positions for maps of another size, -1 to 1 from edge to edge
        rows, columns = (
            torch.as_tensor((np.arange(n)[at] + 0.5) * 2 / n - 1, dtype=torch.float32)
            for n, at in zip(self.size, self._at, strict=True)
        )
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
        self.register_buffer("_places", places, persistent=False)

    @classmethod
    def from_config(cls, network: Network, geometry: Geometry, spacing: float) -> CoreMaps:
        """Maps of the core ``model.network.core``."""
        seen = network.core_seen
        core: PublishedCore | OwnCore
        if network.own_core is not None:
            core = OwnCore(network.own_core, core_size(geometry, seen))
        else:
            layers = read_core(Path(str(network.core_path)))
            if network.known_core:
                network.known_core.require_copy()
            core = PublishedCore(layers, seen.layers)
        return cls(core, geometry, spacing, seen)

    @property
    def prior(self) -> NDArray[np.float64]:
        """Prior variance of the weight of every channel: equal."""
        return np.full(self.core.channels, 1 / self.core.channels)

    def as_document(self) -> dict[str, Any]:
        """Plain numbers and tensors, for a model file; of an own core its name only."""
        shared = {"seen": self.seen.model_dump(), "spacing_deg": self.spacing}
        return self.core.as_document() | shared

    @classmethod
    def from_document(cls, document: Mapping[str, Any], geometry: Geometry) -> CoreMaps:
        """Build from the output of `as_document`."""
        seen = CoreInput(**document["seen"])
        core: PublishedCore | OwnCore
        if "spec" in document:
            size = core_size(geometry, seen)
            core = own_core(document["spec"], size, document["fingerprint"])
        else:
            core = PublishedCore(document["layers"], seen.layers)
        return cls(core, geometry, document["spacing_deg"], seen)

    def forward(self, contrast: Tensor, boxes: Sequence[Box] | None = None) -> Tensor:
        """Channels (batch, positions, channels) of contrast (batch, pixels).

        Parameters
        ----------
        contrast : Tensor
        boxes : sequence of Box, optional
            Return only the positions in these boxes; see `meiflow.models.boxes.cropped`.
        """
        return self.by_channel(contrast, boxes).transpose(1, 2)

    def by_channel(self, contrast: Tensor, boxes: Sequence[Box] | None = None) -> Tensor:
        """The same, as (batch, channels, positions)."""
        images = contrast.reshape(-1, 1, *self.geometry.shape) + GREY
        x = (at_size(images, self.size) - self.seen.mean) / self.seen.sd
        grey = (GREY - self.seen.mean) / self.seen.sd
        maps = torch.cat([self._at_positions(found) for found in self.core(x, grey)], 1)
        if boxes is not None:
            maps = cropped(maps, boxes)
        return maps.flatten(2)

    def _at_positions(self, maps: Tensor) -> Tensor:
        """Maps at the positions; maps of any size cover the whole image evenly."""
        if tuple(maps.shape[2:]) == self.size:
            return maps[:, :, self._at[0], self._at[1]]
        places = self.get_buffer("_places").expand(len(maps), -1, -1, -1)
        return grid_sample(maps, places, padding_mode="border", align_corners=False)


@lru_cache(maxsize=4)
def own_core(spec: str, size: tuple[int, int], fingerprint: str) -> OwnCore:
    """An own core, which all models of a process share."""
    return OwnCore(spec, size, fingerprint)


def core_stamp(network: Network, geometry: Geometry) -> NDArray[np.uint8]:
    """What identifies the core ``model.network.core``; empty if there is none."""
    if network.own_core is not None:
        core = OwnCore(network.own_core, core_size(geometry, network.core_seen))
        return np.frombuffer(core.fingerprint.encode(), np.uint8)
    path = network.core_path
    return np.fromfile(path, np.uint8) if path else np.empty(0, np.uint8)


def at_size(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (batch, 1, rows, columns), averaged or interpolated to another number of pixels."""
    if size[0] < images.shape[2] or size[1] < images.shape[3]:
        return adaptive_avg_pool2d(images, size)
    return images if size == tuple(images.shape[2:]) else interpolate(images, size, mode="bilinear")


def core_size(geometry: Geometry, seen: SeenImages) -> tuple[int, int]:
    """Rows and columns of the images that a core sees."""
    rows, columns = geometry.height_deg / seen.deg_per_px, geometry.width_deg / seen.deg_per_px
    return max(1, round(rows)), max(1, round(columns))

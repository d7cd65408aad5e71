"""Complex, ON and OFF channels of the V1 front end at a grid of positions, by convolution.

Each filter is applied to the image averaged down as far as its scale allows, so that a map of all
channels costs little more than the channels at a few positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d

from meiflow.images.geometry import Geometry
from meiflow.models.boxes import Box, cropped
from meiflow.models.front_end import SURROUND, FrontEnd

_NAMES = ("even", "odd", "centre", "pool")
# Every filter extends over this many sigmas, and every cycle has this many samples.
_EXTENT = 2.5
_SAMPLES = 4.0
# Prior variance of the weights of complex channels, and of ON and OFF channels, divided equally
# among the channels of a kind. Chosen on recorded neurons (benchmarks/recorded_neurons.py).
_PRIOR = np.array([1.0, 0.2])


class WindowFrontEnd(nn.Module):
    """Complex, ON and OFF channels of the V1 front end at every position of a grid.

    Parameters
    ----------
    front_end : FrontEnd
    geometry : Geometry
        Grid of the input images; the area beyond the screen is grey.
    spacing : float
        Approximate distance between positions in degrees of visual angle; at most one position per
        pixel.

    Attributes
    ----------
    shape : tuple of int
        Number of rows and columns of the grid.
    x, y : ndarray, shape (positions,)
        Positions in degrees.

    Examples
    --------
    >>> screen = Geometry(12, 20, width_deg=100.0, height_deg=60.0)
    >>> front_end = FrontEnd((30.0,), 4, 0.4, 1.3, (8.0,), (16.0,), 0.1)
    >>> windows = WindowFrontEnd(front_end, screen, 20.0)
    >>> windows.x[:5], windows.y[::5]
    (array([-40., -20.,   0.,  20.,  40.]), array([ 20.,   0., -20.]))
    >>> windows(torch.zeros(2, 240)).shape  # 4 complex cells, ON, OFF; the same, normalised
    torch.Size([2, 15, 12])
    """

    kind: ClassVar = "v1_window"

    def __init__(self, front_end: FrontEnd, geometry: Geometry, spacing: float) -> None:
        super().__init__()
        self.front_end, self.geometry, self.spacing = front_end, geometry, spacing
        self.steps = (
            _step(spacing / geometry.dy, geometry.height),
            _step(spacing / geometry.dx, geometry.width),
        )
        rows, columns = (-(-n // s) for n, s in zip(geometry.shape, self.steps, strict=True))
        self.shape = rows, columns
        y, x = ((s - 1) / 2 + s * np.arange(n) for s, n in zip(self.steps, self.shape, strict=True))
        grid = np.meshgrid(geometry.x[0] + geometry.dx * x, geometry.y[0] - geometry.dy * y)
        self.x, self.y = grid[0].ravel(), grid[1].ravel()
        banks = _banks(front_end, geometry, self.steps)
        order: dict[str, list[tuple[int, int]]] = {name: [] for name in _NAMES}
        first = 0
        self._factors = []
        for i, (squared, factors, members, kernels) in enumerate(banks):
            self._factors.append((squared, factors))
            self.register_buffer(f"kernels_{i}", torch.as_tensor(kernels), persistent=False)
            for output, (name, member) in enumerate(members, first):
                order[name].append((member, output))
            first += len(members)
        self._order = [[output for _, output in sorted(order[name])] for name in _NAMES]

    @property
    def prior(self) -> NDArray[np.float64]:
        """Prior variance of the weight of every channel."""
        gabors, centres = len(self.front_end.gabors[0]), len(self.front_end.centre_sigmas)
        kind = np.tile(np.repeat([0, 1], [gabors, 2 * centres]), 2)
        return np.asarray((_PRIOR / np.bincount(kind))[kind])

    def as_document(self) -> dict[str, Any]:
        """Plain numbers and lists, for a model file."""
        return {"front_end": self.front_end.as_document(), "spacing_deg": self.spacing}

    @classmethod
    def from_document(cls, document: Mapping[str, Any], geometry: Geometry) -> WindowFrontEnd:
        """Build from the output of `as_document`."""
        front_end = FrontEnd.from_document(document["front_end"])
        return cls(front_end, geometry, float(document["spacing_deg"]))

    def forward(self, contrast: Tensor, boxes: Sequence[Box] | None = None) -> Tensor:
        """Channels (batch, positions, channels) of contrast (batch, pixels).

        Parameters
        ----------
        contrast : Tensor
        boxes : sequence of Box, optional
            Compute only the positions in these boxes; see `meiflow.models.boxes.cropped`.
        """
        images = contrast.reshape(-1, 1, *self.geometry.shape)
        # whole blocks: what is added lies beyond the screen and is grey
        missing = [s * n - h for s, n, h in
                   zip(self.steps, self.shape, self.geometry.shape, strict=True)]  # fmt: skip
        images = nn.functional.pad(images, (0, missing[1], 0, missing[0]))
        averaged: dict[tuple[bool, tuple[int, int]], Tensor] = {}
        maps = []
        for i, (squared, factors) in enumerate(self._factors):
            key = squared, factors
            if key not in averaged:
                averaged[key] = avg_pool2d(images**2 if squared else images, factors)
            maps.append(self._filtered(averaged[key], self.get_buffer(f"kernels_{i}"), boxes))
        outputs = torch.cat(maps, 1).flatten(2).transpose(1, 2)
        by_kind = [outputs[..., o] for o in self._order]
        return torch.as_tensor(self.front_end.channels(*by_kind, simple=False))

    def _filtered(self, images: Tensor, kernels: Tensor, boxes: Sequence[Box] | None) -> Tensor:
        """Filter outputs (batch, filters, rows, columns): a dense convolution of blocks."""
        rows, columns = self.shape
        blocks = images.reshape(len(images), rows, images.shape[2] // rows, columns, -1)
        blocks = blocks.permute(0, 2, 4, 1, 3).flatten(1, 2)
        my, mx = (n // 2 for n in kernels.shape[-2:])
        if boxes is None:
            return conv2d(blocks, kernels, padding=(my, mx))
        parts = cropped(nn.functional.pad(blocks, (mx, mx, my, my)), boxes, (my, mx))
        return conv2d(parts, kernels)


def _step(pixels: float, count: int) -> int:
    """Distance of positions in pixels; even, where possible, so that images can be averaged."""
    step = round(pixels) if pixels < 2 else 2 * round(pixels / 2)
    return int(np.clip(step, 1, count))


def _banks(
    front_end: FrontEnd, geometry: Geometry, steps: tuple[int, int]
) -> list[tuple[bool, tuple[int, int], list[tuple[str, int]], NDArray[np.float32]]]:
    """Filters with the same sampling and size.

    Returns
    -------
    list of tuple
        Whether the image is squared, the number of pixels averaged along y and x, kind and number
        of each filter, and the filters (filters, pixels of a block, blocks, blocks).
    """
    pixel = geometry.dy, geometry.dx
    sigma = front_end.sigma_over_wavelength * front_end.gabors[0]
    wide = max(1.0, front_end.aspect)
    centres, pools = np.array(front_end.centre_sigmas), np.array(front_end.pool_sigmas)
    # the coarsest sampling in degrees, and the largest sigma
    kinds = {
        "even": (front_end.gabors[0] / _SAMPLES, sigma * wide),
        "odd": (front_end.gabors[0] / _SAMPLES, sigma * wide),
        "centre": (centres, SURROUND * centres),
        "pool": (pools, pools),
    }
    groups: dict[Any, list[tuple[str, int]]] = {}
    for name, scales in kinds.items():
        for member, (coarsest, reach) in enumerate(zip(*scales, strict=True)):
            factors, blocks = [], []
            for step, size in zip(steps, pixel, strict=True):
                fits = [f for f in range(1, step + 1) if step % f == 0 and f * size <= coarsest]
                factors.append(max(fits, default=1))
                blocks.append(2 * int(np.ceil(_EXTENT * reach / (step * size) - 0.5)) + 1)
            key = name == "pool", tuple(factors), tuple(blocks)
            groups.setdefault(key, []).append((name, member))
    found = []
    for (squared, factors, blocks), members in groups.items():
        (ny, nx), (fy, fx) = blocks, factors
        sy, sx = steps[0] // fy, steps[1] // fx
        local = Geometry(ny * sy, nx * sx, nx * sx * fx * pixel[1], ny * sy * fy * pixel[0])
        every = front_end.filters(local, 0.0, 0.0)
        kernels = np.stack([every[name][member] for name, member in members])
        kernels = kernels.reshape(-1, ny, sy, nx, sx).transpose(0, 2, 4, 1, 3)
        flat = kernels.reshape(len(members), sy * sx, ny, nx).astype(np.float32)
        found.append((squared, factors, members, flat))
    return found

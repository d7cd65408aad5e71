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
from torch.nn.functional import conv2d

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

# Whether the image is squared, and the number of pixels averaged along y and x.
_Sampling = tuple[bool, tuple[int, int]]


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
        self._factors: list[_Sampling] = []
        for i, (squared, factors, members, kernels) in enumerate(banks):
            self._factors.append((squared, factors))
            self.register_buffer(f"kernels_{i}", torch.as_tensor(kernels), persistent=False)
            for output, (name, member) in enumerate(members, first):
                order[name].append((member, output))
            first += len(members)
        sizes = [np.array(kernels.shape[-2:]) // 2 for *_, kernels in banks]
        self._margin: tuple[int, int] = tuple(np.max(sizes, axis=0).tolist())
        used = dict.fromkeys(key for key in self._factors if key[1] != (1, 1))
        self._plain = [key for key in used if not key[0]]
        self._squared = [key for key in used if key[0]]
        for name, keys in (("means", self._plain), ("mean_squares", self._squared)):
            rows_of = [_averages(self.steps, factors) for _, factors in keys]
            stacked = np.concatenate([np.empty((0, np.prod(self.steps))), *rows_of])
            tensor = torch.as_tensor(stacked, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)
        # the banks' outputs in consecutive parts, and the parts of each kind
        runs = {name: _runs([output for _, output in sorted(order[name])]) for name in _NAMES}
        ordered = sorted((first, size) for own in runs.values() for first, size in own)
        self._sizes = [size for _, size in ordered]
        self._order = [[ordered.index(run) for run in runs[name]] for name in _NAMES]

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
        return self.by_channel(contrast, boxes).transpose(1, 2)

    def by_channel(self, contrast: Tensor, boxes: Sequence[Box] | None = None) -> Tensor:
        """The same, as (batch, channels, positions)."""
        images = contrast.reshape(-1, *self.geometry.shape)
        # whole blocks: what is added lies beyond the screen and is grey
        missing = [s * n - h for s, n, h in
                   zip(self.steps, self.shape, self.geometry.shape, strict=True)]  # fmt: skip
        images = nn.functional.pad(images, (0, missing[1], 0, missing[0]))
        (rows, columns), (sy, sx) = self.shape, self.steps
        blocks = images.reshape(-1, rows, sy, columns, sx).permute(0, 2, 4, 1, 3).flatten(1, 2)
        averaged = self._averaged(blocks)
        if boxes is not None:
            averaged = self._around(averaged, boxes)
        maps = [
            self._filtered(averaged[key], self.get_buffer(f"kernels_{i}"), boxes is not None)
            for i, key in enumerate(self._factors)
        ]
        parts = torch.cat(maps, 1).split(self._sizes, 1)
        by_kind = [torch.cat([parts[i] for i in own], 1).flatten(2) for own in self._order]
        return torch.as_tensor(self.front_end.channels(*by_kind, simple=False, axis=1))

    def _averaged(self, blocks: Tensor) -> dict[_Sampling, Tensor]:
        """Averages within the blocks (batch, pixels of a block, rows, columns) by sampling."""
        found: dict[_Sampling, Tensor] = {}
        for squared, samplings in ((False, self._plain), (True, self._squared)):
            pixels = (blocks**2 if squared else blocks).flatten(2)
            means = self.get_buffer("mean_squares" if squared else "means") @ pixels
            sizes = [self.steps[0] // f * (self.steps[1] // g) for _, (f, g) in samplings]
            parts = means.unflatten(2, self.shape).split(sizes, 1)
            found |= dict(zip(samplings, parts, strict=True))
        # nothing is averaged
        for squared in {squared for squared, factors in self._factors if factors == (1, 1)}:
            found[squared, (1, 1)] = blocks**2 if squared else blocks
        return found

    def _around(
        self, averaged: dict[_Sampling, Tensor], boxes: Sequence[Box]
    ) -> dict[_Sampling, Tensor]:
        """The averages in boxes of equal size, with the margin of the largest filter."""
        my, mx = self._margin
        whole = nn.functional.pad(torch.cat(list(averaged.values()), 1), (mx, mx, my, my))
        parts = cropped(whole, boxes, (my, mx)).split([len(m[0]) for m in averaged.values()], 1)
        return dict(zip(averaged, parts, strict=True))

    def _filtered(self, blocks: Tensor, kernels: Tensor, with_margin: bool) -> Tensor:
        """Filter outputs (batch, filters, rows, columns): a dense convolution of blocks."""
        my, mx = (n // 2 for n in kernels.shape[-2:])
        if not with_margin:
            return conv2d(blocks, kernels, padding=(my, mx))
        # less of the margin of the largest filter
        top, left = self._margin[0] - my, self._margin[1] - mx
        rows, columns = blocks.shape[2] - 2 * top, blocks.shape[3] - 2 * left
        return conv2d(blocks[..., top : top + rows, left : left + columns], kernels)


def _step(pixels: float, count: int) -> int:
    """Distance of positions in pixels; even, where possible, so that images can be averaged."""
    step = round(pixels) if pixels < 2 else 2 * round(pixels / 2)
    return int(np.clip(step, 1, count))


def _runs(numbers: list[int]) -> list[tuple[int, int]]:
    """First number and length of each run of consecutive numbers.

    >>> _runs([4, 5, 6, 0, 1, 9])
    [(4, 3), (0, 2), (9, 1)]
    """
    found: list[tuple[int, int]] = []
    for number in numbers:
        if found and sum(found[-1]) == number:
            found[-1] = found[-1][0], found[-1][1] + 1
        else:
            found.append((number, 1))
    return found


def _averages(steps: tuple[int, int], factors: tuple[int, int]) -> NDArray[np.float64]:
    """Matrix (averages, pixels) that averages the pixels of a block by a factor along y and x."""
    y, x = (np.kron(np.eye(s // f), np.full(f, 1 / f)) for s, f in zip(steps, factors, strict=True))
    return np.asarray(np.kron(y, x), dtype=float)


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

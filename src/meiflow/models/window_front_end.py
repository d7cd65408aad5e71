"""Complex, ON and OFF channels of the V1 front end at a grid of positions, by convolution.

Each filter is applied to the image averaged down as far as its scale allows, and Gaussians along
one axis after the other, so that a map of all channels costs little more than the channels at a few
positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import conv2d

from meiflow.images.geometry import Geometry
from meiflow.models.boxes import Box, cropped
from meiflow.models.front_end import SURROUND, FrontEnd

# Every filter extends over this many sigmas, and every cycle has this many samples.
_EXTENT = 2.5
_SAMPLES = 4.0
# Prior variance of the weights of complex channels, and of ON and OFF channels, divided equally
# among the channels of a kind. Chosen on recorded neurons (benchmarks/recorded_neurons.py).
_PRIOR = np.array([1.0, 0.2])

_TERMS = 2  # products of profiles per filter

# Number of pixels averaged along y and x.
_Factors = tuple[int, int]
_Bank = tuple[_Factors, list[tuple[str, int]], NDArray[np.float32]]


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
        convolved, products = _banks(front_end, geometry, self.steps)
        order: dict[str, list[tuple[int, int]]] = {"even": [], "odd": []}
        first = 0
        self._factors: list[_Factors] = []
        for i, (factors, members, kernels) in enumerate(convolved):
            self._factors.append(factors)
            self.register_buffer(f"kernels_{i}", torch.as_tensor(kernels), persistent=False)
            for output, (name, member) in enumerate(members, first):
                order[name].append((member, output))
            first += len(members)
        sizes = [np.array(kernels.shape[-2:]) // 2 for *_, kernels in convolved]
        self._margin: tuple[int, int] = tuple(np.max(sizes, axis=0).tolist())
        self._averaging = list(dict.fromkeys(key for key in self._factors if key != (1, 1)))
        rows_of = [_averages(self.steps, factors) for factors in self._averaging]
        stacked = np.concatenate([np.empty((0, np.prod(self.steps))), *rows_of])
        means = torch.as_tensor(stacked, dtype=torch.float32)
        self.register_buffer("means", means, persistent=False)
        for name, (along_y, along_x) in products.items():
            for axis, matrices in (("y", along_y), ("x", along_x)):
                tensor = torch.as_tensor(matrices, dtype=torch.float32)
                self.register_buffer(f"{name}_{axis}", tensor, persistent=False)
        # the banks' outputs in consecutive parts, and the parts of each kind
        runs = {name: _runs([output for _, output in sorted(own)]) for name, own in order.items()}
        ordered = sorted((first, size) for own in runs.values() for first, size in own)
        self._sizes = [size for _, size in ordered]
        self._order = [[ordered.index(run) for run in own] for own in runs.values()]

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
        averaged = self._averaged(self._blocks(images, boxes))
        maps = [
            self._convolved(averaged[key], self.get_buffer(f"kernels_{i}"), boxes is not None)
            for i, key in enumerate(self._factors)
        ]
        parts = torch.cat(maps, 1).split(self._sizes, 1)
        even, odd = (torch.cat([parts[i] for i in own], 1).flatten(2) for own in self._order)
        centre = self._products("centre", images, boxes)
        power = self._products("pool", images**2, boxes)
        found = self.front_end.channels(even, odd, centre, power, simple=False, axis=1)
        return torch.as_tensor(found)

    def _blocks(self, images: Tensor, boxes: Sequence[Box] | None) -> Tensor:
        """Pixels of each position (batch, pixels, rows, columns); boxes have the margin."""
        # whole blocks: what is added lies beyond the screen and is grey
        missing = [s * n - h for s, n, h in
                   zip(self.steps, self.shape, self.geometry.shape, strict=True)]  # fmt: skip
        (sy, sx), (my, mx) = self.steps, (0, 0) if boxes is None else self._margin
        around = mx * sx, mx * sx + missing[1], my * sy, my * sy + missing[0]
        pixels = nn.functional.pad(images, around)
        if boxes is not None:
            scaled = [Box(b.row * sy, b.column * sx, b.rows * sy, b.columns * sx) for b in boxes]
            pixels = cropped(pixels, scaled, (my * sy, mx * sx))
        rows, columns = pixels.shape[1] // sy, pixels.shape[2] // sx
        blocks = pixels.reshape(-1, rows, sy, columns, sx)
        return blocks.permute(0, 2, 4, 1, 3).reshape(-1, sy * sx, rows, columns)

    def _averaged(self, blocks: Tensor) -> dict[_Factors, Tensor]:
        """Averages within the blocks (batch, pixels of a block, rows, columns) by sampling."""
        means = (self.get_buffer("means") @ blocks.flatten(2)).unflatten(2, blocks.shape[2:])
        sizes = [self.steps[0] // f * (self.steps[1] // g) for f, g in self._averaging]
        parts = means.split(sizes, 1)
        return dict(zip(self._averaging, parts, strict=True)) | {(1, 1): blocks}

    def _convolved(self, blocks: Tensor, kernels: Tensor, with_margin: bool) -> Tensor:
        """Filter outputs (batch, filters, rows, columns): a dense convolution of blocks."""
        my, mx = (n // 2 for n in kernels.shape[-2:])
        if not with_margin:
            return conv2d(blocks, kernels, padding=(my, mx))
        # less of the margin of the largest filter
        top, left = self._margin[0] - my, self._margin[1] - mx
        rows, columns = blocks.shape[2] - 2 * top, blocks.shape[3] - 2 * left
        return conv2d(blocks[..., top : top + rows, left : left + columns], kernels)

    def _products(self, name: str, images: Tensor, boxes: Sequence[Box] | None) -> Tensor:
        """Outputs (batch, filters, positions) of filters that are products of profiles."""
        along_y, along_x = self.get_buffer(f"{name}_y"), self.get_buffer(f"{name}_x")
        boxes = [Box.whole(self.shape)] if boxes is None else boxes
        # (boxes, filters, rows, terms x height) and (boxes, width, filters x terms x columns)
        y = torch.stack([along_y[:, b.row : b.row + b.rows] for b in boxes])
        x = torch.stack([along_x[..., b.column : b.column + b.columns] for b in boxes]).flatten(2)
        each = images.reshape(len(boxes), -1, *images.shape[1:])
        _, batch, height, _ = each.shape
        (filters, terms), columns = along_x.shape[1:3], boxes[0].columns
        found = torch.bmm(each.flatten(1, 2), x)
        found = found.reshape(len(boxes), batch, height, filters, terms, columns)
        # (boxes, filters, terms x height, batch x columns)
        found = y @ found.permute(0, 3, 4, 2, 1, 5).reshape(*y.shape[:2], terms * height, -1)
        found = found.unflatten(3, (batch, columns)).permute(0, 3, 1, 2, 4)
        return found.reshape(len(images), filters, -1)


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


@lru_cache(maxsize=8)  # the models of all neurons have the same
def _banks(
    front_end: FrontEnd, geometry: Geometry, steps: tuple[int, int]
) -> tuple[list[_Bank], dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """Filters of the front end, sampled as coarsely as their scales allow.

    Returns
    -------
    convolved : list of tuple
        Pairs with the same sampling and size: the number of pixels averaged along y and x, kind and
        number of each filter, and the filters (filters, pixels of a block, blocks, blocks).
    products : dict of str to tuple of ndarray
        For ``centre`` and ``pool``, sums of products of profiles along y (filters, rows, terms x
        height) and x (width, filters, terms, columns).
    """
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
            for step, pixel in zip(steps, (geometry.dy, geometry.dx), strict=True):
                fits = [f for f in range(1, step + 1) if step % f == 0 and f * pixel <= coarsest]
                factors.append(max(fits, default=1))
                blocks.append(2 * int(np.ceil(_EXTENT * reach / (step * pixel) - 0.5)) + 1)
            key = name in ("even", "odd"), tuple(factors), tuple(blocks)
            groups.setdefault(key, []).append((name, member))
    convolved: list[_Bank] = []
    profiles: dict[str, list[tuple[NDArray, NDArray]]] = {"centre": [], "pool": []}
    for (is_pair, factors, (ny, nx)), members in groups.items():
        fy, fx = factors
        sy, sx = steps[0] // fy, steps[1] // fx
        size = nx * steps[1] * geometry.dx, ny * steps[0] * geometry.dy
        every = front_end.filters(Geometry(ny * sy, nx * sx, *size), 0.0, 0.0)
        kernels = np.stack([every[name][member] for name, member in members])
        if is_pair:
            blocks_of = kernels.reshape(-1, ny, sy, nx, sx).transpose(0, 2, 4, 1, 3)
            flat = blocks_of.reshape(len(members), sy * sx, ny, nx).astype(np.float32)
            convolved.append((factors, members, flat))
            continue
        for (name, _), kernel in zip(members, kernels, strict=True):
            left, values, right = np.linalg.svd(kernel)
            # a Gaussian is one product, a difference of Gaussians two
            along_y, along_x = np.zeros((_TERMS, ny * sy)), np.zeros((_TERMS, nx * sx))
            terms = min(_TERMS, len(values))
            along_y[:terms] = left[:, :terms].T * values[:terms, None] / fy
            along_x[:terms] = right[:terms] / fx
            along_y, along_x = along_y.repeat(fy, axis=1), along_x.repeat(fx, axis=1)
            profiles[name].append(
                (
                    _at_positions(along_y, steps[0], geometry.height).transpose(1, 0, 2),
                    _at_positions(along_x, steps[1], geometry.width).transpose(2, 0, 1),
                )
            )
    products = {
        name: (
            np.stack([y.reshape(len(y), -1) for y, _ in own]),
            np.stack([x for _, x in own], axis=1),
        )
        for name, own in profiles.items()
    }
    return convolved, products


def _at_positions(profiles: NDArray, step: int, pixels: int) -> NDArray[np.float64]:
    """Profiles (terms, size) around each position: (terms, positions, pixels).

    >>> _at_positions(np.array([[1.0, 2.0, 3.0]]), 1, 4)[0]
    array([[2., 3., 0., 0.],
           [1., 2., 3., 0.],
           [0., 1., 2., 3.],
           [0., 0., 1., 2.]])
    """
    terms, size = profiles.shape
    positions, margin = -(-pixels // step), (size - step) // 2
    found = np.zeros((terms, positions, step * positions + 2 * margin))
    for i in range(positions):
        found[:, i, i * step : i * step + size] = profiles
    return found[..., margin : margin + pixels]

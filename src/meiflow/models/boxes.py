"""Rectangles of positions in the maps of channels that a neuron reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Box:
    """A rectangle of positions: first row and column, and number of rows and columns."""

    row: int
    column: int
    rows: int
    columns: int

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Box:
        """All positions of a map."""
        return cls(0, 0, *shape)

    def of_size(self, rows: int, columns: int, shape: tuple[int, int]) -> Box:
        """A box of at least this size that contains this one, within a map."""
        row, column = min(self.row, shape[0] - rows), min(self.column, shape[1] - columns)
        return Box(row, column, rows, columns)

    def grown(self, margin: int, shape: tuple[int, int]) -> Box:
        """The box with a margin on each side, moved inward where it would leave the map."""
        rows = min(self.rows + 2 * margin, shape[0])
        columns = min(self.columns + 2 * margin, shape[1])
        first = Box(max(self.row - margin, 0), max(self.column - margin, 0), rows, columns)
        return first.of_size(rows, columns, shape)

    def indices(self, shape: tuple[int, int]) -> NDArray[np.int64]:
        """Positions within the box, in the order of a flattened map."""
        rows, columns = np.arange(self.rows) + self.row, np.arange(self.columns) + self.column
        return (rows[:, None] * shape[1] + columns).ravel()


def smallest_box(weights: NDArray, share: float) -> Box:
    """The smallest box that contains a share of the squared weights.

    Parameters
    ----------
    weights : ndarray, shape (rows, columns)
    share : float
        At most 1.

    Examples
    --------
    >>> weights = np.zeros((4, 5))
    >>> weights[1, 2:4] = 1.0
    >>> smallest_box(weights, 0.9)
    Box(row=1, column=2, rows=1, columns=2)
    """
    rows, columns = weights.shape
    sums = np.zeros((rows + 1, columns + 1))
    sums[1:, 1:] = (weights**2).cumsum(axis=0).cumsum(axis=1)
    r0, r1 = np.triu_indices(rows + 1, 1)
    c0, c1 = np.triu_indices(columns + 1, 1)
    by_rows = sums[r1] - sums[r0]
    inside = by_rows[:, c1] - by_rows[:, c0]
    area = (r1 - r0)[:, None] * (c1 - c0)
    # the whole map always qualifies, whatever the rounding
    enough = (inside >= share * sums[-1, -1]) | (area == rows * columns)
    area = np.where(enough, area, area.max() + 1)
    # among the smallest, the one with most of the weight
    row, column = np.unravel_index(np.lexsort((-inside.ravel(), area.ravel()))[0], area.shape)
    return Box(int(r0[row]), int(c0[column]), int(r1[row] - r0[row]), int(c1[column] - c0[column]))


def cropped(maps: Tensor, boxes: Sequence[Box], margins: tuple[int, int] = (0, 0)) -> Tensor:
    """Parts of maps (batch, channels, rows, columns), one box for each group of images.

    Parameters
    ----------
    boxes : sequence of Box
        Of equal size; the batch consists of as many groups of consecutive images.
    margins : tuple of int
        Number of rows and columns around each box that are included, if the maps have them.
    """
    groups = maps.reshape(len(boxes), -1, *maps.shape[1:])
    (my, mx) = margins
    parts = [
        group[..., b.row : b.row + b.rows + 2 * my, b.column : b.column + b.columns + 2 * mx]
        for group, b in zip(groups, boxes, strict=True)
    ]
    return torch.cat(parts)

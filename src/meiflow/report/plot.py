"""Figures as data, which the page draws when a reader opens them."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from meiflow.report.drawing import Captioned

_LEVELS = {8: np.uint8, 16: np.dtype("<u2")}


@dataclass(frozen=True)
class Plot(Captioned):
    """A figure that the page draws from its data; ``key`` names what draws it in ``plots.js``.

    Parameters
    ----------
    data : dict
        Values that JSON can hold. ``table``, if any, has the numbers behind the figure, by column,
        which are saved as CSV.
    wide : bool
        Whether the figure spans all columns of the page.
    """

    data: dict[str, Any]
    wide: bool = False


def packed(document: Mapping[str, Any]) -> str:
    """A document as compressed base64 text, to be unpacked by the page."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def packed_plots(plots: Sequence[Plot]) -> str:
    """The data of figures by key, as compressed text."""
    return packed({plot.key: plot.data for plot in plots})


def values(numbers: ArrayLike) -> list[Any]:
    """Numbers with five significant digits; None where missing.

    Examples
    --------
    >>> values([1 / 3, np.nan, 123456.7]), values(["a", "b"]), values([True, 3])
    ([0.33333, None, 123460.0], ['a', 'b'], [1, 3])
    """
    found = np.asarray(numbers)
    if found.dtype.kind != "f":
        return found.tolist()
    return [
        float(f"{one:.5g}") if finite else None
        for one, finite in zip(found.tolist(), np.isfinite(found).tolist(), strict=True)
    ]


def columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """A table by column."""
    return {
        str(name): values(column) if column.dtype != object else _texts(column)
        for name, column in table.items()
    }


def _texts(column: pd.Series) -> list[Any]:
    return [None if pd.isna(one) else one for one in column.tolist()]


def pixels(
    image: NDArray, low: float | None = None, high: float | None = None, bits: int = 8
) -> dict[str, Any]:
    """An image as base64 text of unsigned integers.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    low, high : float, optional
        Values of 0 and of the highest integer; by default the range of the image.
    bits : {8, 16}
        Bits of each pixel, little-endian.

    Returns
    -------
    dict
        ``width``, ``height``, ``bits``, ``low``, ``high`` and ``data``. Missing pixels are 0.

    Examples
    --------
    >>> found = pixels(np.array([[0.0, 0.5, 1.0]]))
    >>> found["width"], found["height"], list(base64.b64decode(found["data"]))
    (3, 1, [0, 128, 255])
    """
    image = np.nan_to_num(np.asarray(image, dtype=float), nan=-np.inf)
    seen = image[np.isfinite(image)]
    low = float(seen.min(initial=np.inf)) if low is None else low
    high = float(seen.max(initial=-np.inf)) if high is None else high
    top = 2**bits - 1
    share = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    data = np.rint(top * share).astype(_LEVELS[bits]).tobytes()
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "bits": bits,
        "low": float(f"{low:.6g}"),
        "high": float(f"{max(high, low + 1e-12):.6g}"),
        "data": base64.b64encode(data).decode(),
    }


def grey_pixels(image: NDArray, bits: int = 8) -> dict[str, Any]:
    """An image (height, width) on a grey scale that is centred on its median; see `pixels`."""
    grey = float(np.median(image))
    reach = max(float(np.abs(image - grey).max()), 1e-6)
    return pixels(image, grey - reach, grey + reach, bits)


def shrunk(image: NDArray, width: int) -> NDArray:
    """An image (height, width) as means of square blocks, about as wide as given.

    Examples
    --------
    >>> shrunk(np.arange(12.0).reshape(2, 6), 3)
    array([[3.5, 5.5, 7.5]])
    """
    side = max(round(image.shape[1] / width), 1)
    padded = np.pad(image, [(0, -n % side) for n in image.shape], "edge")
    rows, columns = (n // side for n in padded.shape)
    return np.asarray(padded.reshape(rows, side, columns, side).mean((1, 3)))


def outline(mask: NDArray) -> str:
    """A mask (height, width) as base64 text of bytes, 1 inside."""
    return base64.b64encode((np.asarray(mask) > 0).astype(np.uint8).tobytes()).decode()

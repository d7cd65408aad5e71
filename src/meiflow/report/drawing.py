"""Figures of the report: vector graphics, texts, and the underlying data."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.figures.style import as_svg, relabelled
from meiflow.response_type import COUNTS, ResponseType

_PIXELS_PER_POINT = 4 / 3


@dataclass(frozen=True)
class Captioned:
    """The texts of a figure on the page.

    Parameters
    ----------
    key : str
        Unique key within a neuron's page or within the overview.
    title, alt, caption : str
        Heading, alternative text for readers who cannot see it, and caption.
    """

    key: str
    title: str
    alt: str
    caption: str

    def reworded(self, words: Callable[[str], str]) -> Self:
        """The same figure with other words."""
        title, alt, caption = map(words, (self.title, self.alt, self.caption))
        return replace(self, title=title, alt=alt, caption=caption)


@dataclass(frozen=True)
class Drawing(Captioned):
    """A figure that was drawn before the page was written.

    Parameters
    ----------
    svg : str
    data : str
        The underlying data as CSV text.
    """

    svg: str
    data: str

    @property
    def uri(self) -> str:
        """The SVG as a ``data:`` URL."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in CSS pixels."""
        found = (
            re.search(r'\bwidth="([\d.]+)pt"', self.svg),
            re.search(r'\bheight="([\d.]+)pt"', self.svg),
        )
        width, height = (float(m[1]) if m else 480.0 for m in found)
        return round(width * _PIXELS_PER_POINT), round(height * _PIXELS_PER_POINT)

    @property
    def wide(self) -> bool:
        """Whether the figure spans both columns."""
        return self.size[0] > 400


def drawing(
    key: str,
    title: str,
    alt: str,
    caption: str,
    figure: Figure,
    data: pd.DataFrame,
    response: ResponseType = COUNTS,
) -> Drawing:
    """Make a drawing from a figure."""
    svg = as_svg(relabelled(figure, response))
    return Drawing(key, title, alt, caption, svg, csv_text(data))


def drawing_of_file(
    key: str, title: str, alt: str, caption: str, path: Path, data: pd.DataFrame
) -> Drawing:
    """Make a drawing from an SVG file written by another stage.

    Raises
    ------
    MeiflowError
        If the file is missing.
    """
    try:
        svg = path.read_text(encoding="utf-8")
    except OSError as error:
        raise MeiflowError(f"{path}: cannot be read ({error.strerror})") from None
    return Drawing(key, title, alt, caption, svg, csv_text(data))


def csv_text(table: pd.DataFrame) -> str:
    """The table as CSV with five significant digits."""
    return table.to_csv(index=False, float_format="%.5g", lineterminator="\n")


def picture_uri(image: NDArray, reach: float | None = None) -> str:
    """A small grey-scale picture (height, width) as a ``data:`` URL, centred on its median.

    Parameters
    ----------
    image : ndarray
        Luminance.
    reach : float, optional
        Luminance difference from grey to white; by default the range of the image.
    """
    return png_uri(grey_levels(image, reach))


def grey_levels(image: NDArray, reach: float | None = None) -> NDArray[np.uint8]:
    """Grey levels of an image (height, width), centred on its median; see `picture_uri`."""
    grey = float(np.median(image))
    span = max(float(np.abs(image - grey).max()), 1e-6) if reach is None else reach
    return np.rint(255 * np.clip(0.5 + (image - grey) / (2 * span), 0, 1)).astype(np.uint8)


def png_uri(levels: NDArray[np.uint8]) -> str:
    """Grey levels (height, width), or with opacity (height, width, 2), as a ``data:`` URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

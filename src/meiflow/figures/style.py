"""Common style of all figures: readable at column width, colour-blind safe (Okabe & Ito)."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from meiflow.config.names import PROCEDURES
from meiflow.io.writing import atomic
from meiflow.response_type import COUNTS, ResponseType

# Inches: one and two columns of a journal (85 and 180 mm).
COLUMN, PAGE = 3.35, 7.08
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#7F7F7F"
STIMULUS_COLOURS = {
    "mei": VERMILION,
    "best_gabor": BLUE,
    "recorded_gabor": "#56B4E9",
    "windowed_natural": GREEN,
    "best_natural": "#66A61E",
}
STIMULUS_NAMES = {
    "mei": "MEI",
    "best_gabor": "best Gabor (in silico)",
    "recorded_gabor": "best recorded Gabor",
    "windowed_natural": "best natural, windowed",
    "best_natural": "best natural, whole",
}
for _procedure in sorted(PROCEDURES.values(), key=lambda p: p.place):
    if _procedure.stimulus is not None:
        STIMULUS_COLOURS[_procedure.stimulus] = _procedure.colour
        STIMULUS_NAMES[_procedure.stimulus] = _procedure.label
_DPI = 150
_DIGITS = 9  # decimal digits of positions, as fractions of the figure
_RC = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "figure.dpi": 110,
    "savefig.dpi": 110,
    # Verdana is as wide as DejaVu, so labels also fit if only Verdana is installed.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
    "svg.hashsalt": "meiflow",
    "svg.fonttype": "none",  # text stays text: editable, searchable, and half the size
    "pdf.fonttype": 42,  # the same for PDF
    "figure.constrained_layout.use": True,
}


@contextmanager
def style() -> Iterator[None]:
    """Apply the style to figures created within the block."""
    with mpl.rc_context(_RC):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of a size in inches, independent of pyplot."""
    return Figure(figsize=(width, height), layout=_SteadyLayout())


class _SteadyLayout(ConstrainedLayoutEngine):
    """Constrained layout with rounded positions.

    The underlying solver iterates over its variables in the order of their memory addresses, so
    the same figure occasionally differs by a rounding error.
    """

    def execute(self, fig: Figure) -> None:
        super().execute(fig)
        _round_positions(fig)


def _round_positions(figure: Any) -> None:
    """Round the positions of axes and subfigures."""
    for ax in figure.axes:
        # not set_position, which takes the axes out of the layout
        ax._set_position(Bbox(ax.get_position(original=True).get_points().round(_DIGITS)))
    for part in figure.subfigs:
        part._redo_transform_rel_fig(Bbox(part.bbox_relative.get_points().round(_DIGITS)))
        _round_positions(part)


def save_figure(figure: Figure, path: Path) -> None:
    """Save in the format of the suffix, without dates, so that files are reproducible."""
    dates = {".svg": "Date", ".pdf": "CreationDate", ".png": "Software"}
    metadata = {dates[path.suffix]: None}
    with style(), atomic(path) as temporary:
        figure.savefig(temporary, metadata=metadata, dpi=_DPI)


def relabelled(figure: Figure, response: ResponseType) -> Figure:
    """The figure, with labels on counts that hold for other responses."""
    if response.real:
        for text in figure.findobj(Text):
            text.set_text(response.label(text.get_text()))
    return figure


def save_both(figure: Figure, folder: Path, name: str, response: ResponseType = COUNTS) -> None:
    """Save as bitmap and as vector graphics: NAME.png and NAME.svg."""
    with style():
        relabelled(figure, response)
        figure.draw_without_rendering()  # layout takes longer than drawing, ...
        figure.set_layout_engine("none")  # ... and is done once for both
        figure.set_dpi(_DPI)
    metadata = {"Software": None}
    with style(), atomic(folder / f"{name}.png") as temporary:
        # not savefig, which draws everything twice
        FigureCanvasAgg(figure).print_png(temporary, metadata=metadata)
    with style(), atomic(folder / f"{name}.svg") as temporary:
        FigureCanvasSVG(figure).print_svg(temporary, metadata={"Date": None})


def as_svg(figure: Figure) -> str:
    """The figure as SVG text without a date; grey bitmaps are stored as grey scale."""
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return re.sub(r"(?<=data:image/png;base64,)[^\"]+", _as_grey, buffer.getvalue())


def _as_grey(found: re.Match[str]) -> str:
    """Convert an RGBA bitmap from matplotlib to one channel if it is grey."""
    from PIL import Image

    picture = Image.open(io.BytesIO(base64.b64decode(found[0])))
    bands = [band.tobytes() for band in picture.convert("RGBA").split()]
    if not bands[0] == bands[1] == bands[2] or set(bands[3]) != {255}:
        return found[0]
    smaller = io.BytesIO()
    picture.convert("L").save(smaller, "png", optimize=True)
    return base64.b64encode(smaller.getvalue()).decode()

"""Figures for a paper by panel: one or two columns of a journal wide, each with its letter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

from matplotlib.figure import Figure, FigureBase

from meiflow.figures.style import COLUMN, PAGE, new_figure, style


@dataclass(frozen=True)
class Panel:
    """A panel, which can be drawn alone or as part of a figure.

    Parameters
    ----------
    name : str
    draw : callable
        Draws into a figure or subfigure.
    height : float
        Inches.
    wide : bool
        Whether it takes two columns (180 mm) rather than one (85 mm).
    """

    name: str
    draw: Callable[[FigureBase], None]
    height: float
    wide: bool


def _lettered(figure: FigureBase, panel: Panel, letter: str) -> None:
    panel.draw(figure)
    figure.suptitle(letter, x=0.0, ha="left", fontsize=8, fontweight="bold")


def panel_figure(panel: Panel, letter: str) -> Figure:
    """A panel as a figure of its own."""
    with style():
        figure = new_figure(PAGE if panel.wide else COLUMN, panel.height)
        _lettered(figure, panel, letter)
    return figure


def rows_of(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Rows of a page: wide panels alone, narrow ones in pairs where they follow each other.

    Examples
    --------
    >>> a, b, c = (Panel(name, print, 2.0, name == "a") for name in "abc")
    >>> [[panel.name for panel in row] for row in rows_of([a, b, c, b])]
    [['a'], ['b', 'c'], ['b']]
    """
    rows: list[list[Panel]] = []
    for panel in panels:
        if rows and len(rows[-1]) == 1 and not (panel.wide or rows[-1][0].wide):
            rows[-1].append(panel)
        else:
            rows.append([panel])
    return rows


def assembled(panels: Sequence[Panel]) -> Figure:
    """All panels as one figure of two columns, with letters in reading order."""
    rows, letters = rows_of(panels), iter(ascii_lowercase)
    heights = [max(panel.height for panel in row) for row in rows]
    with style():
        figure = new_figure(PAGE, sum(heights))
        parts = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
        for part, row in zip(parts, rows, strict=True):
            columns = 1 if row[0].wide else 2
            for cell, panel in zip(
                part.subfigures(1, columns, squeeze=False)[0], row, strict=False
            ):
                _lettered(cell, panel, next(letters))
    return figure

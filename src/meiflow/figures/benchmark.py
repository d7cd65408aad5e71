"""Figures of the closed-loop benchmark."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    STIMULUS_COLOURS,
    STIMULUS_NAMES,
    VERMILION,
    new_figure,
    style,
)

_LINES = ((BLUE, "o"), (ORANGE, "s"), (VERMILION, "^"), (GREY, "D"))


def fractions_by_kind(table: pd.DataFrame) -> Figure:
    """Fraction of the optimum of every stimulus in the true neurons, by kind.

    Parameters
    ----------
    table : DataFrame
        Kinds in the index, stimuli in columns: mean fraction of the optimum.
    """
    stimuli = [s for s in STIMULUS_NAMES if s in table]
    with style():
        figure = new_figure(7.1, 0.24 * len(table) + 1.0)
        ax = figure.subplots()
        rows = np.arange(len(table))[::-1]
        for stimulus in stimuli:
            mei = stimulus == "mei"
            ax.scatter(
                table[stimulus],
                rows,
                s=34 if mei else 16,
                color=STIMULUS_COLOURS[stimulus],
                marker="D" if mei else "o",
                label=STIMULUS_NAMES[stimulus],
                zorder=4 if mei else 3,
            )
        labels = [f"{k.replace('_', ' ')} ({int(n)})" for k, n in table["neurons"].items()]
        ax.set_yticks(rows, labels)
        ax.hlines(rows, 0, 1, color=GREY, lw=0.3, zorder=1)
        ax.axvline(1, color=GREY, lw=0.8)
        ax.set(xlabel="true drive / maximal drive", xlim=(-0.02, 1.04))
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def fraction_against_data(table: pd.DataFrame) -> Figure:
    """The MEI's fraction of the optimum by number of images, one line per number of repeats.

    Parameters
    ----------
    table : DataFrame
        ``images``, ``repeats`` and, as fractions, ``gabor_like``, ``breaking`` and ``trusted``.
    """
    panels = {
        "gabor_like": ("Gabor-like neurons", "true drive of the MEI / maximum"),
        "breaking": ("all other kinds", "true drive of the MEI / maximum"),
        "trusted": ("trusted", "fraction of tuned neurons"),
    }
    with style():
        figure = new_figure(7.1, 2.6)
        axes = figure.subplots(1, len(panels))
        for ax, (column, (title, label)) in zip(axes, panels.items(), strict=True):
            groups = table.sort_values("images").groupby("repeats")
            for (colour, marker), (repeats, part) in zip(_LINES, groups, strict=False):
                ax.plot(
                    part["images"],
                    part[column],
                    color=colour,
                    marker=marker,
                    ms=4,
                    lw=1,
                    label=f"{repeats} repeats",
                )
            ax.set(xscale="log", title=title, xlabel="images", ylabel=label, ylim=(0, 1.03))
            images = sorted(table["images"].unique())
            ax.set_xticks(images, [str(n) for n in images])
            ax.minorticks_off()
        axes[0].legend(loc="lower right")
    return figure


def trust_calibration(table: pd.DataFrame, level: float) -> Figure:
    """True fraction of the optimum against the expected one and its features, by neuron.

    Parameters
    ----------
    table : DataFrame
        ``expected_fraction``, ``fraction_of_optimum``, ``trusted``, ``structure``; and the features
        ``cc_norm_low``, ``fold_agreement`` and ``peak_ratio``.
    level : float
        Fraction that a trusted MEI should reach.
    """
    panels = {
        "expected_fraction": "expected fraction\nof the maximal drive",
        "cc_norm_low": "CC_norm on held-out images,\nlower end of the interval",
        "fold_agreement": "fraction of the fold models'\nown optimum",
        "peak_ratio": "fraction of the strongest\nresponse reproduced",
    }
    with style():
        figure = new_figure(10.4, 2.6)
        axes = figure.subplots(1, len(panels), sharey=True)
        for ax, (column, label) in zip(axes, panels.items(), strict=True):
            _draw_fractions(ax, table, column, level)
            ax.set(xlabel=label)
        axes[0].plot([0, 1], [0, 1], color=GREY, lw=0.8)
        axes[0].set_ylabel("true drive of the MEI / maximum")
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def _draw_fractions(ax: Any, table: pd.DataFrame, column: str, level: float) -> None:
    """Draw the true fraction of the optimum against a measure."""
    untuned = table["structure"] == "untuned"
    groups = (
        (table["trusted"], BLUE, "o", "trusted"),
        (~table["trusted"] & ~untuned, ORANGE, "s", "not trusted"),
        (untuned, "black", "x", "untuned (no best image)"),
    )
    for rows, colour, marker, name in groups:
        x = table.loc[rows, column].fillna(-0.3).clip(lower=-0.3)
        y = table.loc[rows, "fraction_of_optimum"]
        ax.scatter(x, y, s=11, c=colour, marker=marker, lw=0.8, label=name)
    ax.axhline(level, color=GREY, lw=0.8, ls="--")
    ax.set(ylim=(-0.03, 1.05))


def draw_calibration(ax: Any, table: pd.DataFrame, level: float, own: NDArray) -> None:
    """Draw the true against the expected fraction of the optimum, with the values of a session.

    Parameters
    ----------
    ax : Axes
    table, level
        As for `trust_calibration`.
    own : ndarray, shape (neurons,)
        Expected fractions of the session's neurons: ticks at the top.
    """
    _draw_fractions(ax, table, "expected_fraction", level)
    ax.plot([0, 1], [0, 1], color=GREY, lw=0.8)
    ax.plot(own, np.full(len(own), 1.1), "|", color="black", ms=6, label="this session")
    ax.set(xlabel="expected fraction of the maximal drive", ylim=(-0.03, 1.15))
    ax.set(ylabel="true drive of the MEI / maximum", yticks=np.linspace(0, 1, 6))
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, handletextpad=0.2)

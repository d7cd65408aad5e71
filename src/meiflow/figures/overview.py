"""Figures of all neurons of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

from meiflow.figures.style import (
    COLUMN,
    GREY,
    PAGE,
    STIMULUS_COLOURS,
    STIMULUS_NAMES,
    VERMILION,
    new_figure,
    style,
)
from meiflow.images.geometry import Geometry


def extent(geometry: Geometry) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of the image in degrees, for ``imshow``."""
    half_x, half_y = geometry.width_deg / 2, geometry.height_deg / 2
    return -half_x, half_x, -half_y, half_y


def show_image(ax: Any, image: NDArray, geometry: Geometry) -> None:
    """Draw an image in degrees, with a grey scale symmetric about its median."""
    grey = float(np.median(image))
    reach = max(float(np.abs(image - grey).max()), 1e-6)
    ax.imshow(
        image,
        cmap="gray",
        vmin=grey - reach,
        vmax=grey + reach,
        extent=extent(geometry),
        interpolation="none",  # shows the model's pixels, and keeps vector files small
    )


def two_lines(stimulus: str) -> str:
    """Name of a stimulus, with a line break if it is long."""
    name = STIMULUS_NAMES[stimulus]
    for at in (" (", ", ", " recorded ", "most "):
        name = name.replace(at, at.rstrip() + "\n" if at != " (" else "\n(")
    return name


def gallery(
    images: dict[str, dict[str, NDArray]], geometry: Geometry, titles: dict[str, str]
) -> Figure:
    """One row per stimulus, one column per neuron.

    Parameters
    ----------
    images : dict of neuron id to dict of stimulus name to ndarray (height, width)
    geometry : Geometry
    titles : dict of str to str
        Title of each neuron's column.
    """
    neurons = list(images)
    found = [s for s in STIMULUS_NAMES if any(s in images[n] for n in neurons)]
    with style():
        wide = (PAGE - 0.55) / max(len(neurons), 4)
        tall = 0.8 * wide * geometry.height_deg / geometry.width_deg * 1.25
        figure = new_figure(wide * len(neurons) + 0.55, tall * len(found) + 0.5)
        draw_gallery(figure, images, geometry, titles, {s: two_lines(s) for s in found}, 6)
    return figure


def draw_gallery(
    figure: FigureBase,
    images: Mapping[str, Mapping[str, NDArray]],
    geometry: Geometry,
    titles: Mapping[str, str],
    rows: Mapping[str, str],
    size: float,
) -> None:
    """Draw the images of neurons into a figure; parameters as for `gallery`.

    Parameters
    ----------
    rows : dict of str to str
        Stimuli, and the label of each row.
    size : float
        Size of the text in points.
    """
    axes = figure.subplots(len(rows), len(images), squeeze=False)
    for row, (stimulus, label) in enumerate(rows.items()):
        for ax, (neuron, found) in zip(axes[row], images.items(), strict=True):
            ax.set(xticks=[], yticks=[])
            for side in ax.spines.values():
                side.set_visible(False)
            if stimulus in found:
                show_image(ax, found[stimulus], geometry)
            if row == 0:
                ax.set_title(titles.get(neuron, neuron), fontsize=size)
        axes[row, 0].set_ylabel(label, fontsize=size)


def response_ratios(summary: pd.DataFrame, counted: NDArray[np.bool_] | None = None) -> Figure:
    """Predicted counts for Gabors and natural images relative to the MEI, by neuron.

    Neurons that are not counted are shown as open circles.

    Parameters
    ----------
    summary : DataFrame
        summary.csv.
    counted : ndarray of bool, optional
        Neurons that decide the median, such as those that are trusted; by default those whose model
        is better than chance.
    """
    with style():
        figure = new_figure(COLUMN, ratios_height(summary))
        draw_ratios(figure.subplots(), summary, counted)
    return figure


def _compared(summary: pd.DataFrame) -> list[str]:
    """Stimuli in a table that are compared with the MEI."""
    return [s for s in STIMULUS_NAMES if s != "mei" and f"{s}_response" in summary.columns]


def ratios_height(summary: pd.DataFrame) -> float:
    """Height in inches of a figure of `draw_ratios`."""
    return 0.42 * len(_compared(summary)) + 0.85


def draw_ratios(ax: Any, summary: pd.DataFrame, counted: NDArray[np.bool_] | None) -> None:
    """Draw what `response_ratios` shows into axes."""
    names = _compared(summary)
    grey = summary.get("grey_response", 0.0)  # of real-valued responses only
    if counted is None:
        counted = ~summary["model_above_chance"].isin([False]).to_numpy()
    for position, stimulus in enumerate(names):
        own = summary[f"{stimulus}_response"] - grey
        ratio = (own / (summary["mei_response"] - grey)).to_numpy()
        spread = np.linspace(-0.28, 0.28, len(ratio)) if len(ratio) > 1 else np.zeros(1)
        at = position + spread[np.argsort(np.argsort(ratio, kind="stable"))]
        colour = STIMULUS_COLOURS[stimulus]
        ax.plot(ratio[counted], at[counted], "o", ms=3, color=colour)
        ax.plot(ratio[~counted], at[~counted], "o", ms=3, mec=colour, mfc="white")
        if np.isfinite(ratio[counted]).any():
            middle = np.nanmedian(ratio[counted])
            ax.vlines(middle, position - 0.38, position + 0.38, color="black", lw=1.2)
    ax.axvline(1, color=VERMILION, lw=0.8)
    ax.text(0.98, -0.55, "MEI", color=VERMILION, va="center", ha="right", fontsize=7)
    ax.set_yticks(range(len(names)), [two_lines(s) for s in names])
    ax.set(xlabel="predicted count relative to the MEI", xlim=(0, None))
    ax.set_ylim(len(names) - 0.45, -0.7)


def closed_loop(table: pd.DataFrame) -> Figure:
    """Drive of the true neurons as a fraction of the maximal drive, by kind of neuron."""
    kinds = sorted(table["kind"].unique())
    stimuli = [s for s in STIMULUS_NAMES if (table["stimulus"] == s).any()]
    with style():
        figure = new_figure(PAGE, 3.2)
        ax = figure.subplots()
        width = 0.8 / len(stimuli)
        for i, stimulus in enumerate(stimuli):
            part = table[table["stimulus"] == stimulus]
            for k, kind in enumerate(kinds):
                values = part.loc[part["kind"] == kind, "fraction_of_optimum"].dropna()
                position = k + (i - (len(stimuli) - 1) / 2) * width
                ax.bar(
                    position,
                    values.mean() if len(values) else 0.0,
                    0.9 * width,
                    color=STIMULUS_COLOURS[stimulus],
                    label=STIMULUS_NAMES[stimulus] if k == 0 else None,
                )
                ax.scatter([position] * len(values), values, s=5, c="black", zorder=3)
        ax.axhline(1, color=GREY, lw=0.8)
        counts = table.groupby("kind")["neuron_id"].nunique()
        labels = [f"{k.replace('_', ' ')}\n(n = {counts[k]})" for k in kinds]
        ax.set_xticks(range(len(kinds)), labels)
        ax.set(ylabel="true drive / maximal drive", ylim=(0, 1.08))
        figure.legend(ncols=min(len(stimuli), 4), loc="outside upper center")
    return figure

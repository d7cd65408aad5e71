"""Figures about all neurons of a session."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.style import (
    GREY,
    STIMULUS_COLOURS,
    STIMULUS_NAMES,
    VERMILION,
    new_figure,
    style,
)
from meiflow.geometry import Geometry


def extent(geometry: Geometry) -> tuple[float, float, float, float]:
    """Left, right, bottom, top of the image in degrees, for ``imshow``."""
    half_x, half_y = geometry.width_deg / 2, geometry.height_deg / 2
    return -half_x, half_x, -half_y, half_y


def show_image(ax: Any, image: NDArray, geometry: Geometry) -> None:
    """Draw an image in degrees, its scale centred on its own grey: light and dark alike."""
    grey = float(np.median(image))
    reach = max(float(np.abs(image - grey).max()), 1e-6)
    ax.imshow(image, cmap="gray", vmin=grey - reach, vmax=grey + reach, extent=extent(geometry))


def _two_lines(stimulus: str) -> str:
    """Name of a stimulus, broken where it is long."""
    name = STIMULUS_NAMES[stimulus]
    for at in (" (", ", ", " recorded "):
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
        Text over each neuron's column.
    """
    neurons = list(images)
    stimuli = [s for s in STIMULUS_NAMES if any(s in images[n] for n in neurons)]
    with style():
        figure = new_figure(1.25 * len(neurons) + 0.9, 0.98 * len(stimuli) + 0.5)
        axes = figure.subplots(len(stimuli), len(neurons), squeeze=False)
        for row, stimulus in enumerate(stimuli):
            for column, neuron in enumerate(neurons):
                ax = axes[row, column]
                ax.set(xticks=[], yticks=[])
                for side in ax.spines.values():
                    side.set_visible(False)
                if stimulus in images[neuron]:
                    show_image(ax, images[neuron][stimulus], geometry)
                if row == 0:
                    ax.set_title(titles.get(neuron, neuron), fontsize=6.5)
            axes[row, 0].set_ylabel(_two_lines(stimulus), fontsize=7)
    return figure


def response_ratios(summary: pd.DataFrame) -> Figure:
    """Predicted response to every stimulus relative to the MEI's, one dot per neuron."""
    with style():
        figure = new_figure(3.4, 2.7)
        ax = figure.subplots()
        names = [s for s in STIMULUS_NAMES if s != "mei" and f"{s}_response" in summary.columns]
        for position, stimulus in enumerate(names):
            ratio = (summary[f"{stimulus}_response"] / summary["mei_response"]).to_numpy()
            spread = np.linspace(-0.25, 0.25, len(ratio)) if len(ratio) > 1 else np.zeros(1)
            order = np.argsort(np.argsort(ratio))
            ax.scatter(position + spread[order], ratio, s=12, c=STIMULUS_COLOURS[stimulus])
            ax.hlines(np.nanmean(ratio), position - 0.35, position + 0.35, color="black", lw=1.2)
        ax.axhline(1, color=VERMILION, lw=0.8)
        ax.text(len(names) - 0.55, 1.01, "MEI", color=VERMILION, va="bottom", ha="right")
        ax.set_xticks(range(len(names)), [_two_lines(s) for s in names], fontsize=6)
        ax.set(ylabel="predicted response / that to the MEI", ylim=(0, None))
    return figure


def closed_loop(table: pd.DataFrame) -> Figure:
    """Drive of the true neurons as a fraction of the best possible, by kind of neuron."""
    kinds = sorted(table["kind"].unique())
    stimuli = [s for s in STIMULUS_NAMES if (table["stimulus"] == s).any()]
    with style():
        figure = new_figure(max(7.0, 0.75 * len(stimuli)), 3.0)
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
        ax.set(ylabel="true drive / best possible", ylim=(0, 1.08))
        ax.legend(ncols=min(len(stimuli), 5), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure

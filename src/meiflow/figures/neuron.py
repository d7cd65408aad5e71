"""The figure of one neuron."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.overview import show_image
from meiflow.figures.style import BLUE, GREY, STIMULUS_COLOURS, STIMULUS_NAMES, new_figure, style
from meiflow.geometry import Geometry


@dataclass(frozen=True)
class NeuronView:
    """All that `neuron_figure` shows.

    Parameters
    ----------
    images : dict of str to ndarray, shape (height, width)
        By stimulus name.
    comparison, trace : DataFrame
        comparison.csv and mei_trace.csv.
    measured, predicted : ndarray, shape (images,)
        Mean counts and their cross-validated prediction.
    place_score : ndarray, shape (rows, columns)
        Leave-one-out R2 by place.
    place_x, place_y : ndarray
        Degrees of its columns and rows.
    x, y : float
        Place chosen.
    true_fraction : dict of str to float
        Fraction of the optimum by stimulus; empty for a recorded session.
    """

    images: dict[str, NDArray]
    comparison: pd.DataFrame
    trace: pd.DataFrame
    measured: NDArray
    predicted: NDArray
    place_score: NDArray
    place_x: NDArray
    place_y: NDArray
    x: float
    y: float
    true_fraction: dict[str, float]


def neuron_figure(view: NeuronView, geometry: Geometry) -> Figure:
    """Stimuli in the upper row; place, prediction, ascent and responses in the lower."""
    names = [s for s in STIMULUS_NAMES if s in view.images]
    with style():
        figure = new_figure(9.0, 4.6)
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.0, 1.2])[:, 0]
        for ax, name in zip(upper.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            show_image(ax, view.images[name], geometry)
            ax.set_title(STIMULUS_NAMES[name], color=STIMULUS_COLOURS[name])
            ax.set(xticks=[-40, 0, 40], yticks=[-40, 0, 40])
            ax.set_xlabel("azimuth (deg)")
            if name == names[0]:
                ax.set_ylabel("elevation (deg)")
            else:
                ax.set_yticklabels([])
        place, scatter, ascent, bars = lower.subplots(1, 4)
        _draw_place(place, view, geometry)
        _draw_prediction(scatter, view)
        ascent.plot(view.trace["step"], view.trace["response"], color=STIMULUS_COLOURS["mei"])
        ascent.set(xlabel="step", ylabel="predicted count", title="MEI ascent")
        _draw_responses(bars, view, names)
    return figure


def _draw_place(ax: Any, view: NeuronView, geometry: Geometry) -> None:
    top = max(float(view.place_score.max()), 0.05)
    step_x = float(np.ptp(view.place_x)) / max(len(view.place_x) - 1, 1) or geometry.width_deg
    step_y = float(np.ptp(view.place_y)) / max(len(view.place_y) - 1, 1) or geometry.height_deg
    box = (
        view.place_x[0] - step_x / 2,
        view.place_x[-1] + step_x / 2,
        view.place_y[-1] - step_y / 2,
        view.place_y[0] + step_y / 2,
    )
    picture = ax.imshow(view.place_score, vmin=0, vmax=top, cmap="viridis", extent=box)
    ax.plot(view.x, view.y, "o", mfc="none", mec="white", ms=9)
    ax.set(xlabel="azimuth (deg)", ylabel="elevation (deg)", title="place: leave-one-out R²")
    ax.figure.colorbar(picture, ax=ax, shrink=0.6)


def _draw_prediction(ax: Any, view: NeuronView) -> None:
    ax.scatter(view.predicted, view.measured, s=6, c=BLUE)
    reach = [
        float(min(view.predicted.min(), view.measured.min())),
        float(max(view.predicted.max(), view.measured.max())),
    ]
    ax.plot(reach, reach, color=GREY, lw=0.8)
    ax.set(xlabel="predicted count (held out)", ylabel="measured count", title="cross-validation")


def _draw_responses(ax: Any, view: NeuronView, names: list[str]) -> None:
    by_name = view.comparison.set_index("stimulus")["predicted_response"]
    values = [by_name[n] / by_name["mei"] for n in names]
    positions = np.arange(len(names))
    colours = [STIMULUS_COLOURS[n] for n in names]
    ax.barh(positions, values, color=colours, height=0.6)
    if view.true_fraction:
        truth = [view.true_fraction.get(n, np.nan) for n in names]
        ax.plot(truth, positions, "D", color="black", ms=4)
    short = {"best_gabor": "best Gabor", "recorded_gabor": "rec. Gabor", "mei": "MEI"}
    short |= {"windowed_natural": "nat. windowed", "best_natural": "natural"}
    ax.set_yticks(positions, [short[n] for n in names])
    ax.invert_yaxis()
    title = "prediction (bars), truth (◆)" if view.true_fraction else "prediction"
    label = "relative to MEI (◆ to optimum)" if view.true_fraction else "relative to MEI"
    ax.set(xlabel=label, title=title)

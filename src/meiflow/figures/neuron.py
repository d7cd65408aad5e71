"""Figures of one neuron: its stimuli, and the quality of its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from meiflow.figures.overview import extent, show_image
from meiflow.figures.stimuli import on_chequerboards
from meiflow.figures.style import (
    BLUE,
    COLUMN,
    GREY,
    STIMULUS_COLOURS,
    STIMULUS_NAMES,
    new_figure,
    style,
)
from meiflow.images.geometry import Geometry

if TYPE_CHECKING:
    import xarray as xr

MASK_COLOUR = "#F0E442"
SHORT_NAMES = {
    "mei": "MEI",
    "best_gabor": "best Gabor",
    "recorded_gabor": "recorded Gabor",
    "windowed_natural": "natural, windowed",
    "best_natural": "natural, whole",
}


def _degrees(ax: Any, left: bool = True, below: bool = True) -> None:
    """Axes in degrees of visual angle, with optional labels."""
    ax.set(xticks=[-40, 0, 40], yticks=[-40, 0, 40])
    ax.set(xlabel="azimuth (deg)" if below else "", ylabel="elevation (deg)" if left else "")
    if not left:
        ax.set_yticklabels([])
    if not below:
        ax.set_xticklabels([])


def mei_figure(
    image: NDArray, mask: NDArray, centre: tuple[float, float], grid: Geometry
) -> Figure:
    """The MEI with its tight mask, in degrees.

    Parameters
    ----------
    image : ndarray, shape (height, width)
        Luminance in [0, 1].
    mask : ndarray, shape (height, width)
        1 inside.
    centre : tuple of float
        Centre of the MEI, degrees right and up.
    grid : Geometry
    """
    with style():
        figure = new_figure(COLUMN, 2.3)
        ax = figure.subplots()
        show_image(ax, image, grid)
        picture = ax.images[0]
        if 0 < np.count_nonzero(mask) < mask.size:
            inside = mask.astype(float)
            ax.contour(grid.x, grid.y, inside, [0.5], colors=[MASK_COLOUR], linewidths=1.0)
        ax.plot(*centre, "+", color=MASK_COLOUR, ms=5)
        _degrees(ax)
        bar = figure.colorbar(picture, ax=ax, label="luminance", shrink=0.8, aspect=18)
        # the scale is centred on grey and may exceed the range of a screen
        low, high = picture.get_clim()
        bar.ax.set_ylim(max(0.0, float(low or 0.0)), min(1.0, float(high or 1.0)))
    return figure


def ascent_figure(trace: pd.DataFrame) -> Figure:
    """Predicted count during the optimisation of the MEI.

    Parameters
    ----------
    trace : DataFrame
        mei_trace.csv.
    """
    with style():
        figure = new_figure(COLUMN, 1.4)
        ax = figure.subplots()
        ax.plot(trace["step"], trace["response"], color=STIMULUS_COLOURS["mei"], lw=1.2)
        ax.set(xlabel="step of gradient ascent", ylabel="predicted count")
        ax.set_ylim(min(0.0, float(trace["response"].min())), None)
    return figure


def transparent_figure(image: NDArray, alpha: NDArray, grid: Geometry) -> Figure:
    """An MEI with an alpha channel over a chequerboard, and the channel.

    Parameters
    ----------
    image : ndarray, shape (height, width)
        The MEI seen through its alpha channel on grey.
    alpha : ndarray, shape (height, width)
        Opacity in [0, 1].
    grid : Geometry
    """
    with style():
        figure = new_figure(COLUMN, 1.9)
        left, right = figure.subplots(1, 2)
        shown = on_chequerboards(np.stack([image, alpha])[None])[0, 0]
        show_image(left, shown, grid)
        right.imshow(alpha, cmap="gray", vmin=0, vmax=1, extent=extent(grid), interpolation="none")
        if alpha.max() > 0.5 > alpha.min():
            left.contour(grid.x, grid.y, alpha, [0.5], colors=[MASK_COLOUR], linewidths=1.0)
        left.set_title("MEI, transparent")
        right.set_title("alpha: white is opaque")
        _degrees(left)
        _degrees(right, left=False)
    return figure


def rivals_figure(
    images: Mapping[str, NDArray], comparison: pd.DataFrame, grid: Geometry
) -> Figure:
    """MEI, Gabors and natural images of one neuron, each with its predicted count.

    Parameters
    ----------
    images : mapping of stimulus name to ndarray, shape (height, width)
    comparison : DataFrame
        comparison.csv.
    grid : Geometry
    """
    names = [name for name in STIMULUS_NAMES if name in images]
    rows = comparison.set_index("stimulus")
    lines = -(-len(names) // 2)
    with style():
        figure = new_figure(COLUMN, 1.38 * lines + 0.35)
        axes = figure.subplots(lines, 2, squeeze=False)
        for place, ax in enumerate(axes.ravel()):
            if place >= len(names):
                ax.axis("off")
                continue
            name = names[place]
            show_image(ax, images[name], grid)
            fair = "" if rows.loc[name, "matched"] else " (lower contrast)"
            count = rows.loc[name, "predicted_response"]
            ax.set_title(f"{SHORT_NAMES[name]}: {count:.2f}{fair}", color=dark(name), fontsize=7)
            _degrees(ax, place % 2 == 0, place + 2 >= len(names))
    return figure


def dark(name: str) -> str:
    """The colour of a stimulus for text, darkened to be legible on white."""
    return {"recorded_gabor": "#2A7FA8", "best_natural": "#4E7D1A"}.get(
        name, STIMULUS_COLOURS[name]
    )


def responses_figure(comparison: pd.DataFrame, true_fraction: Mapping[str, float]) -> Figure:
    """Response to each stimulus relative to the predicted count for the MEI.

    Bars are predictions, with 95 % intervals over the fold models; diamonds, if any, show the
    drive of the simulated neuron as a fraction of the maximal drive.

    Parameters
    ----------
    comparison : DataFrame
        comparison.csv.
    true_fraction : mapping of str to float
        Fraction of the maximal drive by stimulus; empty for a recorded session.
    """
    rows = comparison.set_index("stimulus")
    names = [name for name in STIMULUS_NAMES if name in rows.index]
    with style():
        figure = new_figure(COLUMN, 0.27 * len(names) + 0.9)
        ax = figure.subplots()
        for place, name in enumerate(names):
            row = rows.loc[name]
            share = 1 / row["mei_ratio"] if row["mei_ratio"] else np.nan
            ax.barh(place, share, 0.6, color=STIMULUS_COLOURS[name], alpha=0.85)
            low, high = 1 / row["mei_ratio_high"], 1 / row["mei_ratio_low"]
            if name != "mei" and np.isfinite([low, high]).all():
                ax.plot([low, high], [place, place], color="black", lw=1)
        if true_fraction:
            truth = [true_fraction.get(name, np.nan) for name in names]
            ax.plot(truth, range(len(names)), "D", color="black", mfc="white", ms=4.5, zorder=3)
        ax.axvline(1, color=GREY, lw=0.8)
        ax.set_yticks(range(len(names)), [SHORT_NAMES[name] for name in names])
        ax.invert_yaxis()
        label = "predicted count relative to the MEI"
        if true_fraction:
            label += "\n(◇ true drive / maximal drive)"
        ax.set(xlabel=label, xlim=(0, None))
    return figure


def prediction_figure(
    measured: NDArray,
    predicted: NDArray,
    place_score: xr.DataArray,
    chosen: tuple[float, float],
) -> Figure:
    """Measured against held-out predicted counts, and the RF map of the model.

    Parameters
    ----------
    measured, predicted : ndarray, shape (images,)
        Mean counts, and their prediction by models not fitted to the image.
    place_score : DataArray, dims (y_deg, x_deg)
        Leave-one-out R² by place.
    chosen : tuple of float
        RF position of the readout in degrees.
    """
    with style():
        figure = new_figure(COLUMN, 1.9)
        scatter, field = figure.subplots(1, 2, width_ratios=[1.0, 1.15])
        both = np.concatenate([measured, predicted])
        reach = [float(both.min()), float(both.max())]
        scatter.plot(reach, reach, color=GREY, lw=0.8)
        scatter.plot(predicted, measured, "o", ms=2.2, color=BLUE, alpha=0.7, mew=0)
        scatter.set(xlabel="predicted (held out)", ylabel="measured (count)")
        for axis in (scatter.xaxis, scatter.yaxis):
            axis.set_major_locator(MaxNLocator(4, integer=reach[1] > 4))
        _draw_place(field, place_score)
        field.plot(*chosen, "o", mfc="none", mec="white", ms=8)
        _degrees(field)
    return figure


def _draw_place(ax: Any, score: xr.DataArray) -> None:
    x, y = score["x_deg"].to_numpy(), score["y_deg"].to_numpy()
    step_x = float(np.ptp(x)) / max(len(x) - 1, 1) or 1.0
    step_y = float(np.ptp(y)) / max(len(y) - 1, 1) or 1.0
    box = (x[0] - step_x / 2, x[-1] + step_x / 2, y[-1] - step_y / 2, y[0] + step_y / 2)
    top = max(float(score.max()), 0.05)
    picture = ax.imshow(
        score.to_numpy(), vmin=0, vmax=top, cmap="viridis", extent=box, interpolation="none"
    )
    ax.figure.colorbar(picture, ax=ax, location="top", label="leave-one-out R²", aspect=14)


def reliability_figure(halves: NDArray, mean: NDArray, sem: NDArray) -> Figure:
    """Reliability of the responses to images, and how much the images differ.

    Parameters
    ----------
    halves : ndarray, shape (2, images)
        Mean counts over odd and even trials.
    mean, sem : ndarray, shape (images,)
        Mean counts over all trials and their standard errors.
    """
    order = np.argsort(mean, kind="stable")
    sem = np.nan_to_num(sem)  # a single trial has no error
    with style():
        figure = new_figure(COLUMN, 1.9)
        split, ranked = figure.subplots(1, 2)
        reach = [float(np.nanmin(halves)), float(np.nanmax(halves))]
        split.plot(reach, reach, color=GREY, lw=0.8)
        split.plot(halves[0], halves[1], "o", ms=2.2, color=BLUE, alpha=0.7, mew=0)
        split.set(xlabel="odd trials (count)", ylabel="even trials (count)")
        good = np.isfinite(halves).all(0)
        if good.sum() > 2 and halves[:, good].std(1).min() > 0:
            r = float(np.corrcoef(halves[:, good])[0, 1])
            split.set_title(f"r = {r:.2f}, {int(good.sum())} images")
        rank = np.arange(1, len(mean) + 1)
        low, high = (mean - sem)[order], (mean + sem)[order]
        ranked.fill_between(rank, low, high, color=BLUE, alpha=0.3, lw=0)
        ranked.plot(rank, mean[order], color=BLUE, lw=1)
        ranked.set(
            xlabel="image, ranked", ylabel="count ± s.e.m.", ylim=(min(0.0, float(low.min())), None)
        )
    return figure

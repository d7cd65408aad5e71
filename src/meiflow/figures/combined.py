"""Figures of many sessions; each session, i.e. each animal, is one point or line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from numpy.typing import NDArray

from meiflow.combined.estimates import ALL_AREAS, MEASURES, areas_of, interval
from meiflow.combined.gather import meaningful
from meiflow.figures.models import KINDS
from meiflow.figures.overview import extent, show_image
from meiflow.figures.style import (
    BLUE,
    COLUMN,
    GREEN,
    GREY,
    ORANGE,
    PAGE,
    VERMILION,
    new_figure,
    style,
)
from meiflow.images.geometry import Geometry
from meiflow.images.spectrum import ORIENTED

_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000", "#8A6D00")
_LABELS = {measure.name: measure.label for measure in MEASURES}
_PER_ROW = 6
_MANY = 1000  # more points are rasterised within the vector graphics
_FEW = 2  # areas: with more, the lines of single sessions obscure each other
CUMULATIVE = ("cc_norm_model", "mei_peak_frequency_cpd", "mei_size_deg", "mei_over_best_gabor")
_LOGARITHMIC = ("mei_peak_frequency_cpd", "mei_size_deg")
_BINS = np.linspace(0, 180, 7)


def _groups(neurons: pd.DataFrame) -> list[str]:
    return areas_of(neurons) or [ALL_AREAS]


def _colour(at: int) -> str:
    return _COLOURS[at % len(_COLOURS)]


def most_confident(images: list[NDArray], titles: list[str], geometry: Geometry) -> Figure:
    """MEIs side by side.

    Parameters
    ----------
    images : list of ndarray, shape (height, width)
    titles : list of str
        Title of each MEI.
    geometry : Geometry
    """
    rows = -(-len(images) // _PER_ROW)
    with style():
        tall = PAGE / _PER_ROW * geometry.height_deg / geometry.width_deg + 0.34
        figure = new_figure(PAGE, rows * tall)
        axes = figure.subplots(rows, _PER_ROW, squeeze=False).ravel()
        for ax in axes:
            ax.set_axis_off()
        for ax, image, title in zip(axes, images, titles, strict=False):
            show_image(ax, image, geometry)
            ax.set_title(title, fontsize=6)
    return figure


def by_area(neurons: pd.DataFrame, values: pd.DataFrame, estimates: pd.DataFrame) -> Figure:
    """Values of each session by area, with the mean over sessions and its interval.

    Parameters
    ----------
    neurons, values, estimates : DataFrame
        Output of `meiflow.combined.gather.gather`, `meiflow.combined.estimates.session_values`
        and `estimate`.
    """
    panels = [
        ("cc_norm_model", "cc_norm_model_shuffled"),
        ("trusted", "") if (values["measure"] == "trusted").any() else ("model_above_chance", ""),
        ("mei_gabor_r2", ""),
        ("mei_over_best_gabor", ""),
        ("mei_over_windowed_natural", ""),
        ("mei_peak_frequency_cpd", ""),
        ("mei_size_deg", ""),
    ]
    panels = [panel for panel in panels if (values["measure"] == panel[0]).any()]
    groups = _groups(neurons)
    columns = 4 if len(groups) <= 4 else 2
    rows = -(-(len(panels) + 1) // columns)
    with style():
        figure = new_figure(PAGE, 1.9 * rows + 0.2)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, (name, control) in zip(axes, panels, strict=False):
            for i, area in enumerate(groups):
                if control:
                    _points(ax, i, area, control, values, estimates, GREY)
                _points(ax, i, area, name, values, estimates, _colour(i))
            ax.set_xticks(range(len(groups)), groups)
            ax.set_xlim(-0.6, len(groups) - 0.4)
            ax.set_ylabel(_LABELS[name])
            if name in ("mei_over_best_gabor", "mei_over_windowed_natural"):
                ax.axhline(1, color=GREY, lw=0.8, zorder=0)
            elif name in ("trusted", "model_above_chance", "mei_gabor_r2"):
                ax.set_ylim(-0.03, 1.03)
            else:
                low, high = min(0, ax.get_ylim()[0]), ax.get_ylim()[1]
                ax.set_ylim(low, high + 0.04 * (high - low))
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        _counts(axes[len(panels)], groups, neurons)
    return figure


def _counts(ax: Any, groups: list[str], neurons: pd.DataFrame) -> None:
    """Write the numbers of sessions and neurons into an unused panel."""
    texts = [(f"{area}: {_many(own)}", _colour(i)) for i, area, own in _by_area(neurons)]
    for line, (text, colour) in enumerate([*texts, ("shuffled control", GREY)]):
        ax.text(0, 0.95 - 0.11 * line, text, color=colour, fontsize=7, transform=ax.transAxes)


def _by_area(neurons: pd.DataFrame) -> list[tuple[int, str, pd.DataFrame]]:
    """Index, name and neurons of each area; all neurons if no area is known."""
    return [
        (i, area, neurons if area == ALL_AREAS else neurons[neurons["area"] == area])
        for i, area in enumerate(_groups(neurons))
    ]


def _many(own: pd.DataFrame) -> str:
    sessions = own["session_id"].nunique()
    return f"{len(own)} neurons, {sessions} session{'s' if sessions != 1 else ''}"


def _points(
    ax: Any,
    at: float,
    area: str,
    measure: str,
    values: pd.DataFrame,
    estimates: pd.DataFrame,
    colour: str,
) -> None:
    """One point per session, sized by its number of neurons; black: mean and interval."""
    chosen = values[(values["measure"] == measure) & (values["area"] == area)]
    if not len(chosen):
        return
    own = chosen["value"].to_numpy(float)
    # spread horizontally, in the same way in every run
    spread = np.linspace(-0.3, 0.08, len(own)) if len(own) > 1 else np.full(1, -0.1)
    place = np.random.default_rng(len(own)).permutation(spread)
    largest = np.clip(300 / len(own), 5, 14)
    sizes = 3 + largest * np.sqrt(chosen["neurons"] / chosen["neurons"].max())
    ax.scatter(at + place, own, s=sizes, color=colour, alpha=0.55, lw=0)
    row = estimates[(estimates["measure"] == measure) & (estimates["area"] == area)].iloc[0]
    ink, at = ("black", at + 0.24) if colour != GREY else (GREY, at + 0.36)
    ax.plot(at, row["mean"], "D", ms=2.6, color=ink)
    ax.vlines(at, row["low"], row["high"], color=ink, lw=1.5)


def distributions(neurons: pd.DataFrame, geometry: Geometry, seed: int) -> Figure:
    """Cumulative distributions, orientations, and positions on the screen of all neurons.

    Each session has one curve; thick lines are means with their intervals over sessions.

    Parameters
    ----------
    neurons : DataFrame
    geometry : Geometry
    seed : int
    """
    names = [name for name in CUMULATIVE if name in neurons and neurons[name].notna().any()]
    with style():
        figure = new_figure(PAGE, 4.3)
        axes = figure.subplots(2, 3).ravel()
        for ax in axes[len(names) + 2 :]:
            ax.set_axis_off()
        for ax, name in zip(axes, names, strict=False):
            _cumulative(ax, neurons, name, seed)
        _orientations(axes[len(names)], meaningful(neurons, "mei_orientation_deg"), seed)
        _places(axes[len(names) + 1], meaningful(neurons, "mei_x_deg"), geometry)
        axes[0].legend(handlelength=1, loc="upper left")
    return figure


def _curves(ax: Any, neurons: pd.DataFrame, at: NDArray, curve: Any, seed: int) -> None:
    """Lines of the sessions, with mean and interval, for each area."""
    few = len(_groups(neurons)) <= _FEW
    for i, area, own in _by_area(neurons):
        lines = [curve(part) for _, part in own.groupby("session_id", sort=False)]
        lines = [line for line in lines if line is not None]
        if not lines:
            continue
        if few:
            ax.plot(at, np.transpose(lines), color=_colour(i), lw=0.5, alpha=0.35)
        low, high = interval(lines, seed)
        ax.fill_between(at, low, high, color=_colour(i), alpha=0.25, lw=0)
        ax.plot(at, np.mean(lines, axis=0), color=_colour(i), lw=1.6, label=area)


def _cumulative(ax: Any, neurons: pd.DataFrame, name: str, seed: int) -> None:
    neurons = meaningful(neurons, name)
    known = neurons[name].dropna().astype(float)
    low, high = np.quantile(known, (0.005, 0.995)) if len(known) else (0.1, 1.0)
    spaced = np.geomspace if name in _LOGARITHMIC else np.linspace
    at = spaced(low, high, 120)

    def curve(part: pd.DataFrame) -> NDArray | None:
        own = np.sort(part[name].dropna().to_numpy(float))
        return np.searchsorted(own, at, side="right") / len(own) if len(own) else None

    _curves(ax, neurons, at, curve, seed)
    if name in _LOGARITHMIC:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel=_LABELS[name], ylabel="cumulative fraction of neurons", ylim=(0, 1.02))


def _orientations(ax: Any, neurons: pd.DataFrame, seed: int) -> None:
    oriented = neurons[neurons["mei_symmetry_1"] >= ORIENTED]

    def curve(part: pd.DataFrame) -> NDArray | None:
        angles = part["mei_orientation_deg"].dropna().to_numpy(float) % 180
        return np.histogram(angles, _BINS)[0] / len(angles) if len(angles) else None

    if len(oriented):
        _curves(ax, oriented, (_BINS[1:] + _BINS[:-1]) / 2, curve, seed)
    ax.axhline(1 / (len(_BINS) - 1), color=GREY, lw=0.8, ls=":")
    ax.set(xlabel="MEI orientation (deg)", ylabel="fraction of oriented MEIs", xlim=(0, 180))
    ax.set_xticks([0, 45, 90, 135, 180])
    ax.set_ylim(0, None)


def _places(ax: Any, neurons: pd.DataFrame, geometry: Geometry) -> None:
    areas = _groups(neurons)
    # in random order, so that no area hides the others
    mixed = neurons.sample(frac=1, random_state=0)
    colours = [_colour(areas.index(a) if a in areas else 0) for a in mixed["area"]]
    size = float(np.clip(2000 / max(len(mixed), 1), 0.8, 5))
    ax.scatter(
        mixed["mei_x_deg"],
        mixed["mei_y_deg"],
        s=size,
        c=colours,
        alpha=0.6,
        lw=0,
        rasterized=len(mixed) > _MANY,
    )
    left, right, bottom, top = extent(geometry)
    ax.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    ax.set(xlabel="MEI centre x (deg)", ylabel="y (deg)")
    for side in ax.spines.values():
        side.set_visible(True)


def scores(neurons: pd.DataFrame, seed: int) -> Figure:
    """Median score of each session by model, with baseline and shuffled control."""
    kinds = [kind for kind in KINDS if f"cc_norm_{kind[0]}" in neurons]
    columns = [f"cc_norm_{name}" for name, _, _ in kinds]
    medians = neurons.groupby("session_id", sort=False)[columns].median().to_numpy(float)
    with style():
        figure = new_figure(1.2 * COLUMN, 2.7)
        ax = figure.subplots()
        ax.plot(range(len(kinds)), medians.T, color=GREY, lw=0.5, alpha=0.5, zorder=0)
        for at, (_, _, colour) in enumerate(kinds):
            own = medians[:, at][np.isfinite(medians[:, at])]
            ax.scatter(np.full(len(own), at), own, s=10, color=colour, alpha=0.6, lw=0)
            if len(own):
                low, high = interval(own, seed)
                ax.plot(at + 0.22, own.mean(), "D", ms=3.2, color="black")
                ax.vlines(at + 0.22, low, high, color="black", lw=1.2)
        ax.axhline(0, color=GREY, lw=0.6)
        ax.set_xticks(range(len(kinds)), [name.replace(" ", "\n", 1) for _, name, _ in kinds])
        ax.set_ylabel("CC_norm, median per session")
    return figure

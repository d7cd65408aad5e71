"""Figures of single trials of the images that drive a neuron most and least."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.overview import show_image
from meiflow.figures.style import BLUE, COLUMN, GREY, VERMILION, new_figure, style
from meiflow.images.geometry import Geometry

BIN_S = 0.02


@dataclass(frozen=True)
class PresentedImage:
    """An image and the neuron's responses in each of its trials.

    Parameters
    ----------
    label : str
    picture : ndarray, shape (height, width)
    counts : ndarray, shape (trials,)
        Spikes in the counting window, or the response.
    spikes : tuple of ndarray
        Seconds after onset, one array per trial; empty if spike times are not known.
    best : bool
        Whether it is one of the images that drive the neuron most.
    average : {"mean", "median"}
        How the trials are averaged.
    """

    label: str
    picture: NDArray
    counts: NDArray
    spikes: tuple[NDArray, ...]
    best: bool
    average: str = "mean"

    @property
    def centre(self) -> float:
        """Average over the trials."""
        return float(getattr(np, self.average)(self.counts))

    @property
    def colour(self) -> str:
        """Vermilion for the best, blue for the worst."""
        return VERMILION if self.best else BLUE


def psth(spikes: Sequence[NDArray], start: float, stop: float) -> tuple[NDArray, NDArray]:
    """Firing rate in spikes per second, in bins of 20 ms.

    Parameters
    ----------
    spikes : sequence of ndarray
        Seconds after onset, one array per trial.
    start, stop : float
        Seconds.

    Returns
    -------
    edges : ndarray, shape (bins + 1,)
    rate : ndarray, shape (bins,)
    """
    edges = np.linspace(start, stop, round((stop - start) / BIN_S) + 1)
    together = np.concatenate([np.empty(0), *spikes])
    return edges, np.histogram(together, edges)[0] / (max(len(spikes), 1) * np.diff(edges))


def raster_figure(
    shown: Sequence[PresentedImage],
    everywhere: tuple[NDArray, NDArray],
    window: tuple[float, float],
    grid: Geometry,
) -> Figure:
    """Picture, raster and PSTH of a few images, side by side on a common scale.

    Parameters
    ----------
    shown : sequence of PresentedImage
        Images with spike times.
    everywhere : tuple of ndarray
        PSTH over all images (grey line): edges in seconds, rate in spikes per second.
    window : tuple of float
        Counting window in seconds after onset (shaded).
    grid : Geometry
    """
    edges, mean = everywhere
    start, stop = float(edges[0]), float(edges[-1])
    rates = [psth(one.spikes, start, stop)[1] for one in shown]
    top = 1.08 * max(float(np.max([*rates, mean])), 1.0)
    with style():
        figure = new_figure(COLUMN, 3.3)
        axes = figure.subplots(3, len(shown), squeeze=False, height_ratios=[0.8, 1.5, 1.1])
        for column, (one, rate) in enumerate(zip(shown, rates, strict=True)):
            picture, raster, below = axes[:, column]
            _picture(picture, one, grid)
            _ticks(raster, one)
            below.stairs(mean, edges, color=GREY, lw=0.8)
            below.stairs(rate, edges, color=one.colour, lw=1)
            raster.set(xlim=(start, stop), xticks=[], ylim=(len(one.spikes) + 0.5, 0.5))
            below.set(xlim=(start, stop), ylim=(0, top), xticks=[0, 0.4])
            for ax in (raster, below):
                ax.axvspan(*window, color=GREY, alpha=0.18, lw=0)
            if column:
                raster.set_yticks([])
                below.set_yticklabels([])
            else:
                raster.set_ylabel("trial")
                below.set_ylabel("spikes / s")
        figure.supxlabel("time after onset (s)", fontsize=8)
    return figure


def _picture(ax: Any, one: PresentedImage, grid: Geometry) -> None:
    show_image(ax, one.picture, grid)
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{one.label}\n{one.centre:.2f}", color=one.colour, fontsize=6.5)
    for side in ax.spines.values():
        side.set_visible(False)


def _ticks(ax: Any, one: PresentedImage) -> None:
    """Draw all spikes as one path; one path per spike would make large files."""
    times = np.concatenate([np.empty(0), *one.spikes])
    trial = np.repeat(np.arange(1, len(one.spikes) + 1), [len(t) for t in one.spikes])
    gap = np.full(len(times), np.nan)
    ax.plot(
        np.column_stack([times, times, gap]).ravel(),
        np.column_stack([trial - 0.42, trial + 0.42, gap]).ravel(),
        color="black",
        lw=0.6,
    )


def strip_figure(shown: Sequence[PresentedImage], mean: float, grid: Geometry) -> Figure:
    """Single-trial counts of a few images, for sessions without spike times.

    Parameters
    ----------
    shown : sequence of PresentedImage
    mean : float
        Mean count over all images (grey line).
    grid : Geometry
    """
    with style():
        figure = new_figure(COLUMN, 2.6)
        parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[0.8, 1.5])
        pictures, strip = parts[:, 0]
        for ax, one in zip(pictures.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            _picture(ax, one, grid)
        ax = strip.subplots()
        for place, one in enumerate(shown):
            counts = np.sort(one.counts)
            spread = np.linspace(-0.25, 0.25, len(counts)) if len(counts) > 1 else np.zeros(1)
            # trials with neighbouring counts are placed on opposite sides
            ax.plot(place + spread[_weave(len(counts))], counts, "o", ms=2.5, mfc="none",
                    mec=one.colour, mew=0.6)  # fmt: skip
            ax.hlines(one.centre, place - 0.35, place + 0.35, color=one.colour, lw=1.5)
        ax.axhline(mean, color=GREY, lw=0.8)
        ax.set_xticks(range(len(shown)), [one.label for one in shown], fontsize=6.5)
        ax.set(ylabel="spikes per trial", xlim=(-0.5, len(shown) - 0.5))
    return figure


def _weave(n: int) -> NDArray[np.int64]:
    """A fixed order that separates neighbours: every third, from three starts."""
    return np.concatenate([np.arange(start, n, 3) for start in range(3)])

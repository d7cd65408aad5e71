"""Figures of optimal stimuli."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.overview import show_image
from meiflow.figures.style import new_figure, style
from meiflow.geometry import Geometry

_COLUMNS = 8
_MOST_SHOWN = 160
_FRAMES = 8


def sheet(images: NDArray, neurons: list[str], geometry: Geometry) -> Figure:
    """Contact sheet of one kind of stimulus.

    Parameters
    ----------
    images : ndarray, shape (neurons, [several,] height, width)
        With several, one row per neuron.
    neurons : list of str
    geometry : Geometry
    """
    several = images.ndim == 4
    columns = min(images.shape[1], _COLUMNS) if several else min(len(images), _COLUMNS)
    shown = images[: _MOST_SHOWN // columns] if several else images[:_MOST_SHOWN]
    rows = len(shown) if several else -(-len(shown) // columns)
    with style():
        figure = new_figure(1.25 * columns + 0.2, 1.12 * rows + 0.3)
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax in axes.ravel():
            ax.axis("off")
        for i, neuron in enumerate(neurons[: len(shown)]):
            stack = shown[i][:columns] if several else shown[i][None]
            for k, image in enumerate(stack):
                ax = axes[i, k] if several else axes[i // columns, i % columns]
                show_image(ax, image, geometry)
                if k == 0:
                    ax.set_title(neuron, fontsize=6.5)
    return figure


def film_strip(movies: NDArray, names: list[str]) -> Figure:
    """Frames of movies (n, channels, time, height, width), evenly spaced, first channel."""
    frames = np.unique(np.linspace(0, movies.shape[2] - 1, _FRAMES).round().astype(int))
    with style():
        figure = new_figure(1.1 * len(frames) + 0.4, 1.1 * len(movies) + 0.3)
        axes = figure.subplots(len(movies), len(frames), squeeze=False)
        for row, movie in enumerate(movies):
            grey = float(np.median(movie[0]))
            reach = max(float(np.abs(movie[0] - grey).max()), 1e-6)
            for column, frame in enumerate(frames):
                ax = axes[row, column]
                ax.set(xticks=[], yticks=[])
                ax.imshow(movie[0, frame], cmap="gray", vmin=grey - reach, vmax=grey + reach)
                if row == 0:
                    ax.set_title(f"frame {frame}", fontsize=6.5)
            axes[row, 0].set_ylabel(names[row], fontsize=6.5)
    return figure

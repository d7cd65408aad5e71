"""Figures of optimal stimuli."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.overview import show_image
from meiflow.figures.style import new_figure, style
from meiflow.images.geometry import Geometry

_COLUMNS = 8
_MOST_SHOWN = 160
_FRAMES = 8
_MOST_MOVIES = 20
_SQUARE = 4  # pixels
_BOARD = 0.2  # contrast of the chequerboard, relative to that of the image


def on_chequerboards(images: NDArray) -> NDArray[np.float64]:
    """Transparent MEIs over a chequerboard, and their alpha: (neurons, 2, height, width).

    Parameters
    ----------
    images : ndarray, shape (neurons, 2, height, width)
        Each neuron's image on grey, and its alpha channel.
    """
    image, alpha = images[:, 0], images[:, 1]
    mean = np.median(image, axis=(1, 2), keepdims=True)
    reach = np.abs(image - mean).max((1, 2), keepdims=True)
    rows, columns = np.indices(image.shape[1:]) // _SQUARE
    board = np.where((rows + columns) % 2, 1.0, -1.0) * _BOARD * reach
    return np.stack([image + (1 - alpha) * board, alpha], 1)


def sheet(
    images: NDArray, titles: list[str], geometry: Geometry, columns_are: list[str] | None = None
) -> Figure:
    """Contact sheet of one kind of stimulus.

    Parameters
    ----------
    images : ndarray, shape (neurons, [several,] height, width)
        If there are several images per neuron, one row per neuron.
    titles : list of str
        Titles of the neurons.
    geometry : Geometry
    columns_are : list of str, optional
        Titles of the columns if there are several images per neuron.
    """
    several = images.ndim == 4
    columns = min(images.shape[1], _COLUMNS) if several else min(len(images), _COLUMNS)
    shown = images[: _MOST_SHOWN // columns] if several else images[:_MOST_SHOWN]
    rows = len(shown) if several else -(-len(shown) // columns)
    with style():
        figure = new_figure(1.25 * columns + 0.2, 1.2 * rows + 0.4)
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax in axes.ravel():
            ax.axis("off")
        for i, title in enumerate(titles[: len(shown)]):
            stack = shown[i][:columns] if several else shown[i][None]
            for k, image in enumerate(stack):
                ax = axes[i, k] if several else axes[i // columns, i % columns]
                show_image(ax, image, geometry)
                kind = columns_are[k] if columns_are and i == 0 else ""
                if k == 0 or kind:
                    ax.set_title(
                        "\n".join(t for t in (kind, title if k == 0 else "") if t), fontsize=6.5
                    )
        cut = f"the first {len(shown)} of {len(images)} neurons" if len(shown) < len(images) else ""
        fewer = several and columns < images.shape[1]
        cut += f"{', ' if cut else ''}{columns} of {images.shape[1]} images" if fewer else ""
        if cut:
            figure.suptitle(cut, fontsize=7)
    return figure


def film_strip(movies: NDArray, names: list[str]) -> Figure:
    """Frames of movies (n, channels, time, height, width), evenly spaced, first channel.

    Each movie's grey scale is centred on its mean luminance.
    """
    frames = np.unique(np.linspace(0, movies.shape[2] - 1, _FRAMES).round().astype(int))
    shown = movies[:_MOST_MOVIES]
    with style():
        figure = new_figure(1.1 * len(frames) + 0.4, 1.1 * len(shown) + 0.4)
        axes = figure.subplots(len(shown), len(frames), squeeze=False)
        for row, movie in enumerate(shown):
            grey = float(movie[0].mean())
            reach = max(float(np.abs(movie[0] - grey).max()), 1e-6)
            for column, frame in enumerate(frames):
                ax = axes[row, column]
                ax.set(xticks=[], yticks=[])
                ax.imshow(movie[0, frame], cmap="gray", vmin=grey - reach, vmax=grey + reach)
                if row == 0:
                    ax.set_title(f"frame {frame}", fontsize=6.5)
            axes[row, 0].set_ylabel(names[row], fontsize=6.5)
        notes = [f"the first {len(shown)} of {len(movies)}"] if len(shown) < len(movies) else []
        notes += [f"channel 0 of {movies.shape[1]}"] if movies.shape[1] > 1 else []
        if notes:
            figure.suptitle(", ".join(notes), fontsize=7)
    return figure

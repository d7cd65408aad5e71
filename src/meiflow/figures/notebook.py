"""Figure that compares the notebook's stimuli of a neuron with ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.comparison.notebook import RADIUS_PX
from meiflow.figures.overview import show_image
from meiflow.figures.style import BLUE, GREY, ORANGE, VERMILION, new_figure, style
from meiflow.images.geometry import Geometry
from meiflow.images.spectrum import power_spectrum

_NAMES = {
    "notebook_mei": "MEI, notebook",
    "notebook_gabor": "Gabor, notebook",
    "notebook_gabor_by_id": "the same, rows by id",
    "mei": "MEI, meiflow",
    "recorded_gabor": "best recorded Gabor",
}
_ROWS = (("notebook_mei", "notebook_gabor"), ("mei", "recorded_gabor"))
_MEASURES = {
    "luminance": "luminance",
    "std": "std, whole image",
    "contrast": "contrast, masked",
    "symmetry_1": "symmetry 1",
    "symmetry_2": "symmetry 2",
}
_REACH_CPD = 0.2


def notebook_figure(images: dict[str, NDArray], table: pd.DataFrame, geometry: Geometry) -> Figure:
    """The notebook's MEI and Gabor above ours, with spectra, responses and measures.

    Parameters
    ----------
    images : dict of str to ndarray, shape (height, width)
        Images by the names in `table`; without the Gabors if the session has none.
    table : DataFrame
        notebook.csv.
    geometry : Geometry
    """
    with style():
        figure = new_figure(10.2, 4.2)
        left, right = figure.subfigures(1, 2, squeeze=False, width_ratios=[1.8, 1.0])[0]
        axes = left.subplots(2, 3)
        for row, names in enumerate(_ROWS):
            for ax, name in zip(axes[row], names, strict=False):
                _draw_image(ax, images.get(name), _NAMES[name], geometry)
                if row == 0 and name in images:
                    _draw_disc(ax, geometry)
            _draw_spectrum(axes[row, 2], images[names[0]], geometry)
            axes[row, 0].set_ylabel("elevation (deg)")
        for ax in axes[1]:
            ax.set_xlabel(ax.get_xlabel() or "azimuth (deg)")
        responses, numbers = right.subplots(2, 1)
        _draw_responses(responses, table)
        _draw_numbers(numbers, table)
    return figure


def _draw_image(ax: Any, image: NDArray | None, title: str, geometry: Geometry) -> None:
    if image is None:
        ax.axis("off")
        ax.text(0.5, 0.5, "no Gabors shown", ha="center", transform=ax.transAxes, color=GREY)
        return
    show_image(ax, image, geometry)
    ax.set(xticks=[-40, 0, 40], yticks=[-40, 0, 40])
    ax.set_title(f"{title}\n{image.min():.2f} to {image.max():.2f}")


def _draw_disc(ax: Any, geometry: Geometry) -> None:
    """The disc in which the notebook measured, which is round in pixels."""
    from matplotlib.patches import Ellipse

    centre = geometry.to_degrees(geometry.height // 2, geometry.width // 2)
    width, height = 2 * RADIUS_PX * geometry.dx, 2 * RADIUS_PX * geometry.dy
    ax.add_patch(Ellipse(centre, width, height, fill=False, ec=ORANGE, lw=1.0))


def _draw_spectrum(ax: Any, image: NDArray, geometry: Geometry) -> None:
    spectrum = power_spectrum(image.astype(float), geometry)
    power = spectrum.power / spectrum.power.max()
    ax.imshow(
        np.log10(np.maximum(power, 1e-4)),
        extent=(spectrum.fx[0], spectrum.fx[-1], spectrum.fy[-1], spectrum.fy[0]),
        cmap="magma",
        vmin=-4,
        vmax=0,
    )
    ax.set(xlim=(-_REACH_CPD, _REACH_CPD), ylim=(-_REACH_CPD, _REACH_CPD))
    ax.set_title("power of the MEI\n(log, no mean)")
    ax.set_xlabel("cycles/deg")


def _draw_responses(ax: Any, table: pd.DataFrame) -> None:
    shown = table[table["measured"] == "right"].set_index("stimulus")
    names = [name for name in _NAMES if name in shown.index]
    places = np.arange(len(names))
    values = shown.loc[names, "matched_response"]
    ax.barh(places, values, color=[ORANGE if "notebook" in n else VERMILION for n in names])
    ax.set_yticks(places, [_NAMES[n] for n in names])
    ax.invert_yaxis()
    ax.set(xlabel="count", title="model response at equal contrast")


def _draw_numbers(ax: Any, table: pd.DataFrame) -> None:
    own = table[table["stimulus"] == "notebook_mei"].set_index("measured")
    places = np.arange(len(_MEASURES))
    for measured, colour, label in (
        ("notebook", ORANGE, "as in the notebook"),
        ("right", BLUE, "corrected, in the mask"),
    ):
        values = [own.loc[measured, key] for key in _MEASURES]
        size = 8 if measured == "notebook" else 4  # so that both are visible if they agree
        ax.plot(values, places, "o", color=colour, label=label, ms=size)
    ax.set_yticks(places, list(_MEASURES.values()))
    ax.invert_yaxis()
    ax.set(xlim=(-0.03, 1.03), title="measures of the notebook's MEI")
    ax.grid(axis="x", color="#DDDDDD", lw=0.6)
    ax.legend(loc="upper center", bbox_to_anchor=(0.3, -0.12), ncols=2, columnspacing=1.0)

"""Figure of the images on a neuron's invariance path."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.overview import show_image
from meiflow.figures.style import PAGE, STIMULUS_COLOURS, new_figure, style
from meiflow.images.geometry import Geometry

_SHOWN = 7


def invariance_figure(
    images: NDArray,
    angle_deg: NDArray,
    response: NDArray,
    reach_deg: float,
    fraction: float,
    geometry: Geometry,
) -> Figure:
    """Images on the path, and the response along it.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
    angle_deg, response : ndarray, shape (images,)
        Angle from the MEI, and response as a fraction of that to the MEI.
    reach_deg : float
        Angle at which the response falls below `fraction`.
    fraction : float
    geometry : Geometry
    """
    shown = np.unique(np.linspace(0, len(images) - 1, _SHOWN).round().astype(int))
    with style():
        figure = new_figure(PAGE, 2.3)
        above, below = figure.subfigures(2, 1, height_ratios=(1.0, 1.1))  # type: ignore[misc]
        axes = above.subplots(1, _SHOWN)
        for ax in axes:
            ax.axis("off")
        for ax, i in zip(axes, shown, strict=False):
            show_image(ax, images[i], geometry)
            name = "MEI" if i == 0 else f"{angle_deg[i]:.0f}°"
            ax.set_title(f"{name}: {100 * response[i]:.0f} %", fontsize=6.5)
        ax = below.subplots()
        ax.plot(angle_deg, 100 * response, "o-", ms=3, lw=1, color=STIMULUS_COLOURS["mei"])
        ax.axhline(100 * fraction, color="0.6", lw=0.8, ls=":")
        if np.isfinite(reach_deg):
            ax.axvline(reach_deg, color="0.3", lw=0.8)
            beside = {"x": reach_deg + 2, "ha": "left"}
            if reach_deg > 90:
                beside = {"x": reach_deg - 2, "ha": "right"}
            ax.text(y=8, s=f"{reach_deg:.0f}°", fontsize=7, color="0.3", **beside)
        ax.set(
            xlim=(0, 182),
            ylim=(0, 108 * max(1.0, float(np.nan_to_num(response).max()))),
            xticks=range(0, 181, 30),
            xlabel="angle from the MEI (degrees; 180: its negative)",
            ylabel="response\n(% of that to the MEI)",
        )
    return figure

"""Figures of the power spectra of a neuron's stimuli."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.overview import extent, show_image, two_lines
from meiflow.figures.style import COLUMN, PAGE, STIMULUS_COLOURS, STIMULUS_NAMES, new_figure, style
from meiflow.images.geometry import Geometry
from meiflow.images.spectrum import (
    Profile,
    Spectrum,
    axial_profile,
    radial_profile,
    spectral_peak,
)

# Drawn in this order, so that the MEI is in front.
PROFILE_ORDER = ("best_natural", "windowed_natural", "recorded_gabor", "best_gabor", "mei")
_DEPTH = 1e-5  # radial profiles are cut off at this fraction of the highest power


@dataclass(frozen=True)
class SpectrumView:
    """Data of a stimulus for the figure: image and mask (height, width), and spectrum."""

    name: str
    image: NDArray
    mask: NDArray[np.bool_]
    spectrum: Spectrum


def spectrum_figure(views: list[SpectrumView], geometry: Geometry) -> Figure:
    """Images with their masks, power spectra in cycles per degree, and profiles.

    Spectra show log(1 + power) on a common scale, up to the lower Nyquist frequency; a cross
    marks the peak, and a triangle its frequency and direction in the profiles.
    """
    top = max(float(np.log1p(view.spectrum.power).max()) for view in views)
    with style():
        figure = new_figure(PAGE, 5.0)
        upper, lower = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.7, 1.0])[:, 0]
        axes = upper.subplots(2, len(views), squeeze=False, height_ratios=[0.85, 1.0])
        for column, view in enumerate(views):
            first = column == 0
            _draw_stimulus(axes[0, column], view, geometry, first)
            picture = _draw_power(axes[1, column], view.spectrum, top, first)
        upper.colorbar(picture, ax=list(axes[1]), label="log(1 + power)", shrink=0.8, aspect=15)
        _draw_profiles(lower, views)
        # layout is done once here rather than for every format
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _draw_stimulus(ax: Any, view: SpectrumView, geometry: Geometry, first: bool) -> None:
    show_image(ax, view.image, geometry)
    ax.contour(
        geometry.x, geometry.y, view.mask.astype(float), [0.5], colors=["#F0E442"], linewidths=0.8
    )
    left, right, bottom, top = extent(geometry)
    ax.set(xlim=(left, right), ylim=(bottom, top), xticks=[-40, 0, 40], yticks=[-40, 0, 40])
    ax.set_title(two_lines(view.name), color=STIMULUS_COLOURS[view.name], fontsize=7)
    ax.set_xlabel("azimuth (deg)")
    _label_first(ax, "elevation (deg)", first)


def _draw_power(ax: Any, spectrum: Spectrum, top: float, first: bool) -> Any:
    limit = spectrum.limit
    columns, rows = (np.flatnonzero(np.abs(f) <= limit) for f in (spectrum.fx, spectrum.fy))
    shown = spectrum.power[np.ix_(rows, columns)]
    step_x, step_y = spectrum.fx[1] - spectrum.fx[0], spectrum.fy[0] - spectrum.fy[1]
    box = (
        spectrum.fx[columns[0]] - step_x / 2,
        spectrum.fx[columns[-1]] + step_x / 2,
        spectrum.fy[rows[-1]] - step_y / 2,
        spectrum.fy[rows[0]] + step_y / 2,
    )
    picture = ax.imshow(np.log1p(shown), cmap="magma", vmin=0, vmax=top, extent=box, aspect="equal")
    peak = spectral_peak(spectrum)
    ax.plot([peak.fx, -peak.fx], [peak.fy, -peak.fy], "x", color="white", ms=4, mew=0.8)
    ax.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[-0.2, 0, 0.2], yticks=[-0.2, 0, 0.2])
    ax.set_xlabel("fx (cycles/deg)")
    _label_first(ax, "fy (cycles/deg)", first)
    return picture


def _label_first(ax: Any, label: str, first: bool) -> None:
    if first:
        ax.set_ylabel(label)
    else:
        ax.set_yticklabels([])


def _draw_profiles(lower: Any, views: list[SpectrumView]) -> None:
    radial, axial = lower.subplots(1, 2)
    highest = 0.0
    for view in views:
        colour, label = STIMULUS_COLOURS[view.name], STIMULUS_NAMES[view.name]
        # the Gabor often covers the MEI, which is then visible as its rim
        width = 2.8 if view.name == "mei" else 1.1
        peak = spectral_peak(view.spectrum)
        rings, sectors = radial_profile(view.spectrum), axial_profile(view.spectrum)
        around = Profile(
            np.append(sectors.value, 180.0), np.append(sectors.power, sectors.power[0])
        )
        highest = max(highest, float(rings.power.max()))
        for ax, profile, at in (
            (radial, rings, peak.frequency),
            (axial, around, peak.direction),
        ):
            ax.plot(profile.value, profile.power, color=colour, lw=width, label=label)
            if np.isfinite(at):
                height = float(np.interp(at, profile.value, profile.power))
                ax.plot(at, height, "v", color=colour, mec="white", mew=0.4, ms=6)
    radial.set(xlim=(0, views[0].spectrum.limit), xlabel="spatial frequency (cycles/deg)")
    if highest > 0:
        radial.set(yscale="log", ylim=(highest * _DEPTH, highest * 2))
    radial.set(ylabel="mean power", title="radial profile (▼ peak of the spectrum)")
    radial.legend(loc="upper right", fontsize=6)
    axial.set(xlim=(0, 180), xticks=range(0, 181, 45), ylim=(0, None))
    axial.set(xlabel="direction of modulation (deg)", ylabel="mean power")
    axial.set_title("axial profile (▼ peak of the spectrum)")


def profiles_figure(table: pd.DataFrame, stimuli: Sequence[str]) -> Figure:
    """Power of a neuron's stimuli by spatial frequency and by direction, at column width.

    Parameters
    ----------
    table : DataFrame
        spectra.csv: stimulus, profile, value, power.
    stimuli : sequence of str
        Stimuli to draw, the most important one last.
    """
    with style():
        figure = new_figure(COLUMN, 2.15)
        radial, axial = figure.subplots(1, 2)
        highest = 0.0
        for name in stimuli:
            for ax, profile in ((radial, "radial"), (axial, "axial")):
                rows = table[(table["stimulus"] == name) & (table["profile"] == profile)]
                width = 2.2 if name == "mei" else 1.0
                label = STIMULUS_NAMES[name] if profile == "radial" else None
                ax.plot(
                    rows["value"],
                    rows["power"],
                    lw=width,
                    color=STIMULUS_COLOURS[name],
                    label=label,
                )
                if profile == "radial":
                    highest = max(highest, float(rows["power"].max()))
        radial.set(xlabel="frequency (cycles/deg)", ylabel="mean power", xlim=(0, None))
        if highest > 0:
            radial.set(yscale="log", ylim=(highest * _DEPTH, highest * 2))
        axial.set(xlim=(0, 180), xticks=range(0, 181, 45), ylim=(0, None))
        axial.set(xlabel="direction (deg)", ylabel="mean power")
        axial.ticklabel_format(axis="y", style="sci", scilimits=(0, 4))
        figure.legend(loc="outside upper center", ncols=2, columnspacing=1.0, handlelength=1.2)
    return figure

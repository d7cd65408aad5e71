"""Figure of a response as a function of channel contrasts."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from meiflow.figures.style import BLUE, GREY, VERMILION, new_figure, style

_PANELS = 12
_COLUMNS = 4
_ARROWS: dict[str, Any] = {
    "angles": "xy",
    "scale_units": "xy",
    "pivot": "mid",
    "color": "white",
    "edgecolor": "black",
    "linewidth": 0.4,
    "width": 0.012,
}


def gradient_figure(
    contrasts: tuple[NDArray, ...], responses: NDArray, gradients: NDArray
) -> Figure:
    """Response and gradient as a function of channel contrasts: curve, arrows, or slices.

    Parameters
    ----------
    contrasts, responses, gradients
        As in ``GradientGrid``. With three or more channels, there is a panel for each combination
        of all but the first two, at most 12 of them, evenly spaced.
    """
    with style():
        if len(contrasts) == 1:
            figure = new_figure(3.2, 2.6)
            ax = figure.subplots()
            ax.plot(contrasts[0], responses, color=BLUE, label="response")
            ax.plot(contrasts[0], gradients[:, 0], color=VERMILION, ls="--", label="gradient")
            ax.set_xlabel("contrast")
            ax.axhline(0, color=GREY, lw=0.6)
            ax.locator_params(axis="x", nbins=5)
            ax.legend()
            return figure
        first, second, *others = contrasts
        shape = tuple(len(axis) for axis in others)
        every = np.arange(int(np.prod(shape)))
        chosen = np.unique(np.linspace(0, len(every) - 1, min(len(every), _PANELS)).astype(int))
        columns = min(len(chosen), _COLUMNS)
        lines = -(-len(chosen) // columns)
        figure = new_figure(2.9 * columns + 0.6, 2.7 * lines)
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for ax in axes[len(chosen) :]:
            ax.axis("off")
        low, high = float(responses.min()), float(responses.max())
        # one scale for all panels: the longest arrow is as long as the smaller grid step
        longest = max(float(np.hypot(gradients[..., 0], gradients[..., 1]).max()), 1e-12)
        step = min(float(np.ptp(axis)) / max(len(axis) - 1, 1) or 1.0 for axis in (first, second))
        picture: Any = None
        for ax, one in zip(axes, chosen, strict=False):
            field = responses.reshape(len(first), len(second), -1)[:, :, one]
            arrows = gradients.reshape(len(first), len(second), len(every), -1)[:, :, one]
            picture = ax.pcolormesh(first, second, field.T, vmin=low, vmax=high, cmap="viridis")
            ax.quiver(
                *(first, second, arrows[..., 0].T, arrows[..., 1].T),
                **_ARROWS,
                scale=longest / step,
            )
            ax.set(xlabel="contrast of channel 0", ylabel="contrast of channel 1")
            if shape:
                at = zip(others, np.unravel_index(int(one), shape), strict=True)
                fixed = (f"{k}: {axis[i]:.2g}" for k, (axis, i) in enumerate(at, start=2))
                ax.set_title("channel " + ", ".join(fixed))
        figure.colorbar(picture, ax=list(axes[: len(chosen)]), label="response", shrink=0.8)
    return figure

"""Figure of the responses to a stimulus pack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from meiflow.figures.style import (
    GREY,
    ORANGE,
    PAGE,
    STIMULUS_COLOURS,
    STIMULUS_NAMES,
    new_figure,
    style,
)
from meiflow.pack.score import MEI
from meiflow.pack.stimuli import BLANK, OTHER, SCRAMBLED
from meiflow.response_type import COUNTS, ResponseType

_COLOURS = STIMULUS_COLOURS | {OTHER: ORANGE, SCRAMBLED: "#CC79A7", BLANK: GREY}
_NAMES = STIMULUS_NAMES | {
    OTHER: "MEI of another neuron",
    SCRAMBLED: "MEI, phases scrambled",
    BLANK: "blank",
    "best_gabor": "best Gabor",
    "best_natural": "best natural image",
}
_NEW = "#000000"  # stimuli of the user
_SPREAD = 0.3


def pack_figure(
    comparisons: pd.DataFrame,
    neurons: pd.DataFrame,
    responses: pd.DataFrame,
    reference: float,
    response: ResponseType = COUNTS,
) -> Figure:
    """Three panels: drive relative to the MEI, measured against predicted, and contrast series.

    Parameters
    ----------
    comparisons, neurons : DataFrame
        Output of `meiflow.pack.score.score_pack`; `neurons` with the column trusted.
    responses : DataFrame
        neuron_id, made_for, stimulus, contrast, predicted, response.
    reference : float
        Contrast of the first two panels.
    response : ResponseType
    """
    trusted = set(neurons.loc[neurons["trusted"].astype(bool), "neuron_id"])
    own = responses[responses["made_for"].isin(["", np.nan])]
    own = pd.concat([responses[responses["made_for"] == responses["neuron_id"]], own])
    kinds = [name for name in dict.fromkeys(responses["stimulus"]) if name != BLANK]
    with style():
        figure = new_figure(PAGE, 3.0)
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1])
        here = comparisons[np.isclose(comparisons["contrast"], reference)]
        _fractions(left, here, trusted, [name for name in kinds if name != MEI])
        shown = own[np.isclose(own["contrast"], reference) | (own["stimulus"] == BLANK)]
        _predicted(middle, shown, trusted, response)
        _series(
            right,
            own,
            trusted or set(neurons["neuron_id"]),
            [*kinds, BLANK],
            bool(trusted),
            response.noun,
        )
        for ax, letter in zip((left, middle, right), "abc", strict=True):
            ax.set_title(letter, loc="left", fontweight="bold")
        handles = [
            Line2D([], [], marker="o", ls="", color=_colour(name), ms=4, label=_name(name))
            for name in (*kinds, BLANK)
        ]
        marks: Any = {"markeredgecolor": "0.3", "marker": "o", "ls": "", "ms": 4}
        handles += [
            Line2D([], [], markerfacecolor="0.3", label="MEI trusted", **marks),
            Line2D([], [], markerfacecolor="white", label="MEI not trusted", **marks),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _fractions(ax: Any, table: pd.DataFrame, trusted: set[str], kinds: list[str]) -> None:
    """Drive of every other stimulus relative to that of the MEI, with its interval."""
    ax.axhline(1, color=_colour(MEI), lw=1)
    ax.axhline(0, color="0.8", lw=0.8, zorder=0)
    top = 1.2
    for position, kind in enumerate(kinds):
        rows = table[(table["stimulus"] == kind) & table["fraction"].notna()]
        rows = rows.sort_values("fraction")
        at = position + np.linspace(-_SPREAD, _SPREAD, len(rows)) if len(rows) > 1 else [position]
        for x, row in zip(at, rows.itertuples(), strict=False):
            ax.plot([x, x], [row.fraction_low, row.fraction_high], color=_colour(kind), lw=0.7)
            full = row.neuron_id in trusted
            ax.plot(
                x, row.fraction, "o", ms=3, color=_colour(kind),
                markerfacecolor=_colour(kind) if full else "white", markeredgewidth=0.8,
            )  # fmt: skip
        if len(rows):
            top = max(top, 1.15 * float(rows["fraction"].max()))
            median = float(rows["fraction"].median())
            ax.plot(position + np.array([-0.42, 0.42]), [median] * 2, color="0.2", lw=1.2)
    ax.set_ylim(min(-0.3, -0.05 * top), top)
    ax.set_xlim(-0.6, len(kinds) - 0.4)
    ax.set_xticks(range(len(kinds)), [kind.replace("_", "\n") for kind in kinds])
    ax.tick_params(axis="x", labelsize=6)
    ax.set_ylabel("drive / that of the MEI")


def _predicted(ax: Any, own: pd.DataFrame, trusted: set[str], response: ResponseType) -> None:
    """Measured against predicted mean responses, both relative to that predicted for the MEI."""
    mei = own[own["stimulus"] == MEI].set_index("neuron_id")["predicted"]
    unit = own["neuron_id"].map(mei).to_numpy()
    x, y = own["predicted"].to_numpy() / unit, own["response"].to_numpy() / unit
    most = 1.08 * max(float(np.nanmax(x)), float(np.nanmax(y)), 1.0)
    least = min(0.0, float(np.nanmin(x)), float(np.nanmin(y)))
    ax.plot([least, most], [least, most], color="0.8", lw=0.8, zorder=0)
    for at, measured, row in zip(x, y, own.itertuples(), strict=True):
        colour = _colour(row.stimulus)
        ax.plot(
            at, measured, "o", ms=3, color=colour, alpha=0.8, markeredgewidth=0.8,
            markerfacecolor=colour if row.neuron_id in trusted else "white",
        )  # fmt: skip
    ax.set(xlim=(least - 0.03, most), ylim=(least - 0.03, most), aspect="equal")
    ax.set_xlabel(f"predicted {response.noun} (MEI: 1)")
    ax.set_ylabel(f"measured {response.noun} (same unit)")


def _series(
    ax: Any, own: pd.DataFrame, counted: set[str], kinds: list[str], trusted: bool, noun: str
) -> None:
    """Mean over neurons of the response relative to that to the MEI at the highest contrast."""
    rows = own[own["neuron_id"].isin(counted)]
    mei = rows[rows["stimulus"] == MEI].sort_values("contrast").groupby("neuron_id")
    relative = rows["response"] / rows["neuron_id"].map(mei["response"].last())
    rows = rows.assign(relative=relative.replace([np.inf, -np.inf], np.nan))
    blank = rows.loc[rows["stimulus"] == BLANK, "relative"]
    for kind in kinds:
        found = rows[rows["stimulus"] == kind].groupby("contrast")["relative"]
        mean, error = found.mean(), found.sem().fillna(0.0)
        if kind == BLANK:
            ax.axhline(float(blank.mean()), color=_colour(kind), lw=0.8, ls=":")
            continue
        ax.errorbar(mean.index, mean, error, color=_colour(kind), marker="o", ms=3, lw=1)
    ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
    ax.set_xlabel("RMS contrast of the image")
    ax.set_ylabel(f"{noun} / that for the MEI")
    ax.set_title("trusted neurons" if trusted else "all neurons", fontsize=7)


def _colour(kind: str) -> str:
    return _COLOURS.get(kind, _NEW)


def _name(kind: str) -> str:
    return _NAMES.get(kind, kind)

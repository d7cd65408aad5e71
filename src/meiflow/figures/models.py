"""Figures of the models: prediction scores and learning curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from meiflow.figures.style import BLUE, COLUMN, GREEN, GREY, ORANGE, VERMILION, new_figure, style

KINDS = (
    ("model", "model", BLUE),
    ("mixture", "our ensemble", BLUE),
    ("scratch", "single network", GREEN),
    ("shared", "shared network", GREEN),
    ("pretrained", "pretrained network", GREEN),
    ("v1", "V1 front end", GREEN),
    ("cnn", "CNN", GREEN),
    ("v1_window", "V1, window", GREEN),
    ("core_window", "core, window", GREEN),
    ("gabor_energy", "Gabor energy", GREEN),
    ("ln", "rectified LN", GREEN),
    ("pixel_ridge", "pixel ridge", ORANGE),
    ("luminance", "regional luminance", ORANGE),
    ("model_shuffled", "shuffled control", GREY),
)


def model_scores(scores: pd.DataFrame, selected: list[str]) -> Figure:
    """Cross-validated correlation of the model, its base models, a baseline and the control."""
    present = set(scores["model"])
    kinds = [kind for kind in KINDS if kind[0] in present]
    chosen = scores[scores["neuron_id"].astype(str).isin(selected)]
    with style():
        figure = new_figure(max(4.6, 0.6 * len(kinds)), 2.7)
        ax = figure.subplots()
        for position, (model, _, colour) in enumerate(kinds):
            values = chosen.loc[chosen["model"] == model, "cc_norm"].dropna().to_numpy()
            spread = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.zeros(1)
            order = np.argsort(np.argsort(values))
            ax.scatter(position + spread[order], values, s=12, c=colour, alpha=0.8)
            if len(values):
                ax.hlines(values.mean(), position - 0.35, position + 0.35, color="black", lw=1.2)
        ax.axhline(0, color=GREY, lw=0.6)
        ax.set_xticks(range(len(kinds)), [name.replace(" ", "\n", 1) for _, name, _ in kinds])
        ax.set_ylabel("CC_norm on held-out images")
    return figure


def curve_title(curve: pd.DataFrame) -> str:
    """Name of the models of a learning curve (learning_curve.csv).

    Examples
    --------
    >>> curve_title(pd.DataFrame({"model": ["v1_window+core_window"]}))
    'V1, window + core, window'
    """
    titles = {name: title for name, title, _ in KINDS}
    return " + ".join(titles.get(name, name) for name in str(curve["model"].iloc[0]).split("+"))


def learning_curves(curve: pd.DataFrame) -> Figure:
    """Score on held-out images as a function of the number of training images.

    Parameters
    ----------
    curve : DataFrame
        Table learning_curve.csv: neuron_id, model, images, cc_norm.
    """
    table = curve.pivot_table(index="images", columns="neuron_id", values="cc_norm")
    with style():
        figure = new_figure(3.4, 2.7)
        ax = figure.subplots()
        ax.plot(table.index, table.to_numpy(), color=GREY, lw=0.6, alpha=0.5)
        mean = table.mean(axis=1)
        error = table.std(axis=1, ddof=1) / np.sqrt(table.notna().sum(axis=1))
        ax.errorbar(
            table.index, mean, error.fillna(0), color=BLUE, lw=1.6, marker="o", ms=4,
            label=f"{curve_title(curve)}: mean ± s.e.m.",
        )  # fmt: skip
        ax.axhline(1, color=VERMILION, lw=0.6, ls=":")
        ax.set(xlabel="training images", ylabel="CC_norm on held-out images")
        ax.set_xlim(0, None)
        ax.legend(loc="lower right")
    return figure


def neuron_scores(scores: pd.DataFrame, curve: pd.DataFrame) -> Figure:
    """Scores of a neuron's models, baselines and control, and its learning curve.

    Parameters
    ----------
    scores : DataFrame
        scores.csv, with 95 % intervals of cc_norm.
    curve : DataFrame
        The neuron's rows of learning_curve.csv; if empty, only the scores are drawn.
    """
    rows = scores.set_index("model")
    kinds = [kind for kind in KINDS if kind[0] in rows.index]
    with style():
        figure = new_figure(COLUMN, 1.9)
        axes = figure.subplots(1, 2 if len(curve) else 1, squeeze=False)[0]
        for place, (model, _, colour) in enumerate(kinds):
            row = rows.loc[model]
            axes[0].plot(row[["cc_norm_low", "cc_norm_high"]], [place, place], color=colour, lw=1.2)
            axes[0].plot(row["cc_norm"], place, "o", ms=4, color=colour)
        axes[0].axvline(0, color=GREY, lw=0.6)
        axes[0].axvline(1, color=VERMILION, lw=0.6, ls=":")
        axes[0].set_yticks(range(len(kinds)), [name for _, name, _ in kinds])
        axes[0].invert_yaxis()
        axes[0].set(xlabel="CC_norm, held out")
        axes[0].tick_params(axis="y", labelsize=6.5)
        if len(curve):
            _neuron_curve(axes[1], curve)
    return figure


def _neuron_curve(ax: Any, curve: pd.DataFrame) -> None:
    table = curve.sort_values("images")
    ends = table["cc_norm_low"].astype(float), table["cc_norm_high"].astype(float)
    ax.fill_between(table["images"], *ends, color=BLUE, alpha=0.2, lw=0)
    ax.plot(table["images"], table["cc_norm"], "o-", ms=3, lw=1.2, color=BLUE)
    ax.axhline(1, color=VERMILION, lw=0.6, ls=":")
    label = f"CC_norm ({curve_title(curve)})"
    ax.set(xlabel="training images", ylabel=label, xlim=(0, None))

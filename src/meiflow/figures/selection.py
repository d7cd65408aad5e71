"""Figures of the selection stage: the recorded neurons, and which ones carry a signal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from meiflow.figures.style import BLUE, GREY, ORANGE, PAGE, VERMILION, new_figure, style
from meiflow.tables.raster import Raster

_COLUMNS = 1400
_BRIGHTEST_Z = 2.5
# Neurons from one tick label of a correlation map to the next.
_LABEL_EVERY = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10**9)
_MOST_LABELS = 10


def _pooled(counts: NDArray, step: int) -> NDArray[np.float64]:
    """Mean over every `step` neighbouring bins, so that no bin is lost between pixels."""
    starts = np.arange(0, len(counts), step)
    sums = np.add.reduceat(counts.astype(float), starts, axis=0)
    return sums / np.diff(np.append(starts, len(counts)))[:, None]


def _pooled_blocks(raster: Raster, order: NDArray, step: int) -> list[NDArray[np.float64]]:
    """Pool each block and z-score over the whole session, so that a lost unit fades."""
    blocks = [
        _pooled(raster.counts[raster.block == b][:, order], step) for b in np.unique(raster.block)
    ]
    everything = np.concatenate(blocks)
    mean, spread = everything.mean(axis=0), everything.std(axis=0)
    return [(block - mean) / np.where(spread > 0, spread, 1.0) for block in blocks]


def _draw_block(ax: Any, raster: Raster, block: int, z: NDArray) -> Any:
    start = raster.start_s[raster.block == block]
    length = raster.bin_s if np.isfinite(raster.bin_s) else 1.0
    picture = ax.imshow(
        z.T,
        cmap="gray_r",
        vmin=0,
        vmax=_BRIGHTEST_Z,
        aspect="auto",
        interpolation="nearest",
        extent=(start[0], start[-1] + length, z.shape[1] - 0.5, -0.5),
    )
    ax.tick_params(length=2)
    return picture


def _time_label(raster: Raster) -> str:
    return "time (s)" if np.isfinite(raster.bin_s) else "trial, in table order"


def _mark_selected(ax: Any, selected: NDArray[np.bool_], first: float = 0.0) -> None:
    """Mark the rows of selected neurons at the right edge; the first row is at `first`."""
    rows = first + np.flatnonzero(selected)
    ax.plot(
        np.full(len(rows), 1.004), rows, "<", color=VERMILION, ms=2.5, mew=0, clip_on=False,
        transform=ax.get_yaxis_transform(),
    )  # fmt: skip


def _explain_marks(figure: Figure) -> None:
    figure.text(0.995, 0.005, "◂ selected", color=VERMILION, ha="right", va="bottom", fontsize=7)


def rastermap(raster: Raster, table: pd.DataFrame) -> Figure:
    """Activity of all neurons in raster order, with all blocks and gaps on one time axis.

    Parameters
    ----------
    raster : Raster
    table : DataFrame
        neurons.csv: ``raster_place`` and ``selected``, rows in the order of the raster.
    """
    order = np.argsort(table["raster_place"].to_numpy())
    blocks = np.unique(raster.block)
    lengths = [int((raster.block == b).sum()) for b in blocks]
    with style():
        figure = new_figure(PAGE, 3.0)
        axes = figure.subplots(1, len(blocks), squeeze=False, sharey=True, width_ratios=lengths)[0]
        picture: Any = None
        pooled = _pooled_blocks(raster, order, max(1, -(-sum(lengths) // _COLUMNS)))
        for number, (ax, block, z) in enumerate(zip(axes, blocks, pooled, strict=True)):
            picture = _draw_block(ax, raster, block, z)
            if len(blocks) > 1:
                ax.set_title(f"block {number + 1}")
            ax.locator_params(axis="x", nbins=4)
            if number:
                ax.spines["left"].set_visible(False)
                ax.tick_params(left=False)
        axes[0].set_ylabel("neuron, raster order")
        axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        _mark_selected(axes[-1], table["selected"].to_numpy()[order])
        figure.supxlabel(_time_label(raster), fontsize=8)
        figure.colorbar(picture, ax=axes[-1], label="z-scored rate", pad=0.03, shrink=0.8)
        _explain_marks(figure)
    return figure


def rastermap_blocks(raster: Raster, table: pd.DataFrame) -> Figure:
    """Activity of all neurons in raster order, one panel per block."""
    order = np.argsort(table["raster_place"].to_numpy())
    blocks = np.unique(raster.block)
    with style():
        figure = new_figure(PAGE, 0.4 + 2.1 * len(blocks))
        axes = figure.subplots(len(blocks), 1, squeeze=False)[:, 0]
        longest = max(int((raster.block == b).sum()) for b in blocks)
        pooled = _pooled_blocks(raster, order, max(1, -(-longest // _COLUMNS)))
        for number, (ax, block, z) in enumerate(zip(axes, blocks, pooled, strict=True)):
            _draw_block(ax, raster, block, z)
            _mark_selected(ax, table["selected"].to_numpy()[order])
            ax.set(ylabel="neuron, raster order")
            ax.yaxis.set_major_locator(MaxNLocator(integer=True))
            if len(blocks) > 1:
                ax.set_title(f"block {number + 1}")
        axes[-1].set_xlabel(_time_label(raster))
        _explain_marks(figure)
    return figure


def correlation_maps(
    signal: NDArray, noise: NDArray, order: NDArray, selected: NDArray[np.bool_]
) -> Figure:
    """Signal and noise correlation of every pair, ordered by clusters of the signal.

    Parameters
    ----------
    signal, noise : ndarray, shape (neurons, neurons)
    order : ndarray of int
        Clustered order of the neurons whose correlations are defined.
    selected : ndarray of bool, shape (neurons,)
    """
    import seaborn as sns

    every = next(step for step in _LABEL_EVERY if len(order) <= _MOST_LABELS * step)
    with style():
        figure = new_figure(PAGE, 2.9)
        for ax, matrix, name in zip(
            figure.subplots(1, 2), (signal, noise), ("signal", "noise"), strict=True
        ):
            shown = np.array(matrix)[np.ix_(order, order)]
            np.fill_diagonal(shown, np.nan)
            known = np.abs(shown[np.isfinite(shown)])
            reach = max(float(np.quantile(known, 0.99)), 0.05) if len(known) else 1.0
            if len(order):
                sns.heatmap(
                    shown, ax=ax, cmap="RdBu_r", vmin=-reach, vmax=reach, square=True,
                    rasterized=True,  # else every pair is a path in the SVG
                    xticklabels=every, yticklabels=every,
                    cbar_kws={"shrink": 0.75, "extend": "both", "pad": 0.04},
                )  # fmt: skip
            ax.set(title=f"{name} correlation", xlabel="neuron, clustered", ylabel="neuron")
            ax.tick_params(labelrotation=0)
            if len(order):
                _mark_selected(ax, selected[order], 0.5)
        _explain_marks(figure)
    return figure


def measure_scatters(table: pd.DataFrame) -> Figure:
    """Pairwise scatter plots of entropy, variance and oracle of every neuron."""
    import seaborn as sns

    pairs = (("entropy", "variance"), ("entropy", "oracle"), ("variance", "oracle"))
    labels = {
        "entropy": "entropy of counts (bits)",
        "variance": "variance over images (spikes²)",
        "oracle": "oracle correlation",
    }
    kinds = [
        f"{name} ({(table['selected'] == selected).sum()})"
        for selected, name in ((False, "not selected"), (True, "selected"))
    ]
    kind = np.where(table["selected"], kinds[1], kinds[0])
    odd = table[table["is_anomaly"]]
    with style():
        figure = new_figure(PAGE, 2.6)
        axes = figure.subplots(1, 3)
        for ax, (x, y) in zip(axes, pairs, strict=True):
            sns.scatterplot(
                table,
                x=x,
                y=y,
                hue=kind,
                hue_order=kinds,
                palette=["white", BLUE],
                s=16,
                edgecolor="0.3",
                linewidth=0.6,
                ax=ax,
            )
            sns.scatterplot(
                odd, x=x, y=y, marker="x", color=ORANGE, s=34, linewidth=1, ax=ax,
                label=f"anomaly ({len(odd)})",
            )  # fmt: skip
            positive = (table["variance"] > 0) & table[[x, y]].notna().all(axis=1)
            for axis, measure in (("x", x), ("y", y)):
                if measure == "variance" and positive.any():
                    getattr(ax, f"set_{axis}scale")("log")
            ax.set(xlabel=labels[x], ylabel=labels[y])
            if legend := ax.get_legend():  # one for all, above them
                legend.remove()
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


def oracle_ranked(table: pd.DataFrame) -> Figure:
    """Oracle correlation of every neuron with its interval, ranked, above its null."""
    known = table[table["oracle"].notna()].sort_values("oracle", ascending=False)
    place = np.arange(1, len(known) + 1)
    with style():
        figure = new_figure(PAGE, 2.8)
        ax = figure.subplots()
        ax.fill_between(
            place, 0, known["oracle_null_95"], step="mid", color=GREY, alpha=0.35, lw=0,
            label="permuted across images, up to the 95th percentile",
        )  # fmt: skip
        for selected, colour in ((False, GREY), (True, BLUE)):
            part = (known["selected"] == selected).to_numpy()
            rows = known[part]
            ax.vlines(place[part], rows["oracle_low"], rows["oracle_high"], color=colour, lw=0.8)
            ax.plot(
                place[part],
                rows["oracle"],
                "o",
                ms=3,
                color=colour,
                mfc=colour if selected else "white",
                label=f"{'' if selected else 'not '}selected ({len(rows)}), 95 % interval",
            )
        ax.axhline(0, color=GREY, lw=0.6)
        ax.set(xlabel="neuron, ranked", ylabel="oracle correlation", xlim=(0, len(known) + 1))
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend(loc="upper right")
    return figure


def probe_places(table: pd.DataFrame, units: pd.DataFrame) -> Figure:
    """Positions of the neurons on the probes, selected ones filled, by probe and area.

    Parameters
    ----------
    table : DataFrame
        neurons.csv.
    units : DataFrame
        units.csv: area, probe, probe_vertical_position_um.
    """
    both = table.merge(units, on="neuron_id", validate="1:1")
    columns = list(both.groupby(["probe", "area"], sort=True))
    rng = np.random.default_rng(0)
    with style():
        figure = new_figure(min(PAGE, 1.6 + 0.75 * len(columns)), 3.0)
        ax = figure.subplots()
        for position, (_, here) in enumerate(columns):
            spread = position + rng.uniform(-0.25, 0.25, len(here))
            chosen = here["selected"].to_numpy()
            height = here["probe_vertical_position_um"].to_numpy()
            for selected, colour in ((False, GREY), (True, BLUE)):
                part = chosen == selected
                ax.scatter(
                    spread[part],
                    height[part],
                    s=14,
                    facecolors=colour if selected else "none",
                    edgecolors=colour,
                    linewidths=0.8,
                    label=("selected" if selected else "not selected") if not position else None,
                )
        names = [f"{p}\n{a}\n{int(h['selected'].sum())}/{len(h)}" for (p, a), h in columns]
        ax.set_xticks(range(len(columns)), names)
        ax.set(ylabel="distance from the probe tip (µm)", xlim=(-0.6, len(columns) - 0.4))
        figure.legend(*ax.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure

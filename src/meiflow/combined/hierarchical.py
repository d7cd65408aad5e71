"""MEI properties by area and class, with a bootstrap over sessions and the neurons in them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.combined.estimates import FEWEST
from meiflow.selection.corrected import holm

PROPERTIES = {
    "mei_size_deg": "MEI size (deg)",
    "mei_peak_frequency_cpd": "MEI frequency (cycles/deg)",
    "osi": "orientation selectivity",
    "mei_over_best_gabor": "MEI / best Gabor",
    "mei_symmetry_1": "symmetry 1",
    "invariance_deg": "invariance (deg)",
}
GROUPINGS = {
    "area": "area",
    "layer": "layer",
    "spiking": "spiking",
    "optotagged": "optotagged",
    "cell_type": "cell type of the model",
}
_RESAMPLES = 4000
_DRAWS = 400  # resamples of the neurons of each session, from which those of sessions are taken


def compare_groups(neurons: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Estimate MEI properties by area and class, and the differences between groups.

    Neurons are nested in sessions (in the Allen Brain Observatory, one session is one mouse), so
    both are resampled: whole sessions with replacement, then neurons within every session drawn
    (hierarchical bootstrap; Saravanan et al. 2020). The statistic is the mean over sessions of the
    median over neurons. The sessions of a resample are the same for all groups, so that groups
    recorded in the same animals are compared within animals.

    Parameters
    ----------
    neurons : DataFrame
        session_id, and those columns of `PROPERTIES` and `GROUPINGS` that are known. Neurons whose
        model is not better than chance (``model_above_chance``) are excluded.
    seed : int

    Returns
    -------
    groups : DataFrame
        measure, grouping, group, sessions, neurons, mean, low, high.
    differences : DataFrame
        measure, grouping, group, other, sessions (of both groups), shared_sessions, difference,
        low, high, p, p_holm. ``p`` is two-sided, from the fraction of resamples on either side of
        zero; ``p_holm`` is corrected for all pairs of groups of the grouping and measure (Holm
        1979).

    Intervals and p are NaN where a group has fewer than `FEWEST` sessions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> table = pd.DataFrame({"session_id": np.repeat(np.arange(12), 20), "spiking": "fast"})
    >>> table.loc[::2, "spiking"] = "regular"
    >>> mouse = np.repeat(rng.normal(0, 3, 12), 20)
    >>> table["mei_size_deg"] = 20 + mouse + 4 * (table["spiking"] == "fast") + rng.normal(size=240)
    >>> groups, differences = compare_groups(table, seed=0)
    >>> groups[["group", "sessions", "neurons"]].to_numpy().tolist()
    [['fast', 12, 120], ['regular', 12, 120]]
    >>> row = differences.iloc[0]
    >>> bool(3 < row["low"] < 4 < row["high"] < 5), bool(row["p"] < 0.01)
    (True, True)
    """
    kept = neurons
    if "model_above_chance" in kept:
        kept = kept[~kept["model_above_chance"].isin([False])]
    groups: list[dict[str, object]] = []
    differences: list[dict[str, object]] = []
    for measure in (name for name in PROPERTIES if name in kept):
        for grouping in (name for name in GROUPINGS if name in kept):
            own = kept[["session_id", grouping, measure]].dropna()
            own = own[np.isfinite(own[measure].astype(float))]
            if own[grouping].nunique() > 1:
                _compare(own, measure, grouping, seed, groups, differences)
    keys = ["measure", "grouping", "group"]
    return (
        pd.DataFrame(groups, columns=[*keys, "sessions", "neurons", "mean", "low", "high"]),
        pd.DataFrame(
            differences,
            columns=[
                *(*keys, "other", "sessions", "shared_sessions"),
                *("difference", "low", "high", "p", "p_holm"),
            ],
        ),
    )


def _compare(
    table: pd.DataFrame,
    measure: str,
    grouping: str,
    seed: int,
    groups: list[dict[str, object]],
    differences: list[dict[str, object]],
) -> None:
    """Append the rows of one measure and grouping."""
    rng = np.random.default_rng(seed)
    sessions = sorted(table["session_id"].unique())
    names = [str(name) for name in sorted(table[grouping].unique())]
    medians = np.full((len(names), len(sessions)), np.nan)
    counts = np.zeros(len(names), int)
    draws = np.full((len(names), len(sessions), _DRAWS), np.nan)
    for (name, session), values in table.groupby([grouping, "session_id"])[measure]:
        own = values.to_numpy(float)
        at = names.index(str(name)), sessions.index(session)
        medians[at], draws[at] = np.median(own), _medians(own, rng)
        counts[at[0]] += len(own)
    chosen = rng.integers(len(sessions), size=(_RESAMPLES, len(sessions)))
    resampled = np.stack([_means(own, chosen, rng) for own in draws])
    present = ~np.isnan(medians)
    whole = np.nanmean(medians, axis=1)
    given = {"measure": measure, "grouping": grouping}
    for i, name in enumerate(names):
        low, high = _interval(resampled[i], present[i].sum())
        groups.append(
            given
            | {"group": name, "sessions": int(present[i].sum()), "neurons": int(counts[i])}
            | {"mean": whole[i], "low": low, "high": high}
        )
    rows = []
    for i, j in combinations(range(len(names)), 2):
        fewest = min(present[i].sum(), present[j].sum())
        difference = resampled[i] - resampled[j]
        low, high = _interval(difference, fewest)
        rows.append(
            given
            | {"group": names[i], "other": names[j]}
            | {"sessions": int((present[i] | present[j]).sum())}
            | {"shared_sessions": int((present[i] & present[j]).sum())}
            | {"difference": whole[i] - whole[j], "low": low, "high": high}
            | {"p": _two_sided(difference) if fewest >= FEWEST else np.nan}
        )
    corrected = holm([row["p"] for row in rows])
    differences += [row | {"p_holm": p} for row, p in zip(rows, corrected, strict=True)]


def _medians(values: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Medians over resampled neurons of a session."""
    drawn = rng.integers(len(values), size=(_DRAWS, len(values)))
    return np.asarray(np.median(values[drawn], axis=1))


def _means(draws: NDArray, chosen: NDArray, rng: np.random.Generator) -> NDArray[np.float64]:
    """Mean over the chosen sessions that have the group, each with another draw of its neurons."""
    values = draws[chosen, rng.integers(draws.shape[1], size=chosen.shape)]
    known = ~np.isnan(values)
    total, found = np.where(known, values, 0).sum(1), known.sum(1)
    return np.where(found > 0, total / np.maximum(found, 1), np.nan)


def _interval(resampled: NDArray, sessions: int) -> tuple[float, float]:
    if sessions < FEWEST:
        return np.nan, np.nan
    low, high = np.nanquantile(resampled, (0.025, 0.975))
    return float(low), float(high)


def _two_sided(difference: NDArray) -> float:
    """Twice the smaller fraction of resamples at or beyond zero, never zero itself."""
    known = difference[~np.isnan(difference)]
    below, above = (known <= 0).sum(), (known >= 0).sum()
    return float(min(1.0, 2 * (min(below, above) + 1) / (len(known) + 1)))

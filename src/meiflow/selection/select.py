"""The selection stage: one row of measures per neuron, and the rule that picks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Config
from meiflow.errors import MeiflowError, closest
from meiflow.io.files import read_csv, write_arrays, write_csv
from meiflow.io.paths import stays_inside
from meiflow.progress import say
from meiflow.selection.activity import (
    anomalies,
    correlated_partners,
    correlations,
    mean_with_others,
    residuals,
    response_entropy,
)
from meiflow.selection.notebook import notebook_measures, notebook_raster_place
from meiflow.selection.raster import raster_order
from meiflow.selection.reliability import (
    Groups,
    oracle_correlation,
    oracle_interval,
    oracle_null,
    signal_power,
)
from meiflow.selection.rule import apply_rule, require_somebody
from meiflow.selection.stability import block_stability, running_modulation
from meiflow.selection.tuning import (
    image_selectivity,
    lifetime_sparseness,
    preferred_fano_factor,
    preferred_image,
)
from meiflow.tables.counts import Trials, mean_responses
from meiflow.tables.load import load_trials, window_length
from meiflow.tables.raster import read_raster


def measure_neurons(
    trials: Trials, window_length_s: float, shuffles: int, seed: int
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float64]]]:
    """What the counts say of every neuron, and of every pair.

    Parameters
    ----------
    trials : Trials
        Without blank trials.
    window_length_s : float
        Length of the counting window, for rates.
    shuffles, seed : int
        Of the shuffled null and the bootstrap of the oracle correlation.

    Returns
    -------
    table : DataFrame
        One row per neuron.
    pairs : dict of str to ndarray, shape (neurons, neurons)
        ``signal`` and ``noise`` correlations.
    """
    groups = Groups.of(trials.image_ids)
    counts = trials.counts
    image_ids, means = mean_responses(trials)
    oracle = oracle_correlation(counts, groups)
    p, null_high = oracle_null(counts, groups, shuffles, np.random.default_rng([seed, 1]))
    low, high = oracle_interval(counts, groups, shuffles, np.random.default_rng([seed, 2]))
    power = signal_power(counts, groups)
    entropy = response_entropy(counts)
    variance = means.var(axis=0)
    rate = counts.mean(axis=0) / window_length_s
    score, is_anomaly = anomalies(
        np.column_stack([oracle, entropy, variance, rate, power.fev]), seed
    )
    pairs = {
        "signal": correlations(means),
        "noise": correlations(residuals(counts, groups)),
    }
    partners = correlated_partners(pairs["signal"])
    preferred = preferred_image(image_ids, means)

    def name(index: int) -> str:
        return trials.neuron_ids[index] if index >= 0 else ""

    table = pd.DataFrame(
        {
            "neuron_id": trials.neuron_ids,
            "oracle": oracle,
            "oracle_p": p,
            "cc_max": power.cc_max,
            "fev": power.fev,
            "entropy": entropy,
            "variance": variance,
            "anomaly_score": score,
            "is_anomaly": is_anomaly,
            "most_correlated": [name(i) for i in partners.most],
            "highest_correlation": partners.highest,
            "least_correlated": [name(i) for i in partners.least],
            "lowest_correlation": partners.lowest,
            "mean_rate_hz": rate,
            "oracle_low": low,
            "oracle_high": high,
            "oracle_null_95": null_high,
            "signal_power": power.signal,
            "noise_variance": power.noise_variance,
            "noise_correlation": mean_with_others(pairs["noise"]),
            "preferred_image": pd.array(preferred, dtype="Int64"),
            "image_selectivity": image_selectivity(means),
            "lifetime_sparseness": lifetime_sparseness(means),
            "fano_factor": preferred_fano_factor(counts, trials.image_ids, preferred),
        }
    )
    table.loc[variance == 0, "preferred_image"] = pd.NA
    return table, pairs


def measure_session(trials: Trials, presentations: pd.DataFrame | None) -> pd.DataFrame:
    """Stability over blocks and running modulation, one row per neuron.

    Parameters
    ----------
    trials : Trials
        Without blank trials.
    presentations : DataFrame or None
        The table presentations.csv; without it nothing is known of blocks or running.
    """
    n_trials = len(trials.trial_ids)
    blocks, speed = np.zeros(n_trials), np.full(n_trials, np.nan)
    order = np.arange(n_trials)
    if presentations is not None:
        shown = presentations.set_index(presentations["trial_id"].astype(str))
        names = [str(i) for i in trials.trial_ids]
        if shown.index.has_duplicates or not set(names) <= set(shown.index):
            raise MeiflowError(
                "presentations.csv: does not have every trial of trials.csv once; make the tables "
                "again"
            )
        shown = shown.loc[names]
        order = np.argsort(shown["start_s"].to_numpy(float), kind="stable")
        blocks = shown["block"].to_numpy()
        if "running_speed_cm_s" in shown:
            speed = shown["running_speed_cm_s"].to_numpy(float)
    groups = Groups.of(trials.image_ids[order])
    stability = block_stability(trials.counts[order], groups, blocks[order])
    modulation, p = running_modulation(trials.counts, speed)
    # the order of a user's table need not be that of time
    drift = stability.drift if presentations is not None else np.full_like(stability.drift, np.nan)
    return pd.DataFrame(
        {
            "lowest_block_share": stability.lowest_share,
            "drift": drift,
            "is_stable": stability.is_stable,
            "running_modulation": modulation,
            "running_p": p,
        }
    )


def select_neurons(
    config: Config, tables: Path, presentations: Path | None, output: Path, nobody: bool = False
) -> None:
    """Write neurons.csv and correlations.npz.

    Parameters
    ----------
    config : Config
        Uses ``session.window_s``, ``selection`` and ``seed``.
    tables : path
        Folder of tables.
    presentations : path or None
        presentations.csv, where the session has one.
    output : path
        Folder that receives both files.
    nobody : bool
        Whether it may be that no neuron is left: one of many sessions stops no other.
    """
    trials = load_trials(tables)
    shown = None
    if presentations is not None:
        shown = read_csv(presentations, ("trial_id", "block", "start_s"))
    images = trials.of_images()
    table, pairs = measure_neurons(
        images,
        window_length(config.session.window_s, tables),
        config.selection.shuffles,
        config.seed,
    )
    table = pd.concat([table, measure_session(images, shown)], axis=1)
    raster = read_raster(tables / "raster.npz")
    place = np.empty(len(table), dtype=np.int64)
    place[raster_order(raster.counts, config.selection.raster, config.seed)] = np.arange(len(table))
    table["raster_place"] = place
    if config.selection.notebook_measures:
        table = pd.concat([table, notebook_measures(trials, config.seed)], axis=1)
        table["notebook_raster_place"] = notebook_raster_place(raster)
    table = apply_rule(table, config.selection)
    if not nobody:
        require_somebody(table)
    write_arrays(pairs | {"neuron_ids": np.array(trials.neuron_ids)}, output / "correlations.npz")
    write_csv(table, output / "neurons.csv")
    say(f"selection: {int(table['selected'].sum())} of {len(table)} neurons")


def selected_neurons(path: str | Path) -> list[str]:
    """Ids of the selected neurons in a neurons.csv, of the selection or of the models."""
    table = read_csv(path, ("neuron_id", "selected"))
    if not pd.api.types.is_bool_dtype(table["selected"]):
        raise MeiflowError(
            f"{path}: column selected must hold True or False in every row; delete the file and "
            "run again"
        )
    names = [str(i) for i in table.loc[table["selected"], "neuron_id"]]
    for name in names:
        if not stays_inside(name):  # they become folders
            raise MeiflowError(f"{path}: neuron_id {name[:80]!r} leads out of its folder")
    return names


def failed_fits(path: str | Path) -> dict[str, str]:
    """The selected neurons in models/neurons.csv that have no model, and why."""
    table = read_csv(path, ("neuron_id", "status", "reason"))
    failed = table[table["status"] == "fit failed"]
    return dict(zip(failed["neuron_id"].astype(str), failed["reason"].astype(str), strict=True))


def require_selected(path: str | Path, neuron: str) -> None:
    """Make sure that `neuron` may be modelled, by the table of the selection or of the models.

    Raises
    ------
    MeiflowError
        If the session has no such neuron, the rule left it out (and why), or its fit failed.
    """
    table = read_csv(path, ("neuron_id", "selected", "reason"))
    ids = table["neuron_id"].astype(str)
    if neuron not in set(ids):
        raise MeiflowError(
            f"neuron {neuron!r} is not in this session{closest(neuron, ids)}; "
            f"{path} lists those that are"
        )
    row = table[ids == neuron].iloc[0]
    if row.get("status") == "fit failed":
        raise MeiflowError(f"neuron {neuron} has no model: {row['reason']}")
    if not row["selected"]:
        raise MeiflowError(
            f"neuron {neuron} is not selected ({row['reason']}); to model it all the same, "
            f'add "{neuron}" to selection.include'
        )

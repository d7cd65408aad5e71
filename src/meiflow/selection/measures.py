"""Measures of every neuron, on which the selection is based."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.selection.activity import (
    anomalies,
    correlated_partners,
    mean_with_others,
    pairwise_correlations,
    residuals,
    response_entropy,
)
from meiflow.selection.reliability import (
    TrialGroups,
    oracle_correlation,
    oracle_interval,
    oracle_null,
)
from meiflow.selection.signal_power import clipped, signal_power
from meiflow.selection.stability import block_stability, running_modulation
from meiflow.selection.tuning import (
    image_selectivity,
    lifetime_sparseness,
    preferred_fano_factor,
    preferred_image,
)
from meiflow.tables.counts import Trials, mean_responses


def measure_neurons(
    trials: Trials, window_length_s: float, shuffles: int, seed: int
) -> tuple[pd.DataFrame, dict[str, NDArray[np.float64]]]:
    """Measures of every neuron and every pair, computed from the counts.

    Parameters
    ----------
    trials : Trials
        Trials without blanks.
    window_length_s : float
        Length of the counting window, used for rates; not used for real-valued responses.
    shuffles, seed : int
        Number of permutations and resamples for the oracle correlation, and their seed.

    Returns
    -------
    table : DataFrame
        One row per neuron; for real-valued responses, with ``mean_response`` in place of
        ``mean_rate_hz``, and without a Fano factor.
    pairs : dict of str to ndarray, shape (neurons, neurons)
        ``signal`` and ``noise`` correlations.
    """
    groups = TrialGroups.of(trials.image_ids)
    counts, real = trials.counts, trials.response.real
    if real:  # rounding must not depend on the offset, as of F / F0
        counts = counts - counts.mean(axis=0)
    if trials.response.average == "median":
        counts = clipped(counts, groups)
    image_ids, means = mean_responses(trials)
    oracle = oracle_correlation(counts, groups)
    p, null_high = oracle_null(counts, groups, shuffles, np.random.default_rng([seed, 1]))
    low, high = oracle_interval(counts, groups, shuffles, np.random.default_rng([seed, 2]))
    power = signal_power(trials.counts, groups, trials.response)
    entropy = response_entropy(counts)
    variance = means.var(axis=0)
    rate = trials.counts.mean(axis=0) / (1 if real else window_length_s)
    score, is_anomaly = anomalies(
        np.column_stack([oracle, entropy, variance, rate, power.fev]), seed
    )
    pairs = {
        "signal": pairwise_correlations(means),
        "noise": pairwise_correlations(residuals(counts, groups)),
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
            ("mean_response" if real else "mean_rate_hz"): rate,
            "oracle_low": low,
            "oracle_high": high,
            "oracle_null_95": null_high,
            "signal_power": power.signal,
            "noise_variance": power.noise_variance,
            "noise_correlation": mean_with_others(pairs["noise"]),
            "preferred_image": pd.array(preferred, dtype="Int64"),
            "image_selectivity": image_selectivity(means),
            "lifetime_sparseness": lifetime_sparseness(means),
        }
    )
    if not real:
        table["fano_factor"] = preferred_fano_factor(counts, trials.image_ids, preferred)
    table.loc[variance == 0, "preferred_image"] = pd.NA
    return table, pairs


def measure_session(trials: Trials, presentations: pd.DataFrame | None) -> pd.DataFrame:
    """Stability over blocks and running modulation, one row per neuron.

    Parameters
    ----------
    trials : Trials
        Trials without blanks.
    presentations : DataFrame or None
        The table presentations.csv; without it, blocks and running are unknown.
    """
    n_trials = len(trials.trial_ids)
    blocks, speed = np.zeros(n_trials), np.full(n_trials, np.nan)
    order = np.arange(n_trials)
    if presentations is not None:
        shown = presentations.set_index(presentations["trial_id"].astype(str))
        names = [str(i) for i in trials.trial_ids]
        if shown.index.has_duplicates or not set(names) <= set(shown.index):
            raise MeiflowError(
                "presentations.csv: must contain every trial of trials.csv exactly once; rebuild "
                "the tables"
            )
        shown = shown.loc[names]
        order = np.argsort(shown["start_s"].to_numpy(float), kind="stable")
        blocks = shown["block"].to_numpy()
        if "running_speed_cm_s" in shown:
            speed = shown["running_speed_cm_s"].to_numpy(float)
    groups = TrialGroups.of(trials.image_ids[order])
    real = trials.response.real
    stability = block_stability(trials.counts[order], groups, blocks[order], real)
    modulation, p = running_modulation(trials.counts, speed)
    # a user's table need not be in temporal order
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

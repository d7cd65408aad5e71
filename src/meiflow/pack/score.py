"""Scores of predictions against the responses to a stimulus pack: the closed loop in the animal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.models.scores import score_prediction
from meiflow.pack.stimuli import BLANK, OTHER, SCRAMBLED
from meiflow.response_type import COUNTS, ResponseType
from meiflow.selection.corrected import holm
from meiflow.selection.reliability import TrialGroups
from meiflow.selection.signal_power import signal_power

MEI = "mei"
CONTROLS = (OTHER, SCRAMBLED, BLANK)
SIGNIFICANT = 0.05
_BOOTSTRAPS, _PERMUTATIONS = 2000, 9999
_ENDS = (0.025, 0.975)
_FEWEST_POOLED = 3


@dataclass(frozen=True)
class PackResponses:
    """Responses to the stimuli of a pack.

    Parameters
    ----------
    stimulus_ids : ndarray of int, shape (trials,)
        Row of the stimulus in the table of stimuli.
    responses : ndarray, shape (trials, neurons)
        Spike counts, or real numbers.
    neurons : list of str
        Ids in the pack, in the order of the columns.
    """

    stimulus_ids: NDArray[np.int64]
    responses: NDArray[np.float64]
    neurons: list[str]


def score_pack(
    shown: PackResponses,
    stimuli: pd.DataFrame,
    predicted: pd.DataFrame,
    reference: float,
    seed: int,
    response: ResponseType = COUNTS,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare the responses to every neuron's stimuli with the predictions.

    Parameters
    ----------
    shown : PackResponses
        At least two trials of every stimulus.
    stimuli : DataFrame
        stimulus_id, stimulus, neuron_id (empty for the blank), contrast; ids are 0, 1, ...
    predicted : DataFrame
        A column per neuron, a row per stimulus.
    reference : float
        Contrast at which MEIs are judged.
    seed : int
        Of the bootstrap and the permutations.
    response : ResponseType

    Returns
    -------
    comparisons : DataFrame
        One row per neuron, contrast and stimulus other than the MEI; see `docs/next_experiment.md`.
    neurons : DataFrame
        One row per neuron.

    Notes
    -----
    *Intervals* (95 %) are percentiles of 2,000 bootstrap samples of the trials of each stimulus,
    widened by sqrt(n / (n - 1)) because means of n trials vary less in the bootstrap.
    *p* is one-sided, of the difference in means when 9,999 times the trials of the two stimuli are
    permuted; *p_holm* is corrected over neurons, by contrast and stimulus (Holm 1979).

    Examples
    --------
    >>> stimuli = pd.DataFrame({"stimulus": ["mei", "best_gabor", "blank"]})
    >>> stimuli = stimuli.assign(stimulus_id=range(3), neuron_id=["a", "a", ""])
    >>> stimuli["contrast"] = [0.05, 0.05, 0.0]
    >>> ids = np.repeat([0, 1, 2], 20)
    >>> counts = np.random.default_rng(0).poisson(np.array([9.0, 5.0, 1.0])[ids])
    >>> shown = PackResponses(ids, counts[:, None].astype(float), ["a"])
    >>> table, neurons = score_pack(shown, stimuli, pd.DataFrame({"a": [8.0, 4.0, 1.0]}), 0.05, 0)
    >>> table[["stimulus", "mei_wins"]].to_numpy().tolist(), neurons["beats_all"].tolist()
    ([['best_gabor', True], ['blank', True]], [True])
    >>> bool(table["fraction_low"][0] < 0.5 < table["fraction_high"][0])
    True
    """
    groups = TrialGroups.of(shown.stimulus_ids)
    power = signal_power(shown.responses, groups, response)
    comparisons, rows = [], []
    for column, neuron in enumerate(shown.neurons):
        rng = np.random.default_rng([seed, column])
        trials = [shown.responses[groups.codes == i, column] for i in range(len(stimuli))]
        own = stimuli[(stimuli["neuron_id"] == neuron) | (stimuli["stimulus"] == BLANK)]
        means = {int(i): _Means.of(trials[i], rng) for i in own["stimulus_id"]}
        expected = predicted[neuron].to_numpy(float)
        found = pd.DataFrame(_compare(own, trials, means, expected, rng))
        found.insert(0, "neuron_id", neuron)
        comparisons.append(found)
        measured = groups.means(shown.responses[:, [column]])[:, 0]
        score = score_prediction(expected, measured, power.of(column))
        rows.append(
            {"neuron_id": neuron}
            | _of_mei(own, means, expected, reference)
            | {
                "cc_abs": score.cc_abs,
                "cc_max": score.cc_max,
                "cc_norm": score.cc_norm,
                "rank_correlation": _rank_correlation(
                    expected[own["stimulus_id"]], measured[own["stimulus_id"]]
                ),
                "stimuli": len(stimuli),
                "trials": len(shown.stimulus_ids),
            }
        )
    table = pd.concat(comparisons, ignore_index=True)
    table["p_holm"] = table.groupby(["contrast", "stimulus"])["p"].transform(holm)
    table["mei_wins"] = table["p_holm"] < SIGNIFICANT
    judged = table[np.isclose(table["contrast"], reference)]
    by_neuron = judged.groupby("neuron_id")["mei_wins"]
    controls = judged[judged["stimulus"].isin(CONTROLS)].groupby("neuron_id")["mei_wins"]
    neurons = pd.DataFrame(rows)
    neurons["beats_controls"] = neurons["neuron_id"].map(controls.all())
    neurons["beats_all"] = neurons["neuron_id"].map(by_neuron.all())
    return table, neurons


@dataclass(frozen=True)
class _Means:
    """The mean response to a stimulus, and the means of bootstrap samples."""

    mean: float
    drawn: NDArray[np.float64]

    @classmethod
    def of(cls, trials: NDArray, rng: np.random.Generator) -> _Means:
        n, mean = len(trials), float(trials.mean())
        drawn = trials[rng.integers(n, size=(_BOOTSTRAPS, n))].mean(1)
        return cls(mean, mean + (drawn - mean) * np.sqrt(n / (n - 1)))

    def __sub__(self, other: _Means) -> _Means:
        return _Means(self.mean - other.mean, self.drawn - other.drawn)


def _compare(
    own: pd.DataFrame,
    trials: list[NDArray],
    means: dict[int, _Means],
    expected: NDArray,
    rng: np.random.Generator,
) -> list[dict[str, object]]:
    """The MEI of a neuron beside its other stimuli, at every contrast."""
    blank_id = _only(own, BLANK)
    blank = means[blank_id]
    rows = []
    for contrast in sorted(own.loc[own["stimulus"] == MEI, "contrast"]):
        here = own[np.isclose(own["contrast"], contrast)]
        mei_id = _only(here, MEI)
        mei = means[mei_id]
        others = here[here["stimulus"] != MEI]
        pairs = zip(others["stimulus"], others["stimulus_id"], strict=True)
        for name, other_id in (*pairs, (BLANK, blank_id)):
            other, grey = means[int(other_id)], expected[blank_id]
            drive = expected[mei_id] - grey
            row = {
                "contrast": contrast,
                "stimulus": name,
                "mei_response": mei.mean,
                "response": other.mean,
                "blank_response": blank.mean,
                "trials": len(trials[int(other_id)]),
                "predicted_mei": expected[mei_id],
                "predicted": expected[other_id],
                "predicted_fraction": (expected[other_id] - grey) / drive if drive > 0 else np.nan,
            }
            if name != BLANK:
                row |= _with_ends("fraction", ratio_interval(other - blank, mei - blank))
            row |= _with_ends("ratio", ratio_interval(mei, other))
            row["p"] = permutation_p(trials[mei_id], trials[int(other_id)], rng)
            rows.append(row)
    return rows


def _of_mei(
    own: pd.DataFrame, means: dict[int, _Means], expected: NDArray, reference: float
) -> dict[str, float]:
    """Measured and predicted response to the MEI, both above blank, and their ratio."""
    here = own[np.isclose(own["contrast"], reference)]
    mei, blank = _only(here, MEI), _only(own, BLANK)
    drive, promised = means[mei] - means[blank], float(expected[mei] - expected[blank])
    one = _Means(promised, np.full(_BOOTSTRAPS, promised))
    return {
        "predicted_drive": promised,
        "mei_drive": drive.mean,
        **_with_ends("fraction_of_predicted", ratio_interval(drive, one)),
    }


def _only(table: pd.DataFrame, stimulus: str) -> int:
    return int(table.loc[table["stimulus"] == stimulus, "stimulus_id"].iloc[0])


def _with_ends(name: str, values: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def ratio_interval(above: _Means, below: _Means) -> tuple[float, float, float]:
    """A ratio of means and its bootstrap interval.

    Returns
    -------
    ratio, low, high : float
        NaN where more than 2.5 % of the samples of the denominator are not positive.
    """
    if not below.mean > 0 or np.mean(below.drawn <= 0) > _ENDS[0]:
        return (np.nan,) * 3
    kept = below.drawn > 0
    low, high = np.quantile(above.drawn[kept] / below.drawn[kept], _ENDS)
    return above.mean / below.mean, float(low), float(high)


def permutation_p(first: NDArray, second: NDArray, rng: np.random.Generator) -> float:
    """One-sided p value of the mean of `first` being higher than that of `second`.

    Parameters
    ----------
    first, second : ndarray, shape (trials,)
    rng : numpy.random.Generator

    Returns
    -------
    float
        In (0, 1]: at least 1 / 10,000.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> permutation_p(rng.poisson(9, 20), rng.poisson(3, 20), rng) < 0.001
    True
    >>> permutation_p(np.ones(20), np.ones(20), rng)
    1.0
    """
    pooled = np.concatenate([first, second]).astype(float)
    drawn = rng.permuted(np.tile(pooled, (_PERMUTATIONS, 1)), axis=1)[:, : len(first)].mean(1)
    reached = drawn >= np.mean(first) - 1e-9 * max(1.0, float(np.abs(pooled).max()))
    return float((1 + reached.sum()) / (1 + _PERMUTATIONS))


def _rank_correlation(a: NDArray, b: NDArray) -> float:
    return float(pd.Series(a).rank().corr(pd.Series(b).rank()))


def pooled_fractions(
    comparisons: pd.DataFrame, neurons: pd.DataFrame, reference: float, seed: int
) -> pd.DataFrame:
    """Mean over neurons of the drive of each stimulus relative to that of the MEI.

    Parameters
    ----------
    comparisons, neurons : DataFrame
        Output of `score_pack`; `neurons` with a column trusted.
    reference : float
        Contrast.
    seed : int
        Of the bootstrap.

    Returns
    -------
    DataFrame
        One row per group (trusted, all) and stimulus: number of neurons, in how many the MEI wins,
        mean predicted fraction, and mean measured fraction with its 95 % interval over neurons
        (bootstrap; NaN with fewer than three).

    Examples
    --------
    >>> ids, wins = ["a", "b", "c"], [True, True, False]
    >>> table = pd.DataFrame({"neuron_id": ids, "mei_wins": wins, "fraction": [0.5, 0.6, 1.0]})
    >>> table = table.assign(contrast=0.05, stimulus="best_gabor", predicted_fraction=0.7)
    >>> neurons = pd.DataFrame({"neuron_id": ids, "trusted": [True, True, False]})
    >>> found = pooled_fractions(table, neurons, reference=0.05, seed=0)
    >>> found[["neurons_are", "neurons", "mei_wins", "fraction"]].round(2).to_numpy().tolist()
    [['trusted', 2, 2, 0.55], ['all', 3, 2, 0.7]]
    """
    rng = np.random.default_rng([seed, len(neurons)])
    trusted = set(neurons.loc[neurons["trusted"].astype(bool), "neuron_id"])
    here = comparisons[np.isclose(comparisons["contrast"], reference)]
    rows = []
    for group, table in (("trusted", here[here["neuron_id"].isin(trusted)]), ("all", here)):
        for stimulus, own in table.groupby("stimulus", sort=False):
            found = own["fraction"].dropna().to_numpy(float)
            ends = (np.nan, np.nan)
            if len(found) >= _FEWEST_POOLED:
                ends = tuple(np.quantile(_Means.of(found, rng).drawn, _ENDS))
            mean = float(found.mean()) if len(found) else np.nan
            rows.append(
                {
                    "neurons_are": group,
                    "stimulus": stimulus,
                    "neurons": len(own),
                    "mei_wins": int(own["mei_wins"].sum()),
                    "predicted_fraction": float(own["predicted_fraction"].mean()),
                    **_with_ends("fraction", (mean, *ends)),
                }
            )
    return pd.DataFrame(rows)


def summarise(neurons: pd.DataFrame) -> dict[str, float | int]:
    """How many trusted and untrusted MEIs drove their neuron more than all controls.

    Parameters
    ----------
    neurons : DataFrame
        Output of `score_pack`, with a column trusted.

    Returns
    -------
    dict
        By group (trusted, untrusted): number of neurons, of MEIs that beat all controls, fraction
        with its exact 95 % interval (Clopper & Pearson 1934), and medians over neurons.

    Examples
    --------
    >>> table = pd.DataFrame({"trusted": [True] * 4, "beats_controls": [True, True, True, False]})
    >>> table = table.assign(cc_abs=0.8, cc_norm=0.9, fraction_of_predicted=1.1)
    >>> found = summarise(table)
    >>> found["trusted_neurons"], found["trusted_beat_controls"], round(found["trusted_low"], 2)
    (4, 3, 0.19)
    """
    from scipy.stats import binomtest

    found: dict[str, float | int] = {}
    trusted = neurons["trusted"].astype(bool)
    for name, group in (("trusted", neurons[trusted]), ("untrusted", neurons[~trusted])):
        hits, n = int(group["beats_controls"].sum()), len(group)
        found |= {f"{name}_neurons": n, f"{name}_beat_controls": hits}
        if n:
            ends = binomtest(hits, n).proportion_ci(0.95, method="exact")
            found |= {
                f"{name}_fraction": hits / n,
                f"{name}_low": float(ends.low),
                f"{name}_high": float(ends.high),
            }
            for column in ("cc_abs", "cc_norm", "fraction_of_predicted"):
                known = group[column].dropna()
                if len(known):
                    found[f"{name}_median_{column}"] = float(known.median())
    return found

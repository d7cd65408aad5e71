"""Nuisances: what predicts responses to images without any response to what they show.

Luminance or contrast of the whole image or of a large part of the screen (light of the monitor in
the detector), behaviour that is locked to images, and the time at which images were shown are each
used as the only predictor of the mean responses, with folds, noise ceiling and penalties of the
models. A neuron is marked with a nuisance that predicts nearly as well as the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.luminance import REGIONS, regional_luminance
from meiflow.models.folds import Folds, shuffled_order
from meiflow.models.table import Scorer
from meiflow.selection.activity import column_correlations
from meiflow.selection.reliability import TrialGroups
from meiflow.tables.stack import BinnedMovie

# A nuisance is named if it predicts nearly as well as the model. Where light of the monitor entered
# a calcium recording, both predict alike; of 63 other cells of mouse V1, luminance predicts none
# with a correlation of 0.3 (benchmarks/nuisances.py).
LEAST_SHARE, LEAST_CC = 0.75, 0.3
_PERMUTATIONS = 100
STRETCHES = 10


def image_nuisances(images: NDArray) -> dict[str, NDArray[np.float64]]:
    """Luminance and contrast of images, by nuisance, each of shape (images, features).

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance; the first row is the upper one.

    Examples
    --------
    >>> image = np.concatenate([np.full((4, 8), 0.75), np.full((4, 8), 0.25)])
    >>> found = image_nuisances(image[None])
    >>> {name: round(float(found[name][0, 0]), 3) for name in ("luminance_upper", "contrast")}
    {'luminance_upper': 0.75, 'contrast': 0.25}
    """
    halves = {"upper": (2, 0), "lower": (2, 1), "left": (1, 0), "right": (1, 1)}
    found = {"luminance_whole": regional_luminance(images, (1, 1))}
    for name, (rows, place) in halves.items():
        parts = regional_luminance(images, (rows, 3 - rows))
        found[f"luminance_{name}"] = parts[:, [place]]
    found["contrast"] = images.std(axis=(1, 2), dtype=float)[:, None]
    found["luminance_regions"] = regional_luminance(images, REGIONS)
    return found


def trial_nuisances(
    states: Mapping[str, NDArray], times: NDArray | None, groups: TrialGroups
) -> dict[str, NDArray[np.float64]]:
    """Behaviour and time during the trials of each image, by nuisance: (images, features).

    Parameters
    ----------
    states : mapping of str to ndarray, shape (trials,)
        From `meiflow.models.gain.behaviour_states`; NaN where unknown.
    times : ndarray, shape (trials,), optional
        Onset of each trial. The feature is the fraction of an image's trials in each of ten
        stretches of the session.
    groups : TrialGroups
        Images of the trials.

    Examples
    --------
    >>> groups = TrialGroups.of(np.array([3, 3, 7]))
    >>> speed = np.array([1.0, np.nan, 4.0])
    >>> trial_nuisances({"running_speed": speed}, None, groups)["running_speed"].ravel()
    array([1., 4.])
    """
    found = {}
    for name, state in states.items():
        known = np.isfinite(state)
        number = groups.sums(known[:, None])
        total = groups.sums(np.where(known, state, 0.0)[:, None])
        # an image during which nothing is known tells nothing
        usual = total.sum() / number.sum()
        found[name] = np.where(number > 0, total / np.maximum(number, 1), usual)
    if times is not None:
        found["time"] = groups.means(stretches(times))
    return found


def stretches(times: NDArray) -> NDArray[np.float64]:
    """Which of ten consecutive stretches, of equally many trials, each trial is in (trials, 10).

    Examples
    --------
    >>> stretches(np.arange(20.0)[::-1])[:3, -2:].tolist()
    [[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    """
    rank = np.empty(len(times), int)
    rank[np.argsort(times, kind="stable")] = np.arange(len(times))
    return np.eye(STRETCHES)[rank * STRETCHES // len(times)]


def drift(
    counts: NDArray, times: NDArray, groups: TrialGroups
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fraction of the variance of trials around their image that is slow, and counts without it.

    Parameters
    ----------
    counts : ndarray, shape (trials, neurons)
    times : ndarray, shape (trials,)
        Onset of each trial.
    groups : TrialGroups

    Returns
    -------
    share : ndarray, shape (neurons,)
        Adjusted R² of ten consecutive stretches of the session, fitted together with a mean for
        each image: around 0 without drift, slightly below by chance; NaN without repeats.
    steady : ndarray, shape (trials, neurons)
        Counts minus the fitted differences between the stretches.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shown, times = np.tile(np.arange(50), 20), np.arange(1000.0)
    >>> counts = rng.normal(size=(1000, 2)) + shown[:, None] + np.outer(times > 500, [0, 2])
    >>> share, steady = drift(counts, times, TrialGroups.of(shown))
    >>> share.round(2) + 0.0, steady[times > 500].mean(0) - steady[times < 500].mean(0) < 0.2
    (array([0.  , 0.51]), array([ True,  True]))
    """
    values = np.asarray(counts, dtype=float)
    parts = stretches(times)

    def around(of: NDArray) -> NDArray[np.float64]:
        return np.asarray(of - groups.means(of)[groups.codes])

    design, residual = around(parts), around(values)
    effects, _, rank, _ = np.linalg.lstsq(design, residual, rcond=1e-9)
    left = ((residual - design @ effects) ** 2).sum(0)
    total = (residual**2).sum(0)
    free = len(values) - len(groups.repeats)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = 1 - (left / (free - rank)) / (total / free) if free > rank else left * np.nan
    return np.asarray(share), values - (parts - parts.mean(0)) @ effects


def nuisance_scores(
    nuisances: Mapping[str, NDArray],
    means: NDArray,
    predicted: NDArray,
    folds: Folds,
    bins: Sequence[BinnedMovie],
    scorer: Scorer,
    columns: Sequence[int],
    penalties: Sequence[float],
    seed: int,
) -> pd.DataFrame:
    """Scores of each nuisance as the only predictor of held-out images, and which is named.

    Parameters
    ----------
    nuisances : mapping of str to ndarray, shape (images, features)
        From `image_nuisances` and `trial_nuisances`.
    means, predicted : ndarray, shape (images, neurons)
        Mean counts, and the model's predictions of held-out images.
    folds : Folds
        Those of the model.
    bins : sequence of BinnedMovie
        Movies whose bins are the images; see `meiflow.models.folds`.
    scorer : Scorer
        Scorer for the trials from which `means` was computed.
    columns : sequence of int
        Column of the scorer of each neuron.
    penalties : sequence of float
        Candidate penalties of the ridge regression.
    seed : int
        Seed of the permutations.

    Returns
    -------
    DataFrame
        One row per neuron: ``nuisance``, the name of what predicts nearly as well as the model, or
        empty; ``cc_chance``, exceeded by the best of all nuisances in one of twenty permutations of
        the responses across images; ``cc_abs_model`` and ``cc_norm_model``; for each nuisance
        ``cc_abs_``, ``cc_norm_``, ``cc_norm_low_`` and ``cc_norm_high_``.

    Examples
    --------
    A neuron that counts luminance, of which the model knows nothing:

    >>> from meiflow.models.folds import folds_of
    >>> from meiflow.tables.arrays import as_trials
    >>> rng = np.random.default_rng(0)
    >>> images = rng.uniform(size=(60, 6, 8)) * rng.uniform(size=(60, 1, 1))
    >>> counts = rng.poisson(20 * images.mean((1, 2)), (10, 60))[..., None]
    >>> table = nuisance_scores(
    ...     image_nuisances(images), counts.mean(0), rng.uniform(size=(60, 1)),
    ...     folds_of(images, (), 5, rng), (), Scorer.of(as_trials(counts, np.arange(60)), 0),
    ...     [0], [0.01, 0.1, 1.0], 0,
    ... )
    >>> table["nuisance"][0], table["cc_norm_luminance_whole"].round(1)[0]
    ('luminance_whole', np.float64(1.0))

    Notes
    -----
    A nuisance is named if its correlation is above chance, at least 0.3, and at least 0.75 of the
    model's; of several, the best, but luminance by region only if no simpler luminance suffices.
    """
    from meiflow.models.cross_validate import ridge_predictions

    n = means.shape[1]
    rng = np.random.default_rng([seed, 5])
    order = shuffled_order(len(means), n * _PERMUTATIONS, bins, rng)
    permuted = np.take_along_axis(np.repeat(means, _PERMUTATIONS, axis=1), order, axis=0)
    targets = np.concatenate([means, permuted], axis=1)
    every = np.broadcast_to(targets, (len(folds.held_out), *targets.shape))
    rows: list[dict[str, object]] = [{"nuisance": ""} for _ in range(n)]
    by_chance = np.full(n * _PERMUTATIONS, -1.0)
    found = {"model": predicted}
    for name, features in nuisances.items():
        candidates = np.asarray(penalties)
        spread = features.std() or 1.0  # the penalties are in units of the mean squared feature
        own = ridge_predictions(
            features / spread, every, folds.held_out, folds.training, candidates
        )
        by_chance = np.fmax(by_chance, column_correlations(own[:, n:], permuted))
        found[name] = own[:, :n]
    chance = np.quantile(by_chance.reshape(n, _PERMUTATIONS), 0.95, axis=1)
    for i, row in enumerate(rows):
        row["cc_chance"] = chance[i]
        for name, values in found.items():
            scores = scorer.row(columns[i], name, values[:, i], means[:, i], 0, 0)
            ends = ("",) if name == "model" else ("", "_low", "_high")
            row[f"cc_abs_{name}"] = scores["cc_abs"]
            row |= {f"cc_norm{end}_{name}": scores[f"cc_norm{end}"] for end in ends}
    table = pd.DataFrame(rows)
    return table.assign(nuisance=_named(table, list(nuisances)))


def _named(table: pd.DataFrame, nuisances: Sequence[str]) -> list[str]:
    """The nuisance that predicts nearly as well as the model, by neuron."""
    names = []
    for row in table.to_dict("records"):
        least = max(row["cc_chance"], LEAST_CC, LEAST_SHARE * np.nan_to_num(row["cc_abs_model"]))
        fine = {name: cc for name in nuisances if (cc := row[f"cc_abs_{name}"]) >= least}
        if len([name for name in fine if name.startswith("luminance")]) > 1:
            fine.pop("luminance_regions", None)
        names.append(max(fine, key=lambda name: fine[name], default=""))
    return names

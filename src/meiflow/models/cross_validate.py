"""Fit all models to all neurons, and predict held-out images.

In each fold, the search for RF positions and penalties and all fits use only its training images;
its stacking weights are computed from the held-out predictions of the other folds. The shuffled
control is the same procedure on responses permuted across images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import REGIONS, regional_luminance
from meiflow.models.auxiliary import AuxiliaryStimuli
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.fit_cache import FitCache
from meiflow.models.folds import Folds, fold_stream, folds_of, shuffled_order
from meiflow.models.gaze import GazeViews
from meiflow.models.jobs import Fits
from meiflow.models.members import State
from meiflow.models.movie_stimuli import MovieStimuli
from meiflow.models.problem import Problem, ProblemFits
from meiflow.models.search import Places
from meiflow.models.stacking import stacking_weights
from meiflow.models.units import TrainingMeans, in_units, response_units
from meiflow.tables.stack import BinnedMovie

BASELINES = ("pixel_ridge", "luminance", "mean")
# Stimuli whose recorded tuning models are compared with, and the kinds of stimuli of their class,
# to none of which these models are fitted. A drifting grating passes through images of static ones.
OUT_OF_CLASS = {
    "static_gratings": ("static_gratings", "drifting_gratings"),
    "gabors": ("gabors",),
}


@dataclass(frozen=True)
class Fitted:
    """The models of all neurons, and their held-out predictions.

    Parameters
    ----------
    predictions : dict of str to ndarray, shape (images, neurons)
        Held-out predictions in spikes per presentation: ``model``, ``model_shuffled`` (the shuffled
        control), every base model, and `BASELINES`.
    shuffled_means : ndarray, shape (images, neurons)
        The permuted responses to which ``model_shuffled`` was fitted.
    held_out : list of ndarray of int
        Held-out images of each fold.
    places : Places
        RF positions of the neurons and of their shuffled controls.
    members : tuple of str
        Names of the base models, in the order of `states` and `weights`.
    states : list of list of dict
        The base models of every neuron, fitted to all images.
    fold_states : list of list of list of dict
        The same for every fold, fitted to its training images.
    weights : ndarray, shape (neurons, members)
        Stacking weights of the base models.
    without : dict of str to tuple of Places and list
        By stimulus with recorded tuning (`OUT_OF_CLASS`): RF positions and states of models that
        were fitted to everything but stimuli of its class, so that tuning is predicted out of
        class. They have the same stacking weights. Only for classes to which models were fitted.
    windows : ndarray of int, shape (folds + 1, neurons)
        Counting window of the movies that was chosen in every fold and with all images; 0 where
        there is no choice.
    units : ndarray, shape (neurons,), optional
        Units of the states of real-valued responses; see `meiflow.models.units`.
    gaze : DataFrame, optional
        Comparison of shifted with unshifted images in every fold and for all images; see
        `meiflow.models.gaze.GazeViews.compared`. Only with views by gaze.
    """

    predictions: dict[str, NDArray[np.float64]]
    shuffled_means: NDArray[np.float64]
    held_out: list[NDArray[np.int64]]
    places: Places
    members: tuple[str, ...]
    states: list[list[State]]
    fold_states: list[list[list[State]]]
    weights: NDArray[np.float64]
    without: dict[str, tuple[Places, list[list[State]]]]
    windows: NDArray[np.int64]
    units: NDArray[np.float64] | None = None
    gaze: pd.DataFrame | None = None


def fit_all(
    images: NDArray,
    means: NDArray,
    weights: NDArray,
    geometry: Geometry,
    config: Model,
    seed: int,
    threads: int = 1,
    parts: FitCache | None = None,
    extra: AuxiliaryStimuli | None = None,
    movies: MovieStimuli | None = None,
    training_means: TrainingMeans | None = None,
    bins: Sequence[BinnedMovie] = (),
    real: bool = False,
    tests: NDArray[np.bool_] | None = None,
    drifting: Sequence[DriftingStimuli] = (),
    gaze: GazeViews | None = None,
) -> Fitted:
    """Fit and cross-validate all neurons together.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    means : ndarray, shape (images, neurons)
        Mean counts per presentation.
    weights : ndarray, shape (images,)
        Number of trials of each image divided by the mean number.
    geometry : Geometry
    config : Model
    seed : int
        Seed of the folds and of the shuffled control.
    threads : int
        Number of threads; the result does not depend on it.
    parts : FitCache, optional
        Storage for finished parts until all are done.
    extra : AuxiliaryStimuli, optional
        Stimuli to which the models are fitted in every fold and which are not scored; like those of
        the images, their weights are relative to the mean number of trials of the images.
    movies : MovieStimuli, optional
        Images from movies, to which v1, the window readouts and the network are fitted as well.
    training_means : callable, optional
        Means (images, neurons) to which models are fitted instead of `means`, given the indices of
        the training images, such as `meiflow.models.gain.TrialGain.means`.
    bins : sequence of BinnedMovie
        Movies whose bins are the images; see `meiflow.models.folds`.
    real : bool
        Whether responses are real numbers, with Gaussian noise, rather than counts.
    tests : ndarray of bool, shape (images,), optional
        Images for testing only; see `meiflow.models.folds`.
    drifting : sequence of DriftingStimuli
        Stimuli of several kinds to which v1 and the window readouts are fitted as well.
    gaze : GazeViews, optional
        Views of the images by gaze, for counts. They replace the images in the folds whose
        training images they explain better; predictions and scores remain those of mean responses.
    """
    n_images, n_neurons = means.shape
    units = response_units(means, tests) if real else None
    if units is not None:
        given = means, extra, training_means, drifting, movies
        means, extra, training_means, drifting, movies = in_units(units, *given)
    rng = fold_stream(seed)
    folds = folds_of(images, bins, config.folds, rng, tests)
    held_out, training = folds.held_out, folds.training
    order = shuffled_order(n_images, n_neurons, bins, rng)
    shuffled = np.take_along_axis(means, order, axis=0)
    everything = folds.fitted
    own = _targets(means, [*training, everything], training_means)
    responses = np.concatenate([own, np.take_along_axis(own, order[None], axis=1)], axis=2)
    shared = images, weights, geometry, config, seed, threads
    problem = Problem(*shared, parts, extra, movies, bins, drifting, real)
    subsets = [*training, everything]
    compared = None if gaze is None else gaze.compared(subsets, problem)
    seen = _Views(gaze, compared, order)
    found = seen.fit(problem, responses, subsets, n_neurons)
    places, fits = found.places, found.fits
    members = _held_out(fits, held_out, 2 * n_neurons)
    used = [name in config.members for name in fits]
    # neurons and their shuffled controls apart, because each group has a common prior
    both = [
        _mix(members[:, group], used, responses[..., group], folds, config.stacking_prior)
        for group in (slice(n_neurons), slice(n_neurons, None))
    ]
    (mixed, mixture), (mixed_shuffled, _) = both
    linear = [
        ridge_predictions(features, own, held_out, training, np.asarray(config.penalties))
        for features in (images.reshape(n_images, -1), regional_luminance(images, REGIONS))
    ]
    average = np.empty_like(means)
    for target, test, train in zip(own[:-1], held_out, training, strict=True):
        average[test] = target[train].mean(axis=0)
    predictions = {"model": mixed, "model_shuffled": mixed_shuffled}
    predictions |= {name: members[:, :n_neurons, i] for i, name in enumerate(fits)}
    predictions |= dict(zip(BASELINES, (*linear, average), strict=True))
    *fold_states, states = (
        [[fit.states[first + n] for fit in fits.values()] for n in range(n_neurons)]
        for first in range(0, len(places.x) * 2 * n_neurons, 2 * n_neurons)
    )
    without = {}
    for name, kinds in OUT_OF_CLASS.items():
        if problem.kinds & set(kinds):
            targets = np.array(own[-1:])
            apart = seen.fit(problem.without(kinds), targets, [everything], n_neurons)
            columns = range(n_neurons)
            own_states = [[fit.states[n] for fit in apart.fits.values()] for n in columns]
            without[name] = apart.places, own_states
    if units is not None:
        predictions = {name: units * values for name, values in predictions.items()}
        shuffled = units * shuffled
    windows = found.windows[:, :n_neurons]
    of_neurons = places, tuple(fits), states, fold_states, mixture, without, windows, units
    return Fitted(predictions, shuffled, held_out, *of_neurons, compared)


def learning_curve(
    images: NDArray,
    means: NDArray,
    weights: NDArray,
    geometry: Geometry,
    config: Model,
    seed: int,
    threads: int = 1,
    extra: AuxiliaryStimuli | None = None,
    movies: MovieStimuli | None = None,
    training_means: TrainingMeans | None = None,
    bins: Sequence[BinnedMovie] = (),
    real: bool = False,
    tests: NDArray[np.bool_] | None = None,
    drifting: Sequence[DriftingStimuli] = (),
    gaze: GazeViews | None = None,
    whole: Mapping[str, NDArray] | None = None,
) -> dict[int, NDArray[np.float64]]:
    """Held-out predictions of the base models ``config.curve_members``, fitted to fewer images.

    The folds are those of `fit_all`; in each, the models are fitted to nested subsets of the
    training images.

    Parameters
    ----------
    images, means, weights, geometry, config, seed, threads, extra, movies, training_means, bins, \
    real, tests, drifting, gaze
        As for `fit_all`.
    whole : mapping of str to ndarray, shape (images, neurons), optional
        Held-out predictions of each base model fitted to all training images, as in
        `Fitted.predictions`; these are then the last point.

    Returns
    -------
    dict of int to ndarray, shape (images, neurons)
        Predictions of the base models together, by number of training images.
    """
    folds = folds_of(images, bins, config.folds, fold_stream(seed), tests)
    held_out, rest = folds.held_out, folds.training
    order = [np.random.default_rng([seed, 3, i]).permutation(part) for i, part in enumerate(rest)]
    units = response_units(means, tests) if real else np.ones(means.shape[1])
    if real:
        given = means, extra, training_means, drifting, movies
        means, extra, training_means, drifting, movies = in_units(units, *given)
    shared = images, weights, geometry, config, seed, threads
    names = config.curve_members
    problem = Problem(*shared, None, extra, movies, bins, drifting, real, 1, names)

    def together(members: NDArray, used: list[bool], subsets: list[NDArray]) -> NDArray:
        responses = _targets(means, subsets, training_means)
        return units * _mix(members, used, responses, folds, config.stacking_prior)[0]

    found = {}
    for share in sorted(config.learning_curve):
        number = max(2, round(share * min(len(part) for part in rest)))
        subsets = [np.sort(part[:number]) for part in order]
        responses = _targets(means, subsets, training_means)
        compared = None if gaze is None else gaze.compared(subsets, problem)
        fits = _Views(gaze, compared).fit(problem, responses, subsets, means.shape[1]).fits
        members = _held_out(fits, held_out, means.shape[1])
        found[number] = together(members, [name in names for name in fits], subsets)
    if found and whole is not None:
        members = np.stack([whole[name] / units for name in names], axis=-1)
        found[folds.training_images] = together(members, [True] * len(names), rest)
    return found


@dataclass(frozen=True)
class _Views:
    """Whether subsets of the images are fitted to views by gaze, and the order of the controls."""

    gaze: GazeViews | None
    compared: pd.DataFrame | None
    order: NDArray[np.int64] | None = None

    def fit(
        self, problem: Problem, responses: NDArray, subsets: list[NDArray], n_neurons: int
    ) -> ProblemFits:
        """Fit all subsets, or the last ones only."""
        if self.gaze is None or self.compared is None:
            return problem.fit(responses, subsets, n_neurons)
        used = self.compared["used"].to_numpy(str)[-len(subsets) :]
        return self.gaze.fit(problem, responses, subsets, n_neurons, self.order, used)


def _targets(
    means: NDArray, subsets: list[NDArray], training_means: TrainingMeans | None
) -> NDArray[np.float64]:
    """Responses to which each subset of the images is fitted, (subsets, images, neurons)."""
    if training_means is None:
        return np.broadcast_to(means, (len(subsets), *means.shape))
    return np.stack([training_means(subset) for subset in subsets])


def _held_out(
    fits: dict[str, Fits], held_out: list[NDArray], n_responses: int
) -> NDArray[np.float64]:
    """Held-out predictions of the fits in each fold: (images, responses, base models)."""
    n_images = sum(len(test) for test in held_out)
    members = np.empty((n_images, n_responses, len(fits)))
    for i, fit in enumerate(fits.values()):
        for fold, test in enumerate(held_out):
            own = fit.predictions[fold * n_responses : (fold + 1) * n_responses]
            members[test, :, i] = own[:, test].T
    return members


def _mix(
    members: NDArray,
    used: list[bool],
    responses: NDArray,
    folds: Folds,
    prior: str,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Combine the base models, with weights for each fold from the other folds only.

    Parameters
    ----------
    members : ndarray, shape (images, responses, members)
        Held-out predictions.
    responses : ndarray, shape (folds or more, images, responses)
        Responses for the weights of each fold; the last ones are for those from all folds.

    Returns
    -------
    mixed : ndarray, shape (images, responses)
    weights : ndarray, shape (responses, members)
        Weights from all folds.
    """
    own = members[..., used]
    mixed, weights = np.empty(members.shape[:2]), np.zeros(members.shape[1:])
    for target, test, rest in zip(responses, folds.held_out, folds.training, strict=False):
        fold = stacking_weights(own[rest], target[rest], prior)
        mixed[test] = np.einsum("irm,rm->ir", own[test], fold)
    weights[:, used] = stacking_weights(own[folds.fitted], responses[-1][folds.fitted], prior)
    weights[np.isnan(weights).any(axis=1)] = np.nan
    return mixed, weights


def ridge_predictions(
    features: NDArray,
    responses: NDArray,
    held_out: list[NDArray],
    training: list[NDArray],
    penalties: NDArray,
) -> NDArray[np.float64]:
    """Cross-validated ridge regression on features (images, features), e.g. pixels.

    `responses` (folds or more, images, neurons) are those to which each fold is fitted. Each
    neuron's penalty has the lowest leave-one-out error on the training images, among `penalties`
    in units of the number of features, and 30 and 1000 times larger ones.

    Examples
    --------
    >>> features = np.random.default_rng(0).normal(size=(40, 3))
    >>> responses = features @ np.array([[1.0], [0.5], [0.0]]) + 2
    >>> halves = [np.arange(20), np.arange(20, 40)]
    >>> twice = np.stack([responses, responses])
    >>> found = ridge_predictions(features, twice, halves, halves[::-1], np.array([1e-6]))
    >>> bool(abs(found - responses).max() < 0.001)
    True
    """
    from sklearn.linear_model import RidgeCV
    from threadpoolctl import threadpool_limits

    flat = features.astype(float)
    candidates = flat.shape[1] * np.unique(np.outer(penalties, [1.0, 30.0, 1000.0]))
    ridge = RidgeCV(candidates, alpha_per_target=True)
    out = np.empty(responses.shape[1:])
    with threadpool_limits(1):  # the last digits depend on the number of threads
        for target, test, train in zip(responses, held_out, training, strict=False):
            predicted = ridge.fit(flat[train], target[train]).predict(flat[test])
            out[test] = predicted.reshape(len(test), -1)  # one-dimensional for a single neuron
    return out

"""Fit every model to every neuron, and predict the images each fit has not seen.

Each fold repeats the whole procedure (place, penalties, weights of the mixture) on its training
images alone. The same procedure on responses dealt to the images at random is the control.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.geometry import Geometry
from meiflow.models.jobs import Fits, Jobs, fit_in_chunks, simplex_weights
from meiflow.models.members import State
from meiflow.models.ridge import Spectrum
from meiflow.models.search import Places, find_places, image_folds
from meiflow.sections import Model

BASELINES = ("pixel_ridge", "mean")
_CHUNK = 12


@dataclass(frozen=True)
class Fitted:
    """All neurons' models, and what they predict of images held out.

    Parameters
    ----------
    predictions : dict of str to ndarray, shape (images, neurons)
        Cross-validated, in spikes per presentation: ``model``, ``model_shuffled`` (the control),
        every member, and `BASELINES`.
    shuffled_means : ndarray, shape (images, neurons)
        The shuffled responses that ``model_shuffled`` was to predict.
    places : Places
        Of the neurons and their shuffled twins.
    members : tuple of str
        Their names, in the order of `states` and `weights`.
    states : list of list of dict
        For every neuron its members, fitted on all images.
    weights : ndarray, shape (neurons, members)
        Of the members in the model.
    """

    predictions: dict[str, NDArray[np.float64]]
    shuffled_means: NDArray[np.float64]
    places: Places
    members: tuple[str, ...]
    states: list[list[State]]
    weights: NDArray[np.float64]


def fit_all(
    images: NDArray,
    means: NDArray,
    weights: NDArray,
    geometry: Geometry,
    config: Model,
    seed: int,
    threads: int = 1,
) -> Fitted:
    """Fit and cross-validate all neurons together.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    means : ndarray, shape (images, neurons)
        Mean counts per presentation.
    weights : ndarray, shape (images,)
        Trials of each image over their mean number.
    geometry : Geometry
    config : Model
    seed : int
        Of the folds and of the shuffled control.
    threads : int
        The result does not depend on it.
    """
    from threadpoolctl import threadpool_limits

    n_images, n_neurons = means.shape
    rng = np.random.default_rng([seed, 2])
    held_out = image_folds(n_images, config.folds, rng)
    shuffled = rng.permuted(means, axis=0)
    responses = np.concatenate([means, shuffled], axis=1)
    everything = np.arange(n_images)
    training = [np.setdiff1d(everything, part) for part in held_out]
    fitters = _fitters(images, weights, geometry, config, seed)
    with threadpool_limits(1):
        places = find_places(images, responses, [*training, everything], geometry, config, threads)
        jobs = _jobs(responses, [*training, everything], places)
        fits = {
            name: fit_in_chunks(fitter, jobs, size or n_neurons, threads, f"fitting {name}")
            for name, (fitter, size) in fitters.items()
        }
        ridge = _pixel_ridge(images, means, held_out, training, np.asarray(config.penalties))
    shape = (len(training) + 1, 2 * n_neurons, n_images)
    members = np.empty((n_images, 2 * n_neurons, len(fits)))
    for i, fit in enumerate(fits.values()):
        every = fit.predictions.reshape(shape)
        for fold, test in enumerate(held_out):
            members[test, :, i] = every[fold][:, test].T
    used = np.array([name in config.members for name in fits])
    mixed, final = _mix(members, used, responses, held_out)
    average = np.empty_like(means)
    for test, train in zip(held_out, training, strict=True):
        average[test] = means[train].mean(axis=0)
    predictions = {"model": mixed[:, :n_neurons], "model_shuffled": mixed[:, n_neurons:]}
    predictions |= {name: members[:, :n_neurons, i] for i, name in enumerate(fits)}
    predictions |= dict(zip(BASELINES, (ridge, average), strict=True))
    last = len(jobs) - 2 * n_neurons
    states = [[fit.states[last + n] for fit in fits.values()] for n in range(n_neurons)]
    return Fitted(predictions, shuffled, places, tuple(fits), states, final[:n_neurons])


def _jobs(responses: NDArray, subsets: list[NDArray], places: Places) -> Jobs:
    """One job per subset and response, subset by subset."""
    n_images, n_responses = responses.shape
    train = np.zeros((len(subsets), n_images), bool)
    for row, subset in zip(train, subsets, strict=True):
        row[subset] = True
    return Jobs(
        np.tile(responses.T, (len(subsets), 1)),
        np.repeat(train, n_responses, axis=0),
        places.x.ravel(),
        places.y.ravel(),
        places.starts.reshape(-1, *places.starts.shape[2:]),
    )


def _fitters(
    images: NDArray, weights: NDArray, geometry: Geometry, config: Model, seed: int
) -> dict[str, tuple[Callable[[Jobs], Fits], int]]:
    """For every member that is fitted: its fitter, and how many jobs it takes at once.

    A size of 0 stands for all neurons of one training set, or all their shuffled twins.
    """
    import torch

    from meiflow.models.gabor_energy import GaborEnergyFitter
    from meiflow.models.ln import LnFitter
    from meiflow.models.v1 import V1Fitter

    torch.set_num_threads(1)
    found: dict[str, tuple[Callable[[Jobs], Fits], int]] = {
        "v1": (V1Fitter(images, geometry, config), _CHUNK),
        "ln": (LnFitter(images, weights, geometry, config.ln), _CHUNK),
        "gabor_energy": (
            GaborEnergyFitter(images, weights, geometry, config.gabor_energy),
            _CHUNK,
        ),
    }
    for name, size in (("scratch", 1), ("shared", 0), ("pretrained", 0)):
        if name in config.members:
            from meiflow.models.cnn import NetworkFitter, load_core

            core = None
            if name == "pretrained":
                core = load_core(Path(str(config.network.core)), config.network)
            fitter = NetworkFitter(images, weights, geometry, config.network, seed, name, core)
            found[name] = (fitter, size)
    return found


def _mix(
    members: NDArray, used: NDArray[np.bool_], responses: NDArray, held_out: list[NDArray]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mixture of the members, its weights for each fold from the other folds alone.

    Returns
    -------
    mixed : ndarray, shape (images, responses)
    weights : ndarray, shape (responses, members)
        From all folds.
    """
    n_images, n_responses, n_members = members.shape
    mixed, weights = np.empty((n_images, n_responses)), np.zeros((n_responses, n_members))
    for r in range(n_responses):
        own = members[:, r, used]
        for test in held_out:
            rest = np.setdiff1d(np.arange(n_images), test)
            mixed[test, r] = own[test] @ simplex_weights(own[rest], responses[rest, r])
        weights[r, used] = simplex_weights(own, responses[:, r])
    return mixed, weights


def _pixel_ridge(
    images: NDArray,
    means: NDArray,
    held_out: list[NDArray],
    training: list[NDArray],
    penalties: NDArray,
) -> NDArray[np.float64]:
    """Cross-validated ridge regression on pixels: the linear receptive field."""
    flat = images.reshape(len(images), -1).astype(float)
    wide = penalties[:, None] * np.array([1.0, 30.0, 1000.0])
    candidates = np.unique(wide)
    out = np.empty_like(means)
    for test, train in zip(held_out, training, strict=True):
        centre, offset = flat[train].mean(axis=0), means[train].mean(axis=0)
        x, y = flat[train] - centre, means[train] - offset
        spectrum = Spectrum.of(x)
        choice = candidates[spectrum.left_out_errors(y, candidates).argmin(axis=0)]
        shrink = 1 / (spectrum.values[:, None] + choice[None, :])
        dual = spectrum.vectors @ (shrink * (spectrum.vectors.T @ y))
        out[test] = offset + (flat[test] - centre) @ (x.T @ dual) / flat.shape[1]
    return out

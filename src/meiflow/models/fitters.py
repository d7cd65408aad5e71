"""The fitter of every base model, and what fits need of one another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.front_end import FrontEnd
from meiflow.models.jobs import Fits, Jobs
from meiflow.models.movie_stimuli import chosen_windows, movie_slope, scaled_responses
from meiflow.progress import track

if TYPE_CHECKING:
    from meiflow.models.core_maps import CoreMaps
    from meiflow.models.drifting_stimuli import DriftingStimuli
    from meiflow.models.v1 import V1Fitter
    from meiflow.models.window_front_end import WindowFrontEnd

FIRST_LAYERS = {"v1": "v1_window", "core": "core_window"}
# Base models that learn from movies where there are any.
LEARN_FROM_MOVIES = ("v1", "v1_window", "core_window", "cnn", "ln")
# Those that are linear in their channels, whose mean over the phases of a drift is exact.
LEARN_FROM_DRIFTING = ("v1", "v1_window", "core_window")
_CHUNK = 12
_CHUNK_OF_GABORS = 48  # in smaller ones autograd takes longer than the arithmetic
_WORSE = 0.02  # of the variance of the responses


def with_further(
    jobs: Jobs,
    images: int,
    scenes: int,
    n_neurons: int,
    v1: V1Fitter,
    threads: int,
    same_window: Sequence[bool],
    candidates: NDArray | None = None,
) -> tuple[Jobs, NDArray[np.int64]]:
    """Jobs that also train on movies and drifting stimuli, on the scale of the scenes.

    The neurons of a fold share one slope for each group of stimuli, because adaptation is common to
    a session. Folds in which a group makes v1 predict left-out training scenes worse, for half of
    the neurons, do without it; stimuli that do not belong to the responses do so for nearly all
    neurons.

    Parameters
    ----------
    jobs : Jobs
    images : int
        Number of images and other stimuli that precede the groups.
    scenes : int
        Number of images.
    n_neurons : int
    v1 : V1Fitter
    threads : int
    same_window : sequence of bool
        For each group of stimuli, whether its spikes were counted for as long as those of the
        scenes. Otherwise counts are brought to the same mean; real-valued responses are averages
        over their window, whose zero is arbitrary, and are not.
    candidates : ndarray, shape (windows, frames, responses), optional
        Responses to the movies in several counting windows, of which one is chosen for each neuron
        by the training scenes of each fold; needs movies as the first group.

    Returns
    -------
    jobs : Jobs
    chosen : ndarray of int, shape (jobs,)
        Number of the chosen window; 0 without candidates.
    """
    train = jobs.train.copy()
    train[:, images:] = True
    responses = jobs.responses.copy()
    predicted = np.stack(_each(v1.from_scenes, jobs, threads, responses.shape[1] - images))
    chosen = np.zeros(len(jobs), int)
    blocks = [slice(first, first + n_neurons) for first in range(0, len(jobs), n_neurons)]
    for rows in blocks:
        known = train[rows, :scenes]
        mean = (responses[rows, :scenes] * known).sum(axis=1) / known.sum(axis=1)
        fine = np.isfinite(predicted[rows]).all(axis=1)
        if candidates is not None and fine.any():
            movies, known_by = v1.groups[0], np.flatnonzero(fine)
            columns = np.arange(rows.start, rows.stop) % candidates.shape[2]
            seen = predicted[rows][:, movies - images].T
            own = candidates[..., columns]
            chosen[rows.start + known_by] = chosen_windows(seen[:, fine], own[..., fine])
            responses[rows, movies] = own[chosen[rows], :, np.arange(n_neurons)]
        for group, same in zip(v1.groups, same_window, strict=True):
            shown = responses[rows, group]
            if not (same or jobs.real) and shown.mean() > 0:
                shown = shown * (mean.mean() / shown.mean())
            own = predicted[rows, group - images]
            slope = movie_slope(own[fine].T, shown[fine].T)
            scaled = scaled_responses(shown.T, slope, mean).T
            responses[rows, group] = scaled if jobs.real else np.maximum(scaled, 0)
    found = replace(jobs, responses=responses, train=train)
    gain = np.stack(_each(v1.gain_by_group, found, threads, len(v1.groups)))
    for rows in blocks:
        fine = np.isfinite(gain[rows]).all(axis=1)
        for group, gains in zip(v1.groups, gain[rows][fine].T, strict=True):
            if not (len(gains) and np.median(gains) > -_WORSE):
                train[rows, group] = False
    return found, chosen


def _each(
    measure: Callable[[Jobs], NDArray], jobs: Jobs, threads: int, size: int
) -> list[NDArray[np.float64]]:
    """A measure (size,) of every job; NaN where it fails numerically."""

    def of_one(job: Jobs) -> NDArray[np.float64]:
        try:
            return np.asarray(measure(job), float).reshape(size)
        except (ArithmeticError, ValueError, np.linalg.LinAlgError):
            return np.full(size, np.nan)

    with ThreadPoolExecutor(threads) as pool:
        parts = list(jobs.chunks(1))
        return list(track(pool.map(of_one, parts), "comparing scenes and movies", len(parts)))


def at_windows(jobs: Jobs, windows: Fits) -> Jobs:
    """The jobs with the RF positions that the window readouts found."""
    x, y = (
        np.array([state.get(name, old) for state, old in zip(windows.states, own, strict=True)])
        for name, own in (("x_deg", jobs.x), ("y_deg", jobs.y))
    )
    return replace(jobs, x=x, y=y)


def fitters_of(
    images: NDArray,
    weights: NDArray,
    geometry: Geometry,
    config: Model,
    seed: int,
    movies: int,
    n_neurons: int,
    n_responses: int,
    together: int = 1,
    drifting: Sequence[DriftingStimuli] = (),
) -> dict[str, tuple[Callable[[Jobs], Fits], int]]:
    """The fitter of every base model, and the number of jobs that it fits at once.

    Jobs with the same training set are `n_responses` in a row: `n_neurons` neurons, and as many
    shuffled controls or none. Those of `LEARN_FROM_DRIFTING` have rows for the drifting stimuli
    behind the images.
    """
    import torch

    from meiflow.models.gabor_energy import GaborEnergyFitter
    from meiflow.models.ln import LnFitter
    from meiflow.models.v1 import V1Fitter
    from meiflow.models.window import WindowFitter

    torch.set_num_threads(1)
    found: dict[str, tuple[Any, int]] = {
        "v1": (V1Fitter(images, geometry, config, weights, movies, together, drifting), _CHUNK),
        "ln": (LnFitter(images, weights, geometry, config.ln, movies, together), _CHUNK),
        "gabor_energy": (
            GaborEnergyFitter(images, weights, geometry, config.gabor_energy),
            _CHUNK_OF_GABORS,
        ),
    }
    names: set[str] = set(config.members)
    given = movies, together, n_neurons, drifting
    for name, maps in _window_maps(geometry, config, names).items():
        window = WindowFitter(images, maps, config.window, weights, *given)
        found[name] = (window, n_responses)
    if "cnn" in names:
        from meiflow.models.cnn import CnnFitter

        first = found[FIRST_LAYERS[config.cnn.first_layer]][0]
        found["cnn"] = (CnnFitter(first, weights, config.cnn, seed, movies), n_neurons)
    for name, size in (("scratch", 1), ("shared", n_neurons), ("pretrained", n_neurons)):
        if name in config.members:
            from meiflow.models.network_fitter import NetworkFitter, load_core

            core = None
            if name == "pretrained":
                core = load_core(Path(str(config.network.core_path)), config.network, geometry)
            fitter = NetworkFitter(images, weights, geometry, config.network, seed, name, core)
            found[name] = (fitter, size)
    return found


def _window_maps(
    geometry: Geometry, config: Model, names: set[str]
) -> dict[str, WindowFrontEnd | CoreMaps]:
    """Maps of the window readouts that are in the ensemble, or that start the network."""
    from meiflow.models.core_maps import CoreMaps
    from meiflow.models.window_front_end import WindowFrontEnd

    if "cnn" in names:
        names = names | {FIRST_LAYERS[config.cnn.first_layer]}
    found: dict[str, WindowFrontEnd | CoreMaps] = {}
    spacing = config.window.spacing_deg
    if "v1_window" in names:
        found["v1_window"] = WindowFrontEnd(FrontEnd.from_config(config), geometry, spacing)
    if "core_window" in names:
        found["core_window"] = CoreMaps.from_config(config.network, geometry, spacing)
    return found

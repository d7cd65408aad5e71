"""Images and settings of a session, and the fits of all base models on subsets of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.config.base_models import WINDOW_MEMBERS
from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.auxiliary import AuxiliaryStimuli
from meiflow.models.drifting_stimuli import DriftingStimuli
from meiflow.models.fit_cache import FitCache
from meiflow.models.fitters import (
    FIRST_LAYERS,
    LEARN_FROM_DRIFTING,
    LEARN_FROM_MOVIES,
    at_windows,
    fitters_of,
    with_further,
)
from meiflow.models.folds import left_out_together
from meiflow.models.jobs import Fits, Jobs, fit_in_chunks
from meiflow.models.movie_stimuli import MovieStimuli
from meiflow.models.search import Places, find_places
from meiflow.tables.stack import BinnedMovie


@dataclass(frozen=True)
class ProblemFits:
    """Fits on several subsets of the images.

    Parameters
    ----------
    places : Places
    fits : dict of str to Fits
        By base model.
    windows : ndarray of int, shape (subsets, responses)
        Counting window of the movies that was chosen; 0 where there is no choice.
    """

    places: Places
    fits: dict[str, Fits]
    windows: NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """Images and settings shared by all fits.

    ``views`` successive rows of the images are views of the same image, such as with different
    gaze. Only the base models ``names`` are fitted, and those that they read; by default all.
    """

    images: NDArray
    weights: NDArray
    geometry: Geometry
    config: Model
    seed: int
    threads: int
    parts: FitCache | None
    extra: AuxiliaryStimuli | None
    movies: MovieStimuli | None
    bins: Sequence[BinnedMovie]
    drifting: Sequence[DriftingStimuli] = ()
    real: bool = False
    views: int = 1
    names: Sequence[str] | None = None

    @property
    def kinds(self) -> set[str]:
        """Kinds of the parametric stimuli to which models are fitted."""
        extra = set(self.extra.kinds) if self.extra is not None else set()
        return extra | {shown.kind for shown in self.drifting if len(shown)}

    def without(self, kinds: Sequence[str]) -> Problem:
        """The same problem without some kinds of parametric stimuli."""
        extra = None if self.extra is None else self.extra.without(kinds)
        drifting = [shown for shown in self.drifting if shown.kind not in kinds]
        return replace(self, extra=extra, drifting=drifting)

    def fit(self, responses: NDArray, subsets: list[NDArray], n_neurons: int) -> ProblemFits:
        """Fit all base models to (subsets, images, responses) on subsets of the images."""
        from threadpoolctl import threadpool_limits

        from meiflow.models.v1 import V1Fitter

        images, weights = self.images, self.weights
        if self.extra is not None and len(self.extra.images):
            added = np.arange(len(images), len(images) + len(self.extra.images))
            subsets = [np.append(subset, added) for subset in subsets]
            images = np.concatenate([images, self.extra.images])
            weights = np.append(weights, self.extra.weights)
            # blank responses are not shuffled
            copies = responses.shape[2] // self.extra.means.shape[1]
            responses = _with_rows(responses, np.tile(self.extra.means, (1, copies)))
        shown, n_movies, candidates = len(images), 0, None
        found = images, responses
        if self.movies is not None and len(self.movies):
            n_movies = len(self.movies)
            images = np.concatenate([images, self.movies.images])
            weights = np.append(weights, self.movies.weights)
            candidates = self._movie_responses(responses.shape[2])
            responses = _with_rows(responses, candidates[0])
            candidates = candidates if len(candidates) > 1 else None
        n_images = len(images)
        drifting = [stimuli for stimuli in self.drifting if len(stimuli)]
        for number, stimuli in enumerate(drifting):
            rng = np.random.default_rng([self.seed, 6, number])
            both = np.concatenate([stimuli.means, stimuli.shuffled(rng)], axis=1)
            responses = _with_rows(responses, both[:, : responses.shape[2]])
        together = max(left_out_together(self.bins), self.views)
        given = images, weights, self.geometry, self.config, self.seed
        sizes = n_movies, n_neurons, responses.shape[2]
        fitters = self._used(fitters_of(*given, *sizes, together, drifting))
        with threadpool_limits(1):
            if n_movies or drifting or not fitters.keys() <= {*WINDOW_MEMBERS, "cnn"}:
                places = find_places(
                    *found, subsets, self.geometry, self.config, self.threads, together
                )
            else:
                places = Places.unknown(len(subsets), responses.shape[2])
            jobs = _jobs(responses, subsets, places, self.real)
            everything, windows = jobs, np.zeros(len(jobs), int)
            if n_movies or drifting:
                v1 = V1Fitter(images, self.geometry, self.config, weights, n_movies, 1, drifting)
                same = [*[True] * bool(n_movies), *(stimuli.same_window for stimuli in drifting)]
                counts = shown, len(self.images), n_neurons
                everything, windows = with_further(
                    jobs, *counts, v1, self.threads, same, candidates
                )
            fits: dict[str, Fits] = {}
            for name, (fitter, size) in fitters.items():
                kept = self.parts.keeping(name, fitter) if self.parts else fitter
                own = everything if name in LEARN_FROM_MOVIES else jobs
                if name not in LEARN_FROM_DRIFTING:
                    own = own.of_first(n_images)
                if name == "cnn":
                    own = at_windows(own, fits[FIRST_LAYERS[self.config.cnn.first_layer]])
                fits[name] = fit_in_chunks(kept, own, size, self.threads, f"fitting {name}")
        return ProblemFits(places, fits, windows.reshape(len(subsets), -1))

    def _used(self, fitters: dict[str, Any]) -> dict[str, Any]:
        """The fitters that are wanted, and those that they read."""
        if self.names is None:
            return fitters
        wanted = {*self.names}
        if "cnn" in wanted:
            wanted.add(FIRST_LAYERS[self.config.cnn.first_layer])
        return {name: fitter for name, fitter in fitters.items() if name in wanted}

    def _movie_responses(self, n: int) -> NDArray[np.float64]:
        """Responses to the movies in every counting window (windows, frames, responses).

        Those of shuffled controls are shifted.
        """
        assert self.movies is not None
        shifted = self.movies.shifted(np.random.default_rng([self.seed, 4]))
        return np.concatenate([self.movies.candidates, shifted], axis=2)[..., :n]


def _with_rows(responses: NDArray, more: NDArray) -> NDArray[np.float64]:
    """Responses (subsets, images, responses) with those to further stimuli, for every subset."""
    rows = np.broadcast_to(more, (len(responses), *more.shape))
    return np.concatenate([responses, rows], axis=1)


def _jobs(responses: NDArray, subsets: list[NDArray], places: Places, real: bool) -> Jobs:
    """One job per subset and response, ordered by subset."""
    n_images, n_responses = responses.shape[1:]
    train = np.zeros((len(subsets), n_images), bool)
    for row, subset in zip(train, subsets, strict=True):
        row[subset] = True
    return Jobs(
        responses.transpose(0, 2, 1).reshape(-1, n_images),
        np.repeat(train, n_responses, axis=0),
        places.x.ravel(),
        places.y.ravel(),
        places.starts.reshape(-1, *places.starts.shape[2:]),
        real,
    )

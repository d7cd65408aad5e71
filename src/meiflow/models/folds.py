"""Cross-validation folds over images, and over the bins of movies that take the role of images.

Images are divided at random. Neighbouring bins of a movie are nearly the same image, so that random
folds would score models on images that they were fitted to. A fold of a movie is one contiguous
stretch; bins less than 0.5 s away from it, and bins elsewhere that nearly equal one of its images,
are not used for training in that fold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.models.movie_stimuli import coarse_patterns, shifted_rows, unit_rows
from meiflow.tables.stack import BinnedMovie

GUARD_S = 0.5
# Successive bins that are left out together when penalties are chosen on training bins.
_BLOCK_S = 2.0
# Correlation of coarse images, minus the mean image, above which one gives the other away.
NEARLY_EQUAL = 0.9
_FEWEST, _FEWEST_FOLDS = 4, 3


@dataclass(frozen=True)
class Folds:
    """Images of every fold.

    Parameters
    ----------
    held_out : list of ndarray of int
        Images on which the models of each fold are scored; together, all images.
    training : list of ndarray of int
        Images to which they are fitted.
    fitted : ndarray of int
        Images to which the final models are fitted, and their weights: all except those for
        testing only.
    """

    held_out: list[NDArray[np.int64]]
    training: list[NDArray[np.int64]]
    fitted: NDArray[np.int64]

    @property
    def training_images(self) -> int:
        """Number of images to which a model is fitted in each fold, on average."""
        return round(float(np.mean([len(part) for part in self.training])))


def fold_stream(seed: int) -> np.random.Generator:
    """Random stream of the folds of all models of a session."""
    return np.random.default_rng([seed, 2])


def image_folds(n_images: int, folds: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Indices of the held-out images of each fold: a random partition of nearly equal parts.

    Folds are over images, so that repeats of an image are never split between folds.
    """
    order = rng.permutation(n_images)
    return [np.sort(part) for part in np.array_split(order, min(folds, n_images))]


def folds_of(
    images: NDArray,
    movies: Sequence[BinnedMovie],
    folds: int,
    rng: np.random.Generator,
    tests: NDArray[np.bool_] | None = None,
) -> Folds:
    """Divide images into folds: at random, or movies into contiguous stretches.

    Images for testing only are the first fold, and are not used for training in any fold.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
    movies : sequence of BinnedMovie
        Movies whose bins are the images, one movie after the other; empty if the images were shown
        in random order.
    folds : int
        Number of folds.
    rng : Generator
        Not used for movies.
    tests : ndarray of bool, shape (images,), optional
        Images for testing only.

    Raises
    ------
    MeiflowError
        If too few images are left for training.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = folds_of(rng.uniform(size=(12, 6, 8)), [BinnedMovie("one", 12, 0.3)], 3, rng)
    >>> found.held_out[1], found.training[1]
    (array([4, 5, 6, 7]), array([ 0,  1, 10, 11]))
    """
    everything = np.arange(len(images))
    if tests is not None:
        fitted = np.flatnonzero(~tests)
        if len(fitted) < _FEWEST or folds < _FEWEST_FOLDS:
            raise MeiflowError(
                f"model.folds: {folds} folds and {len(fitted)} images that are not for testing "
                f"only; at least {_FEWEST_FOLDS} folds, of which one is the test images, and "
                f"{_FEWEST} images are required"
            )
        parts = [fitted[part] for part in image_folds(len(fitted), folds - 1, rng)]
        held_out = [np.flatnonzero(tests), *parts]
        return Folds(held_out, [np.setdiff1d(fitted, part) for part in held_out], fitted)
    if not movies:
        held_out = image_folds(len(images), folds, rng)
        training = [np.setdiff1d(everything, part) for part in held_out]
        return Folds(held_out, training, everything)
    patterns = unit_rows(coarse_patterns(images - images.mean(axis=0)))
    alike = patterns @ patterns.T > NEARLY_EQUAL
    stretches_of: list[list[NDArray[np.int64]]] = [[] for _ in range(min(folds, len(images)))]
    near = np.zeros((len(stretches_of), len(images)), bool)
    first = 0
    for movie in movies:
        guard = math.ceil(GUARD_S / movie.bin_s)
        stretches = np.array_split(np.arange(first, first + movie.bins), len(near))
        for fold, stretch in enumerate(stretches):
            stretches_of[fold].append(stretch)
            if len(stretch):
                low, high = max(stretch[0] - guard, first), stretch[-1] + guard + 1
                near[fold, low : min(high, first + movie.bins)] = True
        first += movie.bins
    held_out = [np.concatenate(part) for part in stretches_of]
    training = [
        np.flatnonzero(~(own | alike[test].any(axis=0)))
        for own, test in zip(near, held_out, strict=True)
    ]
    for fold, (test, train) in enumerate(zip(held_out, training, strict=True)):
        if len(train) < _FEWEST:
            raise MeiflowError(
                f"model.folds: in fold {fold + 1} of {len(near)}, only {len(train)} of "
                f"{len(images)} movie bins are at least {GUARD_S:g} s away from the {len(test)} "
                f"held-out bins and differ from them; at least {_FEWEST} are required: use longer "
                "or more varied movies, or more folds"
            )
    return Folds(held_out, training, everything)


def left_out_together(movies: Sequence[BinnedMovie]) -> int:
    """Number of successive images that are left out together when penalties are chosen.

    One image is left out at a time, but two seconds of a movie, whose neighbours would tell what
    a single bin looks like.

    Examples
    --------
    >>> left_out_together([BinnedMovie("one", 113, 0.267)]), left_out_together([])
    (8, 1)
    """
    return max((math.ceil(_BLOCK_S / movie.bin_s) for movie in movies), default=1)


def shuffled_order(
    n_images: int, n_neurons: int, movies: Sequence[BinnedMovie], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Image whose response each image of the shuffled control has, shape (images, neurons).

    Responses are permuted across images, or shifted along movies. A shift by at least a quarter of
    the movie keeps the similarity of successive responses, by which a model could be right about
    held-out bins without knowing what drives the neuron.

    Parameters
    ----------
    n_images, n_neurons : int
    movies : sequence of BinnedMovie
        As in `folds_of`.
    rng : Generator

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> shuffled_order(8, 1, [BinnedMovie("one", 8, 0.3)], rng).ravel()
    array([5, 6, 7, 0, 1, 2, 3, 4])
    """
    order = np.tile(np.arange(n_images)[:, None], n_neurons)
    if not movies:
        return np.asarray(rng.permuted(order, axis=0))
    first = 0
    for movie in movies:
        rows = shifted_rows(movie.bins, n_neurons, rng)
        order[first : first + movie.bins] = first + rows
        first += movie.bins
    return order

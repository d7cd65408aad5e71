"""Find every neuron's place and score its model on images it has not seen.

The readout's place and penalty are searched exhaustively in closed form. Choosing them on
the images that are then scored would flatter the model (untuned neurons reach correlations
of 0.4 that way), so each outer fold repeats the whole search on its training images alone;
the same search on responses dealt to the images at random is the control.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.geometry import Geometry
from meiflow.models.front_end import FrontEnd, feature_maps, features_at, search_places
from meiflow.models.nonlinearity import positive, rate_floor
from meiflow.models.ridge import Spectrum, Standardiser, fit_reweighted
from meiflow.progress import track
from meiflow.sections import Model

MODELS = ("v1", "v1_shuffled", "pixel_ridge", "mean")


@dataclass(frozen=True)
class SearchResult:
    """What the search found, for all neurons.

    Parameters
    ----------
    predictions : dict of str to ndarray, shape (images, neurons)
        Cross-validated predictions of each of `MODELS`, in spikes per presentation.
    shuffled_means : ndarray, shape (images, neurons)
        The shuffled responses that ``v1_shuffled`` was to predict.
    x, y : ndarray, shape (neurons,)
        Place found on all images, degrees.
    place_score : ndarray, shape (rows, columns, neurons)
        Best leave-one-out R2 at every place, on all images.
    place_x, place_y : ndarray
        Degrees of the searched columns and rows.
    """

    predictions: dict[str, NDArray[np.float64]]
    shuffled_means: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    place_score: NDArray[np.float32]
    place_x: NDArray[np.float64]
    place_y: NDArray[np.float64]


def image_folds(n_images: int, folds: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Indices of the held-out images of each fold: a random partition of nearly equal parts.

    Folds are over images, so repeats of one image never straddle a split.
    """
    order = rng.permutation(n_images)
    return [np.sort(part) for part in np.array_split(order, min(folds, n_images))]


def _row_scores(
    features: NDArray, responses: NDArray, subsets: list[NDArray], penalties: NDArray
) -> NDArray[np.float32]:
    """Best leave-one-out R2 per subset, column and response: (subsets, columns, responses)."""
    scores = np.empty((len(subsets), len(features), responses.shape[1]), np.float32)
    for column, at_place in enumerate(features):
        for s, subset in enumerate(subsets):
            x = at_place[subset].astype(float)
            y = responses[subset] - responses[subset].mean(axis=0)
            spectrum = Spectrum.of(Standardiser.of(x)(x))
            errors = spectrum.left_out_errors(y, penalties).min(axis=0)
            total = (y**2).sum(axis=0)
            scores[s, column] = 1 - errors / np.maximum(total, 1e-12)
    return scores


def search_readouts(
    images: NDArray,
    means: NDArray,
    geometry: Geometry,
    config: Model,
    seed: int,
    threads: int = 1,
) -> SearchResult:
    """Search the place of every neuron and cross-validate the whole procedure.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    means : ndarray, shape (images, neurons)
        Mean counts per presentation.
    geometry : Geometry
    config : Model
    seed : int
        Of the folds and of the shuffled control.
    threads : int
        Places are searched in parallel; the result does not depend on it.
    """
    from threadpoolctl import threadpool_limits

    n_images, n_neurons = means.shape
    rng = np.random.default_rng([seed, 2])
    held_out = image_folds(n_images, config.folds, rng)
    shuffled = rng.permuted(means, axis=0)
    responses = np.concatenate([means, shuffled], axis=1)
    everything = np.arange(n_images)
    training = [np.setdiff1d(everything, part) for part in held_out]
    subsets = [*training, everything]
    penalties = np.asarray(config.penalties)
    front_end = FrontEnd.from_config(config)
    rows, columns = search_places(geometry, config.stride)
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        maps = feature_maps(front_end, images, geometry, rows, columns)
        tasks = pool.map(lambda f: _row_scores(f, responses, subsets, penalties), maps)
        scores = np.stack(list(track(tasks, "searching places", len(rows))), axis=1)
        x, y = geometry.x[columns], geometry.y[rows]
        flat = scores.reshape(len(subsets), -1, 2 * n_neurons)
        best = flat.argmax(axis=1)

        def predict(response: int) -> NDArray[np.float64]:
            out = np.empty(n_images)
            for fold, test in enumerate(held_out):
                row, column = divmod(int(best[fold, response]), len(columns))
                features = features_at(front_end, images, geometry, x[column], y[row])
                train = training[fold]
                model = fit_reweighted(
                    features[train], responses[train, response], penalties, config.reweightings
                )
                floor = rate_floor(float(responses[train, response].mean()))
                out[test] = positive(model(features[test]), floor)
            return out

        predicted = np.stack(
            list(track(pool.map(predict, range(2 * n_neurons)), "cross-validating", 2 * n_neurons)),
            axis=1,
        )
        pixels = _pixel_ridge(images, means, held_out, training, penalties)
    row, column = np.divmod(best[-1, :n_neurons], len(columns))
    average = np.empty_like(means)
    for test, train in zip(held_out, training, strict=True):
        average[test] = means[train].mean(axis=0)
    return SearchResult(
        predictions=dict(
            zip(
                MODELS,
                (predicted[:, :n_neurons], predicted[:, n_neurons:], pixels, average),
                strict=True,
            )
        ),
        shuffled_means=shuffled,
        x=x[column],
        y=y[row],
        place_score=scores[-1, ..., :n_neurons],
        place_x=x,
        place_y=y,
    )


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

"""Images shifted by gaze, to which models are fitted if that predicts left-out images better.

Receptive fields of the early visual system move with the eye. The mean response to an image over
trials with different gaze is therefore that to a blurred image. Models are fitted instead to
several views of every image: means over trials with similar gaze, and the image as it fell on the
retina during these.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.retina import gaze_pixels, seen_images
from meiflow.models.jobs import Fits
from meiflow.models.problem import Problem, ProblemFits
from meiflow.models.search import Places, find_places

VIEWS = 4
NO_SHIFT = "none"
# Azimuth and elevation as they are named, and exchanged: AllenSDK's code writes x first, but reads
# it as y, and which files this concerns is not documented.
AXES = "xy", "yx"
# Columns of the comparison of shifted with unshifted images.
GAZE_COLUMNS = (
    "r2_unshifted",
    *(f"r2_{axes}" for axes in AXES),
    "difference",
    "standard_error",
    "used",
)
_COARSER = 2  # grid of positions on which the two are compared, in strides of the models


@dataclass(frozen=True)
class GazeViews:
    """Views of every image: groups of trials with similar gaze.

    Parameters
    ----------
    images : ndarray, shape (axes, images, views, height, width)
        Images as they fell on the retina, by luminance in [0, 1], for both orders of the axes of
        gaze (`AXES`).
    means : ndarray, shape (images, views, neurons)
        Mean responses.
    weights : ndarray, shape (images, views)
        Number of trials divided by the mean number of trials of an image.
    always : bool
        Whether the views are used in every fold. Otherwise, they are where they predict left-out
        training images better than the same images without shift.
    """

    images: NDArray[np.float32]
    means: NDArray[np.float64]
    weights: NDArray[np.float64]
    always: bool = False

    @classmethod
    def of(
        cls,
        images: NDArray,
        responses: NDArray,
        shown: NDArray[np.int64],
        gaze_deg: NDArray,
        geometry: Geometry,
        always: bool = False,
    ) -> GazeViews:
        """Divide the trials of every image into groups of similar gaze and equal size.

        Trials are halved, and halved again, along the direction in which their gaze varies most.
        The views are shifted by the mean gaze of a group relative to the median gaze of all trials,
        in whole pixels. A trial whose gaze is unknown counts as one with the median gaze.

        Parameters
        ----------
        images : ndarray, shape (images, height, width)
            Luminance in [0, 1].
        responses : ndarray, shape (trials, neurons)
        shown : ndarray of int, shape (trials,)
            Index of the image of each trial; trials of blanks are not part of it.
        gaze_deg : ndarray, shape (trials, 2)
            Azimuth to the right and elevation upwards in degrees; NaN where unknown.
        geometry : Geometry
        always : bool
            See `GazeViews`.

        Examples
        --------
        An eye that looks straight ahead, and 5 degrees to the right in one of two trials:

        >>> image = np.full((1, 3, 5), 0.5)
        >>> image[0, 1, 3] = 1.0
        >>> gaze = np.array([[5.0, 0], [0, 0], [5, 0], [0, 0], [0, 0]])
        >>> views = GazeViews.of(image, np.arange(5.0)[:, None], np.zeros(5, int), gaze,
        ...                      Geometry(3, 5, 25.0, 15.0))
        >>> views.images[0, 0, :, 1].argmax(axis=1).tolist()
        [3, 3, 2, 2]
        >>> views.means[0, :, 0].round(2).tolist()
        [2.0, 4.0, 0.0, 2.0]
        """
        repeats = np.bincount(shown, minlength=len(images))
        halvings = int(np.log2(max(min(int(repeats.min()), VIEWS), 1)))
        gaze = centred_gaze(gaze_deg)
        groups = [
            part
            for image in range(len(images))
            for part in _halves(np.flatnonzero(shown == image), gaze, halvings)
        ]
        at = np.stack([gaze[group].mean(axis=0) for group in groups])
        views = 2**halvings
        shown_as = np.repeat(np.asarray(images, np.float32), views, axis=0)
        seen = np.stack(
            [seen_images(shown_as, gaze_pixels(own, geometry)) for own in (at, at[:, ::-1])]
        )
        means = np.stack([responses[group].mean(axis=0) for group in groups])
        sizes = np.array([len(group) for group in groups]) / repeats.mean()
        n = len(images)
        return cls(
            seen.reshape(len(AXES), n, views, *seen.shape[2:]),
            means.reshape(n, views, -1),
            sizes.reshape(n, views),
            always,
        )

    def of_neurons(self, columns: list[int]) -> GazeViews:
        """The same views for some of the neurons."""
        return replace(self, means=self.means[..., columns])

    def compared(self, subsets: list[NDArray], problem: Problem) -> pd.DataFrame:
        """What shifted and unshifted images explain of the same responses, in every subset.

        Parameters
        ----------
        subsets : list of ndarray of int
            Training images of every fold, on which alone its comparison depends.
        problem : Problem
            Images without shift, and settings of the fits.

        Returns
        -------
        DataFrame
            One row per subset. ``r2_unshifted``, ``r2_xy`` and ``r2_yx``: leave-one-image-out R² of
            `v1` at the best position, mean over neurons, with images shifted by gaze along either
            order of its axes; ``difference`` of the better order from no shift, with its
            ``standard_error`` over neurons; ``used``: the order that is used, or none.
        """
        views = self.means.shape[1]
        rows = [_rows(subset, views) for subset in subsets]
        config = problem.config.model_copy(update={"stride": _COARSER * problem.config.stride})
        given = self.means.reshape(-1, self.means.shape[2]), rows, problem.geometry, config
        stacks = np.repeat(problem.images, views, axis=0), *map(_flat, self.images)
        plain, *shifted = (find_places(s, *given, problem.threads, views).r2 for s in stacks)
        means = np.stack([r2.mean(axis=1) for r2 in shifted])
        best = means.argmax(axis=0)
        gained = np.stack(shifted)[best, np.arange(len(best))] - plain
        n = gained.shape[1]
        error = gained.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(gained))
        difference = gained.mean(axis=1)
        used = np.where(self.always | (difference > error), np.array(AXES)[best], NO_SHIFT)
        values = plain.mean(axis=1), *means, difference, error, used
        return pd.DataFrame(dict(zip(GAZE_COLUMNS, values, strict=True)))

    def fit(
        self,
        problem: Problem,
        responses: NDArray,
        subsets: list[NDArray],
        n_neurons: int,
        order: NDArray[np.int64] | None,
        used: NDArray[np.str_],
    ) -> ProblemFits:
        """Fit all base models on views in some subsets, and on plain images in the others.

        Parameters
        ----------
        problem, responses, subsets, n_neurons
            As for `meiflow.models.problem.Problem.fit`.
        order : ndarray of int, shape (images, neurons), optional
            Image whose responses each image of the shuffled control has, if there are controls.
        used : ndarray of str, shape (subsets,)
            Order of the axes of gaze for each subset, or none.

        Returns
        -------
        ProblemFits
            Predictions of views are averaged, so that they are of the mean response to an image.
        """
        numbers, parts = [], []
        for axes in np.unique(used):
            own = np.flatnonzero(used == axes)
            chosen = [subsets[i] for i in own]
            if axes == NO_SHIFT:
                fitted = problem.fit(responses[own], chosen, n_neurons)
            else:
                seen = replace(problem, images=_flat(self.images[AXES.index(axes)]))
                fitted = self._fit_views(seen, responses.shape[2], chosen, n_neurons, order)
            numbers.append(own)
            parts.append(fitted)
        if len(parts) == 1:
            return parts[0]
        return _joined(parts, np.concatenate(numbers), len(self.weights))

    def _fit_views(
        self,
        problem: Problem,
        n_responses: int,
        subsets: list[NDArray],
        n_neurons: int,
        order: NDArray[np.int64] | None,
    ) -> ProblemFits:
        n, views = self.weights.shape
        own = self.means
        if order is not None and n_responses > n_neurons:
            own = np.concatenate([own, np.take_along_axis(own, order[:, None], axis=0)], axis=2)
        responses = np.tile(own.reshape(n * views, -1), (len(subsets), 1, 1))
        weights = views * self.weights.ravel()
        found = replace(_reweighted(problem, views), weights=weights, views=views).fit(
            responses, [_rows(subset, views) for subset in subsets], n_neurons
        )
        fits = {name: self._averaged(one) for name, one in found.fits.items()}
        return replace(found, fits=fits)

    def _averaged(self, fits: Fits) -> Fits:
        """Predictions of images instead of views."""
        n, views = self.weights.shape
        share = self.weights / self.weights.sum(axis=1, keepdims=True)
        of_views = fits.predictions[:, : n * views].reshape(-1, n, views)
        return Fits((of_views * share).sum(axis=2), fits.states)


def _reweighted(problem: Problem, factor: float) -> Problem:
    """The problem with other weights of everything but the images, whose mean weight is 1."""
    found = replace(
        problem,
        drifting=[replace(shown, weights=factor * shown.weights) for shown in problem.drifting],
    )
    if found.extra is not None:
        extra = replace(found.extra, weights=factor * found.extra.weights)
        found = replace(found, extra=extra)
    if found.movies is not None:
        movies = replace(found.movies, weights=factor * found.movies.weights)
        found = replace(found, movies=movies)
    return found


def _joined(parts: list[ProblemFits], subsets: NDArray[np.int64], images: int) -> ProblemFits:
    """Fits on different subsets, whose numbers are given, in the order of the subsets."""
    order = np.argsort(subsets)
    n_responses = parts[0].windows.shape[1]
    jobs = (order[:, None] * n_responses + np.arange(n_responses)).ravel()

    def sorted_(pieces: Iterable[NDArray], own: NDArray = order) -> NDArray:
        return np.asarray(np.concatenate([*pieces])[own])

    fits = {}
    for name in parts[0].fits:
        of_name = [part.fits[name] for part in parts]
        predictions = sorted_((one.predictions[:, :images] for one in of_name), jobs)
        states = [state for one in of_name for state in one.states]
        fits[name] = Fits(predictions, [states[job] for job in jobs])
    x, y, starts, r2 = (
        sorted_(getattr(part.places, name) for part in parts) for name in ("x", "y", "starts", "r2")
    )
    ends = np.cumsum([len(part.windows) for part in parts])
    last = parts[int((order[-1] >= ends).sum())]  # whose RF map it is
    places = Places(x, y, starts, last.places.score, r2)
    return ProblemFits(places, fits, sorted_(part.windows for part in parts))


def centred_gaze(gaze_deg: NDArray) -> NDArray[np.float64]:
    """Gaze (trials, 2) relative to its median; 0 where it is unknown.

    Examples
    --------
    >>> gaze = centred_gaze(np.array([[1.0, 2], [np.nan, np.nan], [3, 2], [1, 4]]))
    >>> (gaze.round(2) + 0.0).tolist()
    [[0.0, 0.0], [0.0, 0.0], [2.0, 0.0], [0.0, 2.0]]
    """
    known = np.isfinite(gaze_deg).all(axis=1)
    found = np.zeros(gaze_deg.shape)
    if known.any():
        found[known] = gaze_deg[known] - np.median(gaze_deg[known], axis=0)
    return found


def _halves(trials: NDArray[np.int64], gaze: NDArray, halvings: int) -> list[NDArray[np.int64]]:
    if not halvings:
        return [trials]
    own = gaze[trials]
    order = trials[np.argsort(own[:, own.std(axis=0).argmax()], kind="stable")]
    parts = np.array_split(order, 2)
    return [group for part in parts for group in _halves(part, gaze, halvings - 1)]


def _rows(images: NDArray[np.int64], views: int) -> NDArray[np.int64]:
    """Rows of all views of some images."""
    return np.asarray((images[:, None] * views + np.arange(views)).ravel())


def _flat(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Views of all images, one after the other."""
    return images.reshape(-1, *images.shape[2:])

"""Frames of natural movies as further images to which models are fitted.

Models are scored on scenes, and movies are another stimulus: neurons respond to a changing image
with another gain and another mean rate, frames resemble their neighbours, and means over few passes
are noisy. So only frames that differ are used, each with a weight by its number of passes; they are
brought to the scale of the scenes; and movies that make the prediction of left-out *scenes* worse
are not used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from meiflow.models.empirical_bayes import candidate_weights
from meiflow.progress import logger
from meiflow.session.images import resize

_COARSE = 15, 24  # pixels
_SAME_SCENE = 0.95
_ALIKE = 0.9
_SLOPES = 0.2, 5.0
_SLOPE_SD = 0.5
_FRAMES_ALIKE = 4.0  # frames that count as one, because neighbours resemble each other


@dataclass(frozen=True)
class MovieStimuli:
    """Images from movies, in temporal order.

    Parameters
    ----------
    images : ndarray, shape (frames, height, width)
        Luminance in [0, 1].
    means : ndarray, shape (frames, neurons)
        Mean counts, or averages of real-valued responses.
    weights : ndarray, shape (frames,)
        Number of trials divided by the mean number of trials of the scenes; at most 1.
    windows : ndarray, shape (windows, frames, neurons), optional
        Mean counts in several counting windows, of which one is chosen for each neuron in each
        fold; see `chosen_windows`.
    """

    images: NDArray[np.float32]
    means: NDArray[np.float64]
    weights: NDArray[np.float64]
    windows: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def of(self, columns: list[int]) -> MovieStimuli:
        """The same images for some of the neurons."""
        windows = None if self.windows is None else self.windows[..., columns]
        return MovieStimuli(self.images, self.means[:, columns], self.weights, windows)

    def in_units(self, units: NDArray) -> MovieStimuli:
        """Responses divided by the units of the neurons (neurons,)."""
        windows = None if self.windows is None else self.windows / units
        return replace(self, means=self.means / units, windows=windows)

    @property
    def candidates(self) -> NDArray[np.float64]:
        """Mean counts in every counting window, (windows, frames, neurons)."""
        return self.means[None] if self.windows is None else self.windows

    def shifted(self, rng: np.random.Generator) -> NDArray[np.float64]:
        """Candidates shifted in time, each neuron by another shift, for the shuffled control."""
        n, neurons = self.means.shape
        if n < 4:
            return self.candidates
        return np.take_along_axis(self.candidates, shifted_rows(n, neurons, rng)[None], axis=1)


def shifted_rows(n: int, columns: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Row numbers (n, columns), each column shifted in time by at least a quarter of the rows."""
    shift = rng.integers(n // 4, n - n // 4, columns)
    return np.asarray((np.arange(n)[:, None] + shift) % n)


def thin_movies(
    images: NDArray,
    means: NDArray,
    repeats: NDArray,
    scenes: NDArray,
    scene_repeats: float,
    most: int,
    windows: NDArray | None = None,
) -> MovieStimuli:
    """Choose frames that differ from one another, and average over those that are alike.

    Frames that nearly equal a scene are left out. Each further frame is the one that is predicted
    worst by the frames chosen before (pivoted Cholesky decomposition of the kernel of coarse
    images).

    Parameters
    ----------
    images : ndarray, shape (frames, height, width)
    means : ndarray, shape (frames, neurons)
    repeats : ndarray, shape (frames,)
        Number of passes.
    scenes : ndarray, shape (scenes, height, width)
    scene_repeats : float
        Mean number of trials of a scene.
    most : int
        Maximum number of frames.
    windows : ndarray, shape (windows, frames, neurons), optional
        Mean counts in several counting windows.
    """
    centre = scenes.mean(axis=0)
    coarse, of_scenes = (coarse_patterns(stack - centre) for stack in (images, scenes))
    same = (unit_rows(coarse) @ unit_rows(of_scenes).T).max(axis=1) > _SAME_SCENE
    if same.any():
        logger.info(f"movies: left out {same.sum()} of {len(same)} images that resemble a scene")
    left = np.flatnonzero(~same)
    if not len(left):
        nothing = None if windows is None else windows[:, :0]
        return MovieStimuli(images[:0], means[:0], np.empty(0), nothing)
    chosen = left[_pivots(coarse[left], most)]
    alike = unit_rows(coarse[left]) @ unit_rows(coarse[chosen]).T
    nearest = np.where(alike.max(axis=1) >= _ALIKE, alike.argmax(axis=1), -1)
    nearest[np.searchsorted(left, chosen)] = np.arange(len(chosen))
    share = (nearest == np.arange(len(chosen))[:, None]) * repeats[left].astype(float)
    total = share.sum(axis=1)
    share /= total[:, None]
    kept = np.tensordot(share.astype(np.float32), images[left], axes=1)
    weights = np.minimum(total / scene_repeats, 1)
    each = None if windows is None else share @ windows[:, left]
    return MovieStimuli(kept, share @ means[left], weights, each)


def effective_number(images: NDArray) -> float:
    """Participation ratio of the principal components of coarse images.

    The number of independent images that would vary as much: n for n uncorrelated ones of equal
    contrast, fewer for frames that resemble one another.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> few = rng.uniform(size=(5, 15, 24))
    >>> round(effective_number(few)), round(effective_number(np.repeat(few, 20, axis=0)))
    (4, 4)
    """
    shape = tuple(min(a, b) for a, b in zip(_COARSE, images.shape[1:], strict=True))
    coarse = resize(images, shape).reshape(len(images), -1).astype(float)
    coarse -= coarse.mean(axis=0)
    values = np.linalg.svd(coarse, compute_uv=False) ** 2
    return float(values.sum() ** 2 / max(float((values**2).sum()), 1e-30))


def coarse_patterns(images: NDArray) -> NDArray[np.float64]:
    """Coarse images, flattened, without their mean, which frames of a dark movie share."""
    shape = tuple(min(a, b) for a, b in zip(_COARSE, images.shape[1:], strict=True))
    coarse = resize(images, shape)
    flat = coarse.reshape(len(coarse), -1).astype(float)
    return np.asarray(flat - flat.mean(axis=1, keepdims=True))


def unit_rows(rows: NDArray) -> NDArray:
    """Rows divided by their norms."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-9)


def _pivots(rows: NDArray, most: int) -> NDArray[np.int64]:
    """Rows that a pivoted Cholesky decomposition of their kernel chooses first, in order."""
    residual = rows.astype(float)
    first = (residual**2).sum(axis=1)
    found: list[int] = []
    for _ in range(min(most, len(rows))):
        size = (residual**2).sum(axis=1)
        best = int(size.argmax())
        if size[best] <= 1e-6 * first.max():
            break
        found.append(best)
        direction = residual[best] / np.sqrt(size[best])
        residual -= np.outer(residual @ direction, direction)
    return np.sort(np.array(found, np.int64))


def chosen_windows(predicted: NDArray, candidates: NDArray) -> NDArray[np.int64]:
    """Counting window in which a prediction from scenes explains the responses to movies best.

    Reliability cannot decide: a window that is too late is as reliable, but belongs to the next
    frames. The evidence of a neuron is the squared correlation over frames of which four count as
    one; the other neurons are its prior (`meiflow.models.empirical_bayes.candidate_weights`), so
    that a neuron that is poorly predicted has the window of the session.

    Parameters
    ----------
    predicted : ndarray, shape (frames, neurons)
        Responses predicted by models of scenes, without held-out ones.
    candidates : ndarray, shape (windows, frames, neurons)
        Mean counts in every window.

    Returns
    -------
    ndarray of int, shape (neurons,)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> drive = rng.normal(size=(100, 3))
    >>> windows = np.stack([np.roll(drive, 1, axis=0), drive])
    >>> chosen_windows(drive + rng.normal(size=drive.shape), windows)
    array([1, 1, 1])
    """
    p = unit_rows((predicted - predicted.mean(axis=0)).T)
    r = (candidates - candidates.mean(axis=1, keepdims=True)).swapaxes(1, 2)
    correlation = np.maximum(np.einsum("nf,wnf->wn", p, unit_rows(r)), 0)
    weights = candidate_weights(1 - correlation**2, round(len(predicted) / _FRAMES_ALIKE))
    return np.asarray(weights.argmax(axis=0))


def movie_slope(predicted: NDArray, recorded: NDArray) -> float:
    """Slope of recorded responses to movies on those predicted from scenes.

    A ridge prediction from scenes is calibrated, so that this is the slope of the true responses:
    how much weaker (or stronger) movies drive the neurons. Where scenes predict nothing, it is 1.

    Parameters
    ----------
    predicted, recorded : ndarray, shape (frames, neurons)
        Neurons are pooled, each in units of the spread of its recorded means.

    Returns
    -------
    float
        Between 0.2 and 5; posterior mean with a Gaussian prior around 1.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> predicted = rng.normal(size=(100, 20))
    >>> recorded = 0.5 * predicted + rng.normal(size=(100, 20))
    >>> round(movie_slope(predicted, recorded), 1), round(movie_slope(0 * predicted, recorded), 1)
    (0.5, 1.0)
    """
    p, r = predicted - predicted.mean(axis=0), recorded - recorded.mean(axis=0)
    unit = 1 / np.maximum((r**2).mean(axis=0), 1e-12)
    known = float((p**2 * unit).sum())
    residual = float((r**2 * unit).mean()) * _FRAMES_ALIKE
    prior = residual / _SLOPE_SD**2
    low, high = _SLOPES
    return float(np.clip((float((p * r * unit).sum()) + prior) / (known + prior), low, high))


def scaled_responses(responses: NDArray, slope: float, mean: NDArray) -> NDArray[np.float64]:
    """Responses to movies (frames, neurons) on the scale of the scenes, whose mean is given."""
    return np.asarray(mean + (responses - responses.mean(axis=0)) / slope)

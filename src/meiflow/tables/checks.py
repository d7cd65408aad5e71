"""What can be known from images and counts before anything is fitted.

Faults that make every result meaningless are refused; what only deserves the reader's attention is
returned as notes.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, shorten
from meiflow.tables.counts import BLANK, Trials, mean_responses

_BLACK = 1.001 / 255  # integers 0 and 1 that were read as 8 bits
_DARK = 0.3
_UNIFORM = 1e-4
_ALIKE = 1e-5
_FAINT = 2e-3  # half a grey level of 8 bits
_ENOUGH_COUNTS = 20  # counts that are all multiples of a number by chance are fewer
_FEW_REPEATS = 4
_FAR_DEG, _OFTEN_FAR = 5.0, 0.1  # gaze, and fraction of the presentations
_FEW_TRIALS, _OUTLYING = 0.001, 0.25  # fractions of the trials, and of their variance


def require_images(images: NDArray, key: str, source: object) -> None:
    """Check that images are not black and not all the same.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    key, source : str, path
        Key of the configuration, and file or folder, used in messages.

    Raises
    ------
    MeiflowError
        If no pixel is brighter than 1 of 255, or if all images are the same.

    Examples
    --------
    >>> binary = np.random.default_rng(0).integers(0, 2, (5, 6, 8)) / 255
    >>> try:
    ...     require_images(binary, "session.images", "a.npy")
    ... except MeiflowError as error:
    ...     print(str(error)[:59])
    session.images: a.npy is black: no pixel is brighter than 0
    """
    highest = float(images.max())
    if highest <= _BLACK:
        raise MeiflowError(
            f"{key}: {source} is black: no pixel is brighter than {highest:.2%} of white; save "
            "integers with white as the highest value of their type (255 for uint8), 8-bit pixels "
            "as uint8, and values of 0 and 1 as floats"
        )
    if len(images) > 1 and float(np.ptp(images, axis=0).max()) < _ALIKE:
        raise MeiflowError(
            f"{key}: all {len(images)} images in {source} are the same, so that no response can be "
            "explained by them; give the images that were shown, (images, height, width)"
        )


def image_notes(images: NDArray, image_ids: NDArray) -> list[str]:
    """Notes on images that are probably not as they were shown.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    image_ids : ndarray of int, shape (images,)

    Examples
    --------
    >>> images = np.random.default_rng(0).uniform(size=(4, 6, 8))
    >>> images[2] = 0.5
    >>> images[3] = images[0]
    >>> for note in image_notes(images, np.arange(4)):
    ...     print(note)
    images: 1 of 4 is uniform (2)
    images: 1 of 4 is the same as another (3 and 0)
    """
    notes, n = [], len(images)
    flat = images.reshape(n, -1)
    uniform = image_ids[flat.std(axis=1) < _UNIFORM]
    if len(uniform):
        notes.append(f"images: {_of(len(uniform), n)} uniform ({shorten(uniform)})")
    _, first, which = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[which.ravel()] != np.arange(n))
    if len(again):
        pairs = [f"{image_ids[i]} and {image_ids[first[which.ravel()[i]]]}" for i in again]
        notes.append(f"images: {_of(len(again), n)} the same as another ({shorten(pairs, 4)})")
    if images.max() < _DARK:
        notes.append(
            f"images: the brightest pixel has {images.max():.1%} of the luminance of white; if the "
            "images have 10 or 12 bits, scale them to the range of the file type"
        )
    spread = float(flat.std(axis=0).max())
    if spread < _FAINT:
        notes.append(
            f"images: hardly differ (a pixel varies by {spread:.2g} of the luminance of white at "
            "most)"
        )
    return notes


def count_notes(
    counts: NDArray, neuron_ids: list[str], length_s: float | None, origin: str
) -> list[str]:
    """Notes on counts that are probably not counts of spikes.

    Parameters
    ----------
    counts : ndarray of int, shape (trials, neurons)
    neuron_ids : list of str
    length_s : float or None
        Length of the counting window, if it is known.
    origin : str
        Name of the table, used in messages.

    Examples
    --------
    >>> rates = 4 * np.random.default_rng(0).poisson(1.0, (50, 2))
    >>> count_notes(rates, ["a", "b"], 0.25, "trials.csv")[0][:70]
    'trials.csv: all counts are multiples of 4, as if they were rates in sp'
    """
    notes = []
    enough = ((counts > 0).sum(axis=0) >= _ENOUGH_COUNTS) & (np.ptp(counts, axis=0) > 0)
    factors = np.gcd.reduce(counts, axis=0)
    common = int(np.gcd.reduce(factors))
    if common > 1 and enough.any():
        rate = length_s is not None and abs(common * length_s - 1) < 0.05
        what = (
            f"as if they were rates in spikes per second (window {length_s:g} s); counts are rates "
            "times the length of the window"
            if rate
            else "as if they were scaled; give the number of spikes"
        )
        notes.append(f"{origin}: all counts are multiples of {common}, {what}")
    elif (enough & (factors > 1)).any():
        odd = [f"{neuron_ids[i]} (of {factors[i]})" for i in np.flatnonzero(enough & (factors > 1))]
        notes.append(f"{origin}: all counts of a neuron are multiples: {shorten(odd, 5)}")
    return notes


def silent_notes(
    counts: NDArray, neuron_ids: list[str], origin: str, real: bool = False
) -> list[str]:
    """Notes on neurons without any spike, or with the same count in every trial.

    Of real numbers (`real`), only those that are the same in every trial.

    Examples
    --------
    >>> silent_notes(np.array([[0, 1], [0, 2]]), ["a", "b"], "trials")
    ['trials: 1 of 2 neurons: silent, without any spike (a)']
    """
    none, same = counts.max(axis=0) == 0, np.ptp(counts, axis=0) == 0
    kinds = {"silent, without any spike": none, "the same count in every trial": same & ~none}
    if real:
        kinds = {"the same response in every trial": same}
    return [
        f"{origin}: {which.sum()} of {len(neuron_ids)} neurons: {what} "
        f"({shorten(neuron_ids[i] for i in np.flatnonzero(which))})"
        for what, which in kinds.items()
        if which.any()
    ]


def outlier_notes(trials: Trials, origin: str) -> list[str]:
    """Notes on neurons whose averages of real-valued responses depend on few trials.

    These are neurons for which one in a thousand trials (at least one) has more than a quarter of
    the variance around the averages of the images.

    Examples
    --------
    >>> from meiflow.response_type import ResponseType
    >>> shown, rng = np.repeat(np.arange(50), 10), np.random.default_rng(0)
    >>> values = rng.normal(size=(500, 2))
    >>> values[7, 1] = 40.0
    >>> trials = Trials(np.arange(500), ["a", "b"], shown, values, ResponseType(real=True))
    >>> for text in outlier_notes(trials, "trials.csv"):
    ...     print(text[:83])
    trials.csv: in 1 of 2 neurons, 0.1% of the trials have more than a quarter of the v
    """
    groups = np.unique(trials.image_ids, return_inverse=True)[1]
    squares = (trials.counts - mean_responses(trials)[1][groups]) ** 2
    few = max(1, round(_FEW_TRIALS * len(squares)))
    whole = np.maximum(squares.sum(axis=0), 1e-300)
    share = np.sort(squares, axis=0)[-few:].sum(axis=0) / whole
    found = [trials.neuron_ids[i] for i in np.flatnonzero(share > _OUTLYING)]
    if not found or trials.response.average == "median":
        return []
    return [
        f"{origin}: in {len(found)} of {len(share)} neurons, {_FEW_TRIALS:.1%} of the trials have "
        f"more than a quarter of the variance ({shorten(found)}); session.average: median is not "
        "affected by outliers"
    ]


def repeat_notes(trials: Trials) -> list[str]:
    """Notes on images that were shown too rarely to measure the noise.

    Examples
    --------
    >>> shown = np.array([0, 1, 2, 3])
    >>> repeat_notes(Trials(shown, ["a"], shown, np.ones((4, 1), int)))[0][:57]
    'trials: no image was repeated, so that the noise is unkno'
    """
    ids, repeats = np.unique(trials.image_ids[trials.image_ids != BLANK], return_counts=True)
    if repeats.max() == 1:
        return [
            "trials: no image was repeated, so that the noise is unknown and no neuron can be "
            "selected by its reliability"
        ]
    notes = []
    if repeats.min() == 1:
        notes.append(f"trials: {_of(int((repeats == 1).sum()), len(ids))} shown only once")
    if np.median(repeats) < _FEW_REPEATS:
        notes.append(
            f"trials: few repeats per image (median {np.median(repeats):g}), so that the noise is "
            "poorly known"
        )
    return notes


def gaze_notes(presentations: pd.DataFrame) -> list[str]:
    """Note on gaze that moved so far that means over trials are those to blurred images.

    Parameters
    ----------
    presentations : DataFrame
        gaze_x_deg and gaze_y_deg, in degrees and NaN where unknown, if gaze was recorded.

    Examples
    --------
    >>> at = [0.0, 0.0, 0.0, 7.0, np.nan]
    >>> gaze_notes(pd.DataFrame({"gaze_x_deg": at, "gaze_y_deg": at}))[0][:70]
    'gaze: in 25 % of the presentations more than 5 degrees from its median'
    """
    if not {"gaze_x_deg", "gaze_y_deg"} <= set(presentations):
        return []
    gaze = presentations[["gaze_x_deg", "gaze_y_deg"]].to_numpy(float)
    known = gaze[np.isfinite(gaze).all(axis=1)]
    if not len(known):
        return []
    away = np.hypot(*(known - np.median(known, axis=0)).T) > _FAR_DEG
    if away.mean() < _OFTEN_FAR:
        return []
    x, y = known.std(axis=0)
    return [
        f"gaze: in {100 * away.mean():.0f} % of the presentations more than {_FAR_DEG:g} degrees "
        f"from its median, about the radius of a receptive field (standard deviation {x:.1f} "
        f"degrees in azimuth, {y:.1f} in elevation; unknown in {len(gaze) - len(known)} of "
        f"{len(gaze)}); model.gaze: auto shifts the images by it if that predicts better"
    ]


def _of(some: int, whole: int) -> str:
    return f"{some} of {whole} {'is' if some == 1 else 'are'}"


def image_line(images: NDArray, shown: NDArray, available: NDArray) -> str:
    """Number, luminance and contrast of the images that were shown, and the others.

    Parameters
    ----------
    images : ndarray, shape (shown images, height, width)
    shown, available : ndarray of int
        Ids of the images that were shown, and of all images.
    """
    never = np.setdiff1d(available, shown)
    others = f"; {len(never)} never shown ({shorten(never)})" if len(never) else "; all were shown"
    contrast = images.std(axis=(1, 2)).mean()
    return (
        f"{len(shown)} shown, luminance {max(images.min(), 0):.2f} to {images.max():.2f} (mean "
        f"{images.mean():.2f}), RMS contrast {contrast:.2f}{others}"
    )


def trial_line(trials: Trials) -> str:
    """Number of trials, and of repeats of each image.

    Examples
    --------
    >>> shown = np.array([-1, 0, 0, 1, 1, 1])
    >>> trial_line(Trials(np.arange(6), ["a"], shown, np.ones((6, 1), int)))
    '6, of 2 images (2 to 3 repeats, median 2.5) and 1 blank'
    """
    repeats = np.unique(trials.image_ids[trials.image_ids != BLANK], return_counts=True)[1]
    blanks = int((trials.image_ids == BLANK).sum())
    low, high = repeats.min(), repeats.max()
    times = f"{low} repeats" if low == high else f"{low} to {high} repeats"
    middle = "" if low == high else f", median {np.median(repeats):g}"
    grey = f" and {blanks} blank{'s' if blanks > 1 else ''}" if blanks else ", no blanks"
    return f"{len(trials.image_ids)}, of {len(repeats)} images ({times}{middle}){grey}"


def neuron_line(trials: Trials, length_s: float | None) -> str:
    """Number of neurons, and their rates or mean counts.

    Examples
    --------
    >>> counts = np.array([[0, 1], [0, 2]])
    >>> neuron_line(Trials(np.arange(2), ["a", "b"], np.arange(2), counts), 0.25)
    '2, 0 to 6 spikes/s (median 3)'
    """
    means = trials.counts.mean(axis=0)
    rates, unit = means, "spikes per presentation"
    if trials.response.real:
        unit = trials.response.unit or "on average"
    elif length_s is not None:
        rates, unit = means / length_s, "spikes/s"
    return (
        f"{len(trials.neuron_ids)}, {rates.min():.3g} to {rates.max():.3g} {unit} (median "
        f"{np.median(rates):.3g})"
    )

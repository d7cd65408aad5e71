"""Notes on inputs that can be read but are probably not what is meant: axes, numbering, size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from meiflow.errors import shorten

_MOST_IMAGES = 500
_BLOCKS = 12
_BEST = 5
_SHIFTS = 19
# Differences between random shifts are at most about three standard deviations.
_NEXT, _FURTHER, _APART = 4.0, 6.0, 3.0
_SQUARE = 1.3  # the highest ratio of a pixel's sides in degrees that passes without a note
_ALIKE = 0.7


def unshown_note(numbers: Sequence[int], shown: Sequence[int]) -> list[str]:
    """Note on images that are given but were never shown.

    Parameters
    ----------
    numbers : sequence of int
        Ids of the images that are given.
    shown : sequence of int
        Ids in the trials.

    Examples
    --------
    >>> unshown_note(range(5), [1, 2, 3, 4])[0][:47]
    '1 of 5 images were never shown (0); the ids sta'
    >>> unshown_note(range(5), range(5))
    []
    """
    missing = sorted(set(numbers) - set(shown))
    if not missing:
        return []
    text = f"{len(missing)} of {len(numbers)} images were never shown ({shorten(missing)})"
    if 0 in missing and min(shown) == 1 and max(shown) == max(numbers):
        text += "; the ids start at 1, images at 0: if the ids count from 1, subtract 1"
    return [text]


def pixel_note(shape: tuple[int, int], width_deg: float, height_deg: float) -> list[str]:
    """Note on pixels that are far from square in degrees.

    Parameters
    ----------
    shape : tuple of int
        Rows and columns of the pictures as they are given.
    width_deg, height_deg : float
        Visual angle that they span.

    Examples
    --------
    >>> pixel_note((60, 96), 121.24, 94.8)
    []
    >>> pixel_note((96, 60), 121.24, 94.8)[0][:56]
    'pixels are not square: 2.02 degrees wide and 0.987 high '
    """
    wide, high = width_deg / shape[1], height_deg / shape[0]
    if max(wide, high) <= _SQUARE * min(wide, high):
        return []
    text = (
        f"pixels are not square: {wide:.3g} degrees wide and {high:.3g} high ({shape[1]} x "
        f"{shape[0]} pixels span {width_deg:g} x {height_deg:g} degrees)"
    )
    turned = width_deg / shape[0], height_deg / shape[1]
    if max(turned) <= _SQUARE * min(turned):
        return [f"{text}; rows and columns are probably exchanged: the order is height, width"]
    return [f"{text}; check the order of the axes and the visual angle"]


def axis_note(stack: NDArray) -> list[str]:
    """Note on a stack whose first axis does not seem to be that of the images.

    Neighbouring pixels of natural images are alike, neighbouring images are not.

    Parameters
    ----------
    stack : ndarray, shape (images, height, width)
        At least four consecutive images.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> stack = gaussian_filter(rng.standard_normal((20, 30, 40)), (0, 2, 2))
    >>> axis_note(stack)
    []
    >>> axis_note(np.moveaxis(stack, 0, -1))[0][:62]
    'the images seem to be along the last axis of the stack (correl'
    """
    if min(stack.shape) < 4:
        return []
    values = stack.astype(float)
    if values.std() == 0:
        return []
    images, *pixels = (_neighbours(values, axis) for axis in range(3))
    least = int(np.argmin(pixels))
    if images > pixels[least] + 0.2:
        name, order = (("second", 1), ("last", -1))[least]
        return [
            f"the images seem to be along the {name} axis of the stack (correlation of neighbours "
            f"{images:.2f} along the first axis, {pixels[least]:.2f} along the {name}); the order "
            f"must be images, height, width: np.moveaxis(stack, {order}, 0)"
        ]
    alike = _neighbours(values - values.mean(axis=0), 0)
    if alike > _ALIKE:
        return [
            f"consecutive images are much alike (correlation {alike:.2f}, without the mean image): "
            "check the order of the axes; scores on held-out images are too high "
            "if images are frames of a movie"
        ]
    return []


def _neighbours(values: NDArray, axis: int) -> float:
    """Correlation of neighbours along an axis."""
    values = np.moveaxis(values, axis, 0)
    first, second = values[:-1].ravel(), values[1:].ravel()
    first, second = first - first.mean(), second - second.mean()
    size = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / size) if size > 0 else 0.0


def numbering_note(images: NDArray, image_ids: NDArray, means: NDArray) -> list[str]:
    """Note on responses that other image ids explain better, such as ids that start at 1.

    For every neuron, the best of many local features of the images is correlated with its
    responses, as given and shifted by up to 19 images; most shifts give what chance gives.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
    image_ids : ndarray, shape (images,)
        Increasing.
    means : ndarray, shape (images, neurons)
        Mean responses.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> images = gaussian_filter(rng.standard_normal((80, 16, 24)), (0, 1, 1))
    >>> means = 5 + 50 * images[:, 4:12:4, 8:20:4].reshape(80, -1).clip(0)
    >>> numbering_note(images, np.arange(80), means)
    []
    >>> numbering_note(images[:-1], np.arange(79), means[1:])[0][:50]
    'responses are better explained by the image with t'
    """
    images, image_ids, means = (a[:_MOST_IMAGES] for a in (images, image_ids, means))
    responses = np.sqrt(means - min(0.0, float(means.min())))
    responses = _unit(responses[:, responses.std(axis=0) > 0])
    most = min(_SHIFTS, len(images) // 2 - 1)
    # shifts are of positions in the stack, so ids must be almost complete
    if most < 9 or responses.shape[1] == 0 or np.mean(np.diff(image_ids) == 1) < 0.9:
        return []
    features = _unit(np.concatenate(list(_features(images.astype(float))), axis=1))
    shifts = np.arange(-most, most + 1)
    scores = np.array([_explained(np.roll(responses, -s, axis=0), features) for s in shifts])
    own, best = scores[most], int(np.argmax(scores))
    others = scores[(shifts != 0) & (shifts != shifts[best])]
    spread = others.std()
    limit = _NEXT if abs(shifts[best]) == 1 else _FURTHER
    if spread == 0 or scores[best] - others.mean() < limit * spread:
        return []
    if best == most or scores[best] - own < _APART * spread:
        return []
    shift = int(shifts[best])
    what = "the next lower id" if shift == 1 else "the next higher id" if shift == -1 else ""
    what = what or f"an id {'lower' if shift > 0 else 'higher'} by {abs(shift)}"
    hint = "if the ids count from 1, subtract 1" if shift == 1 else "check the numbering"
    return [
        f"responses are better explained by the image with {what} ({scores[best]:.3f} of the "
        f"variance instead of {own:.3f}; by chance {others.mean():.3f}): {hint}"
    ]


def _unit(columns: NDArray) -> NDArray:
    columns = columns - columns.mean(axis=0)
    return columns / np.maximum(np.sqrt((columns**2).sum(axis=0)), 1e-12)


def _explained(responses: NDArray, features: NDArray) -> float:
    """Variance explained by the best single features, averaged over neurons."""
    r = np.abs(responses.T @ features)
    best = np.sort(r, axis=1)[:, -_BEST:].mean(axis=1)
    return float(np.mean(best**2))


def _features(images: NDArray) -> Iterator[NDArray]:
    """Luminance, gradients and their energies in blocks of every image (images, features)."""
    n, height, width = images.shape
    if min(height, width) >= 32:
        images = images[:, : height // 2 * 2, : width // 2 * 2]
        images = images.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
    for sigma in (0, 1):
        smooth = gaussian_filter(images, (0, sigma, sigma)) if sigma else images
        down = smooth[:, 2:, 1:-1] - smooth[:, :-2, 1:-1]
        right = smooth[:, 1:-1, 2:] - smooth[:, 1:-1, :-2]
        for gradient in (down, right, (down + right) / 2**0.5, (down - right) / 2**0.5):
            yield _blocks(gradient)
            yield np.sqrt(_blocks(gradient**2))
        yield np.sqrt(_blocks(down**2 + right**2))
    yield _blocks(images)
    yield _blocks(images - gaussian_filter(images, (0, 3, 3)))


def _blocks(values: NDArray) -> NDArray:
    """Means over blocks, at most twelve along each axis."""
    rows, columns = (
        np.linspace(0, size, min(_BLOCKS, size) + 1).astype(int) for size in values.shape[1:]
    )
    sums = np.add.reduceat(np.add.reduceat(values, rows[:-1], axis=1), columns[:-1], axis=2)
    return (sums / np.outer(np.diff(rows), np.diff(columns))).reshape(len(values), -1)

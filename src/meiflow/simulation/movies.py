"""Natural-like movies, and responses that depend on what was shown before.

A movie consists of shots with cuts between them. In each shot the view moves smoothly over a large
image of dead leaves, in front of which a few leaves move on their own.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.signal import lfilter

from meiflow.images.geometry import ALLEN_MOVIE_HEIGHT_DEG, ALLEN_MOVIE_WIDTH_DEG, Geometry
from meiflow.progress import track
from meiflow.session.movie_frames import cut_to_screen
from meiflow.session.schedule import FRAME_S
from meiflow.simulation.dead_leaves import dead_leaves, leaf_mask
from meiflow.simulation.spikes import ornstein_uhlenbeck

SHAPE = (152, 304)  # half the resolution of Allen's movies, which is still finer than DISPLAY
_SHOT_S = (3.0, 9.0)
_OBJECTS = 6
_SMOOTHING_S = 0.8
_ADAPTATION_S = 0.5
_CHUNK = 300
TEMPORAL_COLUMNS = ("integration_s", "adaptation")


def draw_movie(
    frames: int, rng: np.random.Generator, shape: tuple[int, int] = SHAPE
) -> NDArray[np.uint8]:
    """Draw a movie, shape (frames, height, width), at Allen's frame rate."""
    shots, left = [], frames
    while left:
        length = min(left, round(rng.uniform(*_SHOT_S) / FRAME_S))
        shots.append(_shot(length, rng, shape))
        left -= length
    return np.concatenate(shots)


def _shot(frames: int, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = shape
    margins = height // 2, width // 2
    scene = dead_leaves((height + margins[0] + 1, width + margins[1] + 1), rng, 600).astype(float)
    path = [_smooth_path(frames, rng) * margin for margin in margins]
    objects = [_Leaf.draw(frames, rng, shape) for _ in range(_OBJECTS)]
    found = np.empty((frames, *shape), np.uint8)
    for t, (y, x) in enumerate(zip(*path, strict=True)):
        frame = _view(scene, y, x, shape)
        for leaf in objects:
            leaf.paint(frame, t)
        found[t] = np.clip(np.rint(frame), 0, 255)
    return found


def _smooth_path(frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A smooth random path within [0, 1]."""
    speed = ornstein_uhlenbeck(frames + 1, FRAME_S, _SMOOTHING_S, rng)
    place = rng.normal() + np.cumsum(speed[:-1]) * FRAME_S
    return np.asarray(0.5 + 0.5 * np.tanh(place))


def _view(scene: NDArray, y: float, x: float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Part of an image at a position between pixels."""
    row, column = int(y), int(x)
    b, a = y - row, x - column
    part = scene[row : row + shape[0] + 1, column : column + shape[1] + 1]
    rows = (1 - b) * part[:-1] + b * part[1:]
    return np.asarray((1 - a) * rows[:, :-1] + a * rows[:, 1:])


class _Leaf:
    """A leaf with its path, in pixels."""

    def __init__(self, mask: NDArray, value: float, path: NDArray) -> None:
        self.mask, self.value, self.path = mask, value, path

    @classmethod
    def draw(cls, frames: int, rng: np.random.Generator, shape: tuple[int, int]) -> _Leaf:
        radius = rng.uniform(0.04, 0.2) * shape[0]
        size = 2 * int(np.ceil(radius)) + 1
        mask = leaf_mask(int(rng.integers(2)), radius, rng, size)
        path = np.stack([_smooth_path(frames, rng) * (1.4 * n) - 0.2 * n for n in shape], axis=1)
        return cls(mask, float(np.clip(rng.normal(118, 70), 0, 255)), path.astype(int))

    def paint(self, frame: NDArray, t: int) -> None:
        (top, left), size = self.path[t] - len(self.mask) // 2, len(self.mask)
        rows = np.arange(max(top, 0), min(top + size, frame.shape[0]))
        columns = np.arange(max(left, 0), min(left + size, frame.shape[1]))
        inside = np.ix_(rows, columns)
        frame[inside] = np.where(
            self.mask[np.ix_(rows - top, columns - left)], self.value, frame[inside]
        )


def on_display(movie: NDArray[np.uint8], display: Geometry) -> NDArray[np.float32]:
    """Luminance of the frames on the part of the monitor that shows the natural scenes."""
    width, height = ALLEN_MOVIE_WIDTH_DEG, ALLEN_MOVIE_HEIGHT_DEG
    starts = track(range(0, len(movie), _CHUNK), "cutting movie frames", -(-len(movie) // _CHUNK))
    return np.concatenate(
        [cut_to_screen(movie[i : i + _CHUNK] / 255.0, width, height, display) for i in starts]
    )


def draw_temporal(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Temporal parameters of neurons.

    Returns
    -------
    DataFrame
        integration_s, time constant in seconds over which a neuron integrates, and adaptation,
        strength of divisive adaptation.
    """
    return pd.DataFrame(
        {"integration_s": rng.uniform(0.02, 0.08, n), "adaptation": rng.uniform(0.0, 0.6, n)}
    )


def temporal_rates(rates: NDArray, units: pd.DataFrame) -> NDArray[np.float64]:
    """Rates during a movie, from those to which each frame alone would lead.

    Two low-pass filters in succession integrate the rates, and their own recent mean divides them.

    Parameters
    ----------
    rates : ndarray, shape (frames, units)
    units : DataFrame
        Columns of `draw_temporal`.
    """
    found = np.empty(rates.shape)
    slow = np.exp(-FRAME_S / _ADAPTATION_S)
    for i, (tau, strength) in enumerate(units[list(TEMPORAL_COLUMNS)].to_numpy()):
        decay = np.exp(-FRAME_S / (tau / 2))
        rate, mean = rates[:, i], float(rates[:, i].mean())
        for _ in range(2):
            rate = lfilter([1 - decay], [1, -decay], rate, zi=[decay * mean])[0]
        recent = lfilter([1 - slow], [1, -slow], rate, zi=[slow * mean])[0] / max(mean, 1e-9)
        found[:, i] = rate * (1 + strength) / (1 + strength * recent)
    return found

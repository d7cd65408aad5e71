"""What a method of the benchmark is given, what it returns, and what is required of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.projection import is_matched, project_array

_OUTSIDE = 1e-4  # of the range 0 to 1 that rounding may leave
# Columns of the table, which a method cannot add.
_TAKEN = {"source", "images", "repeats", "session", "neuron", "structure", "method", "status"}
_TAKEN |= {"reason", "drive", "optimum", "fraction_of_optimum", "trusted", "cpu_s"}


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording of some neurons: all that a method is given.

    Parameters
    ----------
    images : ndarray of float32, shape (images, height, width)
        Luminance in [0, 1].
    counts : ndarray of int, shape (repeats, images, neurons)
        Spike counts of every presentation. All neurons of a presentation share a gain.
    screen : Geometry
        Size of the images in pixels and degrees of visual angle.
    mean, contrast : float
        Mean luminance and RMS contrast (standard deviation of the pixels) that every stimulus
        must have. Responses are measured above that to a grey screen of this mean.
    seed : int
        For what is random in a method.

    Examples
    --------
    >>> recording = Recording(
    ...     np.zeros((5, 6, 8), np.float32), np.ones((2, 5, 3), int), Geometry(6, 8), 0.5, 0.1, 0
    ... )
    >>> recording.neurons, recording.mean_counts.shape
    (3, (5, 3))
    >>> stripes = np.tile([0.0, 1.0], (1, 6, 4))
    >>> recording.matched(stripes)[0, 0, :2]
    array([0.4, 0.6], dtype=float32)
    """

    images: NDArray[np.float32]
    counts: NDArray[np.int64]
    screen: Geometry
    mean: float
    contrast: float
    seed: int

    @property
    def neurons(self) -> int:
        """Number of neurons."""
        return int(self.counts.shape[2])

    @property
    def mean_counts(self) -> NDArray[np.float64]:
        """Mean count of every image and neuron, shape (images, neurons)."""
        return np.asarray(self.counts.mean(axis=0))

    @property
    def pixels_per_degree(self) -> float:
        """Pixels per degree of azimuth."""
        return 1 / self.screen.dx

    def matched(self, stimuli: ArrayLike) -> NDArray[np.float32]:
        """Stimuli (neurons, height, width) scaled to the required mean and contrast."""
        return project_array(np.asarray(stimuli), self.mean, self.contrast)


@dataclass(frozen=True)
class Answer:
    """Stimuli of a method, and what it may add.

    Parameters
    ----------
    stimuli : ndarray, shape (neurons, height, width)
        Luminance in [0, 1] of the most exciting stimulus of every neuron; NaN where there is none.
    trusted : ndarray of bool, shape (neurons,), optional
        Whether the stimulus is expected to reach 0.8 of the optimum.
    details : mapping of str to ndarray, shape (neurons,)
        Further columns of the table.
    shared_cpu_s : float
        CPU time of steps that an earlier method has already made, in seconds.
    """

    stimuli: NDArray
    trusted: NDArray[np.bool_] | None = None
    details: Mapping[str, NDArray] = field(default_factory=dict)
    shared_cpu_s: float = 0.0


Method = Callable[[Recording], Answer | ArrayLike]


class NotInstalledError(MeiflowError):
    """A method needs software that is not installed; this is not a failure of the method."""


def as_answer(returned: Any, recording: Recording) -> Answer:
    """What a method returned, if the shapes are right.

    Raises
    ------
    MeiflowError
        If they are not.

    Examples
    --------
    >>> recording = Recording(
    ...     np.zeros((5, 6, 8), np.float32), np.ones((2, 5, 3), int), Geometry(6, 8), 0.5, 0.1, 0
    ... )
    >>> try:
    ...     as_answer(np.zeros((6, 8)), recording)
    ... except MeiflowError as error:
    ...     print(error)
    returns stimuli of shape (6, 8); expected (3, 6, 8): neurons, height, width
    """
    answer = returned if isinstance(returned, Answer) else Answer(returned)
    try:
        stimuli = np.asarray(answer.stimuli, dtype=np.float32)
    except (TypeError, ValueError):
        kind = type(answer.stimuli).__name__
        raise MeiflowError(f"returns a {kind}; expected an array of stimuli") from None
    expected = recording.neurons, *recording.screen.shape
    if stimuli.shape != expected:
        raise MeiflowError(
            f"returns stimuli of shape {stimuli.shape}; expected {expected}: neurons, height, width"
        )
    columns = dict(answer.details)
    if taken := sorted(_TAKEN & columns.keys()):
        raise MeiflowError(f"returns details named {', '.join(taken)}, which the table contains")
    if answer.trusted is not None:
        columns["trusted"] = answer.trusted
    for name, column in columns.items():
        if np.shape(column) != (recording.neurons,):
            raise MeiflowError(
                f"returns {name} of shape {np.shape(column)}; expected ({recording.neurons},)"
            )
    return Answer(stimuli, answer.trusted, answer.details, answer.shared_cpu_s)


def fault_of(stimulus: NDArray, recording: Recording) -> str:
    """Why a stimulus cannot be scored; empty if it can.

    Parameters
    ----------
    stimulus : ndarray, shape (height, width)
    recording : Recording

    Examples
    --------
    >>> recording = Recording(
    ...     np.zeros((5, 6, 8), np.float32), np.ones((2, 5, 3), int), Geometry(6, 8), 0.5, 0.1, 0
    ... )
    >>> fault_of(np.tile([0.3, 0.7], (6, 4)), recording)
    'mean luminance 0.500 and RMS contrast 0.200; expected 0.500 and 0.100 (Recording.matched)'
    """
    if not np.isfinite(stimulus).all():
        return "no stimulus: not all pixels are finite"
    low, high = float(stimulus.min()), float(stimulus.max())
    if low < -_OUTSIDE or high > 1 + _OUTSIDE:
        return f"luminance from {low:.3g} to {high:.3g}; expected values in 0..1"
    if not is_matched(stimulus, recording.mean, recording.contrast):
        return (
            f"mean luminance {stimulus.mean():.3f} and RMS contrast {stimulus.std():.3f}; expected "
            f"{recording.mean:.3f} and {recording.contrast:.3f} (Recording.matched)"
        )
    return ""

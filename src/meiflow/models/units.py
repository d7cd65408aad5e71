"""Real-valued responses in units of their standard deviation, in which models are fitted.

Recordings come in arbitrary units (dF/F of 0.02, events of 1e-4, z scores). In these units,
nothing in a fit depends on them: neither a smallest variance nor the step size of a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from meiflow.models.auxiliary import AuxiliaryStimuli
    from meiflow.models.drifting_stimuli import DriftingStimuli
    from meiflow.models.movie_stimuli import MovieStimuli

TrainingMeans = Callable[[NDArray[np.int64]], NDArray[np.float64]]


def response_units(means: NDArray, tests: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Standard deviation over images of each neuron's mean responses; 1 if they are all the same.

    Parameters
    ----------
    means : ndarray, shape (images, neurons)
    tests : ndarray of bool, shape (images,), optional
        Images for testing only, which are left out.

    Examples
    --------
    >>> response_units(np.array([[0.01, 7.0], [-0.01, 7.0]]))
    array([0.01, 1.  ])
    """
    means = means if tests is None else means[~tests]
    spread = means.std(axis=0)
    constant = spread <= 1e-12 * np.abs(means).max(axis=0, initial=0)
    return np.where(constant, 1.0, spread)


def in_units(
    units: NDArray,
    means: NDArray,
    extra: AuxiliaryStimuli | None,
    training_means: TrainingMeans | None,
    drifting: Sequence[DriftingStimuli],
    movies: MovieStimuli | None,
) -> tuple[
    NDArray[np.float64],
    AuxiliaryStimuli | None,
    TrainingMeans | None,
    list[DriftingStimuli],
    MovieStimuli | None,
]:
    """Mean responses to images and further stimuli, divided by `units` (neurons,)."""
    scaled = None
    if training_means is not None:
        given = training_means

        def scaled(training: NDArray[np.int64]) -> NDArray[np.float64]:
            return given(training) / units

    if extra is not None:
        extra = replace(extra, means=extra.means / units)
    if movies is not None:
        movies = movies.in_units(units)
    return means / units, extra, scaled, [shown.in_units(units) for shown in drifting], movies

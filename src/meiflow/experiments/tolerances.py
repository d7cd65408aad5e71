"""Over which range of phases, positions and sizes a neuron responds nearly as to its optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.experiments.experiment import Respond
from meiflow.experiments.standard import Preferred
from meiflow.experiments.widths import width_above
from meiflow.images.moved import moved_image
from meiflow.images.projection import project_array

# With 95 %, models of complex cells, which are never quite invariant to phase, would not pass.
FRACTION = 0.7
_PHASES = 36
_SHIFTS = 41  # over two wavelengths
_SIZES = 33  # over four octaves


@dataclass(frozen=True)
class Tolerances:
    """Ranges of phase (up to 360 degrees), shift (degrees) and size (octaves); NaN without drive.

    The shift is along the modulation axis of the best Gabor, and up to one wavelength to either
    side; sizes are a quarter to four times that of the MEI. A range that extends to such an end is
    cut there.
    """

    phase_deg: float
    shift_deg: float
    size_octaves: float


def tolerances(
    respond: Respond, mei: NDArray, preferred: Preferred, grey: float, fraction: float = FRACTION
) -> Tolerances:
    """Measure the tolerances of a neuron at the mean and contrast of its MEI.

    Parameters
    ----------
    respond : callable
        Function from images (n, height, width) to responses (n,).
    mei : ndarray, shape (height, width)
        The image that is moved and scaled.
    preferred : Preferred
        The best Gabor, whose phase is changed.
    grey : float
        Response to grey, which is subtracted.
    fraction : float
        Required fraction of the highest response of each curve.

    Examples
    --------
    >>> from meiflow.images.geometry import Geometry
    >>> screen = Geometry(60, 96)
    >>> best = Preferred(screen, 10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    >>> gabor = best.gabor()
    >>> linear = lambda images: np.maximum(((images - 0.5) * gabor).sum((1, 2)), 0)
    >>> found = tolerances(linear, 0.5 + 0.1 * gabor, best, 0.0)
    >>> round(found.phase_deg), round(found.shift_deg, 1), round(found.size_octaves, 1)
    (90, 4.8, 1.2)
    """
    geometry = preferred.geometry
    mei = np.asarray(mei, float)
    mean, contrast = float(mei.mean()), float(mei.std())

    def drive(images: NDArray) -> NDArray[np.float64]:
        shown = project_array(images, mean, contrast)
        return np.clip(np.asarray(respond(shown), float) - grey, 0, None)

    place = preferred.x_deg, preferred.y_deg
    phases = np.arange(_PHASES) * 360 / _PHASES
    gabors = preferred.gabor(phases)
    theta = np.deg2rad(preferred.orientation_deg)
    shifts = np.linspace(-1, 1, _SHIFTS) * preferred.wavelength_deg
    moved = [
        moved_image(mei, geometry, place, 1.0, (d * np.cos(theta), d * np.sin(theta)))
        for d in shifts
    ]
    octaves = np.linspace(-2, 2, _SIZES)
    scaled = [moved_image(mei, geometry, place, 2.0**octave) for octave in octaves]
    return Tolerances(
        width_above(phases, drive(gabors), fraction, period=360.0),
        width_above(shifts, drive(np.stack(moved)), fraction),
        width_above(octaves, drive(np.stack(scaled)), fraction),
    )

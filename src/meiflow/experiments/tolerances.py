"""Over which range of phases, positions and sizes a neuron responds nearly as to its optimum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.experiments.experiment import Respond
from meiflow.experiments.standard import Preferred
from meiflow.images.geometry import Geometry
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


def moved_image(
    image: NDArray,
    geometry: Geometry,
    centre: tuple[float, float],
    scale: float,
    shift: tuple[float, float] = (0.0, 0.0),
) -> NDArray[np.float64]:
    """Scale an image about a point, and move it; what enters from outside has its mean luminance.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    geometry : Geometry
    centre : tuple of float
        Fixed point of the scaling, degrees right and up.
    scale : float
        Above 1 enlarges.
    shift : tuple of float
        Degrees to the right and upwards.
    """
    from scipy.ndimage import map_coordinates

    x = centre[0] + (geometry.x - shift[0] - centre[0]) / scale
    y = centre[1] + (geometry.y - shift[1] - centre[1]) / scale
    rows = (geometry.height - 1) / 2 - y / geometry.dy
    columns = (geometry.width - 1) / 2 + x / geometry.dx
    places = np.meshgrid(rows, columns, indexing="ij")
    mean = float(image.mean())
    return mean + map_coordinates(image - mean, places, order=3, mode="constant", cval=0.0)


def width_above(
    axis: ArrayLike, response: ArrayLike, fraction: float, period: float | None = None
) -> float:
    """Width of the range around the peak with at least a fraction of it, linearly interpolated.

    Parameters
    ----------
    axis, response : array_like, shape (n,)
        Increasing, evenly spaced values, and non-negative responses.
    fraction : float
    period : float, optional
        Of a circular axis without its end; the widths of all ranges are then added.

    Returns
    -------
    float
        NaN without any response.

    Examples
    --------
    >>> round(width_above([0, 1, 2, 3, 4], [0, 0, 1, 1, 0], 0.5), 2)
    2.0
    >>> round(width_above([0, 90, 180, 270], [1, 0, 1, 0], 0.5, period=360), 2)
    180.0
    """
    x, r = np.asarray(axis, float), np.asarray(response, float)
    if r.max() <= 0:
        return float("nan")
    step = float(x[1] - x[0])
    if period is not None:
        r = np.append(r, r[0])
    level = fraction * r.max()
    low, high = r[:-1], r[1:]
    # length of each segment above the level
    rise = np.where(high == low, 1.0, high - low)
    crossing = np.clip((level - low) / rise, 0, 1)
    part = np.where(low >= level, np.where(high >= level, 1.0, crossing), 0.0)
    part = np.where((low < level) & (high >= level), 1 - crossing, part)
    if period is not None:
        return float(part.sum() * step)
    peak = int(r.argmax())
    left = int(np.argmax(part[:peak][::-1] < 1)) if (part[:peak] < 1).any() else peak
    right = int(np.argmax(part[peak:] < 1)) if (part[peak:] < 1).any() else len(part) - peak
    first, last = max(peak - left - 1, 0), min(peak + right + 1, len(part))
    return float(part[first:last].sum() * step)

"""The built-in experiments: standard physiology stimuli, centred on the best Gabor.

All stimuli are shown on mid-grey 0.5 at a stated Michelson contrast, as on a screen; they are not
matched in RMS contrast and never clipped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.config.experiments import ExperimentName, Experiments
from meiflow.experiments import robustness
from meiflow.experiments.experiment import Experiment
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY

_LOWEST_CPD = 0.01
_PIXELS_PER_CYCLE = 4
_LOWEST_CONTRAST = 0.02
_MAP_PHASES = 4
_SURROUND = 3.0  # outer diameter of the surround, in diameters of the centre
SURROUNDS = ("none", "iso", "cross")
Array = NDArray


@dataclass(frozen=True)
class Preferred:
    """Best Gabor of a neuron on the screen, on which the experiments are centred.

    Parameters
    ----------
    geometry : Geometry
    x_deg, y_deg, wavelength_deg, orientation_deg, phase_deg, sigma_deg, aspect : float
        As in `meiflow.images.patterns.gabor`.
    """

    geometry: Geometry
    x_deg: float
    y_deg: float
    wavelength_deg: float
    orientation_deg: float
    phase_deg: float
    sigma_deg: float
    aspect: float = 1.0

    def gabor(self, phase_deg: ArrayLike | None = None) -> NDArray[np.float64]:
        """Its pattern (height, width), or one for each of several other phases."""
        return patterns.gabor(
            self.geometry,
            self.x_deg,
            self.y_deg,
            self.wavelength_deg,
            self.orientation_deg,
            self.phase_deg if phase_deg is None else phase_deg,
            self.sigma_deg,
            self.aspect,
        )

    def aperture(self, sigmas: float) -> float:
        """Diameter of gratings in degrees, at least one cycle."""
        widest = self.sigma_deg * max(1.0, self.aspect)
        return max(sigmas * widest, self.wavelength_deg)


@dataclass(frozen=True)
class _Setup:
    """Neuron, settings, and helpers shared by the experiments."""

    p: Preferred
    s: Experiments
    mei: NDArray | None

    @property
    def place(self) -> tuple[Geometry, float, float]:
        return self.p.geometry, self.p.x_deg, self.p.y_deg

    @property
    def aperture(self) -> float:
        return self.p.aperture(self.s.aperture)

    @property
    def phases(self) -> Array:
        return _turn(360.0, self.s.phases)

    def lit(self, pattern: NDArray) -> NDArray[np.float64]:
        """Convert a pattern of amplitude one to luminance at the configured contrast."""
        return GREY + GREY * self.s.contrast * pattern

    def patch(
        self,
        wavelength: Array | None = None,
        orientation: Array | None = None,
        phase: Array | None = None,
        diameter: Array | None = None,
    ) -> NDArray[np.float64]:
        """Pattern of the preferred grating in its aperture, with some parameters changed."""
        return patterns.grating_patch(
            *self.place,
            self.p.wavelength_deg if wavelength is None else wavelength,
            self.p.orientation_deg if orientation is None else orientation,
            self.p.phase_deg if phase is None else phase,
            self.aperture if diameter is None else diameter,
        )


def _turn(whole: float, n: int) -> Array:
    return whole * np.arange(n) / n


def frequency_ladder(geometry: Geometry, n: int) -> Array:
    """Logarithmic spatial frequencies from 0.01 cycles per degree to 4 pixels per cycle."""
    highest = 1 / (_PIXELS_PER_CYCLE * max(geometry.dx, geometry.dy))
    return np.geomspace(_LOWEST_CPD, highest, n)


def map_grid(geometry: Geometry, step: float) -> tuple[Array, Array]:
    """Columns (increasing) and rows (decreasing, as in pictures) of the maps in degrees.

    The grid is centred on the screen, and consists of squares of one step that fit on it.
    """

    def line(width: float) -> Array:
        n = max(int(width / step), 2)
        return (np.arange(n) - (n - 1) / 2) * step

    return line(geometry.width_deg), line(geometry.height_deg)[::-1]


def _orientation(e: _Setup) -> Experiment:
    def render(orientation_deg: Array, phase_deg: Array) -> Array:
        return e.lit(e.patch(orientation=orientation_deg, phase=phase_deg))

    axes = {"orientation_deg": _turn(180.0, e.s.orientations), "phase_deg": e.phases}
    return Experiment("orientation", render, axes)


def _frequency(e: _Setup) -> Experiment:
    def render(frequency_cpd: Array, phase_deg: Array) -> Array:
        return e.lit(e.patch(wavelength=1 / frequency_cpd, phase=phase_deg))

    ladder = frequency_ladder(e.p.geometry, e.s.frequencies)
    return Experiment("frequency", render, {"frequency_cpd": ladder, "phase_deg": e.phases})


def _phase(e: _Setup) -> Experiment:
    def render(phase_deg: Array) -> Array:
        return e.lit(e.patch(phase=phase_deg))

    return Experiment("phase", render, {"phase_deg": _turn(360.0, 2 * e.s.phases)})


def _size(e: _Setup) -> Experiment:
    def render(diameter_deg: Array, phase_deg: Array) -> Array:
        return e.lit(e.patch(diameter=diameter_deg, phase=phase_deg))

    screen = e.p.geometry
    ladder = np.geomspace(2 * max(screen.dx, screen.dy), screen.height_deg, e.s.sizes)
    return Experiment("size", render, {"diameter_deg": ladder, "phase_deg": e.phases})


def _contrast(e: _Setup) -> Experiment:
    def render(contrast: Array, phase_deg: Array) -> Array:
        return GREY + GREY * contrast[:, None, None] * e.patch(phase=phase_deg)

    ladder = np.geomspace(_LOWEST_CONTRAST, 1.0, e.s.contrasts)
    return Experiment("contrast", render, {"contrast": ladder, "phase_deg": e.phases})


def _mei_of(e: _Setup, name: str) -> NDArray[np.float64]:
    if e.mei is None:
        raise ValueError(f"{name}: an MEI is required")
    image = np.asarray(e.mei, dtype=float)
    if image.shape != e.p.geometry.shape:
        raise ValueError(
            f"{name}: the MEI has {image.shape} pixels, but the screen {e.p.geometry.shape}"
        )
    if not image.std() > 0:
        raise ValueError(f"{name}: the MEI is uniform and has no contrast to vary")
    return image


def _mei_contrast(e: _Setup) -> Experiment:
    image = _mei_of(e, "mei_contrast")
    mean = image.mean()
    pattern = (image - mean) / image.std()
    # the highest contrast without clipping
    top = min(mean / -pattern.min(), (1 - mean) / pattern.max())

    def render(rms_contrast: Array) -> Array:
        return mean + rms_contrast[:, None, None] * pattern

    ladder = np.geomspace(_LOWEST_CONTRAST * top, top, e.s.contrasts)
    return Experiment("mei_contrast", render, {"rms_contrast": ladder})


def _mei_scale(e: _Setup) -> Experiment:
    return robustness.mei_scale(_mei_of(e, "mei_scale"), e.p.geometry, (e.p.x_deg, e.p.y_deg))


def _mei_rotation(e: _Setup) -> Experiment:
    mei = _mei_of(e, "mei_rotation")
    return robustness.mei_rotation(mei, e.p.geometry, (e.p.x_deg, e.p.y_deg))


def _mei_crop(e: _Setup) -> Experiment:
    mei, place = _mei_of(e, "mei_crop"), (e.p.x_deg, e.p.y_deg)
    return robustness.mei_crop(mei, e.p.geometry, place, e.s.sizes)


def _places(e: _Setup) -> dict[str, Array]:
    x, y = map_grid(e.p.geometry, e.s.map_step_deg)
    return {"y_deg": y, "x_deg": x}


def _position(e: _Setup) -> Experiment:
    probe = e.p.wavelength_deg / 4

    def render(y_deg: Array, x_deg: Array, phase_deg: Array) -> Array:
        wave, angle = e.p.wavelength_deg, e.p.orientation_deg
        small = patterns.gabor(e.p.geometry, x_deg, y_deg, wave, angle, phase_deg, probe)
        return e.lit(small)

    axes = _places(e) | {"phase_deg": _turn(360.0, _MAP_PHASES)}
    return Experiment("position", render, axes)


def _spots(e: _Setup) -> Experiment:
    diameter = e.p.wavelength_deg / 2

    def render(polarity: Array, y_deg: Array, x_deg: Array) -> Array:
        return e.lit(patterns.disc(e.p.geometry, x_deg, y_deg, diameter, polarity))

    return Experiment("spots", render, {"polarity": [1, -1]} | _places(e))


def _surround(e: _Setup) -> Experiment:
    turned = {"none": 0.0, "iso": 0.0, "cross": 90.0}

    def render(surround: Array, phase_deg: Array) -> Array:
        ring = patterns.annular_grating(
            *e.place,
            e.p.wavelength_deg,
            e.p.orientation_deg + np.array([turned[kind] for kind in surround]),
            phase_deg,
            e.aperture,
            np.where(surround == "none", e.aperture, _SURROUND * e.aperture),
        )
        return e.lit(e.patch(phase=phase_deg) + ring)

    return Experiment("surround", render, {"surround": SURROUNDS, "phase_deg": e.phases})


def _plaid(e: _Setup) -> Experiment:
    half = 0.5  # fraction of contrast for the test, so that test and mask are not clipped

    def render(mask_contrast: Array, phase_deg: Array, mask_phase_deg: Array) -> Array:
        both = patterns.plaid(
            *e.place,
            e.p.wavelength_deg,
            e.p.orientation_deg,
            phase_deg,
            90.0,
            mask_phase_deg,
            half,
            mask_contrast / e.s.contrast,
            e.aperture,
        )
        return e.lit(both)

    axes = {
        "mask_contrast": e.s.contrast * np.array([0.0, half / 4, half / 2, half]),
        "phase_deg": e.phases,
        "mask_phase_deg": _turn(360.0, _MAP_PHASES),
    }
    return Experiment("plaid", render, axes)


def _bars(e: _Setup) -> Experiment:
    length = e.p.aperture(e.s.aperture)

    def render(polarity: Array, orientation_deg: Array, offset_deg: Array) -> Array:
        theta = np.deg2rad(orientation_deg)
        x, y = e.p.x_deg + offset_deg * np.cos(theta), e.p.y_deg + offset_deg * np.sin(theta)
        width = e.p.wavelength_deg / 2
        lit = patterns.bar(e.p.geometry, x, y, width, length, orientation_deg, polarity)
        return e.lit(lit)

    wave = e.p.wavelength_deg
    axes = {
        "polarity": [1, -1],
        "orientation_deg": _turn(180.0, max(e.s.orientations // 2, 4)),
        "offset_deg": np.linspace(-wave, wave, e.s.positions),
    }
    return Experiment("bars", render, axes)


def _shift(e: _Setup) -> Experiment:
    def render(shift_deg: Array) -> Array:
        theta = np.deg2rad(e.p.orientation_deg)
        moved = patterns.gabor(
            e.p.geometry,
            e.p.x_deg + shift_deg * np.cos(theta),
            e.p.y_deg + shift_deg * np.sin(theta),
            e.p.wavelength_deg,
            e.p.orientation_deg,
            e.p.phase_deg,
            e.p.sigma_deg,
            e.p.aspect,
        )
        return e.lit(moved)

    wave = e.p.wavelength_deg
    places = np.linspace(-wave / 2, wave / 2, e.s.positions)
    return Experiment("shift", render, {"shift_deg": places})


_MAKERS: dict[ExperimentName, Callable[[_Setup], Experiment]] = {
    "orientation": _orientation,
    "frequency": _frequency,
    "phase": _phase,
    "size": _size,
    "contrast": _contrast,
    "mei_contrast": _mei_contrast,
    "mei_scale": _mei_scale,
    "mei_rotation": _mei_rotation,
    "mei_crop": _mei_crop,
    "position": _position,
    "spots": _spots,
    "surround": _surround,
    "plaid": _plaid,
    "bars": _bars,
    "shift": _shift,
}


def standard_experiments(
    preferred: Preferred, settings: Experiments | None = None, mei: NDArray | None = None
) -> Mapping[str, Experiment]:
    """Build the experiments named in `settings` for a neuron.

    Parameters
    ----------
    preferred : Preferred
        Best Gabor of the neuron.
    settings : Experiments, optional
        Section of the configuration; by default its defaults.
    mei : ndarray, shape (height, width), optional
        MEI for the experiments whose names begin with ``mei_``, which are omitted without it.

    Returns
    -------
    dict of str to Experiment

    Examples
    --------
    >>> from meiflow.experiments.experiment import run
    >>> screen = Geometry(60, 96)
    >>> preferred = Preferred(screen, 10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    >>> built = standard_experiments(preferred)
    >>> len(built), built["size"].axes["phase_deg"][:3]
    (11, array([ 0., 45., 90.]))
    >>> run(built["phase"], lambda images: images.mean((1, 2))).columns.tolist()
    ['phase_deg', 'response']
    """
    options = settings if settings is not None else Experiments()
    setup = _Setup(preferred, options, mei)
    names = [name for name in options.make if not name.startswith("mei_") or mei is not None]
    return {name: _MAKERS[name](setup) for name in names}

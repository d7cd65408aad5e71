"""The monitor of an experiment: visual angle of its pixels, and luminance of its grey levels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.errors import MeiflowError

LEVELS = 256


@dataclass(frozen=True)
class Monitor:
    """A flat monitor in front of an eye.

    Parameters
    ----------
    width_cm, height_cm : float
        Size of the visible area.
    distance_cm : float
        Distance of the eye from the nearest point of the monitor's plane.
    width_px, height_px : int
        Resolution.
    projection : {"spherical", "flat"}
        How images, which are linear in degrees, are drawn. "spherical": each degree of the image is
        a degree of visual angle from the eye point, also near the edges (azimuthal equidistant
        projection). It is the warp of the Allen Brain Observatory and of PsychoPy's ``Warper``
        (Marshel et al. 2011; de Vries et al. 2020). "flat": linear in cm, with the degrees of the
        eye point (PsychoPy's unit ``deg``); for software that warps by itself.
    eyepoint : tuple of float
        Point of the monitor nearest to the eye, as fractions of the width from the left and of the
        height from the bottom.

    Raises
    ------
    MeiflowError
        If a size is not positive, or the eye point is not on the monitor.

    Examples
    --------
    >>> allen = Monitor(51.92, 32.45, 15.0, 1920, 1200)
    >>> x, y = allen.degrees
    >>> x.shape, bool(abs(x[599, 960]) < 0.2), round(float(x[599, -1]), 1)
    ((1200, 1920), True, 60.0)
    >>> flat = Monitor(51.92, 32.45, 15.0, 1920, 1200, "flat")
    >>> round(float(flat.degrees[0][599, -1]), 1)
    99.1
    """

    width_cm: float
    height_cm: float
    distance_cm: float
    width_px: int
    height_px: int
    projection: Literal["spherical", "flat"] = "spherical"
    eyepoint: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        sizes = self.width_cm, self.height_cm, self.distance_cm
        if not all(np.isfinite(size) and size > 0 for size in sizes):
            raise MeiflowError(
                f"monitor: size {self.width_cm:g} x {self.height_cm:g} cm at {self.distance_cm:g} "
                "cm; expected positive numbers"
            )
        if min(self.shape) < 2 or max(self.shape) > 16384:
            raise MeiflowError(
                f"monitor: resolution {self.width_px} x {self.height_px}; expected 2 to 16384 "
                "pixels, width before height"
            )
        if not all(0 <= part <= 1 for part in self.eyepoint):
            raise MeiflowError(
                f"monitor: eye point {self.eyepoint[0]:g}, {self.eyepoint[1]:g}; expected "
                "fractions of width and height from 0 to 1"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height_px, self.width_px

    @cached_property
    def _cm(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Position of the pixels from the eye point: x (1, width), y (height, 1), y upwards."""
        x = (np.arange(self.width_px) + 0.5) / self.width_px - self.eyepoint[0]
        y = 1 - (np.arange(self.height_px) + 0.5) / self.height_px - self.eyepoint[1]
        return (x * self.width_cm)[None], (y * self.height_cm)[:, None]

    @cached_property
    def degrees(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Azimuth x and elevation y of every pixel in the image, both (height, width), degrees."""
        x, y = self._cm
        scale = np.degrees(1 / self.distance_cm) * self._stretch
        return x * scale, y * scale

    @cached_property
    def pixel_area(self) -> NDArray[np.float64]:
        """Area of every pixel in the image, (height, width), square degrees."""
        x, y = self._cm
        cm = self.width_cm / self.width_px * self.height_cm / self.height_px
        centre = np.degrees(1 / self.distance_cm) ** 2 * cm
        if self.projection == "flat":
            return np.full(self.shape, centre)
        return centre * self._stretch / (1 + (x**2 + y**2) / self.distance_cm**2)

    @cached_property
    def _stretch(self) -> NDArray[np.float64]:
        """Visual angle of every pixel from the eye point, relative to that at the eye point."""
        if self.projection == "flat":
            return np.ones(self.shape)
        x, y = self._cm
        tangent = np.hypot(x, y) / self.distance_cm
        angle = np.arctan(tangent)
        return np.divide(angle, tangent, out=np.ones(self.shape), where=tangent > 0)

    def document(self) -> dict[str, object]:
        """The parameters with their units, for a file."""
        return {
            "size_cm": [self.width_cm, self.height_cm],
            "distance_cm": self.distance_cm,
            "resolution_px": [self.width_px, self.height_px],
            "projection": self.projection,
            "eyepoint_fraction_from_left_and_bottom": list(self.eyepoint),
        }


@dataclass(frozen=True)
class Gamma:
    """Luminance of the 256 grey levels of a monitor.

    Parameters
    ----------
    luminance : ndarray, shape (256,)
        Relative to the range from black (0) to white (1), strictly increasing.
    black, white : float or None
        Luminance of the levels 0 and 255 in the unit of the measurement, if it was measured.

    Examples
    --------
    >>> curve = Gamma.of(2.2)
    >>> level = curve.levels([0.0, 0.5, 1.0])
    >>> level, curve.luminance[level].round(2)
    (array([  0, 186, 255], dtype=uint8), array([0. , 0.5, 1. ]))
    """

    luminance: NDArray[np.float64]
    black: float | None = None
    white: float | None = None

    @classmethod
    def of(cls, exponent: float) -> Gamma:
        """``(level / 255) ** exponent``; 1 for a monitor that software linearises.

        Raises
        ------
        MeiflowError
            If the exponent is not from 0.5 to 4.
        """
        if not 0.5 <= exponent <= 4:
            raise MeiflowError(
                f"gamma {exponent:g}: expected an exponent from 0.5 to 4 (1: linear), or a table"
            )
        return cls((np.arange(LEVELS) / (LEVELS - 1)) ** exponent)

    @classmethod
    def measured(cls, levels: ArrayLike, luminance: ArrayLike, origin: str) -> Gamma:
        """From a measurement; levels in between are interpolated monotonically.

        Parameters
        ----------
        levels : array_like of int, shape (n,)
            Increasing, from 0 to 255.
        luminance : array_like, shape (n,)
            In any unit, increasing.
        origin : str
            Name of the file, for messages.

        Raises
        ------
        MeiflowError
            If a level is missing at either end, or the luminance does not increase.

        Examples
        --------
        >>> curve = Gamma.measured([0, 64, 128, 192, 255], [0.5, 5, 22, 54, 100.5], "gamma.csv")
        >>> curve.black, curve.white, round(float(curve.luminance[128]), 3)
        (0.5, 100.5, 0.215)
        """
        from scipy.interpolate import PchipInterpolator

        at, found = np.asarray(levels, dtype=float), np.asarray(luminance, dtype=float)
        if len(at) < 2 or at[0] != 0 or at[-1] != LEVELS - 1 or (at != at.round()).any():
            raise MeiflowError(
                f"{origin}: expected whole grey levels from 0 to 255 in the column level, with "
                f"both ends; found {len(at)} levels"
                + (f" from {at.min():g} to {at.max():g}" if len(at) else "")
            )
        for name, values in (("level", at), ("luminance", found)):
            if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
                row = int(np.argmin(np.append(np.diff(values) > 0, False))) + 3
                raise MeiflowError(
                    f"{origin}: the column {name} must increase from row to row (line {row}); "
                    "sort the table by level, and average repeated measurements"
                )
        curve = PchipInterpolator(at, found)(np.arange(LEVELS))
        black, white = float(found[0]), float(found[-1])
        return cls((curve - black) / (white - black), black, white)

    def levels(self, luminance: ArrayLike) -> NDArray[np.uint8]:
        """The grey level with the nearest luminance; below black and above white the end."""
        between = (self.luminance[1:] + self.luminance[:-1]) / 2
        return np.searchsorted(between, luminance).astype(np.uint8)

"""Screen geometry: position of each image pixel in degrees of visual angle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

# Allen Brain Observatory natural-scene templates (918 x 1174 px at 0.103270 deg/px).
ALLEN_WIDTH_DEG = 121.24
ALLEN_HEIGHT_DEG = 94.80
# Natural movies were stretched to 1920 x 1080 pixels of the same monitor.
ALLEN_MOVIE_WIDTH_DEG = 1920 / 1174 * ALLEN_WIDTH_DEG
ALLEN_MOVIE_HEIGHT_DEG = 1080 / 918 * ALLEN_HEIGHT_DEG


@dataclass(frozen=True)
class Geometry:
    """An image grid on the screen, linear in degrees.

    Azimuth ``x`` grows to the right and elevation ``y`` grows upwards; both are zero at
    the centre of the screen. Pixels need not be square in degrees.

    Parameters
    ----------
    height, width : int
        Image size in pixels.
    width_deg, height_deg : float
        Visual angle spanned by the whole image, in degrees.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> screen.shape, round(screen.dx, 3), round(screen.dy, 3)
    ((60, 96), 1.263, 1.58)
    >>> row, column = screen.to_pixels(10.0, 20.0)
    >>> round(row, 2), round(column, 2)
    (16.84, 55.42)
    >>> [round(float(angle), 6) for angle in screen.to_degrees(row, column)]
    [10.0, 20.0]
    """

    height: int
    width: int
    width_deg: float = ALLEN_WIDTH_DEG
    height_deg: float = ALLEN_HEIGHT_DEG

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape as (height, width) in pixels."""
        return self.height, self.width

    @property
    def dx(self) -> float:
        """Degrees per pixel along x."""
        return self.width_deg / self.width

    @property
    def dy(self) -> float:
        """Degrees per pixel along y."""
        return self.height_deg / self.height

    @property
    def pixel_area(self) -> float:
        """Area of one pixel in square degrees."""
        return self.dx * self.dy

    @cached_property
    def x(self) -> np.ndarray:
        """Azimuth of the pixel columns, shape (width,), degrees, rightwards."""
        return (np.arange(self.width) - (self.width - 1) / 2) * self.dx

    @cached_property
    def y(self) -> np.ndarray:
        """Elevation of the pixel rows, shape (height,), degrees, upwards (row 0 is highest)."""
        return ((self.height - 1) / 2 - np.arange(self.height)) * self.dy

    def to_pixels(self, x: float, y: float) -> tuple[float, float]:
        """Fractional (row, column), 0-based, of a point given in degrees."""
        return (self.height - 1) / 2 - y / self.dy, (self.width - 1) / 2 + x / self.dx

    def to_degrees(self, row: float, column: float) -> tuple[float, float]:
        """Position (x, y) in degrees of a fractional 0-based (row, column)."""
        return (column - (self.width - 1) / 2) * self.dx, ((self.height - 1) / 2 - row) * self.dy

    def frequencies(self) -> tuple[np.ndarray, np.ndarray]:
        """Spatial frequencies of the image's 2-D FFT, wrapped, in cycles per degree.

        Returns
        -------
        fx, fy : ndarray
            Shapes (width,) and (height,). ``fy`` is positive for modulation upwards.
        """
        return np.fft.fftfreq(self.width, self.dx), -np.fft.fftfreq(self.height, self.dy)

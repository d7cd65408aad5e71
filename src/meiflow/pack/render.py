"""Stimuli as the grey levels of a monitor, with the contrast that they then have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.pack.monitor import Gamma, Monitor

CONTRAST_TOLERANCE = 0.01  # of the contrast asked for
_STOP, _STEPS = 2e-4, 12
_FINE = 4  # points per pixel on which the contrast of an interpolated image is measured


@dataclass(frozen=True)
class Rendered:
    """A stimulus on a monitor.

    Parameters
    ----------
    levels : ndarray of uint8, shape (height, width)
        Grey levels, row 0 at the top.
    mean, contrast : float
        Mean luminance and RMS contrast of the image as it is shown, after gamma and 8 bits. If
        only a part is on the monitor, this is the contrast asked for times the ratio of the
        contrasts shown and asked for in that part.
    mean_error : float
        Relative error of the mean luminance, apart from the rounding to the nearest grey level.
    clipped : float
        Fraction of the visible image that is black or white because it would be beyond.
    on_screen : float
        Fraction of the image's contrast energy that is on the monitor.
    grey_levels : int
        Number of different grey levels.
    """

    levels: NDArray[np.uint8]
    mean: float
    contrast: float
    mean_error: float
    clipped: float
    on_screen: float
    grey_levels: int


@dataclass(frozen=True)
class Renderer:
    """Draws images that are linear in degrees on a monitor.

    Parameters
    ----------
    geometry : Geometry
        Grid of the images.
    monitor : Monitor
    gamma : Gamma
    mean : float
        Mean luminance of the images.
    surround : float
        Luminance of the monitor beyond the images.

    Notes
    -----
    Images are interpolated by cubic splines, which are scaled such that they have the contrast of
    the image. Their mean becomes the luminance of the nearest grey level, so that what is uniform
    in the image has a single level; then the contrast is scaled until it is exact after rounding.
    Means and contrasts are those over the area of the image in square degrees, as for the image.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = 0.45 + 0.2 * gabor(screen, 20.0, -10.0, 20.0, 45.0, 0.0, 7.0)
    >>> image += 0.45 - image.mean()
    >>> monitor = Monitor(51.92, 32.45, 15.0, 480, 300)
    >>> shown = Renderer(screen, monitor, Gamma.of(2.2), 0.45, 0.45).draw(image)
    >>> shown.levels.shape, bool(abs(shown.contrast / image.std() - 1) < 0.001)
    ((300, 480), True)
    """

    geometry: Geometry
    monitor: Monitor
    gamma: Gamma
    mean: float
    surround: float

    @property
    def mean_level(self) -> int:
        """Grey level of the mean luminance."""
        return int(self.gamma.levels(self.mean))

    def blank(self) -> Rendered:
        """The monitor without a stimulus."""
        level = self.gamma.levels(self.surround)
        mean = float(self.gamma.luminance[level])
        return Rendered(np.full(self.monitor.shape, level), mean, 0.0, 0.0, 0.0, 1.0, 1)

    def draw(self, image: NDArray, shift_deg: tuple[float, float] = (0.0, 0.0)) -> Rendered:
        """Draw an image.

        Parameters
        ----------
        image : ndarray, shape (height, width)
            Luminance in [0, 1] with the mean of the renderer.
        shift_deg : tuple of float
            By how much the image is moved to the right and upwards, degrees.

        Returns
        -------
        Rendered
            Its ``contrast`` is that asked for unless the grey levels are too few or end too early.
        """
        from scipy.ndimage import map_coordinates, spline_filter

        spline = spline_filter(np.asarray(image, dtype=float) - image.mean(), order=3)

        def between(rows: NDArray, columns: NDArray) -> NDArray[np.float64]:
            at = np.stack([rows, columns])
            return map_coordinates(spline, at, order=3, mode="nearest", prefilter=False)

        fine = between(*np.meshgrid(*self._fine, indexing="ij"))
        asked = float(np.asarray(image, dtype=float).std())
        scale = asked / max(float(fine.std()), 1e-12)
        x, y = self.monitor.degrees
        height, width = self.geometry.shape
        rows = (height - 1) / 2 - (y - shift_deg[1]) / self.geometry.dy
        columns = (width - 1) / 2 + (x - shift_deg[0]) / self.geometry.dx
        inside = (np.abs(rows - (height - 1) / 2) <= height / 2) & (
            np.abs(columns - (width - 1) / 2) <= width / 2
        )
        levels = np.full(self.monitor.shape, self.gamma.levels(self.surround))
        if not inside.any():
            return Rendered(levels, np.nan, np.nan, np.nan, 0.0, 0.0, 1)
        pattern = scale * (between(rows[inside], columns[inside]) - fine.mean())
        area = self.monitor.pixel_area[inside]
        weights = area / area.sum()
        wanted = _spread(pattern, weights)
        whole = self.geometry.width_deg * self.geometry.height_deg
        energy = float((area * pattern**2).sum()) / (whole * max(asked, 1e-12) ** 2)
        shown = self._rounded(pattern, weights, wanted)
        levels[inside] = shown
        luminance = self.gamma.luminance[shown]
        mean, middle = float(weights @ luminance), self.gamma.luminance[self.mean_level]
        meant = float(middle + weights @ pattern)
        beyond = (self.mean + pattern < -1e-6) | (self.mean + pattern > 1 + 1e-6)
        return Rendered(
            levels,
            mean,
            asked * _spread(luminance, weights) / max(wanted, 1e-12),
            abs(mean - meant) / meant,
            float(weights @ beyond),
            min(energy, 1.0),
            len(np.unique(shown)),
        )

    def _rounded(self, pattern: NDArray, weights: NDArray, wanted: float) -> NDArray[np.uint8]:
        """Grey levels of a pattern whose luminance has the wanted contrast after rounding."""
        middle = self.gamma.luminance[self.mean_level]
        gain, best, fault = 1.0, np.full(len(pattern), self.mean_level, np.uint8), np.inf
        for _ in range(_STEPS):
            levels = self.gamma.levels(middle + gain * pattern)
            found = _spread(self.gamma.luminance[levels], weights)
            off = abs(found / max(wanted, 1e-12) - 1)
            if off < fault:
                best, fault = levels, off
            if off < _STOP:
                break
            gain *= np.clip(wanted / max(found, 1e-12), 0.5, 2.0)
        return best

    @cached_property
    def _fine(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Rows and columns of a fine grid over the whole image, in pixels."""
        height, width = self.geometry.shape
        return (
            (np.arange(height * _FINE) + 0.5) / _FINE - 0.5,
            (np.arange(width * _FINE) + 0.5) / _FINE - 0.5,
        )


def _spread(values: NDArray, weights: NDArray) -> float:
    """Standard deviation with weights that sum to one."""
    middle = weights @ values
    return float(np.sqrt(weights @ (values - middle) ** 2))

"""Power spectrum of an image in cycles per degree, and measures derived from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry

_PADDING = 4
_BINS = 16
_DIRECTIONS = 90
_FLAT = 1e-12
_SAMPLES = 1501

ORIENTED = 0.3  # below this symmetry_1, the orientation is meaningless


@dataclass(frozen=True)
class Spectrum:
    """Power (fy, fx) with frequency axes in cycles per degree and zero in the centre."""

    power: NDArray[np.float64]
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]

    @property
    def radius(self) -> NDArray[np.float64]:
        """Spatial frequency of every cell, cycles per degree."""
        return np.hypot(self.fx[None, :], self.fy[:, None])

    @property
    def angle(self) -> NDArray[np.float64]:
        """Direction of every cell, radians in [0, pi), counter-clockwise, y up."""
        return np.arctan2(self.fy[:, None], self.fx[None, :]) % np.pi

    @property
    def limit(self) -> float:
        """The lower Nyquist frequency, up to which all directions are represented equally."""
        return float(min(np.abs(self.fx).max(), np.abs(self.fy).max()))

    @property
    def disc(self) -> NDArray[np.bool_]:
        """Cells up to `limit`, excluding zero frequency."""
        return (self.radius > 0) & (self.radius <= self.limit)

    def at(self, fx: NDArray, fy: NDArray) -> NDArray[np.float64]:
        """Interpolated power at arbitrary frequencies."""
        from scipy.ndimage import map_coordinates

        rows = (fy - self.fy[0]) / (self.fy[1] - self.fy[0])
        columns = (fx - self.fx[0]) / (self.fx[1] - self.fx[0])
        found = map_coordinates(self.power, [rows, columns], order=3, mode="grid-wrap")
        return np.maximum(found, 0.0)


@dataclass(frozen=True)
class Profile:
    """Mean power (n,) by `value` (n,): cycles per degree, or direction in degrees."""

    value: NDArray[np.float64]
    power: NDArray[np.float64]


@dataclass(frozen=True)
class Peak:
    """Position of the highest power in cycles per degree; NaN for a uniform image."""

    fx: float
    fy: float

    @property
    def frequency(self) -> float:
        """Spatial frequency in cycles per degree."""
        return float(np.hypot(self.fx, self.fy))

    @property
    def direction(self) -> float:
        """Direction in degrees in [0, 180), counter-clockwise."""
        return float(np.rad2deg(np.arctan2(self.fy, self.fx)) % 180)


def power_spectrum(image: NDArray, geometry: Geometry) -> Spectrum:
    """Power spectrum of an image (height, width) minus its mean, zero-padded fourfold.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> spectrum = power_spectrum(gabor(screen, 0.0, 0.0, 20.0, 30.0, 0.0, 8.0), screen)
    >>> spectrum.power.shape, round(spectrum.limit, 3)
    ((240, 384), 0.316)
    """
    shape = (_PADDING * geometry.height, _PADDING * geometry.width)
    power = np.abs(np.fft.fft2(image - image.mean(), shape)) ** 2
    fx = np.fft.fftfreq(shape[1], geometry.dx)
    fy = -np.fft.fftfreq(shape[0], geometry.dy)
    return Spectrum(np.fft.fftshift(power), np.fft.fftshift(fx), np.fft.fftshift(fy))


def _polar(
    spectrum: Spectrum,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Frequencies (n,), directions (90,) in degrees, and power (n, 90)."""
    step = max(spectrum.fx[1] - spectrum.fx[0], spectrum.fy[0] - spectrum.fy[1])
    frequency = np.arange(1, int(spectrum.limit / step) + 1) * step
    direction = np.arange(_DIRECTIONS) * 180.0 / _DIRECTIONS
    axis = np.deg2rad(direction)
    power = spectrum.at(frequency[:, None] * np.cos(axis), frequency[:, None] * np.sin(axis))
    return frequency, direction, power


def radial_profile(spectrum: Spectrum) -> Profile:
    """Power by spatial frequency, averaged over all directions.

    Extends to the lower Nyquist frequency. The profile of white noise is flat.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> noise = np.random.default_rng(0).standard_normal(screen.shape)
    >>> profile = radial_profile(power_spectrum(noise, screen))
    >>> profile.value[[0, -1]].round(3)
    array([0.003, 0.316])
    """
    frequency, _, power = _polar(spectrum)
    return Profile(frequency, power.mean(1))


def axial_profile(spectrum: Spectrum) -> Profile:
    """Power by direction of modulation, every 2 degrees, averaged over frequencies.

    Extends to the lower Nyquist frequency; frequencies are weighted by the length of their ring.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> spectrum = power_spectrum(gabor(screen, 0.0, 0.0, 20.0, 30.0, 0.0, 8.0), screen)
    >>> profile = axial_profile(spectrum)
    >>> float(profile.value[profile.power.argmax()])
    30.0
    """
    frequency, direction, power = _polar(spectrum)
    return Profile(direction, frequency @ power / frequency.sum())


def symmetry_index(spectrum: Spectrum, order: int) -> float:
    """Symmetry index: concentration of the power in `order` directions, in [0, 1].

    ``|sum P e^{2 i n theta}| / sum P`` over 16 bins of direction (bin centres in radians), where
    P is the mean power of a bin. Order 1 is high for one orientation, order 2 for two at right
    angles (or for one); both are low for isotropic images. NaN for a uniform image.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> one = gabor(screen, 0.0, 0.0, 20.0, 30.0, 0.0, 12.0)
    >>> two = one + gabor(screen, 0.0, 0.0, 20.0, 120.0, 0.0, 12.0)
    >>> spectra = power_spectrum(one, screen), power_spectrum(two, screen)
    >>> [[round(symmetry_index(spectrum, n), 1) for n in (1, 2)] for spectrum in spectra]
    [[0.9, 0.7], [0.0, 0.7]]
    """
    inside = spectrum.disc
    bins = np.minimum((spectrum.angle[inside] / np.pi * _BINS).astype(int), _BINS - 1)
    cells = np.bincount(bins, minlength=_BINS)
    power = np.bincount(bins, spectrum.power[inside], _BINS) / np.maximum(cells, 1)
    if power.sum() < _FLAT:
        return float("nan")
    centres = (np.arange(_BINS) + 0.5) * np.pi / _BINS
    return float(np.abs((power * np.exp(2j * order * centres)).sum()) / power.sum())


def dominant_orientation(spectrum: Spectrum) -> float:
    """Power-weighted direction of modulation in degrees in [0, 180); NaN if uniform.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = gabor(screen, 10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    >>> round(dominant_orientation(power_spectrum(image, screen)))
    30
    """
    inside = spectrum.disc
    vector = (spectrum.power[inside] * np.exp(2j * spectrum.angle[inside])).sum()
    if np.abs(vector) < _FLAT:
        return float("nan")
    return float(np.rad2deg(np.angle(vector) / 2) % 180)


def spectral_peak(spectrum: Spectrum, power: NDArray | None = None) -> Peak:
    """Peak of the power between zero and the lower Nyquist frequency.

    The position is refined by fitting a paraboloid to the log power of the highest cell and its
    eight neighbours.

    Parameters
    ----------
    spectrum : Spectrum
    power : ndarray, optional
        Power to use instead of the spectrum's, for instance with the first peak removed.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = gabor(screen, 10.0, 5.0, 20.0, 30.0, 0.0, 8.0)
    >>> peak = spectral_peak(power_spectrum(image, screen))
    >>> round(peak.frequency, 2), round(peak.direction)
    (0.05, 30)
    """
    power = spectrum.power if power is None else power
    inside = np.where(spectrum.disc, power, 0.0)
    if inside.max() < _FLAT:
        return Peak(float("nan"), float("nan"))
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    around = np.arange(-1, 2)
    rows, columns = (row + around) % len(spectrum.fy), (column + around) % len(spectrum.fx)
    height = np.log(power[np.ix_(rows, columns)] + 1e-9 * inside.max())
    down, right = (g.ravel() for g in np.meshgrid(around, around, indexing="ij"))
    terms = np.column_stack([np.ones(9), right, down, right**2, right * down, down**2])
    _, gx, gy, xx, xy, yy = np.linalg.lstsq(terms, height.ravel(), rcond=None)[0]
    step = np.zeros(2)
    if xx < 0 and 4 * xx * yy > xy**2:  # a maximum, not a saddle
        step = np.linalg.solve([[2 * xx, xy], [xy, 2 * yy]], [-gx, -gy]).clip(-1, 1)
    fx = spectrum.fx[column] + step[0] * (spectrum.fx[1] - spectrum.fx[0])
    fy = spectrum.fy[row] + step[1] * (spectrum.fy[1] - spectrum.fy[0])
    return Peak(float(fx), float(fy))


def peak_frequency(spectrum: Spectrum) -> float:
    """Spatial frequency of the highest power in cycles per degree; NaN if uniform."""
    return spectral_peak(spectrum).frequency


def _half_power(values: NDArray, top: int) -> tuple[float, float]:
    """Positions in samples at which the values fall to half of that at `top`, on both sides."""
    half = values[top] / 2
    low, high = np.flatnonzero(values[:top] < half), np.flatnonzero(values[top:] < half)
    if not len(low) or not len(high):
        return float("nan"), float("nan")
    i, j = low[-1], top + high[0]
    left = i + (half - values[i]) / (values[i + 1] - values[i])
    right = j - (half - values[j]) / (values[j - 1] - values[j])
    return float(left), float(right)


def bandwidth_octaves(spectrum: Spectrum) -> float:
    """Bandwidth of spatial frequency in octaves, at half of the highest power.

    Measured as for the tuning curve of a neuron, in the direction of the spectrum's peak. NaN if
    the power does not fall to half below the Nyquist frequency. For a Gabor with sigma s and
    wavelength w it is ``log2((1 + d) / (1 - d))`` with ``d = sqrt(ln 2) / (2 pi s / w)``.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = gabor(screen, 0.0, 0.0, 20.0, 30.0, 0.0, 10.0)
    >>> d = np.sqrt(np.log(2)) / (2 * np.pi * 10 / 20)
    >>> found = bandwidth_octaves(power_spectrum(image, screen))
    >>> round(found, 1), round(float(np.log2((1 + d) / (1 - d))), 1)
    (0.8, 0.8)
    """
    peak = spectral_peak(spectrum)
    if np.isnan(peak.fx):
        return float("nan")
    along = np.linspace(0, spectrum.limit, _SAMPLES)
    values = spectrum.at(along * peak.fx / peak.frequency, along * peak.fy / peak.frequency)
    top = min(round(peak.frequency / along[1]), _SAMPLES - 1)
    low, high = _half_power(values, top)
    return float(np.log2(high / low)) if low > 0 else float("nan")


def orientation_halfwidth(spectrum: Spectrum) -> float:
    """Half-width of the orientation tuning in degrees, at half of the highest power.

    Measured at the frequency of the spectrum's peak. NaN if the power does not fall to half.

    Examples
    --------
    >>> from meiflow.images.patterns import gabor
    >>> screen = Geometry(60, 96)
    >>> image = gabor(screen, 0.0, 0.0, 20.0, 30.0, 0.0, 10.0)
    >>> round(orientation_halfwidth(power_spectrum(image, screen)))
    15
    """
    peak = spectral_peak(spectrum)
    if np.isnan(peak.fx):
        return float("nan")
    turn = np.linspace(-90, 90, _SAMPLES)
    axis = np.deg2rad(peak.direction + turn)
    values = spectrum.at(peak.frequency * np.cos(axis), peak.frequency * np.sin(axis))
    low, high = _half_power(values, _SAMPLES // 2)
    return (high - low) * float(turn[1] - turn[0]) / 2

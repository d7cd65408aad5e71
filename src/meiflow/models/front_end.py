"""A fixed V1 front end that converts images to channels.

Gabor quadrature pairs of several wavelengths and orientations, rectified in four phases
(simple cells) and combined into energies (complex cells; Adelson & Bergen 1985), and
centre-surround filters rectified into ON and OFF; each is also included divided by the local
contrast (Heeger 1992). 118 images are not enough for a network to learn such features.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.arrays import namespace
from meiflow.config.sections import Model
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY

_TINY = 1e-9
SURROUND = 2.5
_SURROUND_WEIGHT = 0.9


@dataclass(frozen=True)
class FrontEnd:
    """Filters, and the conversion of their outputs to channels.

    Parameters
    ----------
    wavelengths : tuple of float
        Wavelengths in degrees per cycle.
    orientations : int
        Number of orientations, equally spaced over 180 degrees.
    sigma_over_wavelength, aspect : float
        Sigma over wavelength; sigma across over sigma along the modulation axis.
    centre_sigmas, pool_sigmas : tuple of float
        Sigmas in degrees of the ON/OFF centres and of the windows that measure local contrast.
    semisaturation : float
        Local RMS contrast at which the normalised channels are halved.
    """

    wavelengths: tuple[float, ...]
    orientations: int
    sigma_over_wavelength: float
    aspect: float
    centre_sigmas: tuple[float, ...]
    pool_sigmas: tuple[float, ...]
    semisaturation: float

    @classmethod
    def from_config(cls, model: Model) -> FrontEnd:
        """Build the front end described by the section ``model`` of a configuration."""
        return cls(
            tuple(model.wavelengths_deg),
            model.orientations,
            model.sigma_over_wavelength,
            model.aspect,
            tuple(model.centre_sigmas_deg),
            tuple(model.pool_sigmas_deg),
            model.semisaturation,
        )

    def as_document(self) -> dict[str, Any]:
        """Plain numbers and lists, for a model file."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> FrontEnd:
        """Build from the output of `as_document`."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in document.items()
        }
        return cls(**fields)

    @property
    def gabors(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Wavelength and orientation (degrees) of every quadrature pair."""
        angles = 180.0 * np.arange(self.orientations) / self.orientations
        grid = np.meshgrid(self.wavelengths, angles, indexing="ij")
        return grid[0].ravel(), grid[1].ravel()

    @property
    def n_channels(self) -> int:
        """Number of channels returned by `channels`."""
        return 10 * len(self.gabors[0]) + 4 * len(self.centre_sigmas)

    @property
    def _pools(self) -> tuple[list[int], list[int]]:
        """Indices of the windows that normalise each Gabor pair and centre-surround filter."""
        pools = np.array(self.pool_sigmas)

        def nearest(sigma: NDArray) -> list[int]:
            return np.abs(np.log(pools[None] / sigma[:, None])).argmin(1).tolist()

        return (
            nearest(self.sigma_over_wavelength * self.gabors[0]),
            nearest(np.array(self.centre_sigmas) * SURROUND),
        )

    def filters(self, geometry: Geometry, x: float, y: float) -> dict[str, NDArray[np.float64]]:
        """Filters centred at (x, y) degrees, each (filters, height, width).

        ``even``, ``odd`` and ``centre`` integrate luminance over square degrees and have
        unit energy per square degree; ``pool`` has unit volume. All are normalised in closed
        form, as if the screen had no edge: the area beyond it is grey, and a filter that extends
        over the edge is cropped, not rescaled.
        """
        wavelength, orientation = self.gabors
        sigma = self.sigma_over_wavelength * wavelength
        area = geometry.pixel_area
        u, v = patterns.rotated_axes(geometry, x, y, orientation)
        k = (2 * np.pi / wavelength)[:, None, None]
        width = sigma[:, None, None]
        envelope = np.exp(-0.5 * (u**2 + (v / self.aspect) ** 2) / width**2)
        # Without this offset the even filter would respond to luminance (its integral is not zero).
        offset = np.exp(-0.5 * (k * width) ** 2)
        volume = np.pi * self.aspect * width**2
        damped = np.exp(-((k * width) ** 2))
        cross = offset * np.exp(-0.25 * (k * width) ** 2)
        even_energy = volume * ((1 + damped) / 2 - 2 * cross + offset**2)
        odd_energy = volume * (1 - damped) / 2
        centres = np.array(self.centre_sigmas)
        surrounds = SURROUND * centres
        centre = patterns.difference_of_gaussians(
            geometry, x, y, centres, surrounds, _SURROUND_WEIGHT
        )
        centre_energy = (
            1 / (4 * np.pi * centres**2)
            + _SURROUND_WEIGHT**2 / (4 * np.pi * surrounds**2)
            - _SURROUND_WEIGHT / (np.pi * (centres**2 + surrounds**2))
        )[:, None, None]
        pools = np.array(self.pool_sigmas)[:, None, None]
        dx, dy = patterns.rotated_axes(geometry, x, y, 0.0)
        return {
            "even": (np.cos(k * u) - offset) * envelope * area / np.sqrt(even_energy),
            "odd": -np.sin(k * u) * envelope * area / np.sqrt(odd_energy),
            "centre": centre * area / np.sqrt(centre_energy),
            "pool": np.exp(-0.5 * (dx**2 + dy**2) / pools**2) * area / (2 * np.pi * pools**2),
        }

    def channels(
        self, even: Any, odd: Any, centre: Any, power: Any, *, simple: bool = True, axis: int = -1
    ) -> Any:
        """Convert filter outputs to channels.

        Parameters
        ----------
        even, odd, centre : array, shape (..., filters)
            Outputs of the filters of the same name.
        power : array, shape (..., windows)
            Mean squared contrast within each window.
        simple : bool
            Whether to include the simple cells.
        axis : int
            Axis of the filters and of the channels, by default the last one.

        Returns
        -------
        array, shape (..., n_channels)
            Non-negative channels: simple cells by phase, complex cells, ON and OFF; then the same,
            normalised.
        """
        xp = namespace(even)
        local = xp.sqrt(power.clip(0) + _TINY)
        gabor_pools, centre_pools = self._pools
        energy = xp.sqrt(even * even + odd * odd + _TINY)
        phases = [even.clip(0), (-even).clip(0), odd.clip(0), (-odd).clip(0)] if simple else []
        gabor = [*phases, energy]
        on_off = [centre.clip(0), (-centre).clip(0)]
        divisor = self.semisaturation + local
        by_gabor, by_centre = (
            _chosen(divisor, pools, axis) for pools in (gabor_pools, centre_pools)
        )
        normalised = [g / by_gabor for g in gabor] + [c / by_centre for c in on_off]
        return xp.concatenate(gabor + on_off + normalised, axis)


def _chosen(values: Any, numbers: list[int], axis: int) -> Any:
    """Elements along an axis, the same ones several times."""
    xp = namespace(values)
    if xp is np:
        return values.take(numbers, axis)
    return values.index_select(axis, xp.tensor(numbers, device=values.device))


def search_places(geometry: Geometry, stride: int) -> tuple[NDArray, NDArray]:
    """Pixel rows and columns of the grid of candidate RF positions."""
    start = stride // 2
    return np.arange(start, geometry.height, stride), np.arange(start, geometry.width, stride)


def feature_maps(
    front_end: FrontEnd,
    images: NDArray,
    geometry: Geometry,
    rows: NDArray,
    columns: NDArray,
) -> Iterator[NDArray[np.float32]]:
    """Channels at a grid of positions, one row of the grid at a time.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1]; the area outside the image is grey.
    rows, columns : ndarray of int
        Rows and columns of the grid.

    Yields
    ------
    ndarray of float32, shape (columns, images, n_channels)
    """
    import scipy.fft

    height, width = geometry.shape
    # A kernel that covers all distances between pixels, and its correlation by FFT.
    wide = Geometry(
        2 * height - 1,
        2 * width - 1,
        geometry.dx * (2 * width - 1),
        geometry.dy * (2 * height - 1),
    )
    # circular correlations of this size wrap around only beyond the positions that are read
    padded = [scipy.fft.next_fast_len(2 * n - 1, real=True) for n in geometry.shape]
    contrast = images.astype(np.float32) - np.float32(GREY)
    # (frequencies along x, along y, images)
    spectra = {
        squared: np.ascontiguousarray(scipy.fft.rfft2(shown, padded).transpose(2, 1, 0))
        for squared, shown in ((False, contrast), (True, contrast**2))
    }
    # the inverse transform at the positions that are read, as products of matrices
    along_y = _inverse(height - 1 + rows, np.arange(padded[0]), padded[0])
    along_x = _inverse(width - 1 + columns, np.arange(padded[1] // 2 + 1), padded[1])
    along_x[:, 1 : (padded[1] + 1) // 2] *= 2  # the half of the spectrum that is not computed
    kernels = front_end.filters(wide, 0.0, 0.0)
    outputs: dict[str, NDArray] = {}
    for name, stack in kernels.items():
        maps = np.empty((len(rows), len(columns), len(images), len(stack)), np.float32)
        for i, kernel in enumerate(stack.astype(np.float32)):
            gain = scipy.fft.rfft2(kernel[::-1, ::-1], padded).T[:, None]
            at_rows = (gain * along_y) @ spectra[name == "pool"]
            both = np.stack([at_rows.real, at_rows.imag]).reshape(-1, len(rows) * len(images))
            at_places = np.concatenate([along_x.real, -along_x.imag], axis=1) @ both
            at_places = at_places.reshape(len(columns), len(rows), len(images))
            maps[..., i] = at_places.transpose(1, 0, 2)
        outputs[name] = maps
    for row in range(len(rows)):
        yield front_end.channels(
            outputs["even"][row], outputs["odd"][row], outputs["centre"][row], outputs["pool"][row]
        )


def _inverse(places: NDArray, frequencies: NDArray, size: int) -> NDArray[np.complex64]:
    """Matrix (places, frequencies) of an inverse Fourier transform of a given size."""
    turns = np.outer(places, frequencies) % size / size
    return np.asarray(np.exp(2j * np.pi * turns) / size, np.complex64)


def features_at(
    front_end: FrontEnd, images: NDArray, geometry: Geometry, x: float, y: float
) -> NDArray[np.float64]:
    """Channels of each image at a position in degrees, shape (images, n_channels)."""
    flat = images.reshape(len(images), -1).astype(float) - GREY
    outputs = {
        name: (flat**2 if name == "pool" else flat) @ stack.reshape(len(stack), -1).T
        for name, stack in front_end.filters(geometry, x, y).items()
    }
    return front_end.channels(outputs["even"], outputs["odd"], outputs["centre"], outputs["pool"])

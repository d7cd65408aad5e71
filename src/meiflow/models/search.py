"""Find the RF position of every neuron, exhaustively and in closed form.

A ridge readout of the V1 front end is evaluated at every position of a grid, on the training images
of every fold and on all images. Single Gabor channels are evaluated as well, to initialise the
Gabor-energy model. Choosing a position on images that are later scored would bias the scores
(untuned neurons then reach correlations of 0.4).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from meiflow.config.sections import Model
from meiflow.images.geometry import Geometry
from meiflow.models.front_end import FrontEnd, feature_maps, search_places
from meiflow.models.ridge import GramSpectrum, Standardiser
from meiflow.progress import track

if TYPE_CHECKING:
    import xarray as xr

# Phases of the simple cells of a pair in channel order, and of its complex cell.
_PHASES = np.array([0.0, 180.0, 90.0, 270.0, 0.0])


@dataclass(frozen=True)
class Places:
    """RF positions found by the search.

    Parameters
    ----------
    x, y : ndarray, shape (subsets, responses)
        Best position in degrees for the images of each subset.
    starts : ndarray, shape (subsets, responses, starts, 5)
        Gabors of different orientations that correlate best with the responses: x, y, wavelength
        in degrees of visual angle, orientation and phase in degrees.
    score : DataArray, dims (y_deg, x_deg, response)
        RF map: best leave-one-out R2 at every position, for the last subset.
    r2 : ndarray, shape (subsets, responses)
        Leave-one-out R2 at the best position.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    starts: NDArray[np.float64]
    score: xr.DataArray
    r2: NDArray[np.float32]

    @classmethod
    def unknown(cls, subsets: int, responses: int) -> Places:
        """The centre of the screen for all, for base models that need no position."""
        import xarray as xr

        shape = subsets, responses
        score = xr.DataArray(np.zeros((0, 0, responses)), dims=("y_deg", "x_deg", "response"))
        none = np.zeros(shape)
        return cls(none, none, np.zeros((*shape, 1, 5)), score, none.astype(np.float32))


def _ridge_scores(
    features: NDArray,
    responses: NDArray,
    subsets: list[NDArray],
    penalties: NDArray,
    together: int,
) -> NDArray[np.float32]:
    """Best leave-one-out R2, shape (subsets, columns, responses)."""
    scores = np.empty((len(subsets), len(features), responses.shape[-1]), np.float32)
    for s, subset in enumerate(subsets):
        y = responses[s, subset] - responses[s, subset].mean(axis=0)
        total = np.maximum((y**2).sum(axis=0), 1e-12)
        y = y.astype(np.float32)
        for column, at_place in enumerate(features):
            x = at_place[subset].astype(float)
            spectrum = GramSpectrum.of(Standardiser.of(x)(x))
            errors = spectrum.left_out_errors(y, penalties, None, together).min(axis=0)
            scores[s, column] = 1 - errors / total
    return scores


def _gabor_scores(
    features: NDArray, responses: NDArray, subsets: list[NDArray], orientations: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Best correlation of a single Gabor channel with each response, by orientation.

    Returns
    -------
    score, index : ndarray, shape (subsets, orientations, responses)
        ``index`` is a flat index into (columns, channels of a pair, wavelengths).
    """
    columns, n_images, _ = features.shape
    score = np.empty((len(subsets), orientations, responses.shape[-1]), np.float32)
    index = np.empty(score.shape, np.int64)
    # (columns, images, 5, wavelengths, orientations), with the orientation moved first
    split = features.reshape(columns, n_images, len(_PHASES), -1, orientations)
    split = split.transpose(4, 1, 0, 2, 3).reshape(orientations, n_images, -1)
    for s, subset in enumerate(subsets):
        x = split[:, subset] - split[:, subset].mean(axis=1, keepdims=True)
        x = x / (np.sqrt((x**2).sum(axis=1, keepdims=True)) + 1e-6)
        y = responses[s, subset] - responses[s, subset].mean(axis=0)
        y = (y / (np.sqrt((y**2).sum(axis=0)) + 1e-12)).astype(np.float32)
        correlation = x.transpose(0, 2, 1) @ y
        index[s] = correlation.argmax(axis=1)
        score[s] = np.take_along_axis(correlation, index[s][:, None], axis=1)[:, 0]
    return score, index


def find_places(
    images: NDArray,
    responses: NDArray,
    subsets: list[NDArray],
    geometry: Geometry,
    config: Model,
    threads: int,
    together: int = 1,
) -> Places:
    """Search all positions for every response on every subset of the images.

    Parameters
    ----------
    images : ndarray, shape (images, height, width)
        Luminance in [0, 1].
    responses : ndarray, shape ([subsets,] images, responses)
        Mean counts per presentation, of every subset or of all.
    subsets : list of ndarray of int
        Indices of training images.
    threads : int
        Rows of the grid are searched in parallel; the result does not depend on it.
    together : int
        Number of successive images that are left out together to compare positions.
    """
    import xarray as xr

    front_end = FrontEnd.from_config(config)
    penalties = np.asarray(config.penalties)
    rows, columns = search_places(geometry, config.stride)
    x, y = geometry.x[columns], geometry.y[rows]
    wavelengths = np.asarray(front_end.wavelengths)
    responses = np.broadcast_to(responses, (len(subsets), *responses.shape[-2:]))
    n_gabors = len(_PHASES) * len(front_end.gabors[0])

    def at_row(features: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        gabors = _gabor_scores(features[..., :n_gabors], responses, subsets, front_end.orientations)
        return _ridge_scores(features, responses, subsets, penalties, together), *gabors

    with ThreadPoolExecutor(threads) as pool:
        maps = feature_maps(front_end, images, geometry, rows, columns)
        found = list(track(pool.map(at_row, maps), "searching RF positions", len(rows)))
    scores = np.stack([f[0] for f in found], axis=1)
    flat = scores.reshape(len(subsets), -1, responses.shape[-1])
    row, column = np.divmod(flat.argmax(axis=1), len(columns))

    # the best row for every orientation, then the best orientations
    gabor = np.stack([f[1] for f in found])
    at = gabor.argmax(axis=0)[None]
    index = np.take_along_axis(np.stack([f[2] for f in found]), at, axis=0)[0]
    best = np.argsort(-gabor.max(axis=0), axis=1, kind="stable")[:, : config.gabor_energy.starts]

    def chosen(values: NDArray) -> NDArray:
        return np.take_along_axis(values, best, axis=1)

    where, channel, wavelength = np.unravel_index(
        chosen(index), (len(columns), len(_PHASES), len(wavelengths))
    )
    angle = 180.0 * best / front_end.orientations
    starts = np.stack(
        [x[where], y[chosen(at[0])], wavelengths[wavelength], angle, _PHASES[channel]], axis=-1
    )
    axes = ("y_deg", "x_deg", "response")
    score = xr.DataArray(scores[-1], {"y_deg": y, "x_deg": x}, axes)
    return Places(x[column], y[row], starts.transpose(0, 2, 1, 3), score, flat.max(axis=1))

"""All MEIs on one grid, with similar ones beside each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry

TILE = 32  # pixels
_WINDOW_DEG = 60.0
_FEWEST_EMBEDDED = 10
_PERPLEXITY = 30.0
_COMPONENTS = 30
_ASPECT = 1.6  # columns per row


def centred_tile(
    mei: NDArray, x_deg: float, y_deg: float, geometry: Geometry
) -> NDArray[np.float64]:
    """Square part of an MEI around its centre: contrast relative to its largest, -1 to 1.

    Parameters
    ----------
    mei : ndarray, shape (height, width)
    x_deg, y_deg : float
        Centre in degrees right and up; the middle of the screen if it is not finite.
    geometry : Geometry

    Returns
    -------
    ndarray, shape (TILE, TILE)
        60 x 60 degrees, zero outside of the screen. Not rotated and not scaled, so that orientation
        and size can be seen.

    Examples
    --------
    >>> screen = Geometry(60, 96)
    >>> mei = np.full((60, 96), 0.5)
    >>> mei[20:24, 60:64] = 0.9
    >>> tile = centred_tile(mei, *screen.to_degrees(21.5, 61.5), screen)
    >>> tile.shape, tile[15:17, 15:17].round(1).tolist()
    ((32, 32), [[1.0, 1.0], [1.0, 1.0]])
    """
    from scipy.ndimage import map_coordinates

    contrast = np.asarray(mei, float) - float(np.median(mei))
    x, y = (value if np.isfinite(value) else 0.0 for value in (x_deg, y_deg))
    steps = (np.arange(TILE) - (TILE - 1) / 2) * _WINDOW_DEG / TILE
    row, column = geometry.to_pixels(x, y)
    places = np.meshgrid(row + steps / geometry.dy, column + steps / geometry.dx, indexing="ij")
    tile = map_coordinates(contrast, places, order=1, mode="constant", cval=0.0)
    return tile / max(float(np.abs(tile).max()), 1e-12)


def arrange(tiles: Sequence[NDArray], seed: int) -> NDArray[np.int64]:
    """Row and column of each MEI on a grid, with similar MEIs beside each other.

    The similarity is that of amplitude spectra, which depend on orientation, spatial frequency and
    size, but not on position or phase. Principal components of the spectra are embedded in a plane
    by t-SNE (van der Maaten & Hinton 2008). The plane becomes a grid by its ranks: neurons are
    divided into columns by the first coordinate, and ordered in each column by the second.

    Parameters
    ----------
    tiles : sequence of ndarray, shape (TILE, TILE)
    seed : int

    Returns
    -------
    ndarray, shape (neurons, 2)

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> places = arrange(rng.normal(size=(40, TILE, TILE)), seed=0)
    >>> len(np.unique(places, axis=0)), places.max(0).tolist()
    (40, [4, 7])
    """
    stack = np.stack([np.asarray(tile, float) for tile in tiles])
    n = len(stack)
    plane = _plane(stack, seed)
    columns = max(1, round(np.sqrt(n * _ASPECT)))
    rows = -(-n // columns)
    places = np.zeros((n, 2), np.int64)
    order = np.lexsort((np.arange(n), plane[:, 0]))
    for column, start in enumerate(range(0, n, rows)):
        own = order[start : start + rows]
        own = own[np.lexsort((own, plane[own, 1]))]
        places[own, 0], places[own, 1] = np.arange(len(own)), column
    return places


def _plane(stack: NDArray, seed: int) -> NDArray[np.float64]:
    """Coordinates of the MEIs in a plane."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    spectra = np.abs(np.fft.rfft2(stack)).reshape(len(stack), -1)
    spectra /= np.maximum(np.linalg.norm(spectra, axis=1, keepdims=True), 1e-12)
    if len(stack) < _FEWEST_EMBEDDED:
        return spectra[:, :2]
    components = min(_COMPONENTS, len(stack) - 1, spectra.shape[1])
    reduced = PCA(components, svd_solver="full").fit_transform(spectra)
    perplexity = min(_PERPLEXITY, (len(stack) - 1) / 3)
    # the scale of the start that van der Maaten & Hinton's successors recommend
    start = reduced[:, :2] / max(float(reduced[:, 0].std()), 1e-12) * 1e-4
    return np.asarray(
        TSNE(2, perplexity=perplexity, init=start, random_state=seed, n_jobs=1).fit_transform(
            reduced
        ),
        float,
    )


def sprite(tiles: Sequence[NDArray]) -> tuple[NDArray[np.uint8], int]:
    """All tiles in one picture, row by row, and the number of tiles in a row.

    Examples
    --------
    >>> picture, across = sprite([np.zeros((TILE, TILE))] * 5)
    >>> picture.shape, across, int(picture[0, 0])
    ((64, 96), 3, 128)
    """
    across = max(1, int(np.ceil(np.sqrt(len(tiles)))))
    rows = -(-len(tiles) // across)
    picture = np.full((rows * TILE, across * TILE), 128, np.uint8)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, across)
        grey = np.clip(np.rint(127.5 + 127.5 * np.asarray(tile)), 0, 255)
        picture[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE] = grey.astype(
            np.uint8
        )
    return picture, across

"""Frames of natural movies on the grid of the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.io.files import map_array
from meiflow.session.images import area_weights

_GREY = 127 / 255


def cut_to_screen(
    frames: NDArray, width_deg: float, height_deg: float, geometry: Geometry
) -> NDArray[np.float32]:
    """Luminance of movie frames on the pixels of an image grid with the same centre.

    Parameters
    ----------
    frames : ndarray, shape (n, rows, columns)
        Luminance in [0, 1].
    width_deg, height_deg : float
        Visual angle of a frame. Allen's movies are much larger than its natural scenes, so that
        resizing a frame to the size of a scene would misplace it.
    geometry : Geometry

    Returns
    -------
    ndarray of float32, shape (n, height, width)
        Area means; beyond the movie, the grey of the monitor (127 of 255).

    Examples
    --------
    >>> frames = np.zeros((1, 4, 8))
    >>> frames[0, 1:3, 2:6] = 1
    >>> cut_to_screen(frames, 80.0, 40.0, Geometry(2, 2, 40.0, 20.0))[0]
    array([[1., 1.],
           [1., 1.]], dtype=float32)
    """
    sides = [
        area_weights(old, new, covered / 2 - shown / 2, covered / 2 + shown / 2, covered)
        for old, new, covered, shown in (
            (frames.shape[1], geometry.height, height_deg, geometry.height_deg),
            (frames.shape[2], geometry.width, width_deg, geometry.width_deg),
        )
    ]
    rows, columns = (side.astype(np.float32) for side in sides)
    contrast = frames.astype(np.float32) - np.float32(_GREY)
    # the shorter side first, and frames as rows of one product
    lines = contrast.reshape(-1, frames.shape[2]) @ columns.T
    lines = lines.reshape(len(frames), frames.shape[1], -1).transpose(0, 2, 1)
    cut = np.ascontiguousarray(lines).reshape(-1, frames.shape[1]) @ rows.T
    cut = cut.reshape(len(frames), geometry.width, geometry.height).transpose(0, 2, 1)
    return np.ascontiguousarray(cut + np.float32(_GREY))


def movie_bins(
    path: Path, frames: int, per_bin: int, width_deg: float, height_deg: float, geometry: Geometry
) -> NDArray[np.float32]:
    """Mean frame of every bin of a movie, on the grid of the images.

    Parameters
    ----------
    path : path
        ``.npy`` stack (frames, height, width) of uint8, uint16, or floats in [0, 1]; read in parts.
    frames : int
        Number of frames that were shown.
    per_bin : int
        Number of consecutive frames in a bin; an incomplete last bin is left out.
    width_deg, height_deg, geometry
        See `cut_to_screen`.

    Raises
    ------
    MeiflowError
        If the stack is missing, of another type, or has another number of frames.
    """
    stack = map_array(path)
    whole = stack.dtype in (np.uint8, np.uint16)
    if stack.ndim != 3 or not (whole or stack.dtype.kind == "f") or 0 in stack.shape:
        raise MeiflowError(
            f"session.movies: {path} has shape {stack.shape} and type {stack.dtype}; expected "
            "(frames, height, width) of uint8 or uint16, or of floats in 0..1"
        )
    if len(stack) != frames:
        raise MeiflowError(
            f"session.movies: {path} has {len(stack)} frames, but {frames} were shown; provide the "
            "movie that was shown"
        )
    scale = float(np.iinfo(stack.dtype).max) if whole else 1.0
    bins = []
    for first in range(0, frames - per_bin + 1, per_bin):
        mean = stack[first : first + per_bin].mean(axis=0, dtype=float) / scale
        if not (mean.min() >= 0 and mean.max() <= 1):
            raise MeiflowError(f"session.movies: {path} has luminance outside 0..1; rescale it")
        bins.append(cut_to_screen(mean[None], width_deg, height_deg, geometry))
    if not bins:
        raise MeiflowError(
            f"session.movies.frames_per_bin: {per_bin}, but {path} has only {frames} frames"
        )
    return np.concatenate(bins)

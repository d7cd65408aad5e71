"""The notebook's Gabor and image metrics, including their faults.

They are intended only for comparison. Every fault is a field of `GaborRecipe` or an argument, so
that it can be switched off separately; docs/notebook.md describes the effect of each. Pixels are
counted from the upper left corner; as in the notebook, degrees are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError, closest

RADIUS_PX = 12.0
_BIN = np.pi / 16
_TRIAL_COLUMNS = ("trial_id", "condition_id", "orientation")


@dataclass(frozen=True)
class GaborRecipe:
    """How the notebook chose and drew its Gabor; the defaults are those of the notebook.

    Parameters
    ----------
    best : {'trials', 'conditions'}
        The single trials with the most spikes, or the conditions with the highest mean count.
    rows : {'after', 'own'}
        Trial ids were used as row numbers, so that the row *after* each was read.
    number : int
        Number of Gabors that are averaged.
    wavelength_px : float
        The wavelength in the session is 12.5 degrees: 9.9 pixels of the default grid.
    phase_deg : float
        PsychoPy's phase, which is in cycles, interpreted as degrees.
    sigma_px : float
        Sigma of the window.
    axis : {'rows', 'columns'}
        Direction of modulation at orientation 0: along the rows as in the notebook, or along the
        columns as on the screen.
    stretch : bool
        Whether the mean Gabor is rescaled to [0, 1]; its grey level is then arbitrary.
    """

    best: Literal["trials", "conditions"] = "trials"
    rows: Literal["after", "own"] = "after"
    number: int = 3
    wavelength_px: float = np.pi
    phase_deg: float = 3644.93333333
    sigma_px: float = 5.0
    axis: Literal["rows", "columns"] = "rows"
    stretch: bool = True


NOTEBOOK = GaborRecipe()


@dataclass(frozen=True)
class MeanGabor:
    """A mean of Gabors, and the trials from which it was computed.

    Parameters
    ----------
    image : ndarray of float32, shape (height, width)
        In [0, 1], or centred on zero if it was not rescaled.
    trial_ids : tuple
        Ids of the best trials, best first (for conditions, their first trials).
    orientations : tuple of float
        Orientations in degrees of the rows that were read.
    """

    image: NDArray[np.float32]
    trial_ids: tuple[object, ...]
    orientations: tuple[float, ...]


def draw_gabor(
    shape: tuple[int, int], orientation: float, recipe: GaborRecipe = NOTEBOOK
) -> NDArray[np.float32]:
    """A centred, zero-mean Gabor, drawn as in the notebook.

    A sine on a canvas enlarged by the longer side on all sides is rotated by
    `scipy.ndimage.rotate`, multiplied by a Gaussian window and cropped to `shape`.

    Parameters
    ----------
    shape : (height, width)
        Size in pixels.
    orientation : float
        Orientation in degrees, counter-clockwise.
    """
    from scipy.ndimage import rotate
    from scipy.signal.windows import gaussian

    margin = max(shape)
    rows, columns = (n + 2 * margin for n in shape)
    along = rows if recipe.axis == "rows" else columns
    angle = (recipe.phase_deg + 360 / recipe.wavelength_px * np.arange(along)) % 360
    wave = np.sin(np.deg2rad(angle))
    canvas = np.broadcast_to(wave[:, None] if recipe.axis == "rows" else wave, (rows, columns))
    window = np.outer(gaussian(rows, recipe.sigma_px), gaussian(columns, recipe.sigma_px))
    whole = rotate(canvas, orientation, reshape=False) * window
    return whole[margin:-margin, margin:-margin].astype(np.float32)


def best_rows(trials: pd.DataFrame, neuron: str, recipe: GaborRecipe = NOTEBOOK) -> NDArray:
    """Row numbers, from 0, of the trials with the strongest responses; best first.

    In ties the earlier trial comes first; for conditions, the first trial is given.

    Raises
    ------
    MeiflowError
        If the table lacks the neuron or a column, or has too few rows.
    """
    missing = [c for c in (*_TRIAL_COLUMNS, neuron) if c not in trials.columns]
    if missing:
        raise MeiflowError(
            f"gabor_trials.csv: no column {missing[0]}{closest(missing[0], list(trials.columns))}; "
            "rebuild the tables"
        )
    counts = trials[neuron].to_numpy(float)
    if recipe.best == "trials":
        rows = np.argsort(-counts, kind="stable")
    else:
        _, first, of = np.unique(trials["condition_id"], return_index=True, return_inverse=True)
        means = np.bincount(of, counts) / np.bincount(of)
        rows = first[np.lexsort((first, -means))]
    if len(rows) < recipe.number:
        raise MeiflowError(
            f"gabor_trials.csv: only {len(rows)} Gabor {recipe.best}, but the notebook averages "
            f"{recipe.number}; do not set comparison.notebook for this session"
        )
    return rows[: recipe.number]


def mean_gabor(
    trials: pd.DataFrame, neuron: str, shape: tuple[int, int], recipe: GaborRecipe = NOTEBOOK
) -> MeanGabor:
    """The Gabor that the notebook presented as the most exciting one.

    Parameters
    ----------
    trials : DataFrame
        The table gabor_trials.csv: one row per Gabor presentation in order of presentation, with
        ``trial_id``, ``condition_id``, ``orientation`` and a column of counts per neuron.
    neuron : str
    shape : (height, width)
    recipe : GaborRecipe
        By default that of the notebook.

    Notes
    -----
    There is no row after the last presentation; the notebook would have failed there, but this
    function reads the last row.

    Raises
    ------
    MeiflowError
        As `best_rows`.
    """
    rows = best_rows(trials, neuron, recipe)
    read = np.minimum(rows + 1, len(trials) - 1) if recipe.rows == "after" else rows
    orientations = tuple(trials["orientation"].to_numpy(float)[read].tolist())
    drawn = {angle: draw_gabor(shape, angle, recipe) for angle in set(orientations)}
    image = np.mean([drawn[angle] for angle in orientations], axis=0)
    if recipe.stretch:
        image = (image - image.min()) / (image.max() - image.min())
    ids = tuple(trials["trial_id"].iloc[rows].tolist())
    return MeanGabor(image.astype(np.float32), ids, orientations)


def notebook_disc(
    shape: tuple[int, int], radius: float = RADIUS_PX, centre: tuple[float, float] | None = None
) -> NDArray[np.bool_]:
    """Pixels within `radius` of `centre` (column, row), by default (width // 2, height // 2).

    The notebook set both by hand. (48, 30) in 60 x 96 is half a pixel off the image centre.
    """
    column, row = (shape[1] // 2, shape[0] // 2) if centre is None else centre
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (x - column) ** 2 + (y - row) ** 2 <= radius**2


def disc_luminance(
    image: NDArray, radius: float = RADIUS_PX, centre: tuple[float, float] | None = None,
    by_circle: bool = True,
) -> float:  # fmt: skip
    """Sum of luminance in the disc divided by the circle's area, or by the number of pixels."""
    mask = notebook_disc(image.shape, radius, centre)
    area = np.pi * radius**2 if by_circle else mask.sum()
    return float(image[mask].sum(dtype=float) / area)


def axial_symmetry(
    image: NDArray, order: int, keep_mean: bool = True, seam: bool = True, index_angles: bool = True
) -> float:
    """Symmetry index ``|sum P e^{2 i order theta}| / sum P`` as in the notebook.

    P is the mean power by direction in bins of pi/16 over a full turn, in cycles per image.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    order : int
    keep_mean : bool
        Keep the mean luminance in the spectrum, where it has direction 0 and outweighs the rest.
    seam : bool
        Use a separate 33rd bin, with one row of cells, for direction pi, which is equal to 0.
    index_angles : bool
        Use the bin numbers, from 0, as angles instead of the bin centres. This rotates the sum
        without changing its length.

    Returns
    -------
    float
        Index in [0, 1]; NaN for a uniform image without its mean.
    """
    image = np.asarray(image, dtype=float)
    if not keep_mean:
        image = image - image.mean()
    power = np.abs(np.fft.fftshift(np.fft.fft2(image))) ** 2
    height, width = image.shape
    y, x = np.indices(image.shape)
    turns = np.arctan2(y - height // 2, x - width // 2) / _BIN
    # rounded, because the last bit of a direction on an edge depends on the processor
    bins = np.floor(turns.round(9)).astype(int) + 16
    if not seam:
        bins %= 32
    counted = np.ones(image.shape, bool)
    if not keep_mean:
        counted[height // 2, width // 2] = False
    cells = np.bincount(bins[counted])
    mean_power = np.bincount(bins[counted], power[counted]) / cells
    if mean_power.sum() < 1e-12:
        return float("nan")
    angles = np.arange(len(mean_power)) * _BIN
    if not index_angles:
        angles = angles - np.pi + _BIN / 2
    return float(np.abs((mean_power * np.exp(2j * order * angles)).sum()) / mean_power.sum())


def notebook_metrics(
    image: NDArray, radius: float = RADIUS_PX, centre: tuple[float, float] | None = None
) -> dict[str, float]:
    """All metrics of an image, computed as in the notebook.

    Parameters
    ----------
    image : ndarray, shape (height, width)
        Luminance in [0, 1].
    radius, centre : float, (column, row)
        Radius and centre of the disc in pixels.

    Returns
    -------
    dict
        ``luminance`` and ``contrast`` in the disc, ``std`` of the whole image, ``symmetry_1`` and
        ``symmetry_2``.
    """
    inside = image[notebook_disc(image.shape, radius, centre)]
    return {
        "luminance": disc_luminance(image, radius, centre),
        "std": float(image.std()),
        "contrast": float(inside.std()),
        "symmetry_1": axial_symmetry(image, 1),
        "symmetry_2": axial_symmetry(image, 2),
    }

"""What the map and the linked views draw of each neuron, beyond the cells of the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.masks import background, soft_mask
from meiflow.io.files import read_csv
from meiflow.report.drawing import png_uri
from meiflow.report.session_data import SessionData

# Further columns offered as axes, and what their values are compared with.
FURTHER = {
    "recorded_orientation_deg": "recorded orientation (deg)",
    "predicted_orientation_deg": "predicted orientation (deg)",
    "recorded_frequency_cpd": "recorded frequency (c/deg)",
    "predicted_frequency_cpd": "predicted frequency (c/deg)",
    "recorded_x_deg": "recorded RF, azimuth (deg)",
    "predicted_x_deg": "predicted RF, azimuth (deg)",
    "recorded_y_deg": "recorded RF, elevation (deg)",
    "predicted_y_deg": "predicted RF, elevation (deg)",
}
# Error that is known only if the recorded tuning is significant.
_TUNED = {"orientation": "orientation_error_deg", "frequency": "frequency_error_octaves"}
_TUNED |= {"x": "field_error_deg", "y": "field_error_deg"}


def further_values(data: SessionData) -> pd.DataFrame:
    """Recorded and predicted preferences, where they are known.

    Returns
    -------
    DataFrame
        One row per neuron, indexed by its id as text, with some columns of `FURTHER`. Preferences
        are missing (NaN) if the recorded tuning is not significant.
    """
    found = pd.DataFrame(index=pd.Index(data.neurons, dtype=object))
    if data.tuning:
        table = read_csv(data.results.preferences)
        table.index = pd.Index(table["neuron_id"].astype(str))
        for name in FURTHER:
            error = _TUNED.get(name.partition("_")[2].rpartition("_")[0], "")
            if name in table and error in table:
                found[name] = table[name].where(table[error].notna())
    return found


def place_of(image: NDArray, mask: NDArray, screen: Geometry) -> dict[str, Any]:
    """The MEI as seen through its mask, at its place on the screen.

    Parameters
    ----------
    image, mask : ndarray, shape (height, width)
        Luminance, and the mask of the MEI.
    screen : Geometry

    Returns
    -------
    dict
        Empty if the mask is. Otherwise ``box``, the left, top, right and bottom edge in degrees;
        ``outline``, the convex hull of the mask as a list of x and y in degrees; ``picture``, a
        PNG of that box as a ``data:`` URL, transparent outside the mask.

    Examples
    --------
    >>> mask = np.zeros((4, 8), bool)
    >>> mask[1:3, 2:4] = True
    >>> place = place_of(np.full((4, 8), 0.5), mask, Geometry(4, 8, 16.0, 8.0))
    >>> sorted(place["outline"])
    [[-4.0, -2.0], [-4.0, 2.0], [0.0, -2.0], [0.0, 2.0]]
    """
    from scipy.spatial import ConvexHull

    inside = np.asarray(mask) > 0
    rows, columns = np.nonzero(inside)
    if not len(rows):
        return {}
    corners = [
        screen.to_degrees(row + down, column + right)
        for row, column in zip(rows, columns, strict=True)
        for down in (-0.5, 0.5)
        for right in (-0.5, 0.5)
    ]
    points = np.unique(np.round(corners, 2), axis=0)
    outline = points[ConvexHull(points).vertices]
    alpha = soft_mask(inside)
    rows, columns = np.nonzero(alpha > 0.02)
    top, bottom = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    x0, y0 = screen.to_degrees(top - 0.5, left - 0.5)
    x1, y1 = screen.to_degrees(bottom - 0.5, right - 0.5)
    cut = slice(top, bottom), slice(left, right)
    return {
        "box": [round(float(v), 2) for v in (x0, y0, x1, y1)],
        "outline": np.round(outline, 1).tolist(),
        "picture": _picture(image, inside, alpha, cut),
    }


def _picture(image: NDArray, mask: NDArray, alpha: NDArray, cut: tuple[slice, slice]) -> str:
    contrast = (image - background(image, mask))[cut]
    reach = max(float(np.abs(contrast * alpha[cut]).max()), 1e-6)
    grey = np.clip(0.5 + contrast / (2 * reach), 0, 1)
    return png_uri(np.rint(255 * np.stack([grey, alpha[cut]], axis=-1)).astype(np.uint8))


def linked_of(mei: NDArray, mask: NDArray, screen: Geometry, further: pd.Series) -> dict[str, Any]:
    """What the views draw of a neuron: its `place_of`, and `further_values` that are known."""
    known = {name: float(f"{value:.5g}") for name, value in further.dropna().items()}
    return place_of(mei, mask, screen) | {"more": known}

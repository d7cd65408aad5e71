"""Images as labelled arrays with axes in degrees of visual angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meiflow.images.geometry import Geometry

if TYPE_CHECKING:
    import xarray as xr


def labelled(images: NDArray, geometry: Geometry, name: str, **labels: ArrayLike) -> xr.DataArray:
    """Images as an array with its axes in degrees.

    Parameters
    ----------
    images : ndarray, shape (..., height, width)
    geometry : Geometry
    name : str
    **labels : array_like
        Name and coordinates of each leading axis.

    Returns
    -------
    DataArray
        The dimensions of `labels`, then ``y`` (elevation, increasing upwards, i.e. largest in the
        first row) and ``x`` (azimuth, increasing rightwards).

    Examples
    --------
    >>> array = labelled(np.zeros((2, 6, 8)), Geometry(6, 8), "mei", neuron=["a", "b"])
    >>> array.dims, array.sel(neuron="b").shape, float(array.y[0]) > float(array.y[-1])
    (('neuron', 'y', 'x'), (6, 8), True)
    """
    import xarray as xr

    coordinates = {key: np.asarray(values) for key, values in labels.items()}
    array = xr.DataArray(
        images,
        dims=(*coordinates, "y", "x"),
        coords=coordinates | {"y": geometry.y, "x": geometry.x},
        name=name,
    )
    for axis, text in (("x", "azimuth"), ("y", "elevation")):
        array[axis].attrs |= {"long_name": text, "units": "deg"}
    return array

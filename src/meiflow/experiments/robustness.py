"""Experiments that show a finished MEI scaled, rotated or cropped."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.experiments.experiment import Experiment
from meiflow.images.geometry import Geometry
from meiflow.images.moved import cropped_image, moved_image
from meiflow.images.projection import project_array

_OCTAVES = np.linspace(-2, 2, 33)
_ROTATIONS_DEG = np.linspace(-90, 90, 37)
Place = tuple[float, float]


def mei_scale(mei: NDArray, geometry: Geometry, centre: Place) -> Experiment:
    """The MEI from a quarter to four times its size, at its mean and contrast.

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> image = np.random.default_rng(0).uniform(0.4, 0.6, screen.shape)
    >>> mei_scale(image, screen, (0.0, 0.0)).axes["size_octaves"][[0, 16, 32]]
    array([-2.,  0.,  2.])
    """

    def render(size_octaves: NDArray) -> NDArray[np.float32]:
        shown = [moved_image(mei, geometry, centre, 2.0**octave) for octave in size_octaves]
        return project_array(np.stack(shown), float(mei.mean()), float(mei.std()))

    return Experiment("mei_scale", render, {"size_octaves": _OCTAVES})


def mei_rotation(mei: NDArray, geometry: Geometry, centre: Place) -> Experiment:
    """The MEI rotated by up to 90 degrees in either direction, at its mean and contrast.

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> image = np.random.default_rng(0).uniform(0.4, 0.6, screen.shape)
    >>> mei_rotation(image, screen, (0.0, 0.0)).axes["rotation_deg"][[0, 18, 36]]
    array([-90.,   0.,  90.])
    """

    def render(rotation_deg: NDArray) -> NDArray[np.float32]:
        shown = [moved_image(mei, geometry, centre, rotation_deg=angle) for angle in rotation_deg]
        return project_array(np.stack(shown), float(mei.mean()), float(mei.std()))

    return Experiment("mei_rotation", render, {"rotation_deg": _ROTATIONS_DEG})


def mei_crop(mei: NDArray, geometry: Geometry, centre: Place, sizes: int) -> Experiment:
    """The MEI seen through discs of `sizes` diameters, from two pixels to the screen's height.

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> image = np.random.default_rng(0).uniform(0.4, 0.6, screen.shape)
    >>> mei_crop(image, screen, (0.0, 0.0), 5).axes["diameter_deg"].round(1)
    array([ 6.3, 12.4, 24.5, 48.2, 94.8])
    """

    def render(diameter_deg: NDArray) -> NDArray[np.float64]:
        return np.stack([cropped_image(mei, geometry, centre, size) for size in diameter_deg])

    ladder = np.geomspace(2 * max(geometry.dx, geometry.dy), geometry.height_deg, sizes)
    return Experiment("mei_crop", render, {"diameter_deg": ladder})

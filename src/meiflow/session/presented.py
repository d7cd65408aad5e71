"""Render the Gabors and gratings of a session on the grid of the models."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.config.sections import StimulusParameters
from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.session.schedule import DRIFT_PHASES

_FINER = 4


def gabor_phases(shown: StimulusParameters) -> NDArray[np.float64]:
    """Phases in degrees of a drifting Gabor, each shown for the same time."""
    return np.array(DRIFT_PHASES if shown.gabor_drifts else [0.0])


def gabor_images(
    geometry: Geometry, parameters: pd.DataFrame, shown: StimulusParameters, phase: float
) -> NDArray[np.float32]:
    """Gabors at their contrast on mid-grey, at one phase of their drift.

    Parameters
    ----------
    parameters : DataFrame
        x_position, y_position and orientation in degrees.
    shown : StimulusParameters
        Parameters shared by all Gabors.
    phase : float
        Phase in degrees.

    Returns
    -------
    ndarray of float32, shape (conditions, height, width)
        Luminance in [0, 1].
    """
    drawn = patterns.grating_patch(
        geometry,
        parameters["x_position"],
        parameters["y_position"],
        1 / shown.gabor_frequency_cpd,
        parameters["orientation"],
        phase,
        shown.gabor_diameter_deg,
    )
    return (GREY * (1 + shown.gabor_contrast * drawn)).astype(np.float32)


def grating_images(
    geometry: Geometry, parameters: pd.DataFrame, shown: StimulusParameters
) -> NDArray[np.float32]:
    """Full-field static gratings at their contrast on mid-grey.

    Parameters
    ----------
    parameters : DataFrame
        orientation (degrees), spatial_frequency (cycles per degree), phase (cycles).

    Returns
    -------
    ndarray of float32, shape (conditions, height, width)
        Luminance in [0, 1]. Pixels are averages over their area, like those of the images, so a
        grating near the resolution limit is faint rather than aliased.
    """
    orientation, frequency, phase = (
        parameters[c].to_numpy(float) for c in ("orientation", "spatial_frequency", "phase")
    )
    height, width = geometry.shape
    fine = Geometry(_FINER * height, _FINER * width, geometry.width_deg, geometry.height_deg)
    drawn = patterns.grating(fine, 1 / frequency, orientation, 360 * phase)
    drawn = drawn.reshape(-1, height, _FINER, width, _FINER).mean(axis=(2, 4))
    return (GREY * (1 + shown.grating_contrast * drawn)).astype(np.float32)


def drifting_images(
    geometry: Geometry, orientations: NDArray, shown: StimulusParameters, phase: float
) -> NDArray[np.float32]:
    """Full-field drifting gratings at their contrast on mid-grey, at one phase of their drift.

    Parameters
    ----------
    orientations : ndarray
        Directions of motion in degrees.
    shown : StimulusParameters
        Parameters shared by all drifting gratings.
    phase : float
        Phase in degrees.

    Returns
    -------
    ndarray of float32, shape (orientations, height, width)
        Luminance in [0, 1].
    """
    wavelength = 1 / shown.drifting_frequency_cpd
    drawn = patterns.grating(geometry, wavelength, orientations, phase)
    return (GREY * (1 + shown.drifting_contrast * drawn)).astype(np.float32)

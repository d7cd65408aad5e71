"""Metrics of stimuli, computed in the same way for every image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.comparison.ensemble import ratio_interval
from meiflow.config.sections import Comparison
from meiflow.images.gabor_fit import fit_gabor
from meiflow.images.geometry import Geometry
from meiflow.images.masks import (
    disc_mask,
    equivalent_diameter,
    pattern_centre,
    pattern_mask,
    tight_mask,
)
from meiflow.images.similarity import best_shift
from meiflow.images.spectrum import (
    Spectrum,
    axial_profile,
    bandwidth_octaves,
    dominant_orientation,
    orientation_halfwidth,
    peak_frequency,
    power_spectrum,
    radial_profile,
    symmetry_index,
)


def image_metrics(
    image: NDArray, geometry: Geometry, threshold: float, mask: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Metrics of a single image; see the columns of comparison.csv in the documentation.

    Parameters
    ----------
    image : ndarray, shape (height, width)
    geometry : Geometry
    threshold : float
        Threshold of the automatic mask in standard deviations.
    mask : ndarray of bool, shape (height, width), optional
        Mask to use instead of the automatic one.
    """
    mask = pattern_mask(image, threshold) if mask is None else mask
    spectrum = power_spectrum(image, geometry)
    x, y = pattern_centre(image, mask, geometry)
    return {
        "luminance": float(image[mask].mean()),
        "contrast": float(image[mask].std()),
        "symmetry_1": symmetry_index(spectrum, 1),
        "symmetry_2": symmetry_index(spectrum, 2),
        "peak_frequency_cpd": peak_frequency(spectrum),
        "orientation_deg": dominant_orientation(spectrum),
        "mean": float(image.mean()),
        "rms_contrast": float(image.std()),
        "x_deg": x,
        "y_deg": y,
        "size_deg": equivalent_diameter(mask, geometry),
    }


def shape_metrics(
    image: NDArray, spectrum: Spectrum, mei: NDArray, geometry: Geometry
) -> dict[str, float]:
    """Bandwidths, the shift of highest similarity to the MEI, and the fitted Gabor."""
    shift = best_shift(image, mei, geometry)
    gabor = fit_gabor(image, geometry)
    return {
        "bandwidth_octaves": bandwidth_octaves(spectrum),
        "orientation_halfwidth_deg": orientation_halfwidth(spectrum),
        "shifted_similarity_to_mei": shift.similarity,
        "shift_x_deg": shift.x,
        "shift_y_deg": shift.y,
        "gabor_r2": gabor.r2,
        "gabor_x_deg": gabor.x,
        "gabor_y_deg": gabor.y,
        "gabor_wavelength_deg": gabor.wavelength,
        "gabor_orientation_deg": gabor.orientation,
        "gabor_phase_deg": gabor.phase,
        "gabor_sigma_deg": gabor.sigma,
        "gabor_aspect": gabor.aspect,
    }


@dataclass(frozen=True)
class Masks:
    """Masks of an image: tight mask, response it retains, and mask used for the metrics."""

    tight: NDArray[np.bool_]
    held: float
    measured: NDArray[np.bool_]


def image_masks(
    image: NDArray,
    geometry: Geometry,
    config: Comparison,
    respond: Callable[[NDArray], NDArray],
) -> Masks:
    """Compute the masks of an image (height, width); `respond` as in `tight_mask`."""
    auto = pattern_mask(image, config.mask_threshold)
    tight, held = tight_mask(image, auto, respond, config.tight_fraction)
    measured = {"auto": auto, "tight": tight}.get(config.mask)
    if measured is None:
        x, y = pattern_centre(image, auto, geometry)
        measured = disc_mask(geometry, x, y, config.disc_diameter_deg)
    return Masks(tight, held, measured)


def spectra_table(spectra: dict[str, Spectrum]) -> pd.DataFrame:
    """Radial and axial profile of each stimulus: stimulus, profile, value, power."""
    parts = []
    for stimulus, spectrum in spectra.items():
        profiles = {"radial": radial_profile(spectrum), "axial": axial_profile(spectrum)}
        for name, profile in profiles.items():
            part = pd.DataFrame({"value": profile.value, "power": profile.power})
            part.insert(0, "stimulus", stimulus)
            part.insert(1, "profile", name)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def mei_ratio(responses: NDArray, folds: NDArray) -> dict[str, float]:
    """Response to the MEI divided by that to another stimulus.

    Real-valued responses, whose zero is arbitrary, are given minus the response to grey.
    """
    names = ("mei_ratio", "mei_ratio_low", "mei_ratio_high")
    return dict(
        zip(names, ratio_interval(float(responses[0]), float(responses[1]), folds), strict=True)
    )

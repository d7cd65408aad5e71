"""Closed loop: show the pipeline's stimuli to the simulated neurons themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from meiflow.images.geometry import Geometry
from meiflow.images.projection import is_matched, project
from meiflow.simulation.truth import TruthFilters, render_filters, true_drive
from meiflow.stimuli.mei import most_exciting, noise_starts

_STEPS = 300


def as_tensors(filters: TruthFilters) -> TruthFilters:
    """The filters as torch tensors in single precision."""
    fields = {
        name: torch.as_tensor(np.asarray(getattr(filters, name)), dtype=torch.float32)
        for name in TruthFilters.__dataclass_fields__
    }
    return TruthFilters(**fields)


def true_optimum(
    neuron: pd.DataFrame,
    geometry: Geometry,
    mean: float,
    contrast: float,
    others: NDArray,
    seed: int,
    restarts: int = 4,
) -> tuple[NDArray[np.float32], float]:
    """The image of given mean and contrast that drives one true neuron most.

    Gradient ascent on the truth itself, started from its own filters, from noise and from
    `others`, so that no stimulus compared with it can do better than where it started.

    Parameters
    ----------
    neuron : DataFrame
        One row of truth.
    others : ndarray, shape (n, height, width)
    seed : int
        Of the noise.
    restarts : int
        Noise images to start from.

    Returns
    -------
    image : ndarray of float32, shape (height, width)
    drive : float
        Hz above baseline.
    """
    filters = as_tensors(render_filters(neuron, geometry))

    def drive(images: Tensor) -> Tensor:
        return true_drive(filters, images.reshape(len(images), -1))[:, 0]

    shapes = torch.stack([filters.even[0], filters.odd[0], -filters.even[0], -filters.odd[0]])
    starts = torch.cat(
        [
            project(shapes.reshape(4, *geometry.shape), mean, contrast),
            noise_starts(restarts, geometry, 1.0, mean, contrast, seed),
            torch.as_tensor(others, dtype=torch.float32),
        ]
    )
    result = most_exciting(drive, starts, geometry, mean, contrast, _STEPS, (0.5, 0.01))
    return result.images[result.best], float(result.scores[result.best])


def drives_to(neuron: pd.DataFrame, geometry: Geometry, images: NDArray) -> NDArray[np.float64]:
    """Drive in Hz of one true neuron (one row of truth) by images (n, height, width)."""
    flat = images.reshape(len(images), -1).astype(float)
    return np.asarray(true_drive(render_filters(neuron, geometry), flat)[:, 0])


def fractions_of_optimum(
    images: NDArray, drives: NDArray, mean: float, contrast: float
) -> NDArray[np.float64]:
    """Drive of every stimulus as a fraction of the highest at the common mean and contrast.

    Parameters
    ----------
    images : ndarray, shape (stimuli, height, width)
        Luminance in [0, 1]; the optimum is one of them.
    drives : ndarray, shape (stimuli,)
        Of one true neuron, in Hz above its baseline.
    mean, contrast : float
        Mean luminance and RMS contrast of a fair comparison.

    Returns
    -------
    ndarray, shape (stimuli,)
        NaN for a stimulus that does not have this mean and contrast: it neither competes nor
        raises the optimum. All NaN for a neuron that no matched stimulus drives.

    Examples
    --------
    >>> stripes = 0.5 + 0.1 * np.resize([1, -1], (6, 8))
    >>> images = np.stack([stripes, 1 - stripes, 5 * stripes - 2])
    >>> fractions_of_optimum(images, np.array([4.0, 1.0, 20.0]), mean=0.5, contrast=0.1)
    array([1.  , 0.25,  nan])
    """
    matched = np.array([is_matched(image, mean, contrast) for image in images], dtype=bool)
    optimum = drives[matched].max(initial=0.0)
    if optimum <= 0:
        return np.full(len(drives), np.nan)
    return np.where(matched, drives / optimum, np.nan)

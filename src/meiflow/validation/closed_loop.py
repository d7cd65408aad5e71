"""Closed loop: show the pipeline's stimuli to the simulated neurons."""

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
    """Convert the filters to torch tensors in single precision."""
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
    """The image of a given mean and contrast that drives a true neuron most.

    Gradient ascent on the true neuron, starting from its filters, from noise and from `others`, so
    that no stimulus compared with the optimum can exceed it.

    Parameters
    ----------
    neuron : DataFrame
        One row of the ground truth.
    others : ndarray, shape (n, height, width)
    seed : int
        Seed of the noise.
    restarts : int
        Number of noise images to start from.

    Returns
    -------
    image : ndarray of float32, shape (height, width)
    drive : float
        Drive in Hz above baseline.
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
    """Drive in Hz of a true neuron (one row of the ground truth) by images (n, height, width)."""
    flat = images.reshape(len(images), -1).astype(float)
    return np.asarray(true_drive(render_filters(neuron, geometry), flat)[:, 0])


def fractions_of_optimum(
    images: NDArray, drives: NDArray, mean: float, contrast: float
) -> NDArray[np.float64]:
    """Drive of every stimulus as a fraction of the maximum at the common mean and contrast.

    Parameters
    ----------
    images : ndarray, shape (stimuli, height, width)
        Luminance in [0, 1], including the optimum.
    drives : ndarray, shape (stimuli,)
        Drive of a true neuron in Hz above its baseline.
    mean, contrast : float
        Mean luminance and RMS contrast of the comparison.

    Returns
    -------
    ndarray, shape (stimuli,)
        NaN for stimuli with a different mean or contrast, which are also excluded from the
        optimum. All NaN if no matched stimulus drives the neuron.

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

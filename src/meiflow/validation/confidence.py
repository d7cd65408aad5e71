"""Measures of confidence in the MEI of a neuron, computed without the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from meiflow.images.luminance import GREY
from meiflow.models.network import NeuronModel
from meiflow.models.population import PairedModel
from meiflow.stimuli.mei import most_exciting_of_each, noise_starts

_RESTARTS = 3


@dataclass(frozen=True)
class Evidence:
    """How far an MEI depends on the images shown, and how far its model reaches.

    Parameters
    ----------
    fold_agreement, fold_lowest : float
        Mean and lowest fraction of their own optimum that models fitted to other images reach with
        the MEI. NaN if no image drives any of them.
    peak_ratio : float
        See `peak_ratio`.
    half_contrast : float
        See `half_contrast`.
    """

    fold_agreement: float
    fold_lowest: float
    peak_ratio: float
    half_contrast: float

    @classmethod
    def of(
        cls,
        model: NeuronModel,
        folds: Sequence[NeuronModel],
        mei: NDArray,
        images: NDArray,
        responses: NDArray,
        mean: float,
        contrast: float,
        *ascent: Any,
    ) -> Evidence:
        """Measure everything of one neuron.

        Parameters
        ----------
        model : NeuronModel
            The ensemble.
        folds : sequence of NeuronModel
            Ensembles fitted to the training images of each fold.
        mei : ndarray, shape (height, width)
        images, responses
            As for `peak_ratio`.
        mean, contrast, *ascent
            As for `fractions_of_own_optimum`.
        """
        shares = fractions_of_own_optimum(folds, mei, mean, contrast, *ascent)
        known = shares[np.isfinite(shares)]
        mean_share, lowest = (known.mean(), known.min()) if len(known) else (np.nan, np.nan)
        peak = peak_ratio(model, images, responses, mean)
        half = half_contrast(model, mei, mean)
        return cls(float(mean_share), float(lowest), peak, half)


def fractions_of_own_optimum(
    others: Sequence[NeuronModel],
    mei: NDArray,
    mean: float,
    contrast: float,
    steps: int = 100,
    step_size: tuple[float, float] = (0.3, 0.01),
    exponent: float = 1.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Response of other models to an MEI, as a fraction of each model's own optimum.

    Parameters
    ----------
    others : sequence of NeuronModel
    mei : ndarray, shape (height, width)
    mean, contrast : float
        Mean luminance and RMS contrast of the images. The optimum of each model is found by ascent
        from the MEI and from noise.
    steps, step_size, exponent
        Settings of these ascents, as in `meiflow.stimuli.mei.most_exciting`.
    seed : int
        Seed of the noise.

    Returns
    -------
    ndarray, shape (models,)
        Fraction of at most 1, from responses minus the response to grey. NaN if no image drives a
        model above grey.
    """
    geometry = others[0].geometry
    noise = noise_starts(_RESTARTS, geometry, exponent, mean, contrast, seed)
    shown = torch.as_tensor(np.asarray(mei, np.float32))[None]
    starts = torch.cat([shown.to(noise.device), noise])
    paired = PairedModel(others)
    best = most_exciting_of_each(
        paired, len(others), starts, geometry, mean, contrast, steps, step_size, exponent
    ).scores.max(1)
    with torch.no_grad():
        own = paired(shown.repeat(len(others), 1, 1)).numpy().astype(float)
        grey = paired(torch.full((len(others), *geometry.shape), GREY)).numpy().astype(float)
    best = np.maximum(best, own)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(best > grey, np.maximum(own - grey, 0) / (best - grey), np.nan)


def peak_ratio(model: NeuronModel, images: NDArray, responses: NDArray, mean: float) -> float:
    """How much of a neuron's strongest response the model reproduces.

    A model that lacks a neuron's nonlinearity cannot reach its peaks, even if it correlates well
    with the responses; what it extrapolates to the MEI is then uncertain.

    Parameters
    ----------
    model : NeuronModel
    images : ndarray, shape (images, height, width)
        The images shown; luminance in [0, 1].
    responses : ndarray, shape (images,)
        Measured mean responses, to which the model was fitted.
    mean : float
        Luminance of grey.

    Returns
    -------
    float
        Highest predicted response divided by the highest measured one, both above the predicted
        response to grey. NaN if no measured response is above it.
    """
    (grey,) = model.predict(np.full((1, *images.shape[1:]), mean))
    highest = float(np.nanmax(responses)) - grey
    return float((model.predict(images).max() - grey) / highest) if highest > 0 else np.nan


def half_contrast(model: NeuronModel, mei: NDArray, mean: float) -> float:
    """How much of a model's response to an MEI is left at half of its contrast.

    The contrast of an MEI is concentrated on one RF, where it exceeds that of most images. If the
    response saturates there, the model is uncertain: it may be that less contrast drives the neuron
    more strongly, and the MEI is then not the best image of its contrast.

    Parameters
    ----------
    model : NeuronModel
    mei : ndarray, shape (height, width)
    mean : float
        Luminance of grey.

    Returns
    -------
    float
        Response to the MEI at half contrast divided by that to the MEI, both above the response to
        grey: 0.5 of a linear neuron, less if it is expansive. NaN if the MEI does not drive it.

    Examples
    --------
    >>> from meiflow.images.geometry import Geometry
    >>> filter = torch.zeros(6, 8)
    >>> filter[2:4, 3:5] = torch.tensor([[1.0, -1.0], [1.0, -1.0]])
    >>> state = {"kind": "ln", "filter": filter, "offset": 5.0, "baseline": -20.0, "scale": 1.0}
    >>> linear = NeuronModel(Geometry(6, 8), 0.0, 0.0, [state], [1.0])
    >>> round(half_contrast(linear, 0.5 + 0.1 * filter.numpy(), 0.5), 2)
    0.5
    """
    shown = [mean + share * (np.asarray(mei, float) - mean) for share in (0.0, 0.5, 1.0)]
    grey, half, whole = model.predict(np.stack(shown))
    return float((half - grey) / (whole - grey)) if whole > grey else np.nan

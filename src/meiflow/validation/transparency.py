"""Transparent MEIs against the true neurons: their filters, and their drive."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.masks import densest, overlap
from meiflow.images.similarity import image_similarity
from meiflow.simulation.published import KIND
from meiflow.simulation.truth import render_filters
from meiflow.stimuli.transparent import TransparentMEI, energy_mask, shown_on
from meiflow.validation.closed_loop import drives_to

_SHARE = 0.9
_MEASURES = (
    "true_fraction_of_mei",
    "true_overlap",
    "mei_overlap",
    "other_overlap",
    "true_correlation",
    "relative_area",
)
_BLUR = 0.25  # of the wavelength, which fills the zero crossings


def true_envelope(neuron: pd.DataFrame, geometry: Geometry) -> NDArray[np.float64]:
    """Amplitude envelope (height, width) of a true neuron's filters, including pooled ones.

    Parameters
    ----------
    neuron : DataFrame
        One row of the ground truth.
    geometry : Geometry

    Examples
    --------
    >>> from meiflow.simulation.truth import draw_neurons
    >>> screen = Geometry(30, 48)
    >>> one = draw_neurons(["simple"], np.random.default_rng(0), screen)
    >>> envelope = true_envelope(one, screen)
    >>> peak = np.unravel_index(envelope.argmax(), envelope.shape)
    >>> bool(abs(screen.to_degrees(*peak)[0] - one["x_deg"].item()) < 5)
    True
    """
    from scipy.ndimage import gaussian_filter

    filters = render_filters(neuron, geometry)
    energy = filters.even[0] ** 2
    if filters.is_complex[0]:
        pooled = filters.pooled_even**2 + filters.pooled_odd**2
        energy = energy + filters.odd[0] ** 2 + filters.pool[0] @ pooled
    sigma = _BLUR * float(neuron["wavelength_deg"].iloc[0])
    smooth = gaussian_filter(
        energy.reshape(geometry.shape), (sigma / geometry.dy, sigma / geometry.dx)
    )
    return np.sqrt(np.maximum(smooth, 0))


def true_mask(neuron: pd.DataFrame, geometry: Geometry) -> NDArray[np.bool_]:
    """The smallest mask that holds 90 % of the energy of a true neuron's filters.

    Examples
    --------
    >>> from meiflow.simulation.truth import draw_neurons
    >>> screen = Geometry(30, 48)
    >>> one = draw_neurons(["simple"], np.random.default_rng(0), screen)
    >>> bool(0.005 < true_mask(one, screen).mean() < 0.2)
    True
    """
    return densest(true_envelope(neuron, geometry) ** 2, _SHARE)


def compare_with_truth(
    neurons: pd.DataFrame,
    meis: NDArray,
    found: list[TransparentMEI],
    backgrounds: NDArray,
    geometry: Geometry,
) -> pd.DataFrame:
    """Show transparent MEIs to the true neurons, and compare alpha with their filters.

    Parameters
    ----------
    neurons : DataFrame
        Ground truth, one row per neuron.
    meis : ndarray, shape (neurons, height, width)
    found : list of TransparentMEI
    backgrounds : ndarray, shape (n, height, width)
    geometry : Geometry

    Returns
    -------
    DataFrame
        One row per neuron. ``true_overlap`` is that of alpha with the true filter, ``mei_overlap``
        that of the energy of the MEI, and ``other_overlap`` that of alpha with the filter of the
        next neuron, a control. NaN for untuned neurons and neurons of a published network.
    """
    known = ~neurons["kind"].isin(["untuned", KIND]).to_numpy()
    each = [neurons.iloc[[i]] for i in range(len(neurons))]
    masks = [
        true_mask(one, geometry) for one, is_known in zip(each, known, strict=True) if is_known
    ]
    nothing = dict.fromkeys(_MEASURES, float("nan"))
    rows: list[dict[str, object]] = []
    at = -1
    for neuron, mei, one, is_known in zip(each, meis, found, known, strict=True):
        row = {"neuron_id": str(neurons.index[len(rows)]), "kind": neuron["kind"].iloc[0]}
        measured = nothing
        if is_known:
            at += 1
            pair = masks[at], masks[(at + 1) % len(masks)]
            if np.isfinite(one.fraction):
                measured = _measured(neuron, mei, one, backgrounds, pair, geometry)
        rows.append(row | measured)
    return pd.DataFrame(rows)


def _measured(
    neuron: pd.DataFrame,
    mei: NDArray,
    found: TransparentMEI,
    backgrounds: NDArray,
    masks: tuple[NDArray, NDArray],
    geometry: Geometry,
) -> dict[str, float]:
    """The measures of a neuron; `masks` are those of its own filter and of another neuron's."""
    shown = shown_on(found, backgrounds, float(mei.mean()))
    drives = drives_to(neuron, geometry, np.concatenate([mei[None], shown]))
    own, other = masks
    opaque = found.mask
    measured = (
        float(drives[1:].mean() / drives[0]) if drives[0] > 0 else float("nan"),
        overlap(opaque, own),
        overlap(energy_mask(mei, geometry), own),
        overlap(opaque, other) if other is not own else float("nan"),
        image_similarity(found.alpha, true_envelope(neuron, geometry)),
        float(opaque.sum() / own.sum()),
    )
    return dict(zip(_MEASURES, measured, strict=True))

"""The alpha channel of a transparent MEI against the filter of the true neuron."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images.geometry import Geometry
from meiflow.images.masks import densest
from meiflow.simulation.truth import render_filters

_SHARE = 0.9
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

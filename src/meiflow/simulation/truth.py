"""Simulated neurons whose preferred stimulus is known.

A neuron is a row of parameters in degrees of visual angle; `true_drive` converts images
to its stimulus-driven rate. Only operators shared by NumPy arrays and torch tensors are used, so
that the same code simulates the recording and is differentiated in the closed loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY

GABOR_KINDS = ("simple", "complex", "simple_normalised", "complex_normalised")
CENTRED_KINDS = ("on_centre", "off_centre")
# Not described by a Gabor or a disc: two lines that meet, an arc, two bars that do not touch.
SHAPES = {
    "corner": patterns.corner,
    "curved": patterns.curved_gabor,
    "two_bars": patterns.two_bars,
}
SHAPE_KINDS = tuple(SHAPES)
# Not described by a single position: energy pooled over positions (and orientations), and a
# suppressive surround.
POOLED_KINDS = ("pooled", "texture")
CONTEXT_KINDS = (*POOLED_KINDS, "surround_suppressed")
DEFAULT_KINDS = GABOR_KINDS + CENTRED_KINDS
KINDS = (*DEFAULT_KINDS, *SHAPE_KINDS, *CONTEXT_KINDS, "untuned")
TRUTH_COLUMNS = (
    "kind",
    "x_deg",
    "y_deg",
    "wavelength_deg",
    "orientation_deg",
    "phase_deg",
    "sigma_deg",
    "aspect",
    "threshold",
    "semisaturation",
    "gain_hz",
    "baseline_hz",
)
_PAIR_COLUMNS = ("x_deg", "y_deg", "wavelength_deg", "orientation_deg", "sigma_deg", "aspect")
_TINY = 1e-9
_SUPPRESSION = 15.0  # halves the response at a surround contrast of 0.07


@dataclass(frozen=True)
class TruthFilters:
    """Filters of simulated neurons on a grid, to be multiplied with flattened images.

    ``even``, ``odd``, ``window`` and ``surround`` have shape (neurons, height * width); ``even``
    and ``odd`` integrate luminance over square degrees, and the windows sum to one.
    ``pooled_even`` and ``pooled_odd`` (subunits, height * width) are additional quadrature pairs;
    ``pool`` (neurons, subunits) assigns their energies to neurons. The other fields have shape
    (neurons,).
    """

    even: Any
    odd: Any
    window: Any
    surround: Any
    pooled_even: Any
    pooled_odd: Any
    pool: Any
    suppression: Any
    is_complex: Any
    threshold: Any
    semisaturation: Any
    gain: Any


def draw_neurons(kinds: list[str], rng: np.random.Generator, geometry: Geometry) -> pd.DataFrame:
    """Draw the parameters of simulated neurons, one row per entry of `kinds`.

    Receptive fields are in the central part of the screen, with wavelengths of 10 to 25
    degrees and about two stripes per envelope, as in mouse visual areas (Niell & Stryker
    2008; Siegle et al. 2021). ``gain_hz`` is 1 until it is set by `calibrate_gain`.
    """
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise ValueError(f"unknown neuron kind {unknown[0]!r}; allowed: {', '.join(KINDS)}")
    n = len(kinds)
    kind = np.array(kinds)
    centred = np.isin(kind, CENTRED_KINDS)
    wavelength = np.exp(rng.uniform(np.log(10), np.log(25), n))
    half_x, half_y = geometry.width_deg / 2, geometry.height_deg / 2
    return pd.DataFrame(
        {
            "kind": kind,
            "x_deg": rng.uniform(-0.55 * half_x, 0.55 * half_x, n),
            "y_deg": rng.uniform(-0.5 * half_y, 0.5 * half_y, n),
            "wavelength_deg": wavelength,
            "orientation_deg": rng.uniform(0, 180, n),
            "phase_deg": rng.uniform(0, 360, n),
            "sigma_deg": wavelength * np.where(centred, 0.2, rng.uniform(0.35, 0.5, n)),
            "aspect": np.where(centred, 1.0, rng.uniform(1.0, 1.7, n)),
            "threshold": rng.uniform(0.0, 0.5, n),
            "semisaturation": rng.uniform(0.05, 0.15, n),
            "gain_hz": np.where(kind == "untuned", 0.0, 1.0),
            "baseline_hz": np.where(
                kind == "untuned", rng.uniform(3, 10, n), rng.uniform(0.3, 3.0, n)
            ),
        },
        columns=list(TRUTH_COLUMNS),
    )


def render_filters(neurons: pd.DataFrame, geometry: Geometry) -> TruthFilters:
    """Sample the filters of `neurons` on `geometry`, with unit energy in degrees."""
    kind = neurons["kind"].to_numpy().astype(str)
    p = {c: neurons[c].to_numpy(dtype=float) for c in TRUTH_COLUMNS if c != "kind"}
    shape = (p["wavelength_deg"], p["orientation_deg"])

    def quadrature(phase: NDArray) -> NDArray:
        return patterns.gabor(
            geometry, p["x_deg"], p["y_deg"], *shape, phase, p["sigma_deg"], p["aspect"]
        )

    even, odd = quadrature(p["phase_deg"]), quadrature(p["phase_deg"] + 90)
    for name, sign in (("on_centre", 1), ("off_centre", -1)):
        rows = kind == name
        if rows.any():
            sigma = p["sigma_deg"][rows]
            even[rows] = sign * patterns.difference_of_gaussians(
                geometry, p["x_deg"][rows], p["y_deg"][rows], sigma, 2.5 * sigma, 0.9
            )
    for name, shape_of in SHAPES.items():
        rows = kind == name
        if rows.any():
            chosen = [p[c][rows] for c in ("x_deg", "y_deg", "wavelength_deg", "orientation_deg")]
            even[rows] = shape_of(geometry, *chosen)
    # Local contrast is measured in a window 1.5 times as wide as the filter.
    u, v = patterns.rotated_axes(geometry, p["x_deg"], p["y_deg"], p["orientation_deg"])
    sigma = p["sigma_deg"][:, None, None]
    radius = (u**2 + (v / p["aspect"][:, None, None]) ** 2) / sigma**2
    window = np.exp(-0.5 * radius / 1.5**2)
    surround = np.exp(-0.5 * radius / 4.0**2) * (radius > 2.5**2)

    def flat(stack: NDArray) -> NDArray[np.float64]:
        return stack.reshape(len(stack), geometry.height * geometry.width)

    area = geometry.pixel_area
    energy = np.sqrt((flat(even) ** 2).sum(1, keepdims=True) * area)
    normalised = np.char.endswith(kind, "_normalised")
    subunits = _subunits(neurons)
    owner = subunits["owner"].to_numpy()
    part = {c: subunits[c].to_numpy(dtype=float) for c in _PAIR_COLUMNS}

    def pair(phase: float) -> NDArray[np.float64]:
        return flat(
            patterns.gabor(
                geometry,
                part["x_deg"],
                part["y_deg"],
                part["wavelength_deg"],
                part["orientation_deg"],
                phase,
                part["sigma_deg"],
                part["aspect"],
            )
        )

    pooled_even, pooled_odd = pair(0.0), pair(90.0)
    # the central pair and the subunits have equal weights that sum to one
    size = 1.0 + np.bincount(owner, minlength=len(kind))
    pool = np.zeros((len(kind), len(owner)))
    pool[owner, np.arange(len(owner))] = 1 / size[owner]
    whole = np.sqrt((pooled_even**2).sum(1, keepdims=True) * area)
    share = np.sqrt(1 / size)[:, None]
    return TruthFilters(
        even=share * flat(even) * area / energy,
        odd=share * flat(odd) * area / energy,
        window=flat(window) / flat(window).sum(1, keepdims=True),
        surround=flat(surround) / np.maximum(flat(surround).sum(1, keepdims=True), _TINY),
        pooled_even=pooled_even * area / whole,
        pooled_odd=pooled_odd * area / whole,
        pool=pool,
        suppression=np.where(kind == "surround_suppressed", _SUPPRESSION, 0.0),
        is_complex=(np.char.startswith(kind, "complex") | np.isin(kind, POOLED_KINDS)).astype(
            float
        ),
        threshold=np.where(normalised, 0.0, p["threshold"]),
        # an infinite semi-saturation disables normalisation (see `true_drive`)
        semisaturation=np.where(normalised, p["semisaturation"], np.inf),
        gain=p["gain_hz"],
    )


def _subunits(neurons: pd.DataFrame) -> pd.DataFrame:
    """Additional Gabor pairs of pooling neurons, one row each; ``owner`` is the neuron's row.

    They are at six positions on a ring with a radius of 0.7 wavelengths; for ``texture`` all seven
    positions are repeated at the orthogonal orientation.
    """
    rows = []
    for owner, (_, neuron) in enumerate(neurons.iterrows()):
        if neuron["kind"] not in POOLED_KINDS:
            continue
        ring = 0.7 * neuron["wavelength_deg"] * np.exp(1j * np.pi / 3 * np.arange(6))
        places = [(offset, 0.0) for offset in ring]
        if neuron["kind"] == "texture":
            places += [(offset, 90.0) for offset in (0.0, *ring)]
        for offset, turn in places:
            shifted = neuron[list(_PAIR_COLUMNS)].to_dict()
            shifted["x_deg"] += float(np.real(offset))
            shifted["y_deg"] += float(np.imag(offset))
            shifted["orientation_deg"] += turn
            rows.append({"owner": owner} | shifted)
    return pd.DataFrame(rows, columns=["owner", *_PAIR_COLUMNS]).astype({"owner": int})


def true_drive(filters: TruthFilters, images: Any) -> Any:
    """Stimulus-driven rate of every neuron for every image, without baseline.

    Parameters
    ----------
    filters : TruthFilters
        Filters as NumPy arrays, or as torch tensors if `images` is a tensor.
    images : array, shape (images, height * width)
        Luminance in [0, 1]; mid-grey is 0.5.

    Returns
    -------
    array, shape (images, neurons)
        Non-negative drive in Hz. Simple cells are half-wave rectified above a
        threshold, complex cells compute the energy of a quadrature pair (Adelson & Bergen
        1985), and normalised cells are divided by ``1 + local RMS contrast / semisaturation``
        (Heeger 1992; Carandini & Heeger 2012). Pooling cells sum the energies of pairs at several
        positions (Hubel & Wiesel 1962; Freeman & Simoncelli 2011), and a suppressive surround
        divides by one plus its RMS contrast times the suppression (Cavanaugh et al. 2002).
    """
    contrast = images - GREY
    even, odd = contrast @ filters.even.T, contrast @ filters.odd.T
    linear = (even - filters.threshold).clip(0)
    pooled = (contrast @ filters.pooled_even.T) ** 2 + (contrast @ filters.pooled_odd.T) ** 2
    total = even**2 + odd**2 + pooled @ filters.pool.T
    energy = ((total + _TINY) ** 0.5 - filters.threshold).clip(0)
    squared = contrast**2
    local = (squared @ filters.window.T + _TINY) ** 0.5
    around = (squared @ filters.surround.T + _TINY) ** 0.5
    response = (1 - filters.is_complex) * linear + filters.is_complex * energy
    divisor = 1 + local / filters.semisaturation + filters.suppression * around
    return filters.gain * response / divisor


def calibrate_gain(
    neurons: pd.DataFrame,
    images: NDArray,
    geometry: Geometry,
    mean_rates_hz: NDArray,
) -> pd.DataFrame:
    """Set each tuned neuron's threshold and gain from a set of natural images.

    ``threshold`` is given in units of the standard deviation of the filter output and replaced
    by its value in units of the filter output; ``gain_hz`` is set such that the mean drive over
    `images` (n, height, width) equals `mean_rates_hz`.
    """
    flat = images.reshape(len(images), -1)
    filters = render_filters(neurons, geometry)
    scale = ((flat - GREY) @ filters.even.T).std(axis=0)
    calibrated = neurons.copy()
    calibrated["threshold"] = neurons["threshold"] * scale
    tuned = (neurons["kind"] != "untuned").to_numpy()
    mean = true_drive(render_filters(calibrated, geometry), flat).mean(axis=0)
    silent = tuned & (mean <= _TINY)
    mean = np.where(silent | ~tuned, 1.0, mean)
    calibrated["gain_hz"] = np.where(tuned, mean_rates_hz / mean, 0.0)
    return calibrated

"""A bank of standard stimuli, shown to every neuron in its own coordinates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from meiflow.experiments.aligned import CANONICAL, AlignedPopulation
from meiflow.images import patterns
from meiflow.images.luminance import GREY

_CONTRAST = 0.8  # Michelson
_PHASES = np.arange(0.0, 360.0, 45.0)
_FEW = _PHASES[::2]
_DIAMETER = 3.0
_WEAK = (0.06, 0.12, 0.25, 0.5)  # of the contrast


def stimulus_bank() -> dict[str, NDArray[np.float64]]:
    """Luminance of standard stimuli by name, each (stimuli, 32, 32), in wavelengths.

    Gratings of several phases, orientations, frequencies, sizes and contrasts; with a surround of
    the same or the orthogonal orientation; plaids, spots, and bars of two lengths.

    Examples
    --------
    >>> bank = stimulus_bank()
    >>> {name: len(images) for name, images in bank.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'phase': 8, 'orientation': 20, 'frequency': 16, 'size': 16, 'surround': 8, 'plaid': 16,
     'spot': 8, 'bar': 28, 'contrast': 32}
    """

    def patch(
        wavelength: float, orientation: float, phases: NDArray, diameter: float = _DIAMETER
    ) -> NDArray[np.float64]:
        return patterns.grating_patch(
            CANONICAL, 0.0, 0.0, wavelength, orientation, phases, diameter
        )

    def ring(orientation: float, phases: NDArray) -> NDArray[np.float64]:
        return patterns.annular_grating(CANONICAL, 0.0, 0.0, 1.0, orientation, phases, 1.7, 4.0)

    signs = np.array([1.0, -1.0])[:, None, None]
    first, second = (patch(1.0, angle, _FEW) / 2 for angle in (0.0, 90.0))
    pitch = np.arange(-0.75, 1.0, 0.25)
    found = {
        "phase": patch(1.0, 0.0, _PHASES),
        "orientation": np.concatenate([patch(1.0, a, _FEW) for a in (30, 60, 90, 120, 150)]),
        "frequency": np.concatenate([patch(w, 0.0, _FEW) for w in (0.5, 0.7, 1.4, 2.0)]),
        "size": np.concatenate([patch(1.0, 0.0, _FEW, d) for d in (0.7, 1.2, 2.0, 4.0)]),
        "surround": np.concatenate(
            [patch(1.0, 0.0, _FEW, 1.5) + ring(angle, _FEW) for angle in (0.0, 90.0)]
        ),
        "plaid": (first[:, None] + second[None]).reshape(-1, *CANONICAL.shape),
        "spot": np.concatenate(
            [signs * patterns.disc(CANONICAL, 0.0, 0.0, d) for d in (0.5, 0.8, 1.2, 2.0)]
        ),
        "bar": np.concatenate(
            [
                signs * patterns.bar(CANONICAL, x, 0.0, 0.4, length, 0.0)
                for x in pitch
                for length in (1.0, 3.0)
            ]
        ),
    }
    found["contrast"] = np.concatenate([level * found["phase"] for level in _WEAK])
    return {name: GREY + GREY * _CONTRAST * pattern for name, pattern in found.items()}


def bank_responses(population: AlignedPopulation) -> NDArray[np.float64]:
    """Responses above grey (neurons, stimuli) of every neuron to all stimuli of the bank."""
    return population.responses(np.concatenate(list(stimulus_bank().values())))

"""Design of the benchmark: neurons, images, repeats and noise."""

from __future__ import annotations

from dataclasses import dataclass

from meiflow.simulation.truth import CENTRED_KINDS, CONTEXT_KINDS, SHAPE_KINDS

VERSION = 1  # of the recordings, which change between versions
# One neuron of each kind per session, and some untuned ones.
GABOR_LIKE = ("simple", "complex")
CONTRAST_GAIN = ("simple_normalised", "complex_normalised")
BREAKING = (*CONTRAST_GAIN, *CENTRED_KINDS, *SHAPE_KINDS, *CONTEXT_KINDS)
TUNED = (*GABOR_LIKE, *BREAKING)
UNTUNED = 4
MOST_IMAGES, MOST_REPEATS = 2000, 50  # size of a session
USUAL_NOISE = 0.2
MAIN = (118, 50)  # images x repeats of an Allen session
_SESSIONS = range(7)
_BOTH = (0, 4)
_NOISE = (0.0, 0.5)
_LESS = ((25, 5), (25, 50), (50, 50), (118, 5), (118, 15))
_MORE = ((0, 500, 5), (4, 500, 50))  # session, images, repeats: slow


@dataclass(frozen=True, order=True)
class Cell:
    """One recording of one simulated session.

    Parameters
    ----------
    session : int
        Seed of neurons, images and spikes.
    images : int
        Number of images shown.
    repeats : int
        Number of repeats of each image.
    noise : float
        Standard deviation of the log gain shared by all neurons, in addition to Poisson noise.
    """

    session: int
    images: int
    repeats: int
    noise: float = USUAL_NOISE

    @property
    def name(self) -> str:
        """Name of the cell and of its files."""
        return f"session{self.session:02d}_{self.images}x{self.repeats}_gain{self.noise:g}"


def full_design() -> list[Cell]:
    """All cells of the benchmark in the order in which they are run, cheap ones first."""
    main = [Cell(s, *MAIN) for s in _SESSIONS]
    noisy = [Cell(s, *MAIN, noise) for s in _BOTH for noise in _NOISE]
    less = [Cell(s, *size) for s in _BOTH for size in _LESS]
    return [*main, *noisy, *less, *(Cell(*cell) for cell in _MORE)]


def quick_design() -> list[Cell]:
    """The cells of ``meiflow validate --quick``, a part of the full benchmark."""
    return [Cell(0, *MAIN)]

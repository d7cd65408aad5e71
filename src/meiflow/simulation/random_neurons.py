"""Simulated neurons of random structure, so that no method can be made for a kind of neuron.

A neuron is a random tree. Its leaves are filters near one position, each followed by a
nonlinearity; its nodes add, subtract, multiply, pool or divide what is below them; and what leaves
the root may be divided by the local contrast, is rectified above a threshold and raised to a power.
There is no list of kinds: every seed is another structure. By convention, even seeds serve for
development and odd seeds for published results only.

Only operators shared by NumPy arrays and torch tensors are used, as in `meiflow.simulation.truth`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meiflow.images import patterns
from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.simulation.truth import SHAPES

NONLINEARITIES = ("rectified", "absolute", "squared", "rectified squared", "saturating")
OPERATIONS = ("sum", "difference", "product", "maximum", "energy", "ratio")
_SHAPES = ("gabor", "gabor", "gabor", "spot", "corner", "curved", "two_bars")
_TINY = 1e-6
_MOST_DRAWS = 100
# Of the responses to natural images: fraction that is zero, and highest response over mean.
_SILENT, _SPARSE, _FLAT = 0.9, 40.0, 2.0


@dataclass(frozen=True)
class Node:
    """A leaf (``children`` empty; ``filter`` its row) or an operation on its children."""

    operation: str
    children: tuple[Node, ...] = ()
    filter: int = -1
    weights: tuple[float, ...] = ()

    def __str__(self) -> str:
        if not self.children:
            return self.operation
        return f"{self.operation}({', '.join(map(str, self.children))})"


@dataclass(frozen=True)
class RandomNeuron:
    """A neuron of random structure.

    Parameters
    ----------
    root : Node
    filters : array, shape (filters, pixels)
        Multiplied with contrast (luminance minus grey); unit variance over the calibration images.
    window : array, shape (pixels,)
        In which local contrast is measured; sums to one.
    semisaturation : float
        RMS contrast that halves the response; infinite without normalisation.
    threshold, power, scale : float
        Of the output.
    """

    root: Node
    filters: Any
    window: Any
    semisaturation: float
    threshold: float
    power: float
    scale: float

    def drive(self, images: Any) -> Any:
        """Responses (images,) to images (images, pixels) of luminance in [0, 1]; 1 on average."""
        contrast = images - GREY
        value = _evaluate(self.root, contrast @ self.filters.T)
        local = ((contrast**2) @ self.window + _TINY**2) ** 0.5
        value = value / (1 + local / self.semisaturation) - self.threshold
        return self.scale * (value.clip(0) + _TINY) ** self.power


def draw_random_neuron(seed: int, geometry: Geometry, images: NDArray) -> RandomNeuron:
    """Draw the neuron of a seed.

    Parameters
    ----------
    seed : int
    geometry : Geometry
        Grid of the images that the neuron sees.
    images : ndarray, shape (images, height, width)
        Natural images, which set the scale of the filters, the threshold and the gain. Structures
        that respond to nearly none or in the same way to all of them are drawn again.

    Examples
    --------
    >>> screen = Geometry(30, 48)
    >>> images = np.random.default_rng(0).uniform(0, 1, (40, 30, 48))
    >>> neuron = draw_random_neuron(2, screen, images)
    >>> print(neuron.root)
    sum(absolute, rectified squared, saturating, squared)
    >>> round(float(neuron.drive(images.reshape(40, -1)).mean()), 3)
    1.0
    """
    flat = images.reshape(len(images), -1)
    for attempt in range(_MOST_DRAWS):
        neuron = _draw(np.random.default_rng([seed, attempt]), geometry, flat)
        response = neuron.drive(flat)
        mean = float(response.mean())
        silent = float((response < 0.01 * mean).mean())
        if mean > 0 and silent < _SILENT and _FLAT < response.max() / mean < _SPARSE:
            return replace(neuron, scale=neuron.scale / mean)
    raise ValueError(f"no neuron of seed {seed} responds to these images")


def _draw(rng: np.random.Generator, geometry: Geometry, flat: NDArray) -> RandomNeuron:
    leaves: list[NDArray] = []
    x = rng.uniform(-0.25, 0.25) * geometry.width_deg
    y = rng.uniform(-0.22, 0.22) * geometry.height_deg
    wavelength = float(np.exp(rng.uniform(np.log(10), np.log(28))))

    def leaf() -> Node:
        leaves.append(_filter(rng, geometry, x, y, wavelength))
        return Node(str(rng.choice(NONLINEARITIES)), filter=len(leaves) - 1)

    def node(depth: int) -> Node:
        if depth == 0 or rng.uniform() < 0.3 * (depth < 2):
            return leaf()
        operation = str(rng.choice(OPERATIONS))
        n = 2 if operation in ("difference", "product", "ratio") else int(rng.integers(2, 5))
        children = tuple(node(depth - 1) for _ in range(n))
        return Node(operation, children, weights=tuple(rng.uniform(0.4, 1.0, n)))

    root = node(int(rng.integers(0, 3)))
    filters = np.stack(leaves).reshape(len(leaves), -1)
    filters /= np.maximum(((flat - GREY) @ filters.T).std(axis=0), _TINY)[:, None]
    u, v = patterns.rotated_axes(geometry, x, y, 0.0)
    window = np.exp(-0.5 * (u**2 + v**2) / wavelength**2).reshape(-1)
    semisaturation = rng.uniform(0.05, 0.2) if rng.uniform() < 0.5 else np.inf
    neuron = RandomNeuron(root, filters, window / window.sum(), semisaturation, -10.0, 1.0, 1.0)
    below = neuron.drive(flat) + neuron.threshold
    threshold = float(np.quantile(below, rng.uniform(0.1, 0.7)))
    return replace(neuron, threshold=threshold, power=float(rng.choice([1.0, 1.0, 1.5, 2.0])))


def _filter(
    rng: np.random.Generator, geometry: Geometry, x: float, y: float, wavelength: float
) -> NDArray[np.float64]:
    """A filter near a position, shape (height, width)."""
    kind = rng.choice(_SHAPES)
    x, y = np.array([x, y]) + rng.normal(0, 0.4, 2) * wavelength
    wave = wavelength * 2 ** rng.uniform(-0.5, 0.5)
    turn = rng.uniform(0, 180)
    if kind == "spot":
        sign, size = rng.choice([-1, 1]), 0.2 * wave
        spot = patterns.difference_of_gaussians(geometry, x, y, size, 2.5 * size, 0.9)
        return np.asarray(sign * spot)
    if kind == "gabor":
        sigma, aspect = wave * rng.uniform(0.3, 0.6), rng.uniform(0.8, 1.8)
        phase = rng.uniform(0, 360)
        return np.asarray(patterns.gabor(geometry, x, y, wave, turn, phase, sigma, aspect))
    return np.asarray(SHAPES[str(kind)](geometry, x, y, wave, turn))


def _evaluate(node: Node, z: Any) -> Any:
    """Value (images,) of a node, given the outputs (images, filters) of all filters."""
    if not node.children:
        return _nonlinear(node.operation, z[:, node.filter])
    below = [_evaluate(child, z) for child in node.children]
    weighted = [w * value for w, value in zip(node.weights, below, strict=True)]
    match node.operation:
        case "sum":
            return sum(weighted)
        case "difference":
            return weighted[0] - weighted[1]
        case "product":
            return (weighted[0].clip(0) * weighted[1].clip(0) + _TINY) ** 0.5
        case "maximum":  # a power mean, which is smooth
            return sum((v.clip(0) + _TINY) ** 6 for v in weighted) ** (1 / 6)
        case "energy":
            return (sum(v**2 for v in weighted) + _TINY) ** 0.5
        case _:
            return weighted[0] / (1 + weighted[1].clip(0))


def _nonlinear(name: str, z: Any) -> Any:
    match name:
        case "rectified":
            return z.clip(0)
        case "absolute":
            return (z**2 + _TINY) ** 0.5
        case "squared":
            return z**2
        case "rectified squared":
            return z.clip(0) ** 2
        case _:
            return z.clip(0) / (1 + z.clip(0))

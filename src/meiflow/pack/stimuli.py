"""The stimuli of a pack: those of every neuron at a series of contrasts, and one blank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from meiflow.errors import MeiflowError
from meiflow.images.geometry import Geometry
from meiflow.images.projection import is_matched, project_array
from meiflow.pack.controls import moved, pattern_position, phase_scrambled

OTHER, SCRAMBLED, BLANK = "other_mei", "scrambled_mei", "blank"


@dataclass(frozen=True)
class PackStimuli:
    """Images of a pack on the grid of the models.

    Parameters
    ----------
    images : ndarray of float32, shape (stimuli, height, width)
        Luminance in [0, 1]; the last is the blank.
    table : DataFrame
        stimulus_id (the row of the image), stimulus, neuron_id (empty for the blank), contrast
        (RMS; 0 for the blank) and other_neuron (from which the control ``other_mei`` is).
    """

    images: NDArray[np.float32]
    table: pd.DataFrame


def pick_others(neurons: Sequence[str], candidates: Sequence[str], seed: int) -> dict[str, str]:
    """Another neuron for each neuron, whose MEI is its control.

    A random cycle through the chosen neurons; a single one gets one of the candidates.

    Examples
    --------
    >>> found = pick_others(["a", "b", "c"], ["a", "b", "c", "d"], seed=0)
    >>> sorted(found.values()), any(one == other for one, other in found.items())
    (['a', 'b', 'c'], False)
    >>> pick_others(["a"], ["a", "d"], 0), pick_others(["a"], ["a"], 0)
    ({'a': 'd'}, {})
    """
    rng = np.random.default_rng(seed)
    if len(neurons) == 1:
        rest = [name for name in candidates if name != neurons[0]]
        return {neurons[0]: rest[rng.integers(len(rest))]} if rest else {}
    order = [neurons[i] for i in rng.permutation(len(neurons))]
    return dict(zip(order, [*order[1:], order[0]], strict=True))


def with_controls(
    own: Mapping[str, NDArray],
    other: NDArray | None,
    geometry: Geometry,
    seed: int,
    wanted: Sequence[str],
) -> dict[str, NDArray]:
    """The stimuli of a neuron with the controls of its MEI, in the wanted order.

    Parameters
    ----------
    own : mapping
        Images (height, width) by name, with ``mei``.
    other : ndarray, shape (height, width), or None
        MEI of another neuron, which is moved to the position of this one's.
    geometry : Geometry
    seed : int
        Of the scrambled phases.
    wanted : sequence of str
        Names to keep; ``other_mei`` is left out without another neuron.
    """
    x, y = pattern_position(own["mei"], geometry)
    made = dict(own)
    if other is not None:
        made[OTHER] = moved(other, geometry, x, y)
    made[SCRAMBLED] = phase_scrambled(own["mei"], seed)
    return {name: made[name] for name in wanted if name in made}


def contrast_series(
    stimuli: Mapping[str, Mapping[str, NDArray]],
    others: Mapping[str, str],
    mean: float,
    contrasts: Sequence[float],
    blank: float,
) -> PackStimuli:
    """All stimuli of all neurons at the same mean and at each contrast, then the blank.

    Parameters
    ----------
    stimuli : mapping
        Images (height, width) by neuron and name.
    others : mapping
        The neuron from which the control ``other_mei`` is.
    mean : float
        Mean luminance, in (0, 1).
    contrasts : sequence of float
        RMS contrasts over the whole image.
    blank : float
        Luminance of the blank.

    Raises
    ------
    MeiflowError
        If a stimulus cannot have this mean and contrast.
    """
    images, rows = [], []
    for neuron, own in stimuli.items():
        names, stack = list(own), np.stack(list(own.values()))
        for contrast in contrasts:
            for name, image in zip(names, project_array(stack, mean, contrast), strict=True):
                # a tenth of the tolerance of the pack; is_matched alone is absolute
                near = abs(float(image.std()) / contrast - 1) < 1e-3
                if not is_matched(image, mean, contrast) or not near:
                    raise MeiflowError(
                        f"neuron {neuron}, {name}: RMS contrast {contrast:g} cannot be reached in "
                        f"black and white (at most {image.std():.3g} at a mean of {mean:.3g}); "
                        "give lower contrasts with --contrast, or leave this stimulus out"
                    )
                images.append(image)
                other = others.get(neuron, "") if name == OTHER else ""
                rows.append((name, neuron, contrast, other))
    shape = images[0].shape
    images.append(np.full(shape, blank, np.float32))
    rows.append((BLANK, "", 0.0, ""))
    table = pd.DataFrame(rows, columns=["stimulus", "neuron_id", "contrast", "other_neuron"])
    table.insert(0, "stimulus_id", np.arange(len(table)))
    return PackStimuli(np.stack(images).astype(np.float32), table)

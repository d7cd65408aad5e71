"""Output nonlinearity that keeps counts non-negative, and leaves real numbers as they are."""

from __future__ import annotations

from typing import Any

from meiflow.arrays import namespace

# Below all responses, so that `positive` changes none of them; finite, because 0 times it is used.
NO_FLOOR = -1e30


def rate_floor(mean_count: Any, real: bool = False) -> Any:
    """Rate below which predictions bend: 0.3 times the neuron's mean count.

    Predictions of real-valued responses (`real`) do not bend.

    >>> import numpy as np
    >>> rate_floor(2.0), float(positive(np.float64(-7.5), rate_floor(2.0, real=True)))
    (0.601, -7.5)
    """
    floor = 0.3 * mean_count + 1e-3
    return 0 * floor + NO_FLOOR if real else floor


def positive(z: Any, floor: Any) -> Any:
    """Keep `z` above `floor`; below it, bend exponentially towards zero.

    ``floor * (ELU(z / floor - 1) + 1)``: the ELU + 1 of Walker et al. (2019), scaled to the
    neuron's rate so that most predictions are in the linear part.
    """
    xp = namespace(z)
    return xp.where(z > floor, z, floor * xp.exp((z / floor - 1).clip(max=0)))

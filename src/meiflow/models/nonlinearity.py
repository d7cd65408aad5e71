"""Output nonlinearity that keeps counts non-negative."""

from __future__ import annotations

from typing import Any

from meiflow.arrays import namespace


def rate_floor(mean_count: Any) -> Any:
    """Rate below which predictions bend: 0.3 times the neuron's mean count."""
    return 0.3 * mean_count + 1e-3


def positive(z: Any, floor: Any) -> Any:
    """Keep `z` above `floor`; below it, bend exponentially towards zero.

    ``floor * (ELU(z / floor - 1) + 1)``: the ELU + 1 of Walker et al. (2019), scaled to the
    neuron's rate so that most predictions are in the linear part.
    """
    xp = namespace(z)
    return xp.where(z > floor, z, floor * xp.exp((z / floor - 1).clip(max=0)))

"""Stopping rules, applied to every stimulus of a batch separately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Protocol

import torch
from torch import Tensor

# Maps the objective (batch,), the stimuli and the previous stimuli (None at first) to whether each
# stimulus is done (batch,).
Check = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Stopper(Protocol):
    """A stopping rule; every optimisation ends after `maximum` steps."""

    @property
    def name(self) -> str:
        """Name of the rule in the result."""
        ...

    @property
    def maximum(self) -> int:
        """Maximum number of steps."""
        ...

    def begin(self) -> Check:
        """Return a fresh check, so that a rule can be reused."""
        ...


def _positive(maximum: int) -> None:
    if maximum < 1:
        raise ValueError(f"at least one step is required, got {maximum}")


@dataclass(frozen=True)
class Iterations:
    """Stop after a number of steps."""

    maximum: int
    name = "iterations"

    def __post_init__(self) -> None:
        _positive(self.maximum)

    def begin(self) -> Check:
        """Return a check that never stops early."""
        return lambda value, stimuli, before: torch.zeros(
            len(value), dtype=torch.bool, device=value.device
        )


@dataclass(frozen=True)
class Plateau:
    """Stop after `patience` consecutive steps without an improvement above `min_delta`.

    Parameters
    ----------
    patience : int
    min_delta : float
        In units of the objective, or of its best value if `relative`.
    relative : bool
    maximum : int
    """

    patience: int = 10
    min_delta: float = 0.0
    relative: bool = False
    maximum: int = 1000
    name = "plateau"

    def __post_init__(self) -> None:
        _positive(self.maximum)
        if self.patience < 1 or self.min_delta < 0:
            raise ValueError(
                f"patience >= 1 and min_delta >= 0 are required, got {self.patience}, "
                f"{self.min_delta}"
            )

    def begin(self) -> Check:
        """Return a check that counts from now on."""
        best: Tensor | None = None
        waited: Tensor | None = None

        def check(value: Tensor, stimuli: Tensor, before: Tensor | None) -> Tensor:
            nonlocal best, waited
            if best is None or waited is None:
                best, waited = value.clone(), torch.zeros_like(value, dtype=torch.long)
            else:
                needed = self.min_delta * (best.abs() if self.relative else 1.0)
                better = value > best + needed
                best = torch.maximum(best, value)
                waited = torch.where(better, 0, waited + 1)
            return waited >= self.patience

        return check


@dataclass(frozen=True)
class PixelChange:
    """Stop if no pixel changes by more than `threshold` in a step."""

    threshold: float = 1e-4
    maximum: int = 1000
    name = "pixel change"

    def __post_init__(self) -> None:
        _positive(self.maximum)

    def begin(self) -> Check:
        """Return a check that compares each step with the previous one."""

        def check(value: Tensor, stimuli: Tensor, before: Tensor | None) -> Tensor:
            if before is None:
                return torch.zeros(len(value), dtype=torch.bool, device=value.device)
            return (stimuli - before).abs().flatten(1).amax(1) <= self.threshold

        return check


def as_stoppers(stop: Stopper | int | Sequence[Stopper]) -> list[Stopper]:
    """Convert a stopper, a number of steps, or several stoppers to a list."""
    if isinstance(stop, int | Integral):
        return [Iterations(int(stop))]
    stoppers: list[Stopper] = [*stop] if isinstance(stop, Sequence) else [stop]
    wrong = [rule for rule in stoppers if not hasattr(rule, "begin")]
    if wrong or not stoppers:
        got = type(wrong[0]).__name__ if wrong else "nothing"
        raise ValueError(f"stop: a number of steps or at least one stopper is required, got {got}")
    return stoppers

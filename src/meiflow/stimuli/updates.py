"""Update rules that convert gradients to steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from meiflow.stimuli.schedules import Schedule, as_schedule

# Maps parameters, gradient (uphill), step and number of steps to new parameters.
Move = Callable[[Tensor, Tensor, int, int], Tensor]


class Update(Protocol):
    """An update rule; `begin` starts an optimisation."""

    def begin(self, parameters: Tensor) -> Move: ...


@dataclass(frozen=True)
class Ascent:
    """Plain gradient ascent: step size times gradient.

    Parameters
    ----------
    step_size : float, pair (first, last), or schedule
        In the unit of the preconditioner, if one scales the gradient.
    """

    step_size: float | tuple[float, float] | Schedule

    def begin(self, parameters: Tensor) -> Move:
        """Start."""
        size = as_schedule(self.step_size)
        return lambda p, gradient, step, steps: torch.add(p, gradient, alpha=size(step, steps))


@dataclass(frozen=True)
class TorchOptimiser:
    """Any optimiser of `torch.optim`.

    Parameters
    ----------
    factory : callable
        Function of a list of parameters, such as ``lambda p: torch.optim.Adam(p, lr=0.05)``.
    factor : float, pair (first, last), or schedule
        Factor by which learning rates are multiplied.
    """

    factory: Callable[[list[Tensor]], torch.optim.Optimizer]
    factor: float | tuple[float, float] | Schedule = 1.0

    def begin(self, parameters: Tensor) -> Move:
        """Start with a copy of the parameters."""
        free = parameters.detach().clone().requires_grad_(True)
        optimiser = self.factory([free])
        groups = optimiser.param_groups
        if any(g.get("max_iter", 1) != 1 or g.get("line_search_fn") for g in groups):
            raise ValueError(
                "an optimiser that calls the model itself needs max_iter=1 and no line search"
            )
        if isinstance(optimiser, torch.optim.LBFGS) and len(parameters) > 1:
            moves = [
                self.begin(row[None]) for row in parameters
            ]  # this optimiser mixes all its parameters
            return lambda p, gradient, step, steps: torch.cat(
                [
                    m(x[None], g[None], step, steps)
                    for m, x, g in zip(moves, p, gradient, strict=True)
                ]
            )
        for group in groups:  # one pass over the parameters instead of a dozen, if supported
            if group.get("fused", True) is None and not group.get("foreach"):
                group["fused"] = True
        rates = [group["lr"] for group in optimiser.param_groups]
        factor = as_schedule(self.factor)

        nothing = torch.zeros(())
        closure: Any = lambda: nothing  # noqa: E731  LBFGS wants one, whatever it says

        def move(p: Tensor, gradient: Tensor, step: int, steps: int) -> Tensor:
            free.data = p.detach().clone()  # the last step after postprocessing
            free.grad = -gradient.detach()
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor(step, steps)
            optimiser.step(closure)
            return free.data

        return move

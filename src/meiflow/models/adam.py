"""The optimiser Adam, without PyTorch's compiler.

The first use of `torch.optim` in a process imports the compiler, which takes longer than many jobs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_SQUARES = 0.999
_EPSILON = 1e-8


@dataclass
class Group:
    """Parameters with the same learning rate, and the decay of their mean gradient."""

    parameters: list[Tensor]
    rate: float
    momentum: float = 0.9


class Adam:
    """Adam (Kingma & Ba 2015), with the steps of `torch.optim.AdamW`.

    Parameters
    ----------
    groups : sequence of Group
        Their learning rates and momenta may be changed between steps.
    weight_decay : float
        Decay of the parameters, relative to the learning rate.

    Examples
    --------
    >>> free = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> optimiser = Adam([Group([free], 0.1)])
    >>> for _ in range(200):
    ...     free.grad = 2 * free.detach()
    ...     optimiser.step()
    >>> bool(free.abs().max() < 0.01)
    True
    """

    def __init__(self, groups: Sequence[Group], weight_decay: float = 0.0) -> None:
        self.groups = list(groups)
        self._decay, self._steps = weight_decay, 0
        self._moments = [
            (group, p, torch.zeros_like(p), torch.zeros_like(p))
            for group in self.groups
            for p in group.parameters
        ]

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for _, p, _, _ in self._moments:
            p.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Change all parameters that have a gradient."""
        self._steps += 1
        spread = (1 - _SQUARES**self._steps) ** 0.5
        for group, p, mean, square in self._moments:
            if p.grad is None:
                continue
            if self._decay:
                p.mul_(1 - group.rate * self._decay)
            mean.lerp_(p.grad, 1 - group.momentum)
            square.mul_(_SQUARES).addcmul_(p.grad, p.grad, value=1 - _SQUARES)
            size = group.rate / (1 - group.momentum**self._steps)
            p.addcdiv_(mean, (square.sqrt() / spread).add_(_EPSILON), value=-size)


def one_cycle(step: int, steps: int, highest: float) -> tuple[float, float]:
    """Learning rate and momentum of a step from 0, of one cycle (Smith & Topin 2019).

    The rate rises for 0.3 of the steps and then falls to nearly zero; the momentum falls and
    rises, as with `torch.optim.lr_scheduler.OneCycleLR`.

    Examples
    --------
    >>> [round(one_cycle(step, 100, 0.5)[0], 3) for step in (0, 29, 99)]
    [0.02, 0.5, 0.0]
    """
    top = 0.3 * steps - 1
    first = highest / 25
    if step <= top:
        share, ends, momenta = step / top, (first, highest), (0.95, 0.85)
    else:
        share = (step - top) / (steps - 1 - top)
        ends, momenta = (highest, first / 1e4), (0.85, 0.95)
    weight = (np.cos(np.pi * share) + 1) / 2
    rate, momentum = (float(b + (a - b) * weight) for a, b in (ends, momenta))
    return rate, momentum

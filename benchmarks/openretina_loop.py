"""One optimisation loop behind a pipe: openretina's or ours, on the same models and settings.

``python openretina_loop.py openretina|meiflow`` reads requests from standard input, one JSON
object per line, and answers each with one line. `benchmarks.stimuli_speed` starts one process for
each loop, in separate environments, and lets them take turns. Neither package is imported unless
its loop is requested.

Stimuli are contrast (luminance minus grey), and the models' responses have the shape (batch, time,
neurons) with a single frame, as openretina expects.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import elu, grid_sample, softplus

SHAPE = (60, 96)
NEURONS = 64
NORM = 0.1 * (SHAPE[0] * SHAPE[1]) ** 0.5  # an RMS contrast of 0.1 about grey
CLIP = 0.5
# Tighter than the clipping, or the penalty would have no gradient.
SOFT_LIMIT, PENALTY = 0.3, 0.1
RATE = 0.01


def gabors(n: int, shape: tuple[int, int], size: tuple[float, float], spread: float) -> Tensor:
    """Random Gabors of unit norm, (n, height, width).

    Parameters
    ----------
    size : (shortest, longest)
        Wavelengths in pixels; the envelopes' sigma is 0.4 wavelengths.
    spread : float
        Largest offset of the centres from the middle, as a fraction of that of the border.
    """
    generator = torch.Generator().manual_seed(n)
    u = torch.rand((n, 5), generator=generator)
    y, x = (torch.arange(side) - (side - 1) / 2 for side in shape)
    cy, cx = ((2 * u[:, i] - 1) * spread * (side - 1) / 2 for i, side in enumerate(shape))
    dy, dx = y[None, :, None] - cy[:, None, None], x[None, None, :] - cx[:, None, None]
    angle = (torch.pi * u[:, 2])[:, None, None]
    wavelength = (size[0] + (size[1] - size[0]) * u[:, 3])[:, None, None]
    along = torch.cos(angle) * dx + torch.sin(angle) * dy
    carrier = torch.cos(2 * torch.pi * (along / wavelength + u[:, 4, None, None]))
    found = carrier * torch.exp(-0.5 * (dx**2 + dy**2) / (0.4 * wavelength) ** 2)
    return found / torch.linalg.vector_norm(found, dim=(1, 2), keepdim=True)


class LnPopulation(nn.Module):
    """Neurons with a filter of the whole image and a soft rectifier: one matrix product.

    The filters are Gabors with noise on every pixel, like fitted ones. (Without it, their tails
    are subnormal numbers, which make every product many times slower.)
    """

    def __init__(self) -> None:
        super().__init__()
        filters = gabors(NEURONS, SHAPE, (8, 24), 0.7).flatten(1).T
        noise = torch.randn(filters.shape, generator=torch.Generator().manual_seed(2))
        self.filters = nn.Parameter((filters + 0.1 * noise / len(filters) ** 0.5).contiguous())
        self.calls = 0

    def forward(self, stimuli: Tensor) -> Tensor:
        """Responses (batch, 1, neurons) to contrast (batch, 1, height, width)."""
        self.calls += 1
        return softplus(2 * (stimuli.flatten(1) @ self.filters))[:, None]


class ConvPopulation(nn.Module):
    """Two convolutions shared by all neurons; each neuron has a position and channel weights.

    16 Gabors of 9 x 9 pixels at a stride of 2, 32 random kernels of 5 x 5, ELU after both, and the
    readout of Lurz et al. (2021) at its mean, bilinear at one position per neuron; ELU + 1.
    """

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Conv2d(1, 16, 9, stride=2, padding=4, bias=False)
        self.second = nn.Conv2d(16, 32, 5, padding=2, bias=False)
        self.first.weight.data = 4 * gabors(16, (9, 9), (4, 9), 0.0)[:, None]
        self.second.weight.data = torch.randn((32, 16, 5, 5), generator=generator) / 20
        self.weight = nn.Parameter(torch.randn((NEURONS, 32), generator=generator) / 6)
        self.register_buffer("places", 1.4 * torch.rand((NEURONS, 2), generator=generator) - 0.7)
        self.calls = 0

    def forward(self, stimuli: Tensor) -> Tensor:
        """Responses (batch, 1, neurons) to contrast (batch, 1, height, width)."""
        self.calls += 1
        maps = elu(self.second(elu(self.first(stimuli))))
        grid = self.places[None, :, None].expand(len(stimuli), -1, -1, -1)
        seen = grid_sample(maps, grid, align_corners=True)[..., 0]
        return (elu((seen.transpose(1, 2) * self.weight).sum(-1)) + 1)[:, None]


MODELS: dict[str, Callable[[], nn.Module]] = {"LN": LnPopulation, "convolutional": ConvPopulation}


def build(name: str, frozen: bool) -> nn.Module:
    """Model `name`; unless it is frozen, its parameters require gradients, as in training."""
    return MODELS[name]().eval().requires_grad_(not frozen)


def starts(n: int) -> Tensor:
    """White noise of norm `NORM`, one image for each neuron, (n, 1, height, width)."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn((NEURONS, 1, *SHAPE), generator=generator)[:n]
    norm = torch.linalg.vector_norm(noise.flatten(1), dim=1)
    return noise * (NORM / norm).reshape(-1, 1, 1, 1)


def adam(parameters: list[Tensor]) -> torch.optim.Optimizer:
    """Optimiser of both loops."""
    return torch.optim.Adam(parameters, lr=RATE)


@dataclass
class Found:
    """Stimuli, the step at which each was found, and the responses at every step, by neuron."""

    stimuli: Tensor
    steps: list[int]
    responses: list[list[float]]


# Model, starts, the neuron of each, steps, whether in one batch, whether to return responses.
Loop = Callable[[nn.Module, Tensor, list[int], int, bool, bool], Found]


def openretina_loop() -> Loop:
    """Openretina's loop, which has no batches and returns the last stimulus."""
    from openretina.insilico.stimulus_optimization.objective import (  # noqa: PLC0415
        IncreaseObjective,
        MeanReducer,
    )
    from openretina.insilico.stimulus_optimization.optimization_stopper import (  # noqa: PLC0415
        OptimizationStopper,
    )
    from openretina.insilico.stimulus_optimization.optimizer import (  # noqa: PLC0415
        optimize_stimulus,
    )
    from openretina.insilico.stimulus_optimization.regularizer import (  # noqa: PLC0415
        ChangeNormJointlyClipRangeSeparately,
        RangeRegularizationLoss,
    )

    class Recorded(IncreaseObjective):
        def forward(self, stimulus: Tensor) -> Tensor:
            score = super().forward(stimulus)
            self.scores.append(float(score.detach()))
            return score

    def loop(
        model: nn.Module, first: Tensor, neurons: list[int], steps: int, together: bool, trace: bool
    ) -> Found:
        if together:
            raise ValueError("openretina optimises one stimulus at a time")
        stimuli, responses = [], []
        for start, neuron in zip(first, neurons, strict=True):
            stimulus = start[None].clone().requires_grad_(True)
            kind = Recorded if trace else IncreaseObjective
            objective = kind(model, neuron, None, MeanReducer())
            objective.scores = []
            optimize_stimulus(
                stimulus,
                adam,
                objective,
                OptimizationStopper(steps),
                RangeRegularizationLoss([(-SOFT_LIMIT, SOFT_LIMIT)], None, PENALTY),
                ChangeNormJointlyClipRangeSeparately([(-CLIP, CLIP)], NORM),
            )
            stimuli.append(stimulus)
            responses.append(objective.scores)
        return Found(torch.cat(stimuli), [steps] * len(neurons), responses)

    return loop


def meiflow_loop() -> Loop:
    """Our loop with the same settings, which returns the best stimulus."""
    from meiflow.stimuli import (  # noqa: PLC0415
        IncreaseObjective,
        Iterations,
        NormClip,
        PerNeuronObjective,
        RangePenalty,
        TorchOptimiser,
        optimise,
    )

    settings: dict[str, Any] = {
        "regularisers": (RangePenalty([(-SOFT_LIMIT, SOFT_LIMIT)], PENALTY),),
        "postprocessors": (NormClip(NORM, [(-CLIP, CLIP)]),),
        "update": TorchOptimiser(adam),
        "project_start": False,
    }

    def loop(
        model: nn.Module, first: Tensor, neurons: list[int], steps: int, together: bool, trace: bool
    ) -> Found:
        if together:
            jobs = [(first, PerNeuronObjective(neurons))]
        else:
            jobs = [(s[None], IncreaseObjective(n)) for s, n in zip(first, neurons, strict=True)]
        stop = Iterations(steps)
        results = [optimise(model, start, what, stop=stop, **settings) for start, what in jobs]
        return Found(
            torch.cat([result.stimuli for result in results]),
            [int(step) for result in results for step in result.best_steps],
            [row for result in results for row in result.trace.objective.T.tolist()],
        )

    return loop


LOOPS: dict[str, Callable[[], Loop]] = {"openretina": openretina_loop, "meiflow": meiflow_loop}


def serve(name: str) -> None:
    """Answer requests until standard input ends.

    A request has ``model``, ``frozen``, ``neurons``, ``steps``, ``together``, ``trace``,
    ``threads`` and ``path``. The answer has ``seconds``, ``calls`` of the model per optimisation,
    the ``found_at`` steps and the ``responses``; the stimuli are written to ``path``.
    """
    loop = LOOPS[name]()
    models: dict[tuple[str, bool], nn.Module] = {}
    for line in sys.stdin:
        request = json.loads(line)
        torch.set_num_threads(request["threads"])
        key = (request["model"], request["frozen"])
        if key not in models:
            models[key] = build(*key)
        model, neurons, together = models[key], request["neurons"], request["together"]
        first, trace = starts(NEURONS)[neurons], request["trace"]
        warm = slice(None) if together else slice(1)
        loop(model, first[warm], neurons[warm], 3, together, trace)
        model.calls = 0
        began = time.perf_counter()
        found = loop(model, first, neurons, request["steps"], together, trace)
        seconds = time.perf_counter() - began
        torch.save(found.stimuli.detach(), request["path"])
        answer = {
            "seconds": seconds,
            "calls": model.calls / (1 if together else len(neurons)),
            "found_at": found.steps,
            "responses": found.responses if trace else [],
        }
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])

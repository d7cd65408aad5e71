"""Objectives to maximise: one number per stimulus of a batch.

An objective is a function of the model's responses and the stimuli, so that several objectives can
share one call of the model. Responses are (batch,), (batch, neurons), (batch, time, neurons), or,
for an inner layer of the model, (batch, channels, [time,] height, width).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log
from numbers import Integral
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

Reducer = Callable[[Tensor], Tensor]
ResponseModel = Callable[[Tensor], Tensor]


class Objective(Protocol):
    """Maps responses and stimuli to one value per stimulus (batch,), to be maximised."""

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class MeanReducer:
    """Mean of the responses over an axis."""

    axis: int = 1

    def __call__(self, responses: Tensor) -> Tensor:
        return responses.mean(self.axis)


@dataclass(frozen=True)
class SliceMeanReducer:
    """Mean of the responses over `length` frames (by default all) of an axis, from `start` on."""

    start: int
    length: int | None = None
    axis: int = 1

    def __call__(self, responses: Tensor) -> Tensor:
        frames = responses.shape[self.axis]
        stop = frames if self.length is None else self.start + self.length
        if not 0 <= self.start < stop <= frames:
            raise ValueError(
                f"frames {self.start} to {stop} requested from a response of {frames} frames"
            )
        return responses.narrow(self.axis, self.start, stop - self.start).mean(self.axis)


@dataclass(frozen=True)
class LastReducer:
    """The last frame of an axis."""

    axis: int = 1

    def __call__(self, responses: Tensor) -> Tensor:
        return responses.select(self.axis, -1)


def per_neuron(responses: Tensor, reduce: Reducer | None = None) -> Tensor:
    """Responses as (batch, neurons), after reduction and averaging over any axes in between."""
    if not isinstance(responses, Tensor) or not responses.ndim:
        got = "a single number" if isinstance(responses, Tensor) else type(responses).__name__
        raise ValueError(
            f"the model returned {got}; expected a tensor of responses (batch, [time,] neurons)"
        )
    if reduce is not None and responses.ndim < 3:
        raise ValueError(
            f"responses of shape {tuple(responses.shape)} have no time axis to reduce; expected "
            "(batch, time, neurons)"
        )
    if reduce is not None:
        responses = reduce(responses)
    if responses.ndim == 1:
        return responses[:, None]
    return responses.flatten(1, -2).mean(1) if responses.ndim > 2 else responses


def _checked(chosen: Sequence[int], n: int) -> list[int]:
    if not len(chosen):
        raise ValueError("no neuron given; give at least one")
    if any(isinstance(i, bool | np.bool_) for i in chosen):
        raise ValueError("neurons must be given as numbers, not as a boolean mask")
    wrong = [i for i in chosen if not -n <= i < n]
    if wrong:
        raise ValueError(
            f"neuron {wrong[0]} does not exist; outputs of the model are numbered 0 to {n - 1}"
        )
    return [int(i) for i in chosen]


@dataclass(frozen=True)
class IncreaseObjective:
    """Mean response of one or several neurons.

    Parameters
    ----------
    neurons : int, sequence of int or None
        Outputs of the model; None for all of them.
    reduce : callable, optional
        Reduction over time; by default the mean.

    Examples
    --------
    >>> responses = torch.tensor([[1.0, 4.0, 2.0]])
    >>> stimuli = torch.zeros(1, 6, 8)
    >>> IncreaseObjective(1)(responses, stimuli), IncreaseObjective([0, 2])(responses, stimuli)
    (tensor([4.]), tensor([1.5000]))
    """

    neurons: int | Sequence[int] | None = None
    reduce: Reducer | None = None

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        values = per_neuron(responses, self.reduce)
        if self.neurons is None:
            return values.mean(1)
        if isinstance(self.neurons, int | Integral):
            return values.select(1, *_checked([self.neurons], values.shape[1]))
        return values[:, _checked(self.neurons, values.shape[1])].mean(1)


@dataclass(frozen=True)
class SuppressObjective(IncreaseObjective):
    """Negative mean response, whose optimum is the most suppressive stimulus."""

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        return -super().__call__(responses, stimuli)


@dataclass(frozen=True)
class PerNeuronObjective:
    """Response of a different neuron for every stimulus: ``neurons[i]`` for stimulus i."""

    neurons: Sequence[int]
    reduce: Reducer | None = None

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        values = per_neuron(responses, self.reduce)
        if len(self.neurons) != len(values):
            raise ValueError(
                f"{len(self.neurons)} neurons given for a batch of {len(values)} stimuli"
            )
        chosen = torch.as_tensor(_checked(self.neurons, values.shape[1]), device=values.device)
        return values.gather(1, chosen.remainder(values.shape[1])[:, None])[:, 0]


@dataclass(frozen=True)
class ContrastiveObjective:
    """One group of neurons against others: the most discriminative stimulus.

    ``on / t - log(mean(exp(all / t)))`` for the mean responses of all groups, including *on*
    (Burg et al. 2024, Most discriminative stimuli for functional cell type clustering).

    Parameters
    ----------
    on : sequence of int
        Neurons that should respond.
    off : sequence of sequences of int
        Groups of neurons that should not respond.
    temperature : float
        In units of the response; at low values only the strongest competing group matters.

    Examples
    --------
    >>> responses = torch.tensor([[4.0, 1.0, 1.0], [1.0, 4.0, 1.0]])
    >>> one_against_two = ContrastiveObjective(on=[0], off=[[1], [2]])
    >>> one_against_two(responses, torch.zeros(2, 6, 8)).round(decimals=2)
    tensor([ 0.8300, -1.0400])
    """

    on: Sequence[int]
    off: Sequence[Sequence[int]]
    temperature: float = 1.6
    reduce: Reducer | None = None

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"the temperature must be above 0, got {self.temperature}")
        if not len(self.off) or any(isinstance(group, Integral) for group in self.off):
            raise ValueError(f"off must be a list of groups of neurons, got {self.off}")

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        values = per_neuron(responses, self.reduce)
        groups = [_checked(group, values.shape[1]) for group in (self.on, *self.off)]
        scores = torch.stack([values[:, group].mean(1) for group in groups], 1) / self.temperature
        return scores[:, 0] - scores.logsumexp(1) + log(len(groups))


@dataclass(frozen=True)
class ChannelObjective:
    """A channel of a layer (see `layer_output`), at the centre or averaged over its map.

    Parameters
    ----------
    channel : int
    place : 'centre' or 'mean'
    reduce : callable, optional
        Reduction of (batch, [time]) responses over time; by default the mean.
    """

    channel: int
    place: str = "centre"
    reduce: Reducer | None = None

    def __post_init__(self) -> None:
        if self.place not in ("centre", "mean"):
            raise ValueError(f"place must be 'centre' or 'mean', got {self.place!r}")

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        if responses.ndim < 4:
            raise ValueError(
                f"a layer with maps is required, got an output with {responses.ndim} axes"
            )
        (channel,) = _checked([self.channel], responses.shape[1])
        maps = responses[:, channel]
        height, width = maps.shape[-2:]
        centre = self.place == "centre"
        values = maps[..., height // 2, width // 2] if centre else maps.mean((-2, -1))
        values = values if self.reduce is None else self.reduce(values)
        return values.flatten(1).mean(1) if values.ndim > 1 else values


@dataclass(frozen=True)
class WeightedObjective:
    """Weighted sum of objectives, for which the model is called only once."""

    parts: Sequence[tuple[float, Objective]]

    def __post_init__(self) -> None:
        if not self.parts or any(callable(w) or not callable(part) for w, part in self.parts):
            raise ValueError("at least one pair (weight, objective) is required")

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        return torch.stack([w * part(responses, stimuli) for w, part in self.parts]).sum(0)


def stimulus_correlations(stimuli: Tensor, weights: Tensor | None = None) -> Tensor:
    """Correlation of every pair of stimuli, shape (batch, batch).

    Parameters
    ----------
    weights : Tensor, optional
        Weight of each pixel, broadcast over the stimuli; may be a boolean mask.

    Examples
    --------
    >>> image = torch.rand(6, 8, generator=torch.Generator().manual_seed(0))
    >>> stimulus_correlations(torch.stack([image, 1 - image])).round(decimals=3)
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    flat = stimuli.flatten(1)
    weight = torch.ones_like(flat[:1])
    if weights is not None:
        weight = weights.to(stimuli).expand(stimuli.shape[1:]).reshape(1, -1)
    flat = flat - (flat * weight).sum(1, keepdim=True) / weight.sum()
    flat = flat * weight.sqrt()
    flat = flat / flat.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return flat @ flat.T


def nearest_correlation(stimuli: Tensor, weights: Tensor | None = None) -> Tensor:
    """Correlation of each stimulus with its nearest one (batch,); see `stimulus_correlations`."""
    alike = stimulus_correlations(stimuli, weights)
    itself = 3 * torch.eye(len(stimuli), dtype=alike.dtype, device=alike.device)
    return (alike - itself).amax(1)


@dataclass(frozen=True)
class DiverseObjective:
    """Stimuli of a batch that are all exciting and different from each other.

    Each is optimised until it reaches `enough` (but no further), and away from the most similar one
    (Cadena et al. 2018; Ding et al. 2023).

    Parameters
    ----------
    exciting : Objective
        Objective for single stimuli.
    enough : float
        Value of `exciting` that every stimulus should reach.
    strength : float
        Penalty for missing `enough` completely, relative to a correlation of one.
    weights : Tensor, shape (height, width), optional
        Weight of a difference at each pixel; may be a boolean mask.
    """

    exciting: Objective
    enough: float
    strength: float = 10.0
    weights: Tensor | None = None

    def __post_init__(self) -> None:
        if not self.enough:
            raise ValueError("enough must not be 0")

    def __call__(self, responses: Tensor, stimuli: Tensor) -> Tensor:
        short = (self.enough - self.exciting(responses, stimuli)).clamp_min(0) / abs(self.enough)
        alone = len(stimuli) == 1
        nearest = torch.zeros_like(short) if alone else nearest_correlation(stimuli, self.weights)
        return -self.strength * short - nearest


def check_depends(value: Tensor, stimuli: Tensor) -> None:
    """Raise ValueError if there is no gradient with respect to the stimuli."""
    found = None
    if value.requires_grad:
        (found,) = torch.autograd.grad(value.sum(), stimuli, retain_graph=True, allow_unused=True)
    if found is None:
        raise ValueError("the response does not depend on the stimuli")


@contextmanager
def evaluated(model: ResponseModel) -> Iterator[None]:
    """Put the model in evaluation mode, and restore all its parts afterwards."""
    if not isinstance(model, nn.Module):
        yield
        return
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def ensemble(models: Sequence[ResponseModel]) -> ResponseModel:
    """The mean response of several models.

    Examples
    --------
    >>> models = [lambda stimuli: stimuli.mean((1, 2)), lambda stimuli: stimuli.amax((1, 2))]
    >>> ensemble(models)(torch.eye(2)[None])
    tensor([0.7500])
    """
    if not models:
        raise ValueError("an ensemble needs at least one model")

    class _Ensemble(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(m for m in models if isinstance(m, nn.Module))

        def forward(self, stimuli: Tensor) -> Tensor:
            return torch.stack([model(stimuli) for model in models]).mean(0)

    return _Ensemble()


def layer_output(model: nn.Module, layer: str) -> ResponseModel:
    """A model whose responses are the output of an inner layer of `model`.

    Parameters
    ----------
    layer : str
        Name of the layer in ``model.named_modules()``.

    Notes
    -----
    The hook exists only during a call; `model` is left unchanged.

    Examples
    --------
    >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    >>> layer_output(network, "0")(torch.rand(5, 1, 8, 8)).shape
    torch.Size([5, 4, 6, 6])
    """
    modules = dict(model.named_modules())
    if layer not in modules or not layer:
        names = ", ".join(name for name in modules if name)
        raise ValueError(f"no layer {layer!r}; available: {names}")

    class _Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, stimuli: Tensor) -> Tensor:
            with _caught(modules[layer]) as outputs:
                self.model(stimuli)
            if not outputs:
                raise ValueError(f"the model does not use its layer {layer!r}")
            return outputs[-1]

    return _Layer()


@contextmanager
def _caught(module: nn.Module) -> Iterator[list[Tensor]]:
    outputs: list[Tensor] = []
    # a clone, because the next layer may modify it in place
    handle = module.register_forward_hook(lambda _module, _inputs, out: outputs.append(out.clone()))
    try:
        yield outputs
    finally:
        handle.remove()

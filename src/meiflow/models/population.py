"""Models of many neurons combined, each with separate stimuli or all with the same."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from meiflow.images.luminance import GREY
from meiflow.models import gabor_energy
from meiflow.models.device import chosen_device, device_of
from meiflow.models.ln import rectified
from meiflow.models.members import GaborEnergyMember, LnMember, V1Member, without_subnormals
from meiflow.models.network import NeuronModel
from meiflow.models.nonlinearity import positive
from meiflow.models.window_stack import window_stacks


def _filtered(contrast: Tensor, filters: Tensor) -> Tensor:
    """Outputs (neurons, batch, filters) of filters (neurons, filters, pixels).

    Contrast is (neurons, batch, pixels), or (1, batch, pixels) if shared by all neurons.
    """
    if len(contrast) == 1:
        outputs = contrast[0] @ filters.flatten(0, 1).T
        return outputs.unflatten(1, filters.shape[:2]).transpose(0, 1)
    return torch.bmm(contrast, filters.transpose(1, 2))


class _V1Stack(nn.Module):
    def __init__(self, members: Sequence[V1Member]) -> None:
        super().__init__()
        self.front_end = members[0].front_end
        self.names = ("even", "odd", "centre", "pool")
        self.sizes = [len(getattr(members[0], name)) for name in self.names]
        linear = [torch.cat([m.even, m.odd, m.centre]) for m in members]
        self.register_buffer("linear", torch.stack(linear))
        self.register_buffer("pool", torch.stack([m.pool for m in members]))
        self.register_buffer("weight", torch.stack([m.weight.detach() for m in members]))
        self.register_buffer("bias", torch.stack([m.bias.detach() for m in members]))
        self.register_buffer("floor", torch.tensor([m.floor for m in members]))

    linear: Tensor
    pool: Tensor
    weight: Tensor
    bias: Tensor
    floor: Tensor

    def forward(self, contrast: Tensor) -> Tensor:
        even, odd, centre = _filtered(contrast, self.linear).split(self.sizes[:3], -1)
        power = _filtered(contrast**2, self.pool)
        channels = self.front_end.channels(even, odd, centre, power)
        z = torch.bmm(channels, self.weight[:, :, None])[..., 0] + self.bias[:, None]
        return torch.as_tensor(positive(z, self.floor[:, None]))


class _LnStack(nn.Module):
    filter: Tensor
    offset: Tensor
    baseline: Tensor
    scale: Tensor

    def __init__(self, members: Sequence[LnMember]) -> None:
        super().__init__()
        for name in ("filter", "offset", "baseline", "scale"):
            stacked = torch.stack([getattr(m, name).detach() for m in members])
            self.register_buffer(name, stacked[:, None])
        self.real = members[0].real

    def forward(self, contrast: Tensor) -> Tensor:
        drive = _filtered(contrast, self.filter)[..., 0] + self.offset
        return rectified(drive, self.baseline, self.scale, self.real)


class _GaborEnergyStack(nn.Module):
    filters: Tensor
    window: Tensor
    weight: Tensor
    bias: Tensor
    floor: Tensor
    scale: Tensor

    def __init__(self, members: Sequence[GaborEnergyMember]) -> None:
        super().__init__()
        grid = members[0].grid
        names = members[0].p.keys()
        self.p = {n: torch.cat([m.p[n].detach() for m in members]) for n in names}
        even, odd, window = gabor_energy.filters(self.p, grid)
        self.register_buffer("filters", without_subnormals(torch.stack([even, odd], 1)))
        self.register_buffer("window", without_subnormals(window[:, None]))
        self.register_buffer("weight", torch.stack([m.weight.detach() for m in members]))
        self.register_buffer("bias", torch.stack([m.bias.detach() for m in members]))
        self.register_buffer("floor", torch.tensor([m.floor for m in members]))
        self.register_buffer("scale", torch.cat([m.scale.detach() for m in members]))

    def forward(self, contrast: Tensor) -> Tensor:
        even, odd = _filtered(contrast, self.filters).unbind(-1)
        power = _filtered(contrast**2, self.window)[..., 0]
        p = {name: value.to(contrast.device) for name, value in self.p.items()}
        x = gabor_energy.outputs(p, even.T, odd.T, power.T, self.scale)
        z = (x * self.weight).sum(-1).T + self.bias[:, None]
        return torch.as_tensor(positive(z, self.floor[:, None]))


class _Loop(nn.Module):
    """Base models that cannot be stacked, evaluated one after the other."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, contrast: Tensor) -> Tensor:
        each = contrast.expand(len(self.members), -1, -1)
        return torch.stack([m(c) for m, c in zip(self.members, each, strict=True)])


_STACKS = {
    V1Member: _V1Stack,
    LnMember: _LnStack,
    GaborEnergyMember: _GaborEnergyStack,
}


def _key(member: nn.Module) -> object:
    """Equal for base models that can be stacked."""
    return type(member), getattr(member, "front_end", None), getattr(member, "real", False)


class _Population(nn.Module):
    """Base models of all neurons, stacked by kind, and their weights, on the chosen device.

    Images may be on any device; the responses are on the same.

    Parameters
    ----------
    models : sequence of NeuronModel
        Models with the same geometry.
    """

    def __init__(self, models: Sequence[NeuronModel]) -> None:
        super().__init__()
        if not models:
            raise ValueError("a population needs at least one neuron")
        if any(m.geometry != models[0].geometry for m in models):
            raise ValueError("the models of the neurons expect images of different sizes")
        self.neurons = len(models)
        self.geometry = models[0].geometry
        groups: dict[object, list[tuple[int, float, nn.Module]]] = {}
        for i, model in enumerate(models):
            for weight, member in model.mixture.others:
                groups.setdefault(_key(member), []).append((i, weight, member))
        stacks: list[nn.Module] = [
            _STACKS.get(type(group[0][2]), _Loop)([m for _, _, m in group])
            for group in groups.values()
        ]
        rows = [[i for i, _, _ in group] for group in groups.values()]
        weights = [[w for _, w, _ in group] for group in groups.values()]
        pairs = [list(zip(m.mixture.weights, m.mixture.members, strict=True)) for m in models]
        for own, stack in window_stacks(pairs):
            stacks.append(stack)
            rows.append(own)
            weights.append([1.0] * len(own))  # the stack sums with the weights
        self.stacks = nn.ModuleList(stacks)
        device = chosen_device()
        if device.type != "cpu":  # a copy, because the models contain parts of it
            self.stacks = deepcopy(self.stacks).to(device)
        self.rows = [torch.tensor(own) for own in rows]
        self.whole = [own == list(range(self.neurons)) for own in rows]
        self.weights = [torch.tensor(own) for own in weights]

    def _contrast(self, images: Tensor, sets: int) -> Tensor:
        """Contrast (sets, images per set, pixels) of images ordered by set."""
        if tuple(images.shape[-2:]) != self.geometry.shape:
            got = tuple(images.shape[-2:])
            raise ValueError(f"images have {got} pixels; the model expects {self.geometry.shape}")
        if len(images) % sets:
            raise ValueError(f"{len(images)} images cannot be divided evenly among {sets} neurons")
        return images.reshape(sets, len(images) // sets, -1) - GREY

    def _responses(self, contrast: Tensor) -> Tensor:
        """Responses (neurons, batch) of each neuron to its set, or of all to a single set."""
        given, contrast = contrast.device, contrast.to(device_of(self))
        shape = (self.neurons, contrast.shape[1])
        total = torch.zeros(shape, dtype=contrast.dtype, device=contrast.device)
        groups = zip(self.stacks, self.rows, self.weights, self.whole, strict=True)
        for stack, rows, weight, whole in groups:
            here = rows.to(contrast.device)
            shared = whole or len(contrast) == 1
            part = stack(contrast if shared else contrast.index_select(0, here))
            part = part * weight.to(part)[:, None]
            total = total + part if whole else total.index_add(0, here, part)
        return total.to(given)


class PairedModel(_Population):
    """Each neuron responds to different stimuli, e.g. MEIs of a population in one batch.

    Parameters
    ----------
    models : sequence of NeuronModel
        Models with the same geometry.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Responses (batch,) to images (batch, [1,] height, width).

        The batch contains the same number of images for every neuron, ordered by neuron.
        """
        return self._responses(self._contrast(images, self.neurons)).reshape(-1)


class SharedModel(_Population):
    """All neurons respond to the same stimuli, e.g. to search images for all at once.

    Parameters
    ----------
    models : sequence of NeuronModel
        Models with the same geometry.
    """

    def forward(self, images: Tensor) -> Tensor:
        """Responses (batch, neurons) to images (batch, [1,] height, width)."""
        return self._responses(self._contrast(images, 1)).T

    def predict(self, images: NDArray, batch: int = 512) -> NDArray[np.float64]:
        """Responses (images, neurons) to a stack of images, without gradients."""
        stack = torch.as_tensor(images, dtype=torch.float32)
        with torch.no_grad():
            return torch.cat([self(part) for part in stack.split(batch)]).numpy().astype(float)

"""Many neurons' models as one: stimuli of their own for each, in one call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from meiflow.models import gabor_energy
from meiflow.models.front_end import GREY
from meiflow.models.ln import rectified
from meiflow.models.members import GaborEnergyMember, LnMember, V1Member
from meiflow.models.network import NeuronModel
from meiflow.models.nonlinearity import positive


class _V1Stack(nn.Module):
    def __init__(self, members: Sequence[V1Member]) -> None:
        super().__init__()
        self.front_end = members[0].front_end
        self.names = ("even", "odd", "centre", "pool")
        self.sizes = [len(getattr(members[0], name)) for name in self.names]
        linear = [torch.cat([m.even, m.odd, m.centre]) for m in members]
        self.register_buffer("linear", torch.stack(linear).transpose(1, 2).contiguous())
        self.register_buffer("pool", torch.stack([m.pool for m in members]).transpose(1, 2))
        self.register_buffer("weight", torch.stack([m.weight.detach() for m in members]))
        self.register_buffer("bias", torch.stack([m.bias.detach() for m in members]))
        self.register_buffer("floor", torch.tensor([m.floor for m in members]))

    linear: Tensor
    pool: Tensor
    weight: Tensor
    bias: Tensor
    floor: Tensor

    def forward(self, contrast: Tensor) -> Tensor:
        even, odd, centre = torch.bmm(contrast, self.linear).split(self.sizes[:3], -1)
        channels = self.front_end.channels(even, odd, centre, torch.bmm(contrast**2, self.pool))
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
            self.register_buffer(name, stacked[..., None])

    def forward(self, contrast: Tensor) -> Tensor:
        drive = torch.bmm(contrast, self.filter)[..., 0] + self.offset
        return rectified(drive, self.baseline, self.scale)


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
        self.register_buffer("filters", torch.stack([even, odd], -1))
        self.register_buffer("window", window[..., None])
        self.register_buffer("weight", torch.stack([m.weight.detach() for m in members]))
        self.register_buffer("bias", torch.stack([m.bias.detach() for m in members]))
        self.register_buffer("floor", torch.tensor([m.floor for m in members]))
        self.register_buffer("scale", torch.cat([m.scale.detach() for m in members]))

    def forward(self, contrast: Tensor) -> Tensor:
        even, odd = torch.bmm(contrast, self.filters).unbind(-1)
        power = torch.bmm(contrast**2, self.window)[..., 0]
        p = {name: value.to(contrast.device) for name, value in self.p.items()}
        x = gabor_energy.outputs(p, even.T, odd.T, power.T, self.scale)
        z = (x * self.weight).sum(-1).T + self.bias[:, None]
        return torch.as_tensor(positive(z, self.floor[:, None]))


class _Loop(nn.Module):
    """Members that cannot be stacked, one after the other."""

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, contrast: Tensor) -> Tensor:
        return torch.stack([m(c) for m, c in zip(self.members, contrast, strict=True)])


_STACKS = {V1Member: _V1Stack, LnMember: _LnStack, GaborEnergyMember: _GaborEnergyStack}


def _key(member: nn.Module) -> object:
    front_end = getattr(member, "front_end", None)
    return type(member), front_end


class PairedModel(nn.Module):
    """Neuron i responds to its own stimuli: the MEIs of a population in one batch.

    Parameters
    ----------
    models : sequence of NeuronModel
        All on the same geometry.
    """

    def __init__(self, models: Sequence[NeuronModel]) -> None:
        super().__init__()
        if not models:
            raise ValueError("a population needs at least one neuron")
        if any(m.geometry != models[0].geometry for m in models):
            raise ValueError("the neurons' models take images of different sizes")
        self.neurons = len(models)
        self.geometry = models[0].geometry
        groups: dict[object, list[tuple[int, float, nn.Module]]] = {}
        for i, model in enumerate(models):
            mixture = model.mixture
            for weight, member in zip(mixture.weights, mixture.members, strict=True):
                groups.setdefault(_key(member), []).append((i, weight, member))
        self.stacks = nn.ModuleList(
            _STACKS.get(type(group[0][2]), _Loop)([m for _, _, m in group])
            for group in groups.values()
        )
        self.rows = [torch.tensor([i for i, _, _ in group]) for group in groups.values()]
        self.whole = [rows.tolist() == list(range(self.neurons)) for rows in self.rows]
        self.weights = [torch.tensor([w for _, w, _ in group]) for group in groups.values()]

    def forward(self, images: Tensor) -> Tensor:
        """Responses (batch,) to images (batch, [1,] height, width).

        The batch holds the same number of images for every neuron, those of the first neuron
        first.
        """
        if tuple(images.shape[-2:]) != self.geometry.shape:
            got = tuple(images.shape[-2:])
            raise ValueError(f"images of {got} pixels; the model takes {self.geometry.shape}")
        if len(images) % self.neurons:
            raise ValueError(f"{len(images)} images cannot be dealt to {self.neurons} neurons")
        contrast = images.reshape(self.neurons, len(images) // self.neurons, -1) - GREY
        total = torch.zeros(contrast.shape[:2], dtype=contrast.dtype, device=contrast.device)
        groups = zip(self.stacks, self.rows, self.weights, self.whole, strict=True)
        for stack, rows, weight, whole in groups:
            here = rows.to(contrast.device)
            part = stack(contrast if whole else contrast[here])
            part = part * weight.to(part)[:, None]
            total = total + part if whole else total.index_add(0, here, part)
        return total.reshape(-1)

"""Base models as torch modules, built from plain numbers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from meiflow.images.geometry import Geometry
from meiflow.images.luminance import GREY
from meiflow.models import gabor_energy
from meiflow.models.custom import CustomMember
from meiflow.models.front_end import FrontEnd
from meiflow.models.ln import rectified
from meiflow.models.network_member import NetworkMember
from meiflow.models.nonlinearity import positive
from meiflow.models.window import WindowMember
from meiflow.models.window_stack import window_stacks

State = dict[str, Any]
_FADED = 1e-30


def without_subnormals(filters: Tensor) -> Tensor:
    """The filters with subnormal numbers, which slow down products, set to zero."""
    return torch.where(filters.abs() < _FADED, 0.0, filters)


class V1Member(nn.Module):
    """V1 front end at one position, a linear readout, and a positive nonlinearity."""

    even: Tensor
    odd: Tensor
    centre: Tensor
    pool: Tensor

    def __init__(self, state: State, geometry: Geometry) -> None:
        super().__init__()
        self.front_end = FrontEnd.from_document(state["front_end"])
        self.floor = float(state["floor"])
        stacks = self.front_end.filters(geometry, state["x_deg"], state["y_deg"])
        for name, stack in stacks.items():
            flat = torch.as_tensor(stack.reshape(len(stack), -1), dtype=torch.float32)
            self.register_buffer(name, without_subnormals(flat), persistent=False)
        self.weight = nn.Parameter(state["weight"].clone())
        self.bias = nn.Parameter(torch.tensor(float(state["bias"])))

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch,) for contrast (luminance minus grey), (batch, pixels)."""
        channels = self.front_end.channels(
            contrast @ self.even.T,
            contrast @ self.odd.T,
            contrast @ self.centre.T,
            contrast**2 @ self.pool.T,
        )
        return torch.as_tensor(positive(channels @ self.weight + self.bias, self.floor))


class LnMember(nn.Module):
    """One filter and a rectifier."""

    offset: Tensor
    baseline: Tensor
    scale: Tensor

    def __init__(self, state: State, geometry: Geometry) -> None:
        super().__init__()
        pixels = state["filter"]
        if tuple(pixels.shape) != geometry.shape:
            raise ValueError("filter and images differ in size")
        self.filter = nn.Parameter(without_subnormals(pixels.reshape(-1)))
        for name in ("offset", "baseline", "scale"):
            setattr(self, name, nn.Parameter(torch.tensor(float(state[name]))))
        self.real = bool(state.get("real", False))

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch,) for contrast (luminance minus grey), (batch, pixels)."""
        drive = contrast @ self.filter + self.offset
        return rectified(drive, self.baseline, self.scale, self.real)


class GaborEnergyMember(nn.Module):
    """One Gabor pair, rectified and squared, with divisive normalisation."""

    def __init__(self, state: State, geometry: Geometry) -> None:
        super().__init__()
        self.grid = gabor_energy.Grid.of(geometry)
        self.p = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor([float(state["parameters"][name])]))
                for name in gabor_energy.NAMES
            }
        )
        self.scale = nn.Parameter(torch.tensor([float(state["scale"])]))
        self.weight = nn.Parameter(state["weight"].clone())
        self.bias = nn.Parameter(torch.tensor(float(state["bias"])))
        self.floor = float(state["floor"])

    def forward(self, contrast: Tensor) -> Tensor:
        """Expected counts (batch,) for contrast (luminance minus grey), (batch, pixels)."""
        grid = self.grid.to(contrast.device)
        x, _ = gabor_energy.features(dict(self.p.items()), grid, contrast, self.scale)
        return torch.as_tensor(positive(x[:, 0] @ self.weight + self.bias, self.floor))


_KINDS: dict[str, type[nn.Module]] = {
    "v1": V1Member,
    "v1_window": WindowMember,
    "core_window": WindowMember,
    "cnn": WindowMember,
    "ln": LnMember,
    "gabor_energy": GaborEnergyMember,
    "network": NetworkMember,
    "custom": CustomMember,
}


def build_member(state: State, geometry: Geometry) -> nn.Module:
    """Build a module from the state written by a fitter; its input is flattened contrast."""
    return _KINDS[state["kind"]](state, geometry)


class Mixture(nn.Module):
    """Weighted sum of base models (stacked ensemble).

    Parameters
    ----------
    states : list of dict
        States from which the base models are built.
    weights : list of float
        Non-negative weights; base models with zero weight are omitted.
    """

    def __init__(self, states: list[State], weights: list[float], geometry: Geometry) -> None:
        super().__init__()
        used = [(s, w) for s, w in zip(states, weights, strict=True) if w > 0]
        self.states = [s for s, _ in used]
        self.weights = [float(w) for _, w in used]
        self.members = nn.ModuleList(build_member(s, geometry) for s in self.states)
        pairs = list(zip(self.weights, self.members, strict=True))
        self.others = [pair for pair in pairs if not isinstance(pair[1], WindowMember)]
        self.windows = nn.ModuleList(stack for _, stack in window_stacks([pairs]))

    def forward(self, images: Tensor) -> Tensor:
        """Expected counts (batch,) for luminance in [0, 1], (batch, [1,] height, width)."""
        contrast = images.reshape(len(images), -1) - GREY
        parts = [weight * member(contrast) for weight, member in self.others]
        parts += [stack(contrast[None])[0] for stack in self.windows]
        return torch.stack(parts).sum(0)

"""Readouts, which map feature maps to one number per neuron and image."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, grid_sample

_BURT_ADELSON = (0.05, 0.25, 0.4, 0.25, 0.05)


class PyramidReadout(nn.Module):
    """Spatial-transformer readout from all levels of a Laplacian pyramid.

    Every neuron reads one learned position, the same at all levels, which gives fine features at
    that position and coarse features around it (Sinz et al. 2018, Walker et al. 2019; the pyramid
    is that of Burt & Adelson 1983).

    Parameters
    ----------
    channels, neurons : int
    scales : int
        Number of band-pass levels, not including the low-pass residual.
    positive : bool
        Whether weights are restricted to be non-negative.
    """

    kernel: Tensor

    def __init__(
        self, channels: int, neurons: int, scales: int = 3, positive: bool = False
    ) -> None:
        super().__init__()
        self.scales, self.positive = scales, positive
        self.place = nn.Parameter(torch.zeros(neurons, 2))
        self.weight = nn.Parameter(torch.full((neurons, channels * (scales + 1)), 1e-3))
        self.bias = nn.Parameter(torch.zeros(neurons))
        row = torch.tensor(_BURT_ADELSON)
        self.register_buffer("kernel", torch.outer(row, row)[None, None], persistent=False)

    def levels(self, maps: Tensor) -> list[Tensor]:
        """Laplacian pyramid of maps (batch, channels, height, width), from fine to coarse."""
        channels = maps.shape[1]
        kernel = self.kernel.expand(channels, 1, 5, 5)
        found = []
        for _ in range(self.scales):
            low = conv2d(maps, kernel, padding=2, stride=2, groups=channels)
            extra = tuple((n - 1) % 2 for n in maps.shape[2:])
            back = conv_transpose2d(
                low, 4 * kernel, padding=2, stride=2, output_padding=extra, groups=channels
            )
            found.append(maps - back)
            maps = low
        return [*found, maps]

    def features(self, maps: Tensor, place: Tensor) -> Tensor:
        """All levels at positions (neurons, 2) in [-1, 1]: (batch, neurons, channels x levels)."""
        return torch.cat(self.sampled(self.levels(maps), place), 1).transpose(1, 2)

    def sampled(self, levels: list[Tensor], place: Tensor) -> list[Tensor]:
        """Each level at positions (neurons, 2) in [-1, 1]: (batch, channels, neurons)."""
        height, width = levels[0].shape[2:]
        pixels = (place.clamp(-1, 1) + 1) / 2 * place.new_tensor([width - 1, height - 1])
        sampled = []
        for k, level in enumerate(levels):
            # pixel j of level k corresponds to pixel 2^k j of the finest level
            size = level.new_tensor([level.shape[3] - 1, level.shape[2] - 1]).clamp(min=1)
            own = 2 * pixels / 2**k / size - 1
            grid = own[None, :, None].expand(len(level), -1, -1, -1)
            at = grid_sample(level, grid, align_corners=True, padding_mode="border")
            sampled.append(at[..., 0])
        return sampled

    def forward(self, maps: Tensor) -> Tensor:
        """Drive of every neuron, shape (batch, neurons)."""
        weight = self.weight.clamp(min=0) if self.positive else self.weight
        return (self.features(maps, self.place) * weight).sum(-1) + self.bias


class SmallPyramidReadout(PyramidReadout):
    """The same readout of small maps, as one weight for each position and channel.

    The pyramid of the maps is linear, so that only that of each single position is needed, once,
    instead of that of every image in every step.

    Parameters
    ----------
    channels, neurons, scales : int
        As for `PyramidReadout`.
    shape : tuple of int
        Size of the maps.
    """

    def __init__(self, channels: int, neurons: int, scales: int, shape: tuple[int, int]) -> None:
        super().__init__(channels, neurons, scales)
        positions = torch.eye(shape[0] * shape[1]).reshape(-1, 1, *shape)
        self._levels = [level.transpose(0, 1) for level in self.levels(positions)]

    def of_positions(self) -> Tensor:
        """Weights (neurons, channels, positions) of the maps."""
        levels = [level.to(self.place.device) for level in self._levels]
        at = torch.cat(self.sampled(levels, self.place))  # (levels, positions, neurons)
        weight = self.weight.unflatten(1, (len(levels), -1))
        return torch.einsum("nkc,kpn->ncp", weight, at)

    def forward(self, maps: Tensor) -> Tensor:
        """Drive of every neuron, shape (batch, neurons)."""
        return maps.flatten(1) @ self.of_positions().flatten(1).T + self.bias


class GaussianReadout(nn.Module):
    """One position per neuron, drawn from a learned Gaussian in training (Lurz et al. 2021)."""

    def __init__(self, channels: int, neurons: int) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(neurons, 2))
        self.log_sigma = nn.Parameter(torch.full((neurons, 2), -2.0))
        self.weight = nn.Parameter(torch.full((neurons, channels), 1e-3))
        self.bias = nn.Parameter(torch.zeros(neurons))
        # a separate generator, so that networks trained in parallel do not affect each other
        self._noise = torch.Generator().manual_seed(0)

    def features(self, maps: Tensor, place: Tensor) -> Tensor:
        """Maps at positions (neurons, 2) in [-1, 1]: (batch, neurons, channels)."""
        grid = place[None].expand(len(maps), -1, -1)
        if self.training:
            noise = torch.randn(grid.shape, generator=self._noise).to(grid.device)
            grid = grid + self.log_sigma.exp() * noise
        sampled = grid_sample(maps, grid.clamp(-1, 1)[:, :, None], align_corners=True)
        return sampled[..., 0].transpose(1, 2)

    def forward(self, maps: Tensor) -> Tensor:
        """Drive of every neuron, shape (batch, neurons)."""
        return (self.features(maps, self.place) * self.weight).sum(-1) + self.bias


class FactorisedReadout(nn.Module):
    """A spatial mask times channel weights for every neuron (Klindt et al. 2017)."""

    def __init__(self, channels: int, neurons: int, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.place = nn.Parameter(torch.zeros(neurons, 2), requires_grad=False)
        self.mask = nn.Parameter(torch.zeros(neurons, *shape))
        self.weight = nn.Parameter(torch.full((neurons, channels), 1e-3))
        self.bias = nn.Parameter(torch.zeros(neurons))

    def start_at(self, place: Tensor, width: float = 0.15) -> None:
        """Initialise with Gaussian masks around positions (neurons, 2) in [-1, 1]."""
        y, x = (torch.linspace(-1, 1, n) for n in self.shape)
        dx, dy = (
            x[None, None, :] - place[:, 0, None, None],
            y[None, :, None] - place[:, 1, None, None],
        )
        mask = torch.exp(-(dx**2 + dy**2) / (2 * width**2))
        self.mask.data = mask / mask.sum((1, 2), keepdim=True)

    def features(self, maps: Tensor, place: Tensor) -> Tensor:
        """Maps weighted by the masks, which contain the position: (batch, neurons, channels)."""
        return torch.einsum("bchw,nhw->bnc", maps, self.mask)

    def forward(self, maps: Tensor) -> Tensor:
        """Drive of every neuron, shape (batch, neurons)."""
        return (self.features(maps, self.place) * self.weight).sum(-1) + self.bias

"""Window readouts and networks of many neurons, whose fixed feature maps are computed only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from meiflow.models.boxes import Box
from meiflow.models.cnn_maps import CnnMaps, LearnedLayer
from meiflow.models.documents import document_bytes
from meiflow.models.nonlinearity import positive
from meiflow.models.window import WindowMember

_AT_ONCE = 128  # images
_FEW = 6400  # positions of all images

Weighted = tuple[float, WindowMember]


def window_stacks(
    neurons: Sequence[Sequence[tuple[float, nn.Module]]],
) -> list[tuple[list[int], WindowStack]]:
    """Stacks of the window readouts and networks, and the neurons of each stack.

    Parameters
    ----------
    neurons : sequence of sequence of tuple
        Weight and base model of each neuron's base models; those of other kinds are left out.
    """
    groups: dict[bytes, dict[int, list[Weighted]]] = {}
    for i, own in enumerate(neurons):
        for weight, member in own:
            if isinstance(member, WindowMember):
                group = groups.setdefault(_maps_key(member), {})
                group.setdefault(i, []).append((weight, member))
    return [(list(group), WindowStack(list(group.values()))) for group in groups.values()]


def _maps_key(member: WindowMember) -> bytes:
    """Equal for members that read the same fixed feature maps."""
    maps = member.maps.fixed if isinstance(member.maps, CnnMaps) else member.maps
    return document_bytes({"kind": maps.kind} | maps.as_document())


class _Recomputed(torch.autograd.Function):
    """A function of images whose steps are computed again for its gradient, not stored.

    As `torch.utils.checkpoint`, whose first use imports PyTorch's compiler.
    """

    @staticmethod
    def forward(ctx: Any, respond: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply the function."""
        ctx.respond = respond
        ctx.save_for_backward(images)
        return respond(images)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        """Gradient with respect to the images."""
        (images,) = ctx.saved_tensors
        with torch.enable_grad():
            again = images.detach().requires_grad_(True)
            (found,) = torch.autograd.grad(ctx.respond(again), again, gradient)
        return None, found


class WindowStack(nn.Module):
    """Weighted sums of readouts of the same fixed feature maps, one sum for each neuron.

    Parameters
    ----------
    neurons : sequence of list of tuple
        Weight and member of each readout of each neuron; the members
        have the same fixed maps.
    """

    def __init__(self, neurons: Sequence[Sequence[Weighted]]) -> None:
        super().__init__()
        maps = neurons[0][0][1].maps
        self.maps = maps.fixed if isinstance(maps, CnnMaps) else maps
        shape = self.maps.shape
        each = [[_read_box(member) for _, member in own] for own in neurons]
        around = [_around(boxes) for boxes in each]
        size = max(box.rows for box in around), max(box.columns for box in around)
        self.boxes = [box.of_size(*size, shape) for box in around]
        groups: dict[object, list[tuple[int, float, WindowMember]]] = {}
        for i, own in enumerate(neurons):
            for weight, member in own:
                groups.setdefault(_layer_key(member), []).append((i, weight, member))
        self._readouts = [_Readouts(g, self.boxes, shape) for g in groups.values()]
        self.readouts = nn.ModuleList(self._readouts)

    def forward(self, contrast: Tensor) -> Tensor:
        """Responses (neurons, batch) to contrast (neurons or 1, batch, pixels)."""
        shared = len(contrast) == 1 < len(self.boxes)
        box, shape = self.boxes[0], self.maps.shape
        read = shape[0] * shape[1] if shared else box.rows * box.columns
        size = max(1, _AT_ONCE // (1 if shared else contrast.shape[1]))
        read *= contrast.shape[0] * contrast.shape[1]
        # the channels of many positions are larger than the images: recomputed for the gradient
        again = read > _FEW and torch.is_grad_enabled() and contrast.requires_grad
        found = []
        for first in range(0, contrast.shape[1] if shared else len(contrast), size):
            part = slice(first, first + size)
            respond, images = (
                (self._of_all, contrast[0, part])
                if shared
                else (partial(self._of_each, part), contrast[part])
            )
            found.append(_Recomputed.apply(respond, images) if again else respond(images))
        return torch.cat(found, 1 if shared else 0)

    def _of_all(self, contrast: Tensor) -> Tensor:
        """Responses (neurons, batch) to images (batch, pixels)."""
        channels = self.maps(contrast)
        total = contrast.new_zeros(len(self.boxes), len(contrast))
        for readouts in self._readouts:
            total = readouts.add_all(total, channels)
        return total

    def _of_each(self, part: slice, contrast: Tensor) -> Tensor:
        """Responses (neurons, batch) of some neurons to images (neurons, batch, pixels)."""
        channels = self.maps(contrast.flatten(0, 1), self.boxes[part])
        each = channels.unflatten(0, contrast.shape[:2])
        total = contrast.new_zeros(*contrast.shape[:2])
        for readouts in self._readouts:
            total = readouts.add_each(total, each, part)
        return total


class _Readouts(nn.Module):
    """Readouts of the same maps: the fixed ones, or those of one learned layer."""

    weight: Tensor
    weight_in_box: Tensor
    bias: Tensor
    floor: Tensor
    share: Tensor
    rows: Tensor

    def __init__(
        self,
        group: Sequence[tuple[int, float, WindowMember]],
        boxes: Sequence[Box],
        shape: tuple[int, int],
    ) -> None:
        super().__init__()
        self.shape, self.size = shape, (boxes[0].rows, boxes[0].columns)
        members = [member for _, _, member in group]
        maps = members[0].maps
        self.layer: LearnedLayer | None = maps.layer if isinstance(maps, CnnMaps) else None
        # over all positions; the weights of each neuron are zero outside its box
        weight = torch.zeros(len(group), shape[0] * shape[1], members[0].channels.shape[1])
        for whole, member in zip(weight, members, strict=True):
            whole[member.box.indices(shape)] = (member.positions @ member.channels).detach()
        inside = [
            whole[boxes[i].indices(shape)] for whole, (i, _, _) in zip(weight, group, strict=True)
        ]
        self.register_buffer("weight", weight.flatten(1))
        self.register_buffer("weight_in_box", torch.stack(inside).flatten(1)[:, :, None])
        self.register_buffer("bias", torch.stack([m.bias.detach() for m in members])[:, None])
        self.register_buffer("floor", torch.tensor([m.floor for m in members])[:, None])
        self.register_buffer("share", torch.tensor([[share] for _, share, _ in group]))
        self.register_buffer("rows", torch.tensor([i for i, _, _ in group]))

    def add_all(self, total: Tensor, channels: Tensor) -> Tensor:
        """Add responses to images with channels (batch, positions, channels)."""
        z = self.weight @ self._learned(channels, self.shape).flatten(1).T + self.bias
        return total.index_add(0, self.rows, self.share * positive(z, self.floor))

    def add_each(self, total: Tensor, channels: Tensor, part: slice) -> Tensor:
        """Add responses of some neurons to channels (neurons, batch, positions, channels)."""
        own = (self.rows >= part.start) & (self.rows < part.stop)
        rows = self.rows[own] - part.start
        if not len(rows):
            return total
        read = channels if len(rows) == len(channels) else channels[rows]
        learned = self._learned(read.flatten(0, 1), self.size).flatten(1)
        drive = torch.bmm(learned.unflatten(0, read.shape[:2]), self.weight_in_box[own])[..., 0]
        z = drive + self.bias[own]
        return total.index_add(0, rows, self.share[own] * positive(z, self.floor[own]))

    def _learned(self, channels: Tensor, shape: tuple[int, int]) -> Tensor:
        if self.layer is None:
            return channels
        return torch.as_tensor(self.layer(channels, shape).flatten(2).transpose(1, 2))


def _read_box(member: WindowMember) -> Box:
    """The fixed maps that a member reads; a learned layer also reads their surround."""
    maps = member.maps
    return member.box.grown(maps.margin, maps.shape) if isinstance(maps, CnnMaps) else member.box


def _around(boxes: Sequence[Box]) -> Box:
    row, column = min(b.row for b in boxes), min(b.column for b in boxes)
    rows = max(b.row + b.rows for b in boxes) - row
    return Box(row, column, rows, max(b.column + b.columns for b in boxes) - column)


def _layer_key(member: WindowMember) -> object:
    if not isinstance(member.maps, CnnMaps):
        return None
    return document_bytes(dict(member.maps.layer.as_document()))

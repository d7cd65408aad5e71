"""Window readouts and networks of many neurons, whose fixed feature maps are computed only once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from meiflow.models.boxes import Box
from meiflow.models.cnn_maps import CnnMaps, FixedMaps, LearnedLayer
from meiflow.models.documents import document_bytes
from meiflow.models.nonlinearity import positive
from meiflow.models.window import WindowMember

_AT_ONCE = 128  # images
_FEW = 6400  # positions of all images
_LARGER = 4  # a further group takes as long as the positions of several images

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


class _WithGradient(torch.autograd.Function):
    """A function with one number for each image, whose gradient is computed along with it.

    Only the gradient is stored, which is as large as the images.
    """

    @staticmethod
    def forward(ctx: Any, respond: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Apply the function to images (..., pixels)."""
        with torch.enable_grad():
            own = images.detach().requires_grad_(True)
            responses = respond(own)
            (slope,) = torch.autograd.grad(responses.sum(), own)
        ctx.save_for_backward(slope)
        return responses.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        """Gradient with respect to the images."""
        (slope,) = ctx.saved_tensors
        return None, gradient[..., None] * slope


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
        self.neurons, shape = len(neurons), self.maps.shape
        everyone = _readouts_of(neurons, [Box.whole(shape)] * len(neurons), shape)
        self.readouts = nn.ModuleList(everyone)
        self._readouts = everyone
        around = [_around([_read_box(member) for _, member in own]) for own in neurons]
        self._groups = [_Group(rows, neurons, around, shape) for rows in similar_boxes(around)]
        self.groups = nn.ModuleList(self._groups)

    def forward(self, contrast: Tensor) -> Tensor:
        """Responses (neurons, batch) to contrast (neurons or 1, batch, pixels)."""
        differentiable = torch.is_grad_enabled() and contrast.requires_grad
        if len(contrast) == 1 < self.neurons:
            read = self.maps.shape[0] * self.maps.shape[1] * contrast.shape[1]
            # the channels of many positions are larger than the images
            again = differentiable and read > _FEW
            parts = contrast[0].split(_AT_ONCE)
            each = [
                _Recomputed.apply(self._of_all, part) if again else self._of_all(part)
                for part in parts
            ]
            return torch.cat(each, 1)
        total = contrast.new_zeros(contrast.shape[:2])
        for group in self._groups:
            everyone = len(group.boxes) == self.neurons  # in this order
            own = contrast if everyone else contrast.index_select(0, group.rows)
            total = total.index_add(0, group.rows, group.respond(self.maps, own, differentiable))
        return total

    def _of_all(self, contrast: Tensor) -> Tensor:
        """Responses (neurons, batch) to images (batch, pixels)."""
        channels = self.maps.by_channel(contrast)
        total = contrast.new_zeros(self.neurons, len(contrast))
        for readouts in self._readouts:
            total = readouts.add_shared(total, channels)
        return total


class _Group(nn.Module):
    """Neurons that read similarly large parts of the maps, each shown its own images."""

    rows: Tensor

    def __init__(
        self,
        rows: Sequence[int],
        neurons: Sequence[Sequence[Weighted]],
        around: Sequence[Box],
        shape: tuple[int, int],
    ) -> None:
        super().__init__()
        size = max(around[i].rows for i in rows), max(around[i].columns for i in rows)
        self.boxes = [around[i].of_size(*size, shape) for i in rows]
        self._readouts = _readouts_of([neurons[i] for i in rows], self.boxes, shape)
        self.readouts = nn.ModuleList(self._readouts)
        self.register_buffer("rows", torch.tensor(rows))

    def respond(self, maps: FixedMaps, contrast: Tensor, differentiable: bool) -> Tensor:
        """Responses (neurons, batch) to contrast (neurons, batch, pixels)."""
        size = max(1, _AT_ONCE // contrast.shape[1])
        positions = self.boxes[0].rows * self.boxes[0].columns
        found = []
        for first in range(0, len(contrast), size):
            part = slice(first, first + size)
            respond = partial(self._of_part, maps, part)
            each = []
            for images in contrast[part].split(_AT_ONCE, 1):
                many = positions * images.shape[0] * images.shape[1] > _FEW
                large = differentiable and many
                each.append(_WithGradient.apply(respond, images) if large else respond(images))
            found.append(torch.cat(each, 1))
        return torch.cat(found)

    def _of_part(self, maps: FixedMaps, part: slice, contrast: Tensor) -> Tensor:
        """Responses (neurons, batch) of some neurons to images (neurons, batch, pixels)."""
        channels = maps.by_channel(contrast.flatten(0, 1), self.boxes[part])
        each = channels.unflatten(0, contrast.shape[:2])
        total = contrast.new_zeros(contrast.shape[:2])
        for readouts in self._readouts:
            total = readouts.add_each(total, each, part)
        return total


def similar_boxes(boxes: Sequence[Box]) -> list[list[int]]:
    """Numbers of the boxes in groups, for which one size has at most four times the area of each.

    Examples
    --------
    >>> similar_boxes([Box(0, 0, 3, 3), Box(0, 0, 9, 14), Box(4, 2, 4, 3)])
    [[1], [0, 2]]
    """
    found: list[list[int]] = []
    rows, columns = 0, 0
    for i in sorted(range(len(boxes)), key=lambda i: -boxes[i].rows * boxes[i].columns):
        box = boxes[i]
        rows, columns = max(rows, box.rows), max(columns, box.columns)
        if not found or rows * columns > _LARGER * box.rows * box.columns:
            found.append([])
            rows, columns = box.rows, box.columns
        found[-1].append(i)
    return [sorted(group) for group in found]


def _readouts_of(
    neurons: Sequence[Sequence[Weighted]], boxes: Sequence[Box], shape: tuple[int, int]
) -> list[_Readouts]:
    """Readouts of the fixed maps and of each learned layer, of parts of the maps."""
    groups: dict[object, list[tuple[int, float, WindowMember]]] = {}
    for i, own in enumerate(neurons):
        for weight, member in own:
            groups.setdefault(_layer_key(member), []).append((i, weight, member))
    return [_Readouts(group, boxes, shape) for group in groups.values()]


class _Readouts(nn.Module):
    """Readouts of the same maps: the fixed ones, or those of one learned layer."""

    weight: Tensor
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
        self.size = boxes[0].rows, boxes[0].columns
        members = [member for _, _, member in group]
        maps = members[0].maps
        self.layer: LearnedLayer | None = maps.layer if isinstance(maps, CnnMaps) else None
        # those of each neuron are zero outside its box
        whole = torch.zeros(shape[0] * shape[1], members[0].channels.shape[1])
        weight = []
        for i, _, member in group:
            own = torch.zeros_like(whole)
            own[member.box.indices(shape)] = (member.positions @ member.channels).detach()
            weight.append(own[boxes[i].indices(shape)].T.flatten())
        self.register_buffer("weight", torch.stack(weight))
        self.register_buffer("bias", torch.stack([m.bias.detach() for m in members])[:, None])
        self.register_buffer("floor", torch.tensor([m.floor for m in members])[:, None])
        self.register_buffer("share", torch.tensor([[share] for _, share, _ in group]))
        self.register_buffer("rows", torch.tensor([i for i, _, _ in group]))

    def add_shared(self, total: Tensor, channels: Tensor) -> Tensor:
        """Add responses to images with channels (batch, channels, positions)."""
        z = self.weight @ self._learned(channels).flatten(1).T + self.bias
        return total.index_add(0, self.rows, self.share * positive(z, self.floor))

    def add_each(self, total: Tensor, channels: Tensor, part: slice) -> Tensor:
        """Add responses of some neurons to channels (neurons, batch, channels, positions)."""
        own = (self.rows >= part.start) & (self.rows < part.stop)
        rows = self.rows[own] - part.start
        if not len(rows):
            return total
        everyone = len(rows) == len(channels)
        read = channels if everyone else channels.index_select(0, rows)
        learned = self._learned(read.flatten(0, 1)).flatten(1).unflatten(0, read.shape[:2])
        z = torch.bmm(learned, self.weight[own][:, :, None])[..., 0] + self.bias[own]
        return total.index_add(0, rows, self.share[own] * positive(z, self.floor[own]))

    def _learned(self, channels: Tensor) -> Tensor:
        return channels if self.layer is None else self.layer.by_channel(channels, self.size)


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

"""Functions that move, cut and extend arrays in ways that torch has no single word for."""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor


def reshape_like_onnx(x: Tensor, shape: Sequence[int]) -> Tensor:
    """A size of 0 stands for the size that the axis has already."""
    return x.reshape([x.shape[axis] if size == 0 else size for axis, size in enumerate(shape)])


def flatten_before(x: Tensor, axis: int) -> Tensor:
    """A matrix: what lies before an axis, and the rest."""
    return x.reshape(prod(x.shape[:axis]), -1)


def unsqueeze_axes(x: Tensor, axes: Sequence[int]) -> Tensor:
    """New axes of size 1, at these places of the result."""
    rank = x.ndim + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def split_evenly(x: Tensor, count: int, dim: int) -> tuple[Tensor, ...]:
    """Parts of equal length, the last one shorter."""
    size, length = x.shape[dim], -(-x.shape[dim] // count)
    return x.split([max(0, min(length, size - place * length)) for place in range(count)], dim)


def slice_axes(
    x: Tensor,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> Tensor:
    """x[start:end:step] along each of these axes. torch itself has no negative steps."""
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = place if axes is None else axes[place]
        chosen = range(x.shape[axis])[start : end : 1 if steps is None else steps[place]]
        x = x.index_select(axis, torch.tensor(chosen, dtype=torch.int64, device=x.device))
    return x


def pad_axes(
    x: Tensor, amounts: Sequence[int], axes: Sequence[int] | None = None, mode: str = "constant", value: float = 0.0
) -> Tensor:
    """Pads any axes. `amounts`: how much before each axis, then how much after each; negative ones cut."""
    axes = range(x.ndim) if axes is None else axes
    pairs = [(0, 0)] * x.ndim
    for axis, before, after in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        pairs[axis] = (before, after)
    if mode == "constant":
        return F.pad(x, [amount for pair in reversed(pairs) for amount in pair], value=value)
    for axis, (before, after) in enumerate(pairs):
        size = x.shape[axis]
        places = torch.arange(-before, size + after, device=x.device)
        if mode == "edge":
            places = places.clamp(0, size - 1)
        elif mode == "wrap":
            places = places % size
        else:  # reflect: there and back again, without repeating the ends
            places = places % max(2 * size - 2, 1)
            places = torch.where(places < size, places, 2 * size - 2 - places)
        x = x.index_select(axis, places)
    return x


def diagonal_of_ones(x: Tensor, dtype: torch.dtype, offset: int = 0) -> Tensor:
    """Ones on a diagonal, zeros elsewhere, in the shape of x."""
    rows, columns = (torch.arange(size, device=x.device) for size in x.shape)
    return (rows.unsqueeze(1) + offset == columns).to(dtype)


def depth_to_space(x: Tensor, block: int) -> Tensor:
    """Blocks from channels, whose order is (row, column, channel); `pixel_shuffle` has (channel, row, column)."""
    x = x.unflatten(1, (block, block, -1)).permute(0, 3, 4, 1, 5, 2)
    return x.flatten(4, 5).flatten(2, 3)


def space_to_depth(x: Tensor, block: int) -> Tensor:
    """Channels from blocks, in the order (row, column, channel); `pixel_unshuffle` has (channel, row, column)."""
    x = x.unflatten(3, (-1, block)).unflatten(2, (-1, block)).permute(0, 3, 5, 1, 2, 4)
    return x.flatten(1, 3)


def reverse_sequences(x: Tensor, lengths: Tensor, batch_axis: int, time_axis: int) -> Tensor:
    """Reverses the first `length` steps of each sequence of a batch."""
    x = x.movedim((time_axis, batch_axis), (0, 1))
    steps = torch.arange(x.shape[0], device=x.device).unsqueeze(1)
    places = torch.where(steps < lengths, lengths - 1 - steps, steps)
    x = x[places, torch.arange(x.shape[1], device=x.device)]
    return x.movedim((0, 1), (time_axis, batch_axis))

"""Windows over data: padding, pools and convolutions that torch does not have."""

from collections.abc import Sequence
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_same(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    lower: bool = False,
    value: float = 0.0,
) -> Tensor:
    """Padding with which a window gives size / stride results, rounded up; one more after the data (or before: `lower`)."""
    pads = same_pads(x.shape[2:], kernel, strides, dilations, lower)
    pairs = list(zip(pads[: len(kernel)], pads[len(kernel) :], strict=True))
    return F.pad(x, [amount for pair in reversed(pairs) for amount in pair], value=value)


def same_pads(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], lower: bool
) -> list[int]:
    """The padding before each axis, then after each, for size / stride results, rounded up."""
    before, after = [], []
    for size, reach, stride, step in zip(sizes, kernel, strides, dilations, strict=True):
        total = max((-(-size // stride) - 1) * stride + (reach - 1) * step + 1 - size, 0)
        less, more = total // 2, total - total // 2
        before.append(more if lower else less)
        after.append(less if lower else more)
    return [*before, *after]


def cut_to_size(x: Tensor, sizes: Sequence[int], upper: bool = False) -> Tensor:
    """The middle of an image; where there is one too many, before it (or after it: `upper`)."""
    amounts = []
    for size, wanted in zip(x.shape[2:], sizes, strict=True):
        half = max(size - wanted, 0) // 2
        before = half if upper else max(size - wanted, 0) - half
        amounts.append((-before, wanted - size + before))
    return F.pad(x, [amount for pair in reversed(amounts) for amount in pair])


def windows_of(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | str | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
    value: float = 0.0,
) -> Tensor:
    """All windows over the spatial axes, as further axes at the end."""
    rank = len(kernel)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    pads = pads_of(x, kernel, strides, pads, dilations)
    amounts = []
    for size, reach, stride, step, before, after in zip(
        x.shape[2:], kernel, strides, dilations, pads[:rank], pads[rank:], strict=True
    ):
        reach = (reach - 1) * step + 1
        rest = size + before + after - reach
        count = (-(-rest // stride) if ceil_mode else rest // stride) + 1
        if ceil_mode and (count - 1) * stride >= size + before:  # a window must begin before the data end
            count -= 1
        amounts.append((before, (count - 1) * stride + reach - size - before))
    x = F.pad(x, [amount for pair in reversed(amounts) for amount in pair], value=value)
    for axis, (reach, stride, step) in enumerate(zip(kernel, strides, dilations, strict=True), 2):
        x = x.unfold(axis, (reach - 1) * step + 1, stride)[..., ::step]
    return x


def pads_of(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    pads: Sequence[int] | str | None,
    dilations: Sequence[int] | None,
) -> Sequence[int]:
    """Padding in numbers: "upper" and "lower" stand for as much as size / stride results need."""
    ones = [1] * len(kernel)
    if isinstance(pads, str):
        return same_pads(x.shape[2:], kernel, strides or ones, dilations or ones, pads == "lower")
    return pads or [0] * 2 * len(kernel)


def average_windows(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | str | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
    count_padding: bool = False,
) -> Tensor:
    """Averages over windows. Padding counts only if it is said to."""
    rank = len(kernel)
    axes, pads = tuple(range(-rank, 0)), pads_of(x, kernel, strides, pads, dilations)
    sums = windows_of(x, kernel, strides, pads, dilations, ceil_mode).sum(axes)
    ones = torch.ones_like(x[:1, :1])
    if count_padding:
        pairs = list(zip(pads[:rank], pads[rank:], strict=True))
        ones = F.pad(ones, [amount for pair in reversed(pairs) for amount in pair], value=1.0)
        counted = windows_of(ones, kernel, strides, None, dilations, ceil_mode).sum(axes)
        counted = counted[(..., *(slice(size) for size in sums.shape[2:]))]
    else:
        counted = windows_of(ones, kernel, strides, pads, dilations, ceil_mode).sum(axes)
    return sums / counted


def norm_of_windows(
    x: Tensor,
    power: int,
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | str | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
) -> Tensor:
    """The p-norm of each window."""
    found = windows_of(x, kernel, strides, pads, dilations, ceil_mode)
    return torch.linalg.vector_norm(found, power, dim=tuple(range(-len(kernel), 0)))


def max_pool_with_places(
    x: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | str | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: bool = False,
    column_major: bool = False,
) -> tuple[Tensor, Tensor]:
    """The maximum of each window, and its place in the whole array."""
    rank = len(kernel)
    values = x if x.is_floating_point() else x.double()
    found = windows_of(values, kernel, strides, pads, dilations, ceil_mode, -torch.inf).flatten(-rank)
    best = found.argmax(-1, keepdim=True)
    inside = torch.unravel_index(best.squeeze(-1), tuple(kernel))
    pads = pads_of(x, kernel, strides, pads, dilations)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    place = torch.zeros_like(inside[0])
    axes = range(rank)
    for axis in reversed(axes) if column_major else axes:
        shape = [1] * place.ndim
        shape[axis + 2] = -1
        starts = (torch.arange(place.shape[axis + 2], device=x.device) * strides[axis] - pads[axis]).reshape(shape)
        place = place * x.shape[axis + 2] + starts + inside[axis] * dilations[axis]
    planes = torch.arange(x.shape[0] * x.shape[1], device=x.device).reshape(x.shape[:2] + (1,) * rank)
    return found.gather(-1, best).squeeze(-1).to(x.dtype), place + planes * prod(x.shape[2:])


def unpool_to_places(
    x: Tensor,
    places: Tensor,
    kernel: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | str | None = None,
    dilations: Sequence[int] | None = None,
    shape: Sequence[int] | None = None,
) -> Tensor:
    """Zeros with the values of x at places that count through the array which was pooled."""
    rank = len(kernel)
    strides, pads = strides or [1] * rank, pads_of(x, kernel, strides, pads, dilations)
    sizes = [
        (size - 1) * stride + reach - before - after
        for size, stride, reach, before, after in zip(
            x.shape[2:], strides, kernel, pads[:rank], pads[rank:], strict=True
        )
    ]
    zeros = torch.zeros(prod(x.shape[:2]) * prod(sizes), dtype=x.dtype, device=x.device)
    y = zeros.scatter(0, places.flatten(), x.flatten()).reshape(*x.shape[:2], *sizes)
    if shape is None:
        return y
    more = [wanted - size for wanted, size in zip(shape[2:], sizes, strict=True)]
    return F.pad(y, [amount for after in reversed(more) for amount in (0, after)])


def columns_to_image(
    x: Tensor,
    size: Sequence[int],
    block: Sequence[int],
    dilations: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Columns of blocks put back into an image, overlaps added: `fold` for any number of axes and uneven padding."""
    rank = len(size)
    dilations, pads, strides = dilations or [1] * rank, pads or [0] * 2 * rank, strides or [1] * rank
    full = [total + before + after for total, before, after in zip(size, pads[:rank], pads[rank:], strict=True)]
    place = torch.zeros(1, 1, dtype=torch.int64, device=x.device)  # (place in a block, number of the block)
    for total, reach, step, stride in zip(full, block, dilations, strides, strict=True):
        starts = torch.arange(0, total - (reach - 1) * step, stride, device=x.device)
        inside = torch.arange(reach, device=x.device) * step
        places = inside.unsqueeze(1) + starts
        place = (place[:, None, :, None] * total + places[None, :, None, :]).flatten(2).flatten(0, 1)
    columns = x.unflatten(1, (-1, prod(block))).flatten(2)
    image = columns.new_zeros(*columns.shape[:2], prod(full)).index_add(2, place.flatten(), columns)
    image = image.unflatten(2, full)
    for axis, (before, length) in enumerate(zip(pads[:rank], size, strict=True), 2):
        image = image.narrow(axis, before, length)
    return image


def deformable_conv2d(
    x: Tensor,
    weight: Tensor,
    offset: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    groups: int = 1,
    offset_groups: int = 1,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
) -> Tensor:
    """A convolution whose kernel reads the image at places moved by an offset, between pixels bilinearly."""
    batch, _, height, width = x.shape
    rows, columns = weight.shape[2:]
    high, wide = offset.shape[2:]
    offset = offset.reshape(batch, offset_groups, rows, columns, 2, high, wide)

    def places(size: int, reach: int, axis: int) -> Tensor:
        starts = torch.arange(size, device=x.device) * strides[axis] - pads[axis]
        return torch.arange(reach, device=x.device).unsqueeze(1) * dilations[axis] + starts

    y = offset[..., 0, :, :] + places(high, rows, 0)[:, None, :, None]
    z = offset[..., 1, :, :] + places(wide, columns, 1)[None, :, None, :]
    # `grid_sample` counts from -1 to 1 between the centres of the outermost pixels, and reads zeros beyond.
    grid = torch.stack([2 * z / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    if width == 1 or height == 1:
        x = F.pad(x, (0, width == 1, 0, height == 1))
    parts = x.reshape(batch * offset_groups, -1, *x.shape[2:])
    read = F.grid_sample(parts, grid.reshape(batch * offset_groups, -1, wide, 2), align_corners=True)
    read = read.reshape(batch, offset_groups, -1, rows, columns, high, wide)
    if mask is not None:
        read = read * mask.reshape(batch, offset_groups, 1, rows, columns, high, wide)
    read = read.reshape(batch, groups, -1, rows, columns, high, wide)
    result = torch.einsum("ngcijhw,gocij->ngohw", read, weight.unflatten(0, (groups, -1))).flatten(1, 2)
    return result if bias is None else result + bias.reshape(-1, 1, 1)


def convolve_causally(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, silu: bool = False
) -> tuple[Tensor, Tensor]:
    """A convolution of each channel over what came before, and the end of the data, to go on from."""
    reach = weight.shape[2] - 1
    x = F.pad(x, (reach, 0)) if state is None else torch.cat([state, x], 2)
    y = F.conv1d(x, weight, bias, groups=len(weight))
    return F.silu(y) if silu else y, x[:, :, x.shape[2] - reach :]

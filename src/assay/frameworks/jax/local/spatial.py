"""Convolutions and pooling."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from assay.frameworks.jax.local.types import requantized


class GroupConvTranspose(nnx.Module):
    """A transposed convolution in groups, or with explicit output padding (nnx.ConvTranspose has no groups)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: tuple[int, ...],
        strides: tuple[int, ...],
        padding: tuple[tuple[int, int], ...],
        kernel_dilation: tuple[int, ...],
        groups: int,
        use_bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        shape = (*kernel_size, in_channels // groups, out_channels)
        self.kernel = nnx.Param(nnx.initializers.lecun_normal()(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros((out_channels,))) if use_bias else None
        self.strides, self.padding = strides, padding
        self.kernel_dilation, self.groups = kernel_dilation, groups

    def __call__(self, x: jax.Array) -> jax.Array:
        axes = "DHW"[2 - x.ndim :]
        y = lax.conv_general_dilated(
            x,
            self.kernel[...],
            window_strides=(1,) * len(axes),
            padding=self.padding,
            lhs_dilation=self.strides,
            rhs_dilation=self.kernel_dilation,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
            feature_group_count=self.groups,
        )
        return y if self.bias is None else y + self.bias[...]


def convolved(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
    groups: int = 1,
    channels_last: bool = True,
) -> jax.Array:
    """A convolution with a computed kernel (outputs, inputs / groups, height, width)."""
    rank = x.ndim - 2
    axes = "DHW"[-rank:]
    data = f"N{axes}C" if channels_last else f"NC{axes}"
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=strides or (1,) * rank,
        padding=padding,
        rhs_dilation=dilation,
        dimension_numbers=(data, f"OI{axes}", data),
        feature_group_count=groups,
    )
    if bias is None:
        return y
    return y + (bias if channels_last else bias.reshape(-1, *[1] * rank))


def convolved_transposed(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
    groups: int = 1,
    channels_last: bool = True,
    output_padding: tuple[int, ...] | None = None,
    output_shape: tuple[int, ...] | None = None,
) -> jax.Array:
    """The transpose of a convolution with a computed kernel (inputs, outputs / groups, height, width)."""
    rank = x.ndim - 2
    strides, dilation = strides or (1,) * rank, dilation or (1,) * rank
    sizes = x.shape[1:-1] if channels_last else x.shape[2:]
    extra = output_padding or (0,) * rank
    reach = [step * (size - 1) for step, size in zip(dilation, kernel.shape[2:], strict=True)]
    whole = [(n - 1) * step + r + 1 for n, step, r in zip(sizes, strides, reach, strict=True)]
    if output_shape or (isinstance(padding, str) and padding.startswith("SAME")):
        # What is cut off is what lies beyond the wanted shape, the smaller half at the start (with SAME: at the end).
        wanted = output_shape[-rank:] if output_shape else [n * step for n, step in zip(sizes, strides, strict=True)]
        cut = [w + e - n for w, e, n in zip(whole, extra, wanted, strict=True)]
        halves = [(int(total) // 2, int(total) - int(total) // 2) for total in cut]
        pads = halves if padding == "SAME" else [(after, before) for before, after in halves]
    else:
        pads = [(0, 0)] * rank if isinstance(padding, str) else list(padding)
    # As a convolution of the stretched input by the flipped kernel, whose inputs and outputs change places.
    inputs, outputs, *window = kernel.shape
    kernel = jnp.flip(kernel, range(2, kernel.ndim)).reshape(groups, inputs // groups, outputs, *window)
    kernel = kernel.swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *window)
    axes = "DHW"[-rank:]
    data = f"N{axes}C" if channels_last else f"NC{axes}"
    y = lax.conv_general_dilated(
        x,
        kernel,
        window_strides=(1,) * rank,
        padding=[(r - p, r - q + e) for r, (p, q), e in zip(reach, pads, extra, strict=True)],
        lhs_dilation=strides,
        rhs_dilation=dilation,
        dimension_numbers=(data, f"OI{axes}", data),
        feature_group_count=groups,
    )
    if bias is None:
        return y
    return y + (bias if channels_last else bias.reshape(-1, *[1] * rank))


def quantized_convolution(
    x: jax.Array,
    x_scale: jax.Array,
    x_zero: jax.Array,
    kernel: jax.Array,
    kernel_scale: jax.Array,
    kernel_zero: jax.Array,
    y_scale: jax.Array,
    y_zero: jax.Array,
    bias: jax.Array | None = None,
    **window: Any,
) -> jax.Array:
    """A convolution of quantised numbers, channels first, quantised; the kernel may have a scale for each output."""
    rank = x.ndim - 2
    x = x.astype(jnp.int32) - x_zero.astype(jnp.int32)
    kernel = kernel.astype(jnp.int32) - kernel_zero.astype(jnp.int32).reshape(-1, 1, *[1] * rank)
    sums = convolved(x, kernel, bias, **window)
    scale = (x_scale * kernel_scale / y_scale).reshape(-1, *[1] * rank)
    return requantized(sums, scale, y_zero)


def window_padding(
    sizes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> tuple[list[tuple[int, int]], list[int]]:
    """The padding of each axis as a pair, and how much further the last window reaches where sizes are rounded up."""
    reach = [step * (size - 1) + 1 for step, size in zip(dilation, window, strict=True)]
    if isinstance(padding, str):
        ceil_mode = ceil_mode and padding == "VALID"  # SAME rounds up already
        padding = [(int(before), int(after)) for before, after in lax.padtype_to_pads(sizes, reach, strides, padding)]
    pads, further = list(padding), []
    for size, (before, after), wide, step in zip(sizes, pads, reach, strides, strict=True):
        left = size + before + after - wide
        count = -(-left // step) if ceil_mode else left // step
        if ceil_mode and count * step >= size + before:  # no window begins beyond the data
            count -= 1
        further.append(max(count * step - left, 0))
    return pads, further


def max_pool(
    x: jax.Array,
    window: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
    ceil_mode: bool = False,
    channels_last: bool = True,
) -> jax.Array:
    """nnx.max_pool with dilation, sizes rounded up, whole numbers, or channels first."""
    least = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    given = pool_arguments(x.shape, window, strides, padding, dilation, ceil_mode, channels_last)
    if dilation is not None and max(dilation) > 1:
        return largest_of_shifts(x, least, **given)
    return lax.reduce_window(x, np.array(least, x.dtype), lax.max, **given)  # an array of jnp has no gradient here


def largest_of_shifts(
    x: jax.Array,
    least: float,
    window_dimensions: tuple[int, ...],
    window_strides: tuple[int, ...],
    padding: tuple[tuple[int, int], ...],
    window_dilation: tuple[int, ...],
) -> jax.Array:
    """The largest of each window by comparing shifted data: lax.reduce_window with dilation has no gradient."""
    x = jnp.pad(x, padding, constant_values=least)
    reach = [(wide - 1) * step for wide, step in zip(window_dimensions, window_dilation, strict=True)]
    found = None
    for cell in product(*map(range, window_dimensions)):
        start = [place * step for place, step in zip(cell, window_dilation, strict=True)]
        stop = [size - whole + first for size, whole, first in zip(x.shape, reach, start, strict=True)]
        shift = lax.slice(x, start, stop, window_strides)
        found = shift if found is None else jnp.maximum(found, shift)
    return found


def pool_arguments(
    shape: tuple[int, ...],
    window: tuple[int, ...],
    strides: tuple[int, ...] | None,
    padding: str | Sequence[tuple[int, int]],
    dilation: tuple[int, ...] | None,
    ceil_mode: bool,
    channels_last: bool,
    inside: bool = False,
) -> dict[str, Any]:
    """Windows over the spatial axes as lax.reduce_window takes them; `inside`: of data that has its padding already."""
    rank = len(window)
    strides, dilation = strides or (1,) * rank, dilation or (1,) * rank
    sizes = shape[1:-1] if channels_last else shape[2:]
    pads, further = window_padding(sizes, window, strides, padding, dilation, ceil_mode)
    pads = [(0 if inside else p, more + (0 if inside else q)) for (p, q), more in zip(pads, further, strict=True)]

    def over_all(items: Sequence[Any], other: Any) -> tuple[Any, ...]:
        return (other, *items, other) if channels_last else (other, other, *items)

    return {
        "window_dimensions": over_all(window, 1),
        "window_strides": over_all(strides, 1),
        "padding": over_all(pads, (0, 0)),
        "window_dilation": over_all(dilation, 1),
    }


def max_pool_with_indices(
    x: jax.Array,
    window: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
    ceil_mode: bool = False,
    by_column: bool = False,
    channels_last: bool = True,
) -> tuple[jax.Array, jax.Array]:
    """The largest of each window, and where it stands in x flattened with channels first (by rows, or by columns)."""
    shape = (x.shape[0], x.shape[-1], *x.shape[1:-1]) if channels_last else x.shape
    count = math.prod(shape)
    if by_column:
        flipped = (*shape[:2], *reversed(shape[2:]))
        places = jnp.arange(count).reshape(flipped).transpose(0, 1, *reversed(range(2, x.ndim)))
    else:
        places = jnp.arange(count).reshape(shape)
    places = jnp.moveaxis(places, 1, -1) if channels_last else places

    def larger(one: Any, other: Any) -> Any:
        first = (one[0] > other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))
        return jnp.where(first, one[0], other[0]), jnp.where(first, one[1], other[1])

    least = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    given = pool_arguments(x.shape, window, strides, padding, dilation, ceil_mode, channels_last)
    start = (np.array(least, x.dtype), np.array(count, places.dtype))
    _, indices = lax.reduce_window((lax.stop_gradient(x), places), start, larger, **given)
    return lax.reduce_window(x, start[0], lax.max, **given), indices


def average_pool(
    x: jax.Array,
    window: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    channels_last: bool = True,
) -> jax.Array:
    """nnx.avg_pool with dilation, sizes rounded up, or channels first. What lies beyond the padding never counts."""
    given = pool_arguments(x.shape, window, strides, padding, dilation, ceil_mode, channels_last)
    zero = np.array(0, x.dtype)  # an array of jnp has no gradient here
    sums = lax.reduce_window(x, zero, lax.add, **given)
    sizes = x.shape[1:-1] if channels_last else x.shape[2:]
    ones = jnp.ones((1, *sizes, 1) if channels_last else (1, 1, *sizes), x.dtype)
    if count_include_pad:
        one = (1,) * len(window)
        pads, _ = window_padding(sizes, window, strides or one, padding, dilation or one, ceil_mode)
        over_all = [(0, 0), *pads, (0, 0)] if channels_last else [(0, 0), (0, 0), *pads]
        ones = jnp.pad(ones, over_all, constant_values=1)
        given = pool_arguments(x.shape, window, strides, padding, dilation, ceil_mode, channels_last, inside=True)
    return sums / lax.reduce_window(ones, zero, lax.add, **given)


def lp_pool(
    x: jax.Array,
    window: tuple[int, ...],
    p: int,
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
    ceil_mode: bool = False,
) -> jax.Array:
    """The p-norm of each window, channels first."""
    given = pool_arguments(x.shape, window, strides, padding, dilation, ceil_mode, channels_last=False)
    return lax.reduce_window(jnp.abs(x) ** p, np.array(0, x.dtype), lax.add, **given) ** (1 / p)


def max_unpool(
    x: jax.Array,
    indices: jax.Array,
    window: tuple[int, ...],
    strides: tuple[int, ...],
    padding: str | Sequence[tuple[int, int]] = "VALID",
    shape: tuple[int, ...] | None = None,
) -> jax.Array:
    """Puts the largest of each window back where max_pool_with_indices found it, and zeros elsewhere."""
    pads = [(0, 0)] * len(window) if isinstance(padding, str) else padding
    sizes = [
        (size - 1) * step - sum(pad) + wide
        for size, step, pad, wide in zip(x.shape[2:], strides, pads, window, strict=True)
    ]
    inner = (*x.shape[:2], *sizes)
    y = jnp.zeros(math.prod(inner), x.dtype).at[indices.reshape(-1)].set(x.reshape(-1)).reshape(inner)
    return y if shape is None else jnp.zeros(shape, x.dtype).at[tuple(slice(size) for size in inner)].set(y)


def columns_to_image(
    columns: jax.Array,
    image: Sequence[int],
    block: Sequence[int],
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
) -> jax.Array:
    """(batch, channels * block, blocks) → an image to which every block is added where it stands."""
    rank = len(image)
    strides, dilation = strides or (1,) * rank, dilation or (1,) * rank
    pads = [(0, 0)] * rank if isinstance(padding, str) else list(padding)
    whole = [size + before + after for size, (before, after) in zip(image, pads, strict=True)]
    counts = [
        (size - step * (wide - 1) - 1) // stride + 1
        for size, step, wide, stride in zip(whole, dilation, block, strides, strict=True)
    ]
    x = columns.reshape(columns.shape[0], -1, *block, *counts)
    places = []  # for each axis: where a cell of a block lies in the image
    for axis in range(rank):
        cells = jnp.arange(block[axis])[:, None] * dilation[axis] + jnp.arange(counts[axis]) * strides[axis]
        sizes = [1] * 2 * rank
        sizes[axis], sizes[rank + axis] = cells.shape
        places.append(cells.reshape(sizes))
    y = jnp.zeros((*x.shape[:2], *whole), x.dtype).at[:, :, *places].add(x)
    return y[(..., *(slice(before, before + size) for size, (before, _) in zip(image, pads, strict=True)))]


def local_response_norm(x: jax.Array, size: int, alpha: float, beta: float, bias: float) -> jax.Array:
    """Divides by the squares of the channels around, channels first."""
    before = (size - 1) // 2
    squares = lax.reduce_window(
        jnp.square(x),
        np.array(0, x.dtype),
        lax.add,
        window_dimensions=(1, size, *[1] * (x.ndim - 2)),
        window_strides=(1,) * x.ndim,
        padding=((0, 0), (before, size - 1 - before), *[(0, 0)] * (x.ndim - 2)),
    )
    return x / (bias + alpha / size * squares) ** beta


def convolved_deformably(
    x: jax.Array,
    kernel: jax.Array,
    offset: jax.Array,
    bias: jax.Array | None = None,
    mask: jax.Array | None = None,
    offset_groups: int = 1,
    strides: tuple[int, ...] | None = None,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    dilation: tuple[int, ...] | None = None,
    groups: int = 1,
) -> jax.Array:
    """A convolution (channels first) whose kernel reads each pixel at an offset, between pixels, zeros outside."""
    outputs, _, high, wide = kernel.shape
    n, channels, height, width = x.shape
    strides, dilation = strides or (1, 1), dilation or (1, 1)
    pads = [(0, 0), (0, 0)] if isinstance(padding, str) else list(padding)
    rows, columns = offset.shape[2:]
    offset = offset.reshape(n, offset_groups, high, wide, 2, rows, columns)
    top = jnp.arange(rows) * strides[0] - pads[0][0] + jnp.arange(high)[:, None] * dilation[0]
    left = jnp.arange(columns) * strides[1] - pads[1][0] + jnp.arange(wide)[:, None] * dilation[1]
    y = offset[..., 0, :, :] + top[:, None, :, None]
    x_place = offset[..., 1, :, :] + left[None, :, None, :]
    weight = jnp.ones_like(y) if mask is None else mask.reshape(y.shape)
    parts = x.reshape(n, offset_groups, channels // offset_groups, height, width)

    def sampled(image: jax.Array, y: jax.Array, x: jax.Array) -> jax.Array:  # (channels, height, width)
        low_y, low_x = jnp.floor(y), jnp.floor(x)
        total = jnp.zeros((image.shape[0], *y.shape), image.dtype)
        for row, near_y in ((low_y, 1 - (y - low_y)), (low_y + 1, y - low_y)):
            for column, near_x in ((low_x, 1 - (x - low_x)), (low_x + 1, x - low_x)):
                inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
                places = jnp.clip(row, 0, height - 1).astype(int), jnp.clip(column, 0, width - 1).astype(int)
                total += image[:, *places] * jnp.where(inside, near_y * near_x, 0)
        return total

    found = jax.vmap(jax.vmap(sampled))(parts, y, x_place) * weight[:, :, None]
    found = found.reshape(n, groups, channels // groups, high, wide, rows, columns)
    filters = kernel.reshape(groups, outputs // groups, channels // groups, high, wide)
    result = jnp.einsum("ngchwij,gochw->ngoij", found, filters).reshape(n, outputs, rows, columns)
    return result if bias is None else result + bias[:, None, None]

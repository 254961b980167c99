"""Convolutions and pooling by numbers that Keras' layers do not take; channels-last unless it says otherwise."""

import itertools

import keras
import numpy as np
from keras import layers, ops

from assay.frameworks.keras.local.image import interpolate_at
from assay.frameworks.keras.local.shaping import pad_constant


def max_pool(x, size, strides, padding):
    """The maximum of each window, with explicit padding that never wins."""
    x = ops.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-float("inf"))
    return ops.max_pool(x, size, strides, padding="valid")


def average_pool(x, size, strides, padding, count_padding=False):
    """The mean of each window, with explicit padding that counts or does not."""
    widths = ((0, 0), *padding, (0, 0))
    sums = ops.average_pool(ops.pad(x, widths), size, strides, padding="valid")
    if count_padding:
        return sums
    inside = ops.pad(ops.ones_like(x[:1, ..., :1]), widths)
    return sums / ops.average_pool(inside, size, strides, padding="valid")


def same_pads(sizes, kernel, strides, dilations, lower=False):
    """(before, after) of each axis, such that there is a window for every stride; the odd one at the end, or before."""
    pads = []
    for size, length, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + dilation * (length - 1) + 1 - size)
        pads.append((total - total // 2, total // 2) if lower else (total // 2, total - total // 2))
    return pads


def pad_same(x, kernel, strides, dilations, lower=False):
    """x with zeros around it, such that a convolution has a window for every stride."""
    return ops.pad(x, [(0, 0), *same_pads(x.shape[1:-1], kernel, strides, dilations, lower), (0, 0)])


def explicit_pads(sizes, kernel, strides, dilations, pads, auto_pad):
    """(before, after) of each axis, from ONNX's attributes."""
    rank = len(kernel)
    if auto_pad.startswith("SAME"):
        return same_pads(sizes, kernel, strides, dilations, auto_pad == "SAME_LOWER")
    return [(0, 0)] * rank if auto_pad == "VALID" or not pads else list(zip(pads[:rank], pads[rank:], strict=True))


def padded_conv(x, kernel, bias=None, strides=None, pads=None, dilations=None, groups=1, auto_pad="NOTSET"):
    """A convolution by a computed kernel (…, inputs, outputs)."""
    size = tuple(kernel.shape[:-2])
    strides, dilations = strides or (1,) * len(size), dilations or (1,) * len(size)
    x = ops.pad(x, [(0, 0), *explicit_pads(x.shape[1:-1], size, strides, dilations, pads, auto_pad), (0, 0)])
    if max(strides) > 1 and max(dilations) > 1:  # not both at once: all places are computed, some are taken
        y = ops.conv(x, kernel, padding="valid", dilation_rate=dilations)
        y = y[(slice(None), *(slice(None, None, stride) for stride in strides))]
    else:
        y = ops.conv(x, kernel, strides=strides, padding="valid", dilation_rate=dilations)
    return y if bias is None else y + bias


def spread_out(x, strides):
    """x with zeros between its elements."""
    for axis, stride in enumerate(strides, start=1):
        if stride > 1:
            size = x.shape[axis]
            x = ops.expand_dims(x, axis + 1)
            x = ops.pad(x, [(0, stride - 1) if i == axis + 1 else (0, 0) for i in range(len(x.shape))])
            x = ops.reshape(x, (-1, *x.shape[1:axis], size * stride, *x.shape[axis + 2 :]))
            x = ops.take(x, range(size * stride - stride + 1), axis=axis)
    return x


def crop_or_pad(x, widths):
    """x with zeros at the ends of its spatial axes, or less of it where widths are negative."""
    parts = [
        slice(max(0, -before), size - max(0, -after))
        for size, (before, after) in zip(x.shape[1:-1], widths, strict=True)
    ]
    x = x[(slice(None), *parts)]
    return ops.pad(x, [(0, 0), *[(max(0, before), max(0, after)) for before, after in widths], (0, 0)])


def conv_transpose(
    x,
    kernel,
    bias=None,
    strides=None,
    pads=None,
    dilations=None,
    groups=1,
    auto_pad="NOTSET",
    output_padding=None,
    output_shape=None,
):
    """A transposed convolution by a computed kernel (…, inputs, outputs per group): one of the input spread out."""
    size = tuple(kernel.shape[:-2])
    rank = len(size)
    strides, dilations, extra = strides or (1,) * rank, dilations or (1,) * rank, output_padding or (0,) * rank
    reach = [dilation * (length - 1) for dilation, length in zip(dilations, size, strict=True)]
    cut = explicit_pads(x.shape[1:-1], size, strides, dilations, pads, auto_pad)
    if auto_pad.startswith("SAME") or output_shape:
        sizes = x.shape[1:-1]
        wanted = (
            output_shape[-rank:]
            if output_shape
            else [length * stride for length, stride in zip(sizes, strides, strict=True)]
        )
        totals = [strides[i] * (sizes[i] - 1) + extra[i] + reach[i] + 1 - wanted[i] for i in range(rank)]
        first = [total // 2 if auto_pad == "SAME_UPPER" else total - total // 2 for total in totals]
        cut = [(before, total - before) for before, total in zip(first, totals, strict=True)]
    widths = [(reach[i] - cut[i][0], reach[i] - cut[i][1] + extra[i]) for i in range(rank)]
    x = crop_or_pad(spread_out(x, strides), widths)
    inputs, outputs = kernel.shape[-2] // groups, kernel.shape[-1]
    kernel = ops.reshape(ops.flip(kernel, axis=tuple(range(rank))), (*size, groups, inputs, outputs))
    kernel = ops.reshape(ops.swapaxes(kernel, -3, -2), (*size, inputs, groups * outputs))
    y = ops.conv(x, kernel, padding="valid", dilation_rate=dilations)
    return y if bias is None else y + bias


class ConvTranspose(layers.Layer):
    """A transposed convolution in groups or with dilation, as a convolution of the input spread out with zeros."""

    def __init__(self, filters, kernel_size, strides, padding, dilation_rate, groups, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.padding, self.dilation_rate, self.groups = padding, dilation_rate, groups
        self.use_bias = use_bias

    def get_config(self):
        names = ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def build(self, input_shape):
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_weight(shape=shape, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        x = crop_or_pad(spread_out(x, self.strides), self.padding)
        x = ops.conv(x, self.kernel, padding="valid", dilation_rate=self.dilation_rate)
        return x + self.bias if self.use_bias else x


def window_plan(sizes, kernel, strides, pads, dilations, ceil_mode, auto_pad):
    """How many windows each axis has, its padding, and how much further the last window reaches."""
    plan = []
    explicit = explicit_pads(sizes, kernel, strides, dilations, pads, auto_pad)
    for i, (before, after) in enumerate(explicit):
        reach = dilations[i] * (kernel[i] - 1) + 1
        space = sizes[i] + before + after - reach
        count = (-(-space // strides[i]) if ceil_mode else space // strides[i]) + 1
        if ceil_mode and (count - 1) * strides[i] >= sizes[i] + before:  # a window that would begin in the padding
            count -= 1
        plan.append((count, before, after, max(0, (count - 1) * strides[i] + reach - sizes[i] - before - after)))
    return plan


def window_parts(x, kernel, strides, dilations, counts):
    """Every place of a kernel as the part of x that it sees: a new last axis holds the places."""
    parts = []
    for offsets in itertools.product(*map(range, kernel)):
        taken = [
            slice(offset * dilation, offset * dilation + (count - 1) * stride + 1, stride)
            for offset, dilation, count, stride in zip(offsets, dilations, counts, strides, strict=True)
        ]
        parts.append(x[(slice(None), *taken)])
    return ops.stack(parts, axis=-1)


def lowest_of(dtype):
    """What every other number of a type is larger than."""
    kind = keras.backend.standardize_dtype(dtype)
    return -float("inf") if "float" in kind else int(np.iinfo(kind).min)


def max_windows(x, kernel, strides=None, pads=None, dilations=None, ceil_mode=False, auto_pad="NOTSET"):
    """The maximum of each window, for every type and option of ONNX."""
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    plan = window_plan(x.shape[1:-1], kernel, strides, pads, dilations, ceil_mode, auto_pad)
    widths = [(0, 0), *((before, after + more) for _, before, after, more in plan), (0, 0)]
    x = pad_constant(x, widths, lowest_of(x.dtype))
    return ops.max(window_parts(x, kernel, strides, dilations, [count for count, *_ in plan]), axis=-1)


def max_windows_and_places(
    x, kernel, strides=None, pads=None, dilations=None, ceil_mode=False, auto_pad="NOTSET", column_major=False
):
    """The maximum of each window, and its place in the flattened input in ONNX's order of axes."""
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    plan = window_plan(x.shape[1:-1], kernel, strides, pads, dilations, ceil_mode, auto_pad)
    counts = [count for count, *_ in plan]
    batch, *sizes, channels = x.shape
    grid = np.arange(int(np.prod(sizes))).reshape(sizes[::-1] if column_major else sizes)
    grid = grid.transpose() if column_major else grid
    first = np.arange(batch)[:, None] * channels + np.arange(channels)
    places = first.reshape(batch, *[1] * len(sizes), channels) * grid.size + grid[None, ..., None]
    widths = [(0, 0), *((before, after + more) for _, before, after, more in plan), (0, 0)]
    seen = window_parts(pad_constant(x, widths, lowest_of(x.dtype)), kernel, strides, dilations, counts)
    named = window_parts(
        ops.convert_to_tensor(np.pad(places, widths), dtype="int64"), kernel, strides, dilations, counts
    )
    best = ops.argmax(seen, axis=-1, keepdims=True)
    return ops.take_along_axis(seen, best, axis=-1)[..., 0], ops.take_along_axis(named, best, axis=-1)[..., 0]


def average_windows(
    x, kernel, strides=None, pads=None, dilations=None, ceil_mode=False, auto_pad="NOTSET", count_padding=False
):
    """The mean of each window, whose padding counts or does not; what lies beyond the padding never does."""
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    plan = window_plan(x.shape[1:-1], kernel, strides, pads, dilations, ceil_mode, auto_pad)
    counts = [count for count, *_ in plan]
    widths = [(0, 0), *((before, after + more) for _, before, after, more in plan), (0, 0)]
    counted = np.zeros([1, *(sum(pair) + size for pair, size in zip(widths[1:-1], x.shape[1:-1], strict=True)), 1])
    inner = [
        slice(0, before + size + after) if count_padding else slice(before, before + size)
        for (_, before, after, _), size in zip(plan, x.shape[1:-1], strict=True)
    ]
    counted[(slice(None), *inner)] = 1
    sums = ops.sum(window_parts(ops.pad(x, widths), kernel, strides, dilations, counts), axis=-1)
    number = ops.sum(
        window_parts(ops.convert_to_tensor(counted, dtype=x.dtype), kernel, strides, dilations, counts), axis=-1
    )
    return sums / number


def lp_windows(x, kernel, p, strides=None, pads=None, dilations=None, ceil_mode=False, auto_pad="NOTSET"):
    """The p-norm of each window."""
    ones = (1,) * len(kernel)
    strides, dilations = strides or ones, dilations or ones
    plan = window_plan(x.shape[1:-1], kernel, strides, pads, dilations, ceil_mode, auto_pad)
    widths = [(0, 0), *((before, after + more) for _, before, after, more in plan), (0, 0)]
    seen = window_parts(ops.pad(x, widths), kernel, strides, dilations, [count for count, *_ in plan])
    return ops.sum(ops.abs(seen) ** p, axis=-1) ** (1 / p)


def max_unpool(x, places, kernel, strides, pads=None, output_shape=None):
    """Values put back where a max pooling found them (ONNX's order of axes), zeros elsewhere."""
    rank = len(kernel)
    pads = pads or (0,) * 2 * rank
    sizes = [
        (x.shape[2 + i] - 1) * strides[i] + kernel[i] - pads[i] - pads[rank + i] for i in range(rank)
    ]  # of the pooling's input, in which places are counted
    shape = (*x.shape[:2], *sizes)
    flat = ops.zeros((int(np.prod(shape)),), dtype=x.dtype)
    flat = ops.scatter_update(flat, ops.reshape(ops.cast(places, "int64"), (-1, 1)), ops.reshape(x, (-1,)))
    y = ops.reshape(flat, shape)
    if output_shape is None:
        return y
    return ops.pad(y, [(0, int(wanted) - size) for wanted, size in zip(output_shape, shape, strict=True)])


def col2im(x, image, block, strides=None, pads=None, dilations=None):
    """Columns of blocks added up where the blocks lie in an image (ONNX's order of axes)."""
    rank = len(block)
    strides, dilations, pads = strides or (1,) * rank, dilations or (1,) * rank, pads or (0,) * 2 * rank
    sizes = [image[i] + pads[i] + pads[rank + i] for i in range(rank)]
    counts = [(sizes[i] - dilations[i] * (block[i] - 1) - 1) // strides[i] + 1 for i in range(rank)]
    lead = [np.arange(block[i])[:, None] * dilations[i] + np.arange(counts[i]) * strides[i] for i in range(rank)]
    place = np.zeros((1,) * 2 * rank, np.int64)
    for i in range(rank):  # the axes of a place: those of the block, then those of the image of blocks
        shape = [1] * 2 * rank
        shape[i], shape[rank + i] = block[i], counts[i]
        place = place * sizes[i] + lead[i].reshape(shape)
    batch, channels = x.shape[0], x.shape[1] // int(np.prod(block))
    columns = ops.transpose(ops.reshape(x, (batch * channels, -1)))
    flat = ops.zeros((int(np.prod(sizes)), batch * channels), dtype=x.dtype)
    flat = ops.scatter_update(flat, place.reshape(-1, 1), columns, reduction="add")
    y = ops.reshape(ops.transpose(flat), (batch, channels, *sizes))
    return y[(slice(None), slice(None), *(slice(pads[i], pads[i] + image[i]) for i in range(rank)))]


def deform_conv(
    x,
    weight,
    offset,
    bias=None,
    mask=None,
    strides=(1, 1),
    pads=(0, 0, 0, 0),
    dilations=(1, 1),
    groups=1,
    offset_groups=1,
):
    """A convolution whose kernel looks at places moved by computed offsets, between which x is interpolated (ONNX's order)."""
    batch, channels, height, width = x.shape
    outputs, inputs, rows, columns = weight.shape
    out_h, out_w = offset.shape[2:]
    taps = rows * columns
    moves = ops.reshape(offset, (batch, offset_groups, taps, 2, out_h, out_w))
    y0 = np.arange(out_h)[:, None] * strides[0] - pads[0] + np.zeros((1, out_w))
    x0 = np.arange(out_w)[None] * strides[1] - pads[1] + np.zeros((out_h, 1))
    tap_y = np.repeat(np.arange(rows) * dilations[0], columns)[:, None, None]
    tap_x = np.tile(np.arange(columns) * dilations[1], rows)[:, None, None]
    at_y = ops.convert_to_tensor(tap_y + y0, dtype=x.dtype) + moves[:, :, :, 0]
    at_x = ops.convert_to_tensor(tap_x + x0, dtype=x.dtype) + moves[:, :, :, 1]
    grouped = ops.reshape(x, (batch * offset_groups, channels // offset_groups, height, width))
    places = ops.reshape(ops.stack([at_y, at_x], axis=-1), (batch * offset_groups, taps * out_h * out_w, 2))
    seen = interpolate_at(grouped, places)  # (batch · groups, channels, places)
    seen = ops.reshape(seen, (batch, offset_groups, channels // offset_groups, taps, out_h, out_w))
    if mask is not None:
        seen = seen * ops.reshape(mask, (batch, offset_groups, 1, taps, out_h, out_w))
    seen = ops.reshape(seen, (batch, groups, inputs, taps, out_h, out_w))
    kernel = ops.reshape(weight, (groups, outputs // groups, inputs, taps))
    y = ops.reshape(ops.einsum("bgithw,goit->bgohw", seen, kernel), (batch, outputs, out_h, out_w))
    return y if bias is None else y + ops.reshape(bias, (-1, 1, 1))

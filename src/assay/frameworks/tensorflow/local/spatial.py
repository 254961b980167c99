"""Convolutions by computed kernels, and pooling; see `assay.frameworks.tensorflow.local`. Channels are last."""

import math

import tensorflow as tf

from assay.frameworks.tensorflow.local.convolutions import padded
from assay.frameworks.tensorflow.local.functions import surrounded
from assay.frameworks.tensorflow.local.image import sample_places
from assay.frameworks.tensorflow.local.transposed import cropped, spread


def convolve(
    x: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    strides: tuple[int, ...] | None = None,
    padding: int | tuple[tuple[int, int], ...] = 0,
    dilations: tuple[int, ...] | None = None,
    groups: int = 1,
) -> tf.Tensor:
    """A convolution by a kernel (filters, inputs / groups, *size)."""
    rank = len(x.shape) - 2
    x, method = padded(x, padding)
    kernel = tf.transpose(kernel, (*range(2, rank + 2), 1, 0))
    skipped = strides is not None and dilations is not None  # of which TensorFlow takes one or the other
    results = [
        tf.nn.convolution(part, weights, None if skipped else strides, method, dilations=dilations)
        for part, weights in zip(tf.split(x, groups, -1), tf.split(kernel, groups, -1), strict=True)
    ]
    y = tf.concat(results, -1)
    if strides is not None and skipped:
        y = y[(slice(None), *[slice(None, None, stride) for stride in strides])]
    return y if bias is None else y + bias


def convolve_transposed(
    x: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    strides: tuple[int, ...] | None = None,
    padding: int | tuple[tuple[int, int], ...] = 0,
    output_padding: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    groups: int = 1,
) -> tf.Tensor:
    """A transposed convolution by a kernel (inputs, filters / groups, *size): a convolution of x with zeros between."""
    rank = len(x.shape) - 2
    dilations = dilations or (1,) * rank
    for axis, stride in enumerate(strides or (), start=1):
        x = spread(x, axis, stride)
    sizes = kernel.shape[2:]
    reach = [rate * (size - 1) for rate, size in zip(dilations, sizes, strict=True)]
    zeros = [(r, r + extra) for r, extra in zip(reach, output_padding or (0,) * rank, strict=True)]
    parts = tf.split(tf.pad(x, [(0, 0), *zeros, (0, 0)]), groups, -1)
    kernel = tf.reverse(tf.transpose(kernel, (*range(2, rank + 2), 0, 1)), range(rank))
    order = "N" + "DHW"[3 - rank :] + "C"  # said, because the gradient of Conv3D does not know the default
    results = [
        tf.nn.convolution(part, weights, padding="VALID", data_format=order, dilations=dilations)
        for part, weights in zip(parts, tf.split(kernel, groups, -2), strict=True)
    ]
    y = cropped(tf.concat(results, -1), padding)
    return y if bias is None else y + bias


def convolve_causally(
    x: tf.Tensor,
    kernel: tf.Tensor,
    bias: tf.Tensor | None = None,
    state: tf.Tensor | None = None,
    swish: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Filters each channel of x (batch, channels, time) over what came before; returns the last inputs as new state."""
    reach = kernel.shape[2] - 1
    state = tf.zeros((tf.shape(x)[0], x.shape[1], reach), x.dtype) if state is None else state
    x = tf.concat([state, x], 2)
    rows = tf.transpose(x, (0, 2, 1))[:, tf.newaxis]  # (batch, 1, time, channels)
    filters = tf.transpose(kernel, (1, 2, 0))[..., tf.newaxis]  # (1, size, channels, 1)
    y = tf.nn.depthwise_conv2d(rows, filters, (1, 1, 1, 1), "VALID")[:, 0]
    y = y if bias is None else y + bias
    y = tf.transpose(tf.nn.silu(y) if swish else y, (0, 2, 1))
    return y, x[:, :, tf.shape(x)[2] - reach :]


def convolve_deformed(
    x: tf.Tensor,
    kernel: tf.Tensor,
    offset: tf.Tensor,
    bias: tf.Tensor | None = None,
    mask: tf.Tensor | None = None,
    strides: list[int] | None = None,
    starts: list[int] | None = None,
    dilations: list[int] | None = None,
    groups: int = 1,
    offset_groups: int = 1,
) -> tf.Tensor:
    """A convolution of x (batch, channels, height, width) that looks at places moved by `offset`."""
    batch, channels, *places = x.shape
    filters, _, *size = kernel.shape
    results = offset.shape[2:]
    offset = tf.reshape(offset, (-1, *size, 2, *results))  # of each example and group of channels
    corners = []
    for axis, count in enumerate(results):
        corner = tf.range(count) * (strides or [1, 1])[axis] - (starts or [0, 0])[axis]
        within = tf.range(size[axis]) * (dilations or [1, 1])[axis]
        shape = [1, 1, 1, 1]
        shape[axis], shape[axis + 2] = size[axis], count
        corners.append(tf.reshape(within[:, tf.newaxis] + corner, shape))
    where = tf.stack([tf.cast(corners[axis], x.dtype) + offset[:, :, :, axis] for axis in (0, 1)], -1)
    grouped = tf.reshape(x, (-1, channels // offset_groups, *places))
    samples = sample_places(grouped, where, "linear", "zeros")
    if mask is not None:
        samples *= tf.reshape(mask, (-1, 1, *size, *results))
    samples = tf.reshape(samples, (batch, groups, channels // groups, *size, *results))
    kernel = tf.reshape(kernel, (groups, filters // groups, channels // groups, *size))
    y = tf.reshape(tf.einsum("ngchwxy,gochw->ngoxy", samples, kernel), (batch, filters, *results))
    return y if bias is None else y + bias[:, tf.newaxis, tf.newaxis]


def sliding_windows(
    x: tf.Tensor,
    size: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dilations: tuple[int, ...] | None,
    padding: int | tuple[tuple[int, int], ...],
    value: float,
) -> tf.Tensor:
    """(batch, *places, channels) → (batch, *places', elements of a window, channels)."""
    rank = len(size)
    x = surrounded(x, padding, value)
    for axis, length in enumerate(size):
        stride, rate = (strides or (1,) * rank)[axis], (dilations or (1,) * rank)[axis]
        place = 2 * axis + 1
        count = (tf.shape(x)[place] - rate * (length - 1) - 1) // stride + 1
        x = tf.gather(x, (tf.range(count) * stride)[:, tf.newaxis] + tf.range(length) * rate, axis=place)
    x = tf.transpose(x, (0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1))
    shape = tf.shape(x)
    return tf.reshape(x, tf.concat([shape[: rank + 1], [math.prod(size)], shape[-1:]], 0))


def max_windows(
    x: tf.Tensor,
    size: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    padding: int | tuple[tuple[int, int], ...] = 0,
) -> tf.Tensor:
    """Max pooling of any type, with dilations."""
    lowest = -math.inf if x.dtype.is_floating else x.dtype.min
    return tf.reduce_max(sliding_windows(x, size, strides, dilations, padding, lowest), -2)


def max_windows_with_places(
    x: tf.Tensor,
    size: tuple[int, ...],
    column_major: bool = False,
    strides: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    padding: int | tuple[tuple[int, int], ...] = 0,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Max pooling, and where each largest element stands in (batch, channels, *places) laid out in a row."""
    lowest = -math.inf if x.dtype.is_floating else x.dtype.min
    windows = sliding_windows(x, size, strides, dilations, padding, lowest)
    batch, *places, channels = tf.unstack(tf.shape(x, tf.int64))
    total = tf.reduce_prod(tf.stack(places))
    if column_major:
        axes = range(len(places) - 1, -1, -1)
        numbers = tf.transpose(tf.reshape(tf.range(total), places[::-1]), axes)
    else:
        numbers = tf.reshape(tf.range(total), places)
    numbers = sliding_windows(numbers[tf.newaxis, ..., tf.newaxis], size, strides, dilations, padding, 0)
    is_largest = tf.range(tf.shape(windows, tf.int64)[-2])[:, tf.newaxis] == tf.argmax(windows, -2)[..., tf.newaxis, :]
    found = tf.reduce_sum(tf.where(is_largest, numbers, 0), -2)
    images = tf.reshape(tf.range(batch * channels), [batch] + [1] * len(places) + [channels])
    return tf.reduce_max(windows, -2), found + images * total


def average_windows(
    x: tf.Tensor,
    size: tuple[int, ...],
    strides: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    padding: tuple[tuple[int, int], ...] = (),
    counted: tuple[tuple[int, int], ...] | None = None,
) -> tf.Tensor:
    """Average pooling with dilations; of the padding, only what is `counted` counts."""
    padding = padding or ((0, 0),) * len(size)
    sums = tf.reduce_sum(sliding_windows(x, size, strides, dilations, padding, 0), -2)
    ones = tf.ones_like(x[:1, ..., :1])
    if counted is not None:
        ones = surrounded(ones, counted, 1)
        pairs = zip(padding, counted, strict=True)
        padding = tuple((before - own[0], after - own[1]) for (before, after), own in pairs)
    return sums / tf.reduce_sum(sliding_windows(ones, size, strides, dilations, padding, 0), -2)


def lp_pool_windows(
    x: tf.Tensor,
    size: tuple[int, ...],
    power: int = 2,
    strides: tuple[int, ...] | None = None,
    dilations: tuple[int, ...] | None = None,
    padding: int | tuple[tuple[int, int], ...] = 0,
) -> tf.Tensor:
    """The norm of each window."""
    powers = sliding_windows(tf.abs(x) ** power, size, strides, dilations, padding, 0)
    return tf.reduce_sum(powers, -2) ** (1 / power)


def unpool_largest(
    x: tf.Tensor,
    places: tf.Tensor,
    size: tuple[int, ...],
    strides: tuple[int, ...],
    shape: tf.Tensor | None = None,
    padding: list[int] | None = None,
) -> tf.Tensor:
    """Puts each element of x (batch, channels, …) where it stood before max pooling, and 0 elsewhere."""
    rank = len(size)
    axes = zip(x.shape[2:], strides, size, padding or [0] * rank, strict=True)
    inner = [(places - 1) * stride + length - pad for places, stride, length, pad in axes]
    full = [*x.shape[:2], *inner]
    y = tf.scatter_nd(tf.reshape(places, (-1, 1)), tf.reshape(x, [-1]), tf.constant([math.prod(full)], tf.int64))
    y = tf.reshape(y, full)
    if shape is None:
        return y
    more = tf.cast(shape, tf.int32) - full
    return tf.pad(y, tf.stack([tf.zeros_like(more), more], 1))


def sum_columns(
    x: tf.Tensor,
    sizes: tf.Tensor | list[int],
    block: tf.Tensor | list[int],
    strides: list[int] | None = None,
    pads: list[int] | None = None,
    dilations: list[int] | None = None,
) -> tf.Tensor:
    """x (batch, channels * elements of a block, blocks) → (batch, channels, *sizes): overlapping blocks add up."""
    sizes, block = tf.unstack(tf.cast(sizes, tf.int32)), tf.unstack(tf.cast(block, tf.int32))
    rank = len(sizes)
    before, after = (pads[:rank], pads[rank:]) if pads else ([0] * rank, [0] * rank)
    full = [size + first + last for size, first, last in zip(sizes, before, after, strict=True)]
    places = tf.zeros((1, 1), tf.int32)  # (elements of a block, blocks): where each goes in an image laid out in a row
    for axis in range(rank):
        stride, rate = (strides or [1] * rank)[axis], (dilations or [1] * rank)[axis]
        count = (full[axis] - rate * (block[axis] - 1) - 1) // stride + 1
        along = (tf.range(block[axis]) * rate)[:, tf.newaxis] + tf.range(count) * stride
        joined = places[:, tf.newaxis, :, tf.newaxis] * full[axis] + along[tf.newaxis, :, tf.newaxis]
        places = tf.reshape(joined, (-1, tf.shape(joined)[2] * tf.shape(joined)[3]))
    total = tf.reduce_prod(tf.stack(full))
    channels = tf.shape(x)[1] // tf.shape(places)[0]
    columns = tf.reshape(x, (-1, tf.size(places)))  # each row an image's channel
    images = tf.transpose(tf.math.unsorted_segment_sum(tf.transpose(columns), tf.reshape(places, [-1]), total))
    images = tf.reshape(images, (-1, channels, *full))
    inside = [slice(first, first + size) for first, size in zip(before, sizes, strict=True)]
    return images[(slice(None), slice(None), *inside)]

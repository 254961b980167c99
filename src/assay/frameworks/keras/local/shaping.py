"""Shapes: reshapes, slices and paddings by numbers that are known only when the model runs."""

import numpy as np
from keras import ops


def flatten_at(x, axis):
    """A matrix of x: the axes before `axis` are its rows."""
    rows = 1
    for size in x.shape[:axis]:
        rows = rows * size
    return ops.reshape(x, (rows, -1)) if rows and ops.size(x) else ops.reshape(x, (rows, int(np.prod(x.shape[axis:]))))


def reshape_to(x, sizes, zero_keeps=False):
    """x in another shape; where asked for, a size of 0 stands for that of x."""
    known = ops.shape(x)
    sizes = [
        known[place] if zero_keeps and isinstance(size, int) and size == 0 else size for place, size in enumerate(sizes)
    ]
    return ops.reshape(x, sizes)


def expand_to(x, sizes):
    """x broadcast with another shape, in both directions."""
    return ops.broadcast_to(x, np.broadcast_shapes(tuple(x.shape), tuple(sizes)))


def equal_shares(size, count):
    """The sizes of equal parts; the last one may be smaller."""
    part = -(-size // count)
    return [min(part, size - part * place) for place in range(count)]


def split_by(x, sizes, axis=0):
    """Parts of these sizes."""
    return ops.split(x, [int(end) for end in np.cumsum(sizes)[:-1]], axis=axis)


def slice_by(x, starts, ends, axes=None, steps=None):
    """The part of x between these places, along each axis that is given."""
    rank = len(x.shape)
    axes = range(len(starts)) if axes is None else axes
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(starts), strict=True):
        taken = range(x.shape[axis])[start:end:step]
        if step > 0:
            parts = [slice(None)] * rank
            parts[axis] = slice(taken.start, max(taken.start, taken.stop), step)
            x = x[tuple(parts)]
        else:
            x = ops.take(x, np.array(taken, "int32"), axis=axis)
    return x


def pad_by(x, amounts, axes=None, mode="constant", value=0):
    """x with more (or, where amounts are negative, less) at the ends of its axes."""
    rank = len(x.shape)
    axes = list(range(rank)) if axes is None else axes
    for place, axis in enumerate(axes):
        before, after = amounts[place], amounts[place + len(axes)]
        size = x.shape[axis]
        if mode == "constant":
            x = ops.take(x, np.arange(max(0, -before), size - max(0, -after)), axis=axis)
            widths = [(max(0, before), max(0, after)) if i == axis % rank else (0, 0) for i in range(rank)]
            x = pad_constant(x, widths, value)
        elif before or after:
            x = ops.take(x, place_beyond(np.arange(-before, size + after), size, mode), axis=axis)
    return x


def pad_constant(x, widths, value):
    """x with a value around it, whatever its type."""
    if not any(sum(pair) for pair in widths):
        return x
    inside = ops.pad(ops.ones_like(x, dtype="bool"), widths)
    return ops.where(inside, ops.pad(x, widths), ops.cast(value, x.dtype))


def place_beyond(places, size, mode):
    """The places within an axis that those beyond its ends stand for."""
    if mode == "edge":
        return np.clip(places, 0, size - 1)
    if mode == "wrap":
        return places % size
    period = max(1, 2 * (size - 1))  # "reflect"
    return (size - 1) - np.abs(places % period - (size - 1))


def number_range(start, limit, delta, dtype):
    """start, start + delta … before the limit."""
    if any(
        ops.is_tensor(number) for number in (start, limit, delta)
    ):  # TensorFlow traces, and the limit is a batch's size
        return ops.cast(ops.arange(start, limit, delta), dtype)
    count = max(0, int(np.ceil((limit - start) / delta)))
    exact = "float64" if "float" in dtype else "int64"
    return ops.cast(ops.arange(count, dtype=exact) * delta + ops.cast(start, exact), dtype)


def depth_to_space(x, block, mode="DCR"):
    """Blocks of channels laid out as blocks of rows and columns, in ONNX's order of axes."""
    batch, channels, height, width = ops.shape(x)
    rest = channels // block**2
    if mode == "DCR":
        x = ops.transpose(ops.reshape(x, (batch, block, block, rest, height, width)), (0, 3, 4, 1, 5, 2))
    else:
        x = ops.transpose(ops.reshape(x, (batch, rest, block, block, height, width)), (0, 1, 4, 2, 5, 3))
    return ops.reshape(x, (batch, rest, height * block, width * block))


def reverse_sequence(x, lengths, batch_axis=1, time_axis=0):
    """Each sequence of a batch turned round over its own length."""
    steps = ops.arange(x.shape[time_axis])[:, None]
    lengths = ops.cast(lengths, steps.dtype)[None]
    places = ops.where(steps < lengths, lengths - 1 - steps, steps)
    if batch_axis < time_axis:
        places = ops.transpose(places)
    shape = [size if axis in (batch_axis, time_axis) else 1 for axis, size in enumerate(x.shape)]
    return ops.take_along_axis(x, ops.broadcast_to(ops.reshape(places, shape), x.shape), axis=time_axis)


def triu_any(x, k):
    """The upper triangle of the last two axes, whatever the diagonal: `ops.triu` raises for one outside on TensorFlow."""
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    return ops.where(columns - rows >= k, x, ops.zeros_like(x))


def tril_any(x, k):
    """The lower triangle of the last two axes, whatever the diagonal: `ops.tril` raises for one outside on TensorFlow."""
    rows, columns = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    return ops.where(columns - rows <= k, x, ops.zeros_like(x))

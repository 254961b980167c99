"""Shapes that are known when written TensorFlow code runs; see `assay.frameworks.tensorflow.local`."""

import tensorflow as tf


def reshape_keeping(x: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Reshapes; a size 0 stands for the size that x has at this place."""
    count = min(shape.shape[0], len(x.shape))
    own = tf.pad(tf.shape(x, shape.dtype)[:count], [(0, shape.shape[0] - count)])
    return tf.reshape(x, tf.where(shape == 0, own, shape))


def flatten_to_matrix(x: tf.Tensor, axis: int) -> tf.Tensor:
    """Joins the axes before `axis` and those from it on."""
    shape = tf.shape(x)
    return tf.reshape(x, (tf.reduce_prod(shape[:axis]), tf.reduce_prod(shape[axis:])))


def expand_axes(x: tf.Tensor, axes: tf.Tensor | list[int]) -> tf.Tensor:
    """Adds axes of size 1, which the result has at the places `axes`."""
    rank = len(x.shape) + len(axes)
    for axis in tf.unstack(tf.sort(tf.convert_to_tensor(axes) % rank)):
        x = tf.expand_dims(x, axis)
    return x


def squeeze_axes(x: tf.Tensor, axes: tf.Tensor) -> tf.Tensor:
    """Removes these axes, which are of size 1."""
    kept = tf.reduce_all(tf.range(len(x.shape))[:, tf.newaxis] != tf.cast(axes, tf.int32) % len(x.shape), 1)
    return tf.reshape(x, tf.boolean_mask(tf.shape(x), kept))


def broadcast_both(x: tf.Tensor, shape: tf.Tensor | list[int]) -> tf.Tensor:
    """Repeats x along its axes of size 1; where `shape` says 1, the size of x stays."""
    return tf.broadcast_to(x, tf.broadcast_dynamic_shape(tf.shape(x), tf.cast(shape, tf.int32)))


def split_evenly(x: tf.Tensor, count: int, axis: int) -> list[tf.Tensor]:
    """Parts of the same size; the last one may be smaller."""
    size = tf.shape(x)[axis]
    step = -(-size // count)
    sizes = [tf.maximum(tf.minimum(step, size - number * step), 0) for number in range(count)]
    return tf.split(x, tf.stack(sizes), axis=axis, num=count)


def slice_axes(
    x: tf.Tensor,
    starts: tf.Tensor,
    ends: tf.Tensor,
    axes: tf.Tensor | None = None,
    steps: tf.Tensor | None = None,
) -> tf.Tensor:
    """x[start:end:step] along each of the axes; bounds beyond an axis mean its ends."""
    starts, ends = tf.cast(starts, tf.int64), tf.cast(ends, tf.int64)
    count = starts.shape[0]
    axes = tf.range(count) if axes is None else tf.cast(axes, tf.int32)
    steps = tf.ones(count, tf.int64) if steps is None else tf.cast(steps, tf.int64)
    for start, end, axis, step in zip(*map(tf.unstack, (starts, ends, axes, steps)), strict=True):
        axis %= len(x.shape)
        size = tf.shape(x, tf.int64)[axis]
        first = tf.where(step < 0, size - 1, size)  # the highest place to start at
        lowest = tf.where(step < 0, tf.constant(-1, tf.int64), 0)
        start = tf.clip_by_value(tf.where(start < 0, start + size, start), 0, first)
        end = tf.clip_by_value(tf.where(end < 0, tf.maximum(end, -size - 1) + size, end), lowest, size)
        end = tf.where(
            step < 0, tf.minimum(start, end), tf.maximum(start, end)
        )  # tf.range wants no empty backward range
        x = tf.gather(x, tf.range(start, end, step), axis=axis)
    return x


def pad_axes(
    x: tf.Tensor,
    amounts: tf.Tensor | list[int],
    axes: tf.Tensor | list[int] | None = None,
    mode: str = "constant",
    value: float | tf.Tensor = 0,
) -> tf.Tensor:
    """Adds places before and after axes (all before come first in `amounts`); negative amounts cut off.

    They hold `value`, or the places of x nearest ("edge"), mirrored ("reflect") or repeated ("wrap").
    """
    axes = range(len(x.shape)) if axes is None else tf.unstack(tf.cast(axes, tf.int32) % len(x.shape))
    befores, afters = tf.split(tf.cast(amounts, tf.int32), 2)
    for axis, before, after in zip(axes, tf.unstack(befores), tf.unstack(afters), strict=True):
        size = tf.shape(x)[axis]
        places = tf.range(-before, size + after)
        outside = (places < 0) | (places >= size)
        if mode == "reflect":
            period = tf.maximum(2 * (size - 1), 1)
            places %= period
            places = tf.minimum(places, period - places)
        elif mode == "wrap":
            places %= size
        x = tf.gather(x, tf.clip_by_value(places, 0, size - 1), axis=axis)
        if mode == "constant":
            at_axis = tf.cast(tf.range(len(x.shape)) == axis, tf.int32)
            outside = tf.reshape(outside, tf.where(at_axis == 1, tf.size(places), 1))
            x = tf.where(outside, tf.cast(value, x.dtype), x)
    return x


def eye_like(x: tf.Tensor, dtype: tf.DType, offset: int = 0) -> tf.Tensor:
    """1 on the diagonal that lies `offset` places right of the main one, in the shape of x."""
    rows, columns = tf.unstack(tf.shape(x))
    return tf.cast(tf.range(columns) - tf.range(rows)[:, tf.newaxis] == offset, dtype)


def upper_triangle(x: tf.Tensor, offset: int | tf.Tensor) -> tf.Tensor:
    """x on and above the diagonal that lies `offset` places right of the main one, 0 below."""
    rows, columns = tf.range(tf.shape(x, tf.int64)[-2]), tf.range(tf.shape(x, tf.int64)[-1])
    return tf.where(columns - rows[:, tf.newaxis] >= offset, x, tf.zeros_like(x))


def lower_triangle(x: tf.Tensor, offset: int | tf.Tensor) -> tf.Tensor:
    """x on and below the diagonal that lies `offset` places right of the main one, 0 above."""
    rows, columns = tf.range(tf.shape(x, tf.int64)[-2]), tf.range(tf.shape(x, tf.int64)[-1])
    return tf.where(columns - rows[:, tf.newaxis] <= offset, x, tf.zeros_like(x))


def depth_to_space(x: tf.Tensor, size: int, mode: str = "DCR") -> tf.Tensor:
    """(batch, channels, height, width): channels become blocks of `size` by `size` places."""
    batch, channels, height, width = tf.unstack(tf.shape(x))
    channels //= size**2
    if mode == "DCR":
        x = tf.transpose(tf.reshape(x, (batch, size, size, channels, height, width)), (0, 3, 4, 1, 5, 2))
    else:
        x = tf.transpose(tf.reshape(x, (batch, channels, size, size, height, width)), (0, 1, 4, 2, 5, 3))
    return tf.reshape(x, (batch, channels, height * size, width * size))


def space_to_depth(x: tf.Tensor, size: int, mode: str = "DCR") -> tf.Tensor:
    """(batch, channels, height, width): blocks of `size` by `size` places become channels."""
    batch, channels, height, width = tf.unstack(tf.shape(x))
    x = tf.reshape(x, (batch, channels, height // size, size, width // size, size))
    x = tf.transpose(x, (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return tf.reshape(x, (batch, channels * size**2, height // size, width // size))


def crop_or_pad(x: tf.Tensor, shape: tf.Tensor | list[int], axes: list[int] | None = None) -> tf.Tensor:
    """Cuts off, or adds zeros, at both sides of each axis, until x has these sizes."""
    wanted = tf.unstack(tf.cast(shape, tf.int32))
    for axis, size in zip(range(len(x.shape)) if axes is None else axes, wanted, strict=True):
        axis %= len(x.shape)
        more = size - tf.shape(x)[axis]
        before = tf.where(more < 0, -(-more // 2), more // 2)  # what is odd goes to the end
        x = pad_axes(x, [before, more - before], [axis])
    return x


def axes_or_all(axes: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """The axes to reduce over: all of them if none is given."""
    return tf.range(len(x.shape)) if axes.shape[0] == 0 else tf.cast(axes, tf.int32)

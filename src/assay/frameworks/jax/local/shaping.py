"""Shapes."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp


def reshaped(x: jax.Array, shape: jax.Array, zero_is_size: bool = False) -> jax.Array:
    """x in a computed shape, in which 0 stands for x's own size (or for none, with `zero_is_size`)."""
    sizes = shape.tolist()
    if not zero_is_size:
        sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(sizes)]
    return x.reshape(sizes)


def sliced(
    x: jax.Array,
    starts: Sequence[int],
    ends: Sequence[int],
    axes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
) -> jax.Array:
    """x[start:end:step] on each of the axes."""
    where = [slice(None)] * x.ndim
    for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = axes[place] if axes else place, steps[place] if steps else 1
        whole = step < 0 and end < -x.shape[axis]  # to the first element
        where[axis] = slice(start, None if whole else end, step)
    return x[tuple(where)]


def padded(
    x: jax.Array,
    amounts: Sequence[int],
    axes: Sequence[int] | None = None,
    mode: str = "constant",
    value: jax.Array | float = 0,
) -> jax.Array:
    """x with so much more before, then after, each of the axes; less where an amount is negative."""
    axes = range(x.ndim) if axes is None else axes
    widths, where = [(0, 0)] * x.ndim, [slice(None)] * x.ndim
    for axis, before, after in zip(axes, amounts[: len(axes)], amounts[len(axes) :], strict=True):
        widths[axis] = (max(before, 0), max(after, 0))
        where[axis] = slice(max(-before, 0), x.shape[axis] + min(after, 0))
    more = {"constant_values": value} if mode == "constant" else {}
    return jnp.pad(x[tuple(where)], widths, mode, **more)


def depth_to_space(x: jax.Array, block: int, columns_first: bool = False) -> jax.Array:
    """(batch, channels, height, width) → channels in blocks become pixels."""
    n, c, h, w = x.shape
    if columns_first:
        x = x.reshape(n, c // block**2, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    else:
        x = x.reshape(n, block, block, c // block**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)


def space_to_depth(x: jax.Array, block: int, columns_first: bool = False) -> jax.Array:
    """(batch, channels, height, width) → pixels in blocks become channels."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block, block, w // block, block)
    x = x.transpose(0, 1, 3, 5, 2, 4) if columns_first else x.transpose(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * block**2, h // block, w // block)


def reverse_sequences(x: jax.Array, lengths: jax.Array, time_axis: int, batch_axis: int) -> jax.Array:
    """The first steps of every sequence in reverse order, as many as it is long."""
    moved = jnp.moveaxis(x, (batch_axis, time_axis), (0, 1))
    steps = jnp.arange(moved.shape[1])
    places = jnp.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    moved = jnp.take_along_axis(moved, places.reshape(*places.shape, *[1] * (x.ndim - 2)), axis=1)
    return jnp.moveaxis(moved, (0, 1), (batch_axis, time_axis))

"""Reductions that Keras has in part."""

import keras
from keras import ops


def extreme_of_any(x, axes, keepdims, largest):
    """The largest (or smallest) element; of none, the one that every other would replace."""
    if ops.size(x):
        return (ops.max if largest else ops.min)(x, axis=axes, keepdims=keepdims)
    kind = keras.backend.standardize_dtype(x.dtype)
    if "float" in kind:
        nothing = float("-inf") if largest else float("inf")
    else:
        bits = 8 * int("".join(letter for letter in kind if letter.isdigit())) // 8
        low, high = (0, 2**bits - 1) if kind[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        nothing = low if largest else high
    axes = [axis % len(x.shape) for axis in axes]
    sizes = [1 if axis in axes else size for axis, size in enumerate(x.shape) if keepdims or axis not in axes]
    return ops.full(sizes, nothing, dtype=kind)


def last_argmax(x, axis, keepdims=False):
    """The place of the largest element, the last of equal ones."""
    return x.shape[axis] - 1 - ops.argmax(ops.flip(x, axis=axis), axis=axis, keepdims=keepdims)


def last_argmin(x, axis, keepdims=False):
    """The place of the smallest element, the last of equal ones."""
    return x.shape[axis] - 1 - ops.argmin(ops.flip(x, axis=axis), axis=axis, keepdims=keepdims)


def cumsum(x, axis, exclusive=False, reverse=False):
    """Sums of the elements up to each one, itself left out if exclusive; from the end if in reverse."""
    if reverse:
        return ops.flip(cumsum(ops.flip(x, axis=axis), axis, exclusive), axis=axis)
    total = ops.cast(ops.cumsum(x, axis=axis), x.dtype)
    return total - x if exclusive else total


def cumprod(x, axis, exclusive=False, reverse=False):
    """Products of the elements up to each one, itself left out if exclusive; from the end if in reverse."""
    if reverse:
        return ops.flip(cumprod(ops.flip(x, axis=axis), axis, exclusive), axis=axis)
    if exclusive:
        axis = axis % len(x.shape)
        first = ops.ones_like(ops.take(x, [0], axis=axis))
        x = ops.concatenate([first, ops.take(x, range(x.shape[axis] - 1), axis=axis)], axis=axis)
    return ops.cast(ops.cumprod(x, axis=axis), x.dtype)


def lp_normalize(x, axis, p):
    """x divided by its norm along an axis; zeros stay zeros."""
    size = ops.abs(x) if p == 1 else x * x
    norm = ops.sum(size, axis=axis, keepdims=True)
    norm = norm if p == 1 else ops.sqrt(ops.where(norm == 0, ops.ones_like(norm), norm))
    return x / ops.where(norm == 0, ops.ones_like(norm), norm)

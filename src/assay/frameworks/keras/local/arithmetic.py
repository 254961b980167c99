"""Elementwise functions that Keras lacks, or that lose the type of their operands there."""

import math

import keras
from keras import ops


def divide_integers(x, y):
    """The quotient of signed integers, rounded towards zero."""
    quotient = x // y
    return quotient + ops.cast((quotient * y != x) & ((x < 0) != (y < 0)), x.dtype)


def truncated_mod(x, y):
    """What division that rounds towards zero leaves: it has the sign of x."""
    return ops.sign(x) * (ops.abs(x) % ops.abs(y))


def integer_power(x, y):
    """An integer to the power of another, in the type of the first."""
    return ops.cast(ops.cast(x, "int64") ** ops.cast(y, "int64"), x.dtype)


def left_shift_within(x, y, bits):
    """Bits moved up; nothing is left of a number after as many steps as it has bits (a negative number counts as more)."""
    beyond = (y < 0) | (y >= bits)
    moved = ops.left_shift(x, ops.where(beyond, ops.zeros_like(y), y))
    return ops.where(beyond, ops.zeros_like(x), moved)


def right_shift_within(x, y, bits):
    """Bits moved down, the sign repeated; only the sign is left after as many steps as there are bits."""
    beyond = (y < 0) | (y >= bits)
    moved = ops.right_shift(x, ops.where(beyond, ops.full_like(y, bits - 1), y))
    return moved if keras.backend.standardize_dtype(x.dtype)[0] == "i" else ops.where(beyond, ops.zeros_like(x), moved)


def left_shift_uint64(x, y):
    """Bits moved up. Keras takes uint32 for the common type of two uint64; as int64 they keep their bits."""
    return ops.cast(ops.left_shift(ops.cast(x, "int64"), ops.cast(y, "int64")), "uint64")


def right_shift_uint64(x, y):
    """Bits moved down, filled up with zeros."""
    return x // left_shift_uint64(ops.ones_like(x), y)


def maximum_uint64(x, y):
    """The larger of two uint64, whose common type is uint32 for Keras."""
    return where_any(x > y, x, y)


def minimum_uint64(x, y):
    """The smaller of two uint64, whose common type is uint32 for Keras."""
    return where_any(x < y, x, y)


def where_any(condition, x, y):
    """`ops.where` for types that it does not keep: uint64 by its bits, strings by their places in a list of both."""
    if keras.backend.standardize_dtype(x.dtype) == "uint64":
        return ops.cast(ops.where(condition, ops.cast(x, "int64"), ops.cast(y, "int64")), "uint64")
    import tensorflow as tf

    return tf.where(condition, x, y)


def gelu(x):
    """x times the normal distribution function. Keras' own rounds to float32 on TensorFlow; other types do not here."""
    if keras.backend.standardize_dtype(x.dtype) == "float32":
        return ops.gelu(x, approximate=False)
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))

"""Conversions between types in written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import ml_dtypes
import numpy as np
import tensorflow as tf


def decode_float(bits: tf.Tensor, kind: str) -> tf.Tensor:
    """The values of small floats, such as "float8_e4m3fn", from their bit patterns in uint8."""
    codes = np.arange(16 if kind.startswith("float4") else 256, dtype=np.uint8)
    values = codes.view(getattr(ml_dtypes, kind)).astype(np.float32)
    return tf.gather(tf.constant(values), tf.cast(bits, tf.int32))


def encode_float(x: tf.Tensor, kind: str, saturate: bool = True) -> tf.Tensor:
    """The bit patterns, in uint8, of the nearest small floats; of two that are as near, the even one.

    What lies beyond the largest becomes the largest (`saturate`), else infinity, else NaN if there is no infinity.
    """
    count = 8 if kind.startswith("float4") else 128  # patterns without the sign
    dtype = np.dtype(getattr(ml_dtypes, kind))
    values = np.arange(2 * count, dtype=np.uint8).view(dtype).astype(np.float64)
    finite = values[:count][np.isfinite(values[:count])]  # in ascending order, as patterns are
    largest = len(finite) - 1
    after = finite[-1] + (finite[-1] - finite[-2])  # the next one, if there were one more
    midpoints = tf.constant((finite + np.append(finite[1:], after)) / 2)
    x = tf.cast(x, tf.float64)
    flat = tf.reshape(tf.abs(x), [-1])
    below, above = tf.searchsorted(midpoints, flat), tf.searchsorted(midpoints, flat, side="right")
    code = tf.reshape(tf.where(below % 2 == 0, below, above), tf.shape(x))
    beyond = largest
    if not saturate and count > 8:
        infinite = np.array(np.inf).astype(dtype).view(np.uint8)  # NaN where there is no infinity
        beyond = int(infinite)
    code = tf.where(code > largest, beyond, code)
    negative = tf.bitcast(x, tf.int64) < 0
    if kind.endswith("fnuz"):  # which have one zero and one NaN
        code = tf.where(negative & (code > 0) & (code < count), code + count, code)
    else:
        code = tf.where(negative, code + count, code)
    if count > 8:
        code = tf.where(tf.math.is_nan(x), int(np.array(np.nan).astype(dtype).view(np.uint8)), code)
    return tf.cast(code, tf.uint8)


def encode_exponent(x: tf.Tensor, mode: str = "up", saturate: bool = True) -> tf.Tensor:
    """The exponents of powers of two (float8_e8m0fnu), in uint8, that are nearest to x, or the next up or down."""
    bits = tf.bitcast(tf.cast(x, tf.float32), tf.int32)
    exponent, fraction = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 23), 255), bits & 0x7FFFFF
    if mode == "up":
        more = fraction > 0
    elif mode == "nearest":
        more = (fraction > 0x400000) | ((fraction == 0x400000) & (exponent > 0))
    else:
        more = tf.zeros_like(fraction, tf.bool)
    more &= exponent < (254 if saturate else 255)
    return tf.cast(exponent + tf.cast(more, tf.int32), tf.uint8)


def wrap_integer(x: tf.Tensor, bits: int, dtype: tf.DType) -> tf.Tensor:
    """The lowest bits of whole numbers, as integers of so many bits."""
    x = tf.cast(x, tf.int32)
    half = 0 if dtype.is_unsigned else 2 ** (bits - 1)
    return tf.cast((x + half) % 2**bits - half, dtype)


def as_text(x: tf.Tensor) -> np.ndarray:
    """Numbers as strings."""
    return np.asarray(x).astype(np.str_).astype(object)


def from_text(x: np.ndarray) -> tf.Tensor:
    """The numbers that strings say."""
    return tf.constant(np.asarray(x).astype(np.float64))


def along_axis(value: tf.Tensor, x: tf.Tensor, axis: int, block: int = 0) -> tf.Tensor:
    """A scale for each place (or each block of places) along an axis of x, in a shape that goes with x."""
    if block:
        value = tf.repeat(value, block, axis)
        return tf.gather(value, tf.range(tf.shape(x)[axis]), axis=axis)
    sizes = [1] * len(x.shape)
    sizes[axis] = -1
    return tf.reshape(value, sizes)


def quantize(x: tf.Tensor, scale: tf.Tensor, zero_point: tf.Tensor, low: int, high: int, dtype: tf.DType) -> tf.Tensor:
    """round(x / scale) + zero_point, in the range of the type. A half is rounded to the even number."""
    y = tf.cast(tf.round(x / scale), tf.float64) + tf.cast(zero_point, tf.float64)
    return tf.cast(tf.clip_by_value(y, low, high), dtype)


def dequantize(x: tf.Tensor, scale: tf.Tensor, zero_point: tf.Tensor) -> tf.Tensor:
    """(x - zero_point) * scale, in float64, in which products of integers are exact."""
    return (tf.cast(x, tf.float64) - tf.cast(zero_point, tf.float64)) * tf.cast(scale, tf.float64)


def quantize_dynamically(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """x in 8 bits without a sign, with the scale and zero point that its range (0 included) needs."""
    low, high = tf.minimum(tf.reduce_min(x), 0), tf.maximum(tf.reduce_max(x), 0)
    scale = (high - low) / 255
    zero_point = tf.cast(tf.clip_by_value(tf.round(-low / scale), 0, 255), tf.uint8)
    return quantize(x, scale, zero_point, 0, 255, tf.uint8), scale, zero_point

"""Types that Keras lacks: float8 and float4 as their bit patterns, narrow integers in wider ones; quantisation."""

import keras
import ml_dtypes
import numpy as np
from keras import ops

from assay.frameworks.keras.local.spatial import padded_conv


def numbers_of(values):
    """The numbers in a small array: Python's own where they are known, scalar tensors where TensorFlow traces."""
    if keras.backend.backend() == "tensorflow" and ops.is_tensor(values) and not hasattr(values, "numpy"):
        return ops.unstack(ops.reshape(values, (-1,)))
    if keras.backend.standardize_dtype(values.dtype) == "bfloat16":
        values = ops.cast(values, "float32")
    return np.asarray(ops.convert_to_numpy(values)).reshape(-1).tolist()


def float8_values(kind):
    """What each of the bit patterns of a small type means, as float32."""
    count = 16 if kind.startswith("float4") else 256
    with np.errstate(all="ignore"):
        return np.arange(count, dtype=np.uint8).view(getattr(ml_dtypes, kind)).astype(np.float32)


def from_float8(x, kind):
    """The numbers that bit patterns mean."""
    return ops.take(ops.convert_to_tensor(float8_values(kind)), ops.cast(x, "int32"), axis=0)


def to_float8(x, kind, saturate=True):
    """The bit patterns of the nearest numbers, halves to even. Too large ones become the largest, or infinity (or NaN)."""
    values = float8_values(kind).astype(np.float64)
    half = len(values) // 2
    infinite = np.flatnonzero(np.isposinf(values[:half]))
    nan = np.flatnonzero(np.isnan(values))
    finite = int(np.isfinite(values[:half]).sum())  # 0, 1, 2 … up to the largest
    step = values[finite - 1] - values[finite - 2]
    over = np.append(values[:finite], values[finite - 1] + step)  # what the next number would be
    middles = (over[1:] + over[:-1]) / 2
    odd = np.arange(finite) % 2 == 1  # a middle above an odd pattern goes up
    middles = np.where(odd, middles, np.nextafter(middles, np.inf))
    x = ops.cast(x, "float64")
    size = ops.abs(x)
    code = ops.searchsorted(ops.convert_to_tensor(middles), ops.reshape(size, (-1,)), side="right")
    code = ops.reshape(code, ops.shape(size))
    largest = finite - 1
    if saturate or kind.startswith("float4"):
        code = ops.minimum(code, largest)
    else:
        code = ops.where(code > largest, int(infinite[0]) if len(infinite) else int(nan[0]), code)
    unsigned_zero = kind.endswith("uz")
    negative = ops.signbit(x) & ((code > 0) & (code < half) if unsigned_zero else code < half)
    code = ops.where(negative, code + half, code)
    code = ops.where(ops.isnan(x), int(nan[0]) if len(nan) else half, code)
    return ops.cast(code, "uint8")


def to_float8_e8m0(x, saturate=True, round_mode="up"):
    """The exponents of powers of two: rounded up, down, or to the nearest (halves up)."""
    x = ops.abs(ops.cast(x, "float32"))
    bits = ops.cast(ops.view(x, dtype="int32"), "int64")
    exponent, fraction = bits // 2**23, bits % 2**23
    if round_mode == "up":
        exponent = exponent + ops.cast((fraction > 0) & ((exponent > 0) | (fraction > 2**22)), "int64")
    elif round_mode == "nearest":
        exponent = exponent + ops.cast(fraction >= 2**22, "int64")
    if saturate:
        exponent = ops.minimum(exponent, 254)
    return ops.cast(ops.where(ops.isnan(x), 255, ops.minimum(exponent, 255)), "uint8")


def to_integer(x, dtype):
    """A float as an unsigned integer: negative ones count back from the end, as in C."""
    return ops.cast(ops.cast(x, "int64"), dtype) if dtype != "uint64" else ops.cast(x, dtype)


def to_narrow_integer(x, bits, signed=True):
    """An integer of 2 or 4 bits, in one of 8: what does not fit loses its upper bits."""
    low = -(2 ** (bits - 1)) if signed else 0
    wrapped = (ops.cast(x, "int32") - low) % 2**bits + low
    return ops.cast(wrapped, "int8" if signed else "uint8")


def bit_cast(x, dtype):
    """The same bits as another type of the same width."""
    return ops.view(x, dtype=dtype)


def along_axis(values, rank, axis, size, block_size=0):
    """Scales (or zero points) by channel or by block, so that they broadcast with data of this rank."""
    if len(values.shape) == 0 or (len(values.shape) == 1 and values.shape[0] == 1 and not block_size):
        return ops.reshape(values, ())
    if block_size:
        values = ops.repeat(values, block_size, axis=axis)
        return values[tuple(slice(size) if place == axis % rank else slice(None) for place in range(rank))]
    return ops.reshape(values, [-1 if place == axis % rank else 1 for place in range(rank)])


def quotient_by_block(x, scale, axis=1, block_size=0):
    """x divided by scales per tensor, channel or block."""
    rank = len(x.shape)
    axis = axis if rank > 1 or axis < 0 else 0
    scale = along_axis(scale, rank, axis, x.shape[axis] if rank else 1, block_size)
    return x / ops.cast(scale, x.dtype)


def quantize_linear(x, scale, low, high, dtype, zero_point=None, axis=1, block_size=0):
    """x / scale + zero point, rounded (halves to even) and kept within the type's range."""
    rank = len(x.shape)
    axis = axis if rank > 1 or axis < 0 else 0
    steps = ops.round(ops.cast(quotient_by_block(x, scale, axis, block_size), "float32"))
    if zero_point is not None:
        steps = steps + ops.cast(
            along_axis(zero_point, rank, axis, x.shape[axis] if rank else 1, block_size), "float32"
        )
    return ops.cast(ops.cast(ops.clip(steps, low, high), "int32"), dtype)


def dequantize_linear(x, scale, dtype, zero_point=None, axis=1, block_size=0):
    """(x - zero point) · scale."""
    rank = len(x.shape)
    axis = axis if rank > 1 or axis < 0 else 0
    size = x.shape[axis] if rank else 1
    x = ops.cast(x, "float32")
    if zero_point is not None:
        x = x - ops.cast(along_axis(zero_point, rank, axis, size, block_size), "float32")
    return ops.cast(x * ops.cast(along_axis(scale, rank, axis, size, block_size), "float32"), dtype)


def integer_matmul(a, b, a_zero=None, b_zero=None):
    """The product of two quantised matrices as int32, after their zero points (per tensor, row or column) are taken off."""
    a, b = ops.cast(a, "int32"), ops.cast(b, "int32")
    if a_zero is not None:
        zero = ops.cast(a_zero, "int32")
        a = a - (zero[..., None] if len(zero.shape) == 1 and zero.shape[0] > 1 else zero)
    if b_zero is not None:
        b = b - ops.cast(b_zero, "int32")
    return ops.matmul(a, b)


def requantize(x, scale, low, high, dtype, zero_point):
    """int32 results in another scale, rounded and kept within the type's range."""
    steps = ops.round(ops.cast(x, "float32") * ops.cast(scale, "float32")) + ops.cast(zero_point, "float32")
    return ops.cast(ops.cast(ops.clip(steps, low, high), "int32"), dtype)


def integer_conv(
    x, weight, x_zero=None, weight_zero=None, strides=None, pads=None, dilations=None, groups=1, auto_pad="NOTSET"
):
    """A convolution of integers in ONNX's order. float64 holds every product and sum exactly."""
    rank = len(x.shape) - 2
    x, weight = ops.cast(x, "float64"), ops.cast(weight, "float64")
    if x_zero is not None:
        x = x - ops.cast(x_zero, "float64")
    if weight_zero is not None:
        zero = ops.cast(weight_zero, "float64")
        weight = weight - (ops.reshape(zero, (-1, *[1] * (rank + 1))) if len(zero.shape) == 1 else zero)
    x = ops.transpose(x, (0, *range(2, rank + 2), 1))
    kernel = ops.transpose(weight, (*range(2, rank + 2), 1, 0))
    y = padded_conv(x, kernel, None, strides, pads, dilations, groups, auto_pad)
    return ops.cast(ops.round(ops.transpose(y, (0, rank + 1, *range(1, rank + 1)))), "int32")


def add_channels(x, bias):
    """A bias per channel, the axis after the first."""
    return x + ops.reshape(bias, (-1, *[1] * (len(x.shape) - 2)))

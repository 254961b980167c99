"""Casts and quantisation."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def to_float8(x: jax.Array, dtype: type) -> jax.Array:
    """The nearest value of a float8 type; what is too large becomes the largest."""
    ends = jnp.finfo(dtype)
    return jnp.clip(x, float(ends.min), float(ends.max)).astype(dtype)


def to_float8_e8m0(x: jax.Array, saturate: bool = True, mode: str = "up") -> jax.Array:
    """A power of two, from the exponent of float32: rounded up, down or to the nearest."""
    bits = lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32)
    exponent, fraction = (bits >> 23) & 0xFF, bits & 0x7FFFFF
    if mode == "up":
        larger = fraction > 0
    elif mode == "nearest":
        larger = (fraction > 0x400000) | ((fraction == 0x400000) & (exponent > 0))
    else:
        larger = jnp.zeros(x.shape, bool)
    larger &= exponent < (0xFE if saturate else 0xFF)  # 0xFF is NaN
    return lax.bitcast_convert_type((exponent + larger).astype(jnp.uint8), jnp.float8_e8m0fnu)


def numbers_to_strings(x: jax.Array) -> np.ndarray:
    """Every number as a string, as NumPy writes it."""
    return np.asarray(x).astype(np.str_).astype(object)


def strings_to_numbers(x: np.ndarray, dtype: type) -> np.ndarray:
    """Strings such as "1e-5" and "-INF" as numbers."""
    kind = np.dtype(dtype)
    return np.asarray(x).astype(np.str_).astype(np.float64 if kind.kind not in "iu" else kind).astype(kind)


def along_axis(parameter: jax.Array, x: jax.Array, axis: int, block: int = 0) -> jax.Array:
    """Scales or zero points, one for all, for each entry of an axis or for each block of entries, made to meet x."""
    if parameter.ndim == 0 or parameter.size == 1:
        return parameter.reshape(())
    if block:
        return jnp.repeat(parameter, block, axis=axis, total_repeat_length=x.shape[axis])
    return parameter.reshape([-1 if place == axis % x.ndim else 1 for place in range(x.ndim)])


def quantized(
    x: jax.Array,
    scale: jax.Array,
    zero_point: jax.Array | None = None,
    axis: int = 1,
    block: int = 0,
    dtype: type = jnp.uint8,
    saturate: bool = True,
) -> jax.Array:
    """x / scale + zero point, rounded to the even neighbour and kept within the type."""
    kind = jnp.dtype(dtype) if zero_point is None else zero_point.dtype
    # By all its copies: a quotient by one number XLA takes as a product, which may round to the other side.
    y = x / lax.optimization_barrier(jnp.broadcast_to(along_axis(scale, x, axis, block), x.shape))
    zero = 0 if zero_point is None else along_axis(zero_point, x, axis, block)
    if jnp.issubdtype(kind, jnp.integer):
        ends = jnp.iinfo(kind)
        y = jnp.round(y).astype(jnp.int32)
        return jnp.clip(y + jnp.asarray(zero, jnp.int32), int(ends.min), int(ends.max)).astype(kind)
    if kind.itemsize == 1 and not saturate:
        return y.astype(kind)
    ends = jnp.finfo(kind)
    return jnp.clip(y, float(ends.min), float(ends.max)).astype(kind)


def dequantized(
    x: jax.Array,
    scale: jax.Array,
    zero_point: jax.Array | None = None,
    axis: int = 1,
    block: int = 0,
    dtype: type | None = None,
) -> jax.Array:
    """(x - zero point) * scale."""
    y = x.astype(jnp.float32)
    if zero_point is not None:
        y -= along_axis(zero_point, x, axis, block).astype(jnp.float32)
    return (y * along_axis(scale, x, axis, block)).astype(scale.dtype if dtype is None else dtype)


def integer_matmul(
    a: jax.Array, b: jax.Array, a_zero: jax.Array | None = None, b_zero: jax.Array | None = None
) -> jax.Array:
    """The product of quantised matrices less their zero points (one, or one for each row of a, or column of b)."""
    a, b = a.astype(jnp.int32), b.astype(jnp.int32)
    if a_zero is not None:
        a -= (a_zero[..., None] if a_zero.ndim == 1 else a_zero).astype(jnp.int32)
    if b_zero is not None:
        b -= b_zero.astype(jnp.int32)
    return a @ b


def quantized_matmul(
    a: jax.Array,
    a_scale: jax.Array,
    a_zero: jax.Array,
    b: jax.Array,
    b_scale: jax.Array,
    b_zero: jax.Array,
    y_scale: jax.Array,
    y_zero: jax.Array,
) -> jax.Array:
    """The product of quantised matrices, quantised."""
    product = integer_matmul(a, b, a_zero, b_zero)
    return requantized(product, (a_scale * b_scale / y_scale).astype(jnp.float32), y_zero)


def requantized(sums: jax.Array, scale: jax.Array, zero_point: jax.Array) -> jax.Array:
    """Sums of products as quantised numbers of the zero point's type."""
    ends = jnp.iinfo(zero_point.dtype)
    y = jnp.round(sums * scale + zero_point.astype(scale.dtype))
    return jnp.clip(y, int(ends.min), int(ends.max)).astype(zero_point.dtype)

"""Normalisation."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


class LayerNorm(nnx.LayerNorm):
    """nnx.LayerNorm of the input less its mean, which changes neither result nor gradient.

    Its variance is E[x²] - E[x]², fast, but all digits are lost where the mean is large.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x - lax.stop_gradient(x.mean(axis=-1, keepdims=True)))


class BatchNorm(nnx.BatchNorm):
    """nnx.BatchNorm of the input less its mean, which changes neither result nor gradient.

    Its variance is E[x²] - E[x]², fast, but all digits are lost where the mean is large.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.use_running_average:
            return super().__call__(x)
        mean = lax.stop_gradient(x.mean(axis=range(x.ndim - 1)))
        y = super().__call__(x - mean)
        self.mean[...] += (1 - self.momentum) * mean
        return y


class UnbiasedBatchNorm(BatchNorm):
    """Its running variance averages the unbiased variance of each batch, as PyTorch's does."""

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.use_running_average:
            return super().__call__(x)
        kept = self.momentum * self.var[...]
        y = super().__call__(x)
        self.var[...] += (self.var[...] - kept) / (
            x.size // x.shape[-1] - 1
        )  # count / (count - 1) times the biased one
        return y


def batch_norm(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    epsilon: float,
    axis: int = -1,
) -> jax.Array:
    """Batch normalisation by given statistics; the channels are the given axis."""
    shape = [-1 if place == axis % x.ndim else 1 for place in range(x.ndim)]
    scale, bias, mean, var = (item.reshape(shape) for item in (scale, bias, mean, var))
    return ((x - mean) * lax.rsqrt(var + epsilon) * scale + bias).astype(x.dtype)


def batch_norm_training(
    x: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    mean: jax.Array,
    var: jax.Array,
    epsilon: float,
    axis: int = -1,
    momentum: float = 0.9,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Batch normalisation by the batch's own statistics, and the running ones after it."""
    others = [place for place in range(x.ndim) if place != axis % x.ndim]
    own_mean, own_var = x.mean(others), x.var(others)
    y = batch_norm(x, scale, bias, own_mean, own_var, epsilon, axis)
    return y, mean * momentum + own_mean * (1 - momentum), var * momentum + own_var * (1 - momentum)


def layer_norm(
    x: jax.Array, scale: jax.Array, bias: jax.Array | None = None, axis: int = -1, epsilon: float = 1e-5
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Normalises over the axes from the given one on. Also gives the mean, and one over the standard deviation."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = wide.mean(axes, keepdims=True)
    factor = lax.rsqrt(wide.var(axes, keepdims=True) + epsilon)
    y = ((wide - mean) * factor).astype(x.dtype) * scale
    return (y if bias is None else y + bias), mean, factor


def rms_norm(x: jax.Array, scale: jax.Array, axis: int = -1, epsilon: float = 1e-5) -> jax.Array:
    """Divides by the root of the mean square over the axes from the given one on."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    mean = jnp.square(wide).mean(tuple(range(axis % x.ndim, x.ndim)), keepdims=True)
    return (wide * lax.rsqrt(mean + epsilon)).astype(x.dtype) * scale


def group_norm(
    x: jax.Array, scale: jax.Array, bias: jax.Array, groups: int, epsilon: float, axis: int = -1
) -> jax.Array:
    """Normalises each group of channels of each example; the channels are the given axis."""
    moved = jnp.moveaxis(x, axis, 1)
    parts = moved.reshape(x.shape[0], groups, -1)
    wide = parts.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - wide.mean(-1, keepdims=True)
    normed = centred * lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)
    shape = (-1, *[1] * (x.ndim - 2))
    y = normed.astype(x.dtype).reshape(moved.shape) * scale.reshape(shape) + bias.reshape(shape)
    return jnp.moveaxis(y, 1, axis)

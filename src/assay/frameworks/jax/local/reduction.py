"""Reductions, and softmax."""

import jax
import jax.numpy as jnp
from jax import lax


def softmax_in_own_precision(x: jax.Array, axis: int = -1) -> jax.Array:
    """nnx.softmax adds bfloat16 in float32; ONNX rounds every sum."""
    raised = jnp.exp(x - lax.stop_gradient(x.max(axis, keepdims=True)))
    return raised / jnp.expand_dims(lax.reduce_sum(raised, (axis % x.ndim,)), axis)

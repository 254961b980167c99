"""Attention."""

import jax
import jax.numpy as jnp
from flax import nnx


def attention(query: jax.Array, key: jax.Array, value: jax.Array, heads: int, causal: bool = False) -> jax.Array:
    """Scaled dot-product attention over (batch, length, heads * size).

    jax.nn.dot_product_attention takes its softmax in float32 whatever the type of its inputs; this keeps their type.
    """
    query, key, value = (x.reshape(*x.shape[:2], heads, -1).swapaxes(1, 2) for x in (query, key, value))
    scores = query @ key.mT * query.shape[-1] ** -0.5
    if causal:
        scores = jnp.where(jnp.tri(*scores.shape[-2:], dtype=bool), scores, -jnp.inf)
    output = (nnx.softmax(scores) @ value).swapaxes(1, 2)
    return output.reshape(*output.shape[:2], -1)

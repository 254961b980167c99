"""Attention."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax


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


def attention_with_options(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    mask: jax.Array | None = None,
    past_key: jax.Array | None = None,
    past_value: jax.Array | None = None,
    lengths: jax.Array | None = None,
    heads: int | None = None,
    kv_heads: int | None = None,
    scale: float | None = None,
    causal: bool = False,
    softcap: float = 0.0,
    window: tuple[int, int] = (-1, -1),
    precision: type | None = None,
    scores_after: str = "product",
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Scaled dot-product attention: output, keys and values with those of the past, scores.

    Over (batch, heads, length, size), or (batch, length, heads * size) with numbers of heads. `lengths`: how many keys
    of each example count, the queries being the last of them. A window of -1 is open to its side. A query that may look
    at nothing gives zeros. The scores are given as they are after the "product", "softcap", "mask" or "softmax".
    """
    joined = query.ndim == 3
    if joined:
        query = query.reshape(*query.shape[:2], heads, -1).swapaxes(1, 2)
        key, value = (x.reshape(*x.shape[:2], kv_heads, -1).swapaxes(1, 2) for x in (key, value))
    before: jax.Array | int = 0  # how many keys come before the first query
    if past_key is not None and past_value is not None:
        before = past_key.shape[2]
        key, value = jnp.concatenate([past_key, key], axis=2), jnp.concatenate([past_value, value], axis=2)
    elif lengths is not None:
        before = lengths.reshape(-1, 1, 1, 1) - query.shape[2]
    present_key, present_value = key, value
    if key.shape[1] != query.shape[1]:  # a group of heads shares keys and values
        key, value = (jnp.repeat(x, query.shape[1] // x.shape[1], axis=1) for x in (key, value))
    factor = jnp.asarray((query.shape[-1] ** -0.5 if scale is None else scale) ** 0.5, query.dtype)
    product = (query * factor) @ (key.mT * factor)
    capped = softcap * jnp.tanh(product / softcap) if softcap else product
    bias = attention_bias(capped, mask, before, lengths, causal, window)
    masked = capped + bias
    raised = masked if precision is None else masked.astype(precision)
    # A softmax that gives zeros where there is nothing to look at, and adds bfloat16 in its own precision as ONNX's
    # reference does: jnp.sum adds it in float32.
    none = jnp.isneginf(bias.max(axis=-1, keepdims=True))
    raised = jnp.exp(raised - lax.stop_gradient(jnp.where(none, 0, raised.max(axis=-1, keepdims=True))))
    rounded = raised.dtype == jnp.bfloat16
    total = lax.reduce_sum(raised, (3,))[..., None] if rounded else raised.sum(axis=-1, keepdims=True)
    weights = jnp.where(none, 0, raised / jnp.where(none, 1, total)).astype(query.dtype)
    output = weights @ value
    if joined:
        output = output.swapaxes(1, 2).reshape(query.shape[0], query.shape[2], -1)
    scores = {"product": product, "softcap": capped, "mask": masked, "softmax": weights}[scores_after]
    return output, present_key, present_value, scores


def attention_bias(
    scores: jax.Array,
    mask: jax.Array | None,
    before: jax.Array | int,
    lengths: jax.Array | None,
    causal: bool,
    window: tuple[int, int],
) -> jax.Array:
    """What is added to scores: the mask, and -inf where a query may not look."""
    queries, keys = scores.shape[-2:]
    ahead = jnp.arange(keys) - (jnp.arange(queries)[:, None] + before)  # how far a key lies ahead of the query
    allowed = jnp.ones((queries, keys), bool)
    if causal:
        allowed = allowed & (ahead <= 0)
    if window[0] >= 0:
        allowed = allowed & (-ahead <= window[0])
    if window[1] >= 0:
        allowed = allowed & (ahead <= window[1])
    if lengths is not None:
        allowed = allowed & (jnp.arange(keys) < lengths.reshape(-1, 1, 1, 1))
    bias = jnp.where(allowed, 0, -jnp.inf).astype(scores.dtype)
    if mask is None:
        return bias
    if mask.dtype == bool:
        mask = jnp.where(mask, 0, -jnp.inf).astype(scores.dtype)
    missing = [(0, 0)] * (mask.ndim - 1) + [(0, keys - mask.shape[-1])]
    return bias + jnp.pad(mask, missing, constant_values=-jnp.inf)


def rotary(
    x: jax.Array,
    cos: jax.Array,
    sin: jax.Array,
    positions: jax.Array | None = None,
    heads: int = 0,
    size: int = 0,
    interleaved: bool = False,
) -> jax.Array:
    """Turns pairs of features by angles that depend on the position.

    Over (batch, heads, length, features), or (batch, length, heads * features) with a number of heads. The pairs are
    the two halves of the first `size` features (of all with 0), or neighbours with `interleaved`.
    """
    joined = x.ndim == 3
    y = x.reshape(*x.shape[:2], heads, -1) if joined else x.swapaxes(1, 2)  # (batch, length, heads, features)
    size = size or y.shape[-1]
    turned, kept = y[..., :size], y[..., size:]
    if positions is not None:
        cos, sin = cos[positions], sin[positions]
    cos, sin = cos[:, :, None, : size // 2], sin[:, :, None, : size // 2]
    if interleaved:
        first, second = turned[..., 0::2], turned[..., 1::2]
    else:
        first, second = jnp.split(turned, 2, axis=-1)
    pairs = (cos * first - sin * second, sin * first + cos * second)
    turned = jnp.stack(pairs, axis=-1).reshape(turned.shape) if interleaved else jnp.concatenate(pairs, axis=-1)
    y = jnp.concatenate([turned, kept], axis=-1)
    return y.reshape(x.shape) if joined else y.swapaxes(1, 2)

"""Attention."""

import math

import keras
from keras import ops


def attention(query, key, value, is_causal=False):
    """Scaled dot-product attention. Keras' own rounds to float32 on the way; other types are computed in full here."""
    if keras.backend.standardize_dtype(query.dtype) == "float32":
        return ops.dot_product_attention(query, key, value, is_causal=is_causal)
    scores = ops.einsum("bqhd,bkhd->bhqk", query / math.sqrt(query.shape[-1]), key)
    if is_causal:
        steps = ops.arange(scores.shape[-1])
        scores = ops.where(steps[: scores.shape[-2], None] >= steps, scores, -float("inf"))
    return ops.einsum("bhqk,bkhd->bqhd", ops.softmax(scores), value)


def attention_with_options(
    query,
    key,
    value,
    mask=None,
    past_key=None,
    past_value=None,
    lengths=None,
    heads=None,
    kv_heads=None,
    scale=None,
    causal=False,
    softcap=0.0,
    window=(-1, -1),
    precision=None,
    scores_after="product",
):
    """Scaled dot-product attention: output, keys and values with those of the past, scores.

    Over (batch, heads, length, size), or (batch, length, heads * size) with numbers of heads. `lengths`: how many keys
    of each example count, the queries being the last of them. A window of -1 is open to its side. A query that may look
    at nothing gives zeros. The scores are given as they are after the "product", "softcap", "mask" or "softmax".
    """
    joined = len(query.shape) == 3
    if joined:
        query, key, value = separate_heads(query, heads), separate_heads(key, kv_heads), separate_heads(value, kv_heads)
    before = 0  # how many keys come before the first query
    if past_key is not None:
        before = past_key.shape[2]
        key, value = ops.concatenate([past_key, key], axis=2), ops.concatenate([past_value, value], axis=2)
    elif lengths is not None:
        before = ops.reshape(lengths, (-1, 1, 1, 1)) - query.shape[2]
    present_key, present_value = key, value
    if key.shape[1] != query.shape[1]:  # a group of heads shares keys and values
        key = ops.repeat(key, query.shape[1] // key.shape[1], axis=1)
        value = ops.repeat(value, query.shape[1] // value.shape[1], axis=1)
    factor = math.sqrt(query.shape[-1] ** -0.5 if scale is None else scale)
    product = ops.matmul(query * factor, ops.swapaxes(key * factor, -1, -2))
    capped = softcap * ops.tanh(product / softcap) if softcap else product
    bias = attention_bias(capped, mask, before, lengths, causal, window)
    masked = capped + bias
    raised = masked if precision is None else ops.cast(masked, precision)
    nothing = ops.max(bias, axis=-1, keepdims=True) == -float("inf")
    largest = ops.max(raised, axis=-1, keepdims=True)
    raised = ops.exp(raised - ops.stop_gradient(ops.where(nothing, ops.zeros_like(largest), largest)))
    # Added up in float32 at least: TensorFlow would round after every term of a narrow type.
    wide = raised.dtype if keras.backend.standardize_dtype(raised.dtype) == "float64" else "float32"
    total = ops.cast(ops.sum(ops.cast(raised, wide), axis=-1, keepdims=True), raised.dtype)
    weights = raised / ops.where(nothing, ops.ones_like(total), total)
    weights = ops.cast(ops.where(nothing, ops.zeros_like(weights), weights), query.dtype)
    output = ops.matmul(weights, value)
    if joined:
        output = ops.swapaxes(output, 1, 2)
        output = ops.reshape(output, (*ops.shape(output)[:2], output.shape[2] * output.shape[3]))
    scores = {"product": product, "softcap": capped, "mask": masked, "softmax": weights}[scores_after]
    return output, present_key, present_value, scores


def separate_heads(x, heads):
    """(batch, length, heads * size) → (batch, heads, length, size)."""
    batch, length, features = ops.shape(x)
    return ops.swapaxes(ops.reshape(x, (batch, length, heads, features // heads)), 1, 2)


def attention_bias(scores, mask, before, lengths, causal, window):
    """What is added to scores: the mask, and minus infinity where a query may not look."""
    queries, keys = scores.shape[-2:]
    places = ops.arange(keys, dtype="int64")
    if lengths is not None:
        lengths = ops.cast(ops.reshape(lengths, (-1, 1, 1, 1)), "int64")
        before = ops.cast(before, "int64")
    ahead = places - (ops.arange(queries, dtype="int64")[:, None] + before)  # how far a key lies ahead of the query
    allowed = ahead <= 0 if causal else ops.ones((queries, keys), dtype="bool")
    if window[0] >= 0:
        allowed = allowed & (-ahead <= window[0])
    if window[1] >= 0:
        allowed = allowed & (ahead <= window[1])
    if lengths is not None:
        allowed = allowed & (places < lengths)
    bias = ops.cast(ops.where(allowed, 0.0, -float("inf")), scores.dtype)
    if mask is None:
        return bias
    if keras.backend.standardize_dtype(mask.dtype) == "bool":
        mask = ops.where(mask, 0.0, -float("inf"))
    mask = ops.cast(mask, scores.dtype)
    missing = [(0, 0)] * (len(mask.shape) - 1) + [(0, keys - mask.shape[-1])]
    return bias + ops.pad(mask, missing, constant_values=-float("inf"))


def rotary(x, cos, sin, positions=None, heads=0, size=0, interleaved=False):
    """Turns pairs of features by angles that depend on the position.

    Over (batch, heads, length, features), or (batch, length, heads * features) with a number of heads. The pairs are
    the two halves of the first `size` features (of all with 0), or neighbours with `interleaved`.
    """
    joined = len(x.shape) == 3
    y = ops.swapaxes(separate_heads(x, heads) if joined else x, 1, 2)  # (batch, length, heads, features)
    size = size or y.shape[-1]
    turned, kept = y[..., :size], y[..., size:]
    if positions is not None:
        cos, sin = ops.take(cos, positions, axis=0), ops.take(sin, positions, axis=0)
    cos, sin = cos[:, :, None, : size // 2], sin[:, :, None, : size // 2]
    first, second = (turned[..., 0::2], turned[..., 1::2]) if interleaved else ops.split(turned, 2, axis=-1)
    pairs = (cos * first - sin * second, sin * first + cos * second)
    turned = (
        ops.reshape(ops.stack(pairs, axis=-1), ops.shape(turned)) if interleaved else ops.concatenate(pairs, axis=-1)
    )
    y = ops.concatenate([turned, kept], axis=-1)
    return ops.reshape(y, ops.shape(x)) if joined else ops.swapaxes(y, 1, 2)

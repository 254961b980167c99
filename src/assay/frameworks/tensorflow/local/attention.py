"""Attention with all of ONNX's options, and rotary positions; see `assay.frameworks.tensorflow.local`."""

import math

import tensorflow as tf


def attention_with_options(
    query: tf.Tensor,
    key: tf.Tensor,
    value: tf.Tensor,
    mask: tf.Tensor | None = None,
    past_key: tf.Tensor | None = None,
    past_value: tf.Tensor | None = None,
    lengths: tf.Tensor | None = None,
    heads: int = 1,
    kv_heads: int = 1,
    scale: float | None = None,
    causal: bool = False,
    softcap: float = 0.0,
    window: tuple[int, int] = (-1, -1),
    precision: tf.DType | None = None,
    scores_after: str = "product",
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
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
        before = tf.shape(past_key, tf.int64)[2]
        key, value = tf.concat([past_key, key], 2), tf.concat([past_value, value], 2)
    elif lengths is not None:
        before = tf.reshape(tf.cast(lengths, tf.int64), (-1, 1, 1, 1)) - tf.shape(query, tf.int64)[2]
    present_key, present_value = key, value
    shared = query.shape[1] // key.shape[1]  # so many heads look at the same keys and values
    if shared > 1:
        key, value = tf.repeat(key, shared, 1), tf.repeat(value, shared, 1)
    factor = math.sqrt(query.shape[-1] ** -0.5 if scale is None else scale)
    product = tf.matmul(query * factor, key * factor, transpose_b=True)
    capped = softcap * tf.tanh(product / softcap) if softcap else product
    bias = attention_bias(capped, mask, before, lengths, causal, window)
    masked = capped + bias
    nothing = tf.reduce_max(bias, -1, keepdims=True) == -math.inf
    seen = tf.where(nothing, capped, masked)  # or the gradient of a query that may look at nothing would be NaN
    weights = tf.nn.softmax(seen if precision is None else tf.cast(seen, precision))
    weights = tf.where(nothing, tf.zeros_like(capped), tf.cast(weights, capped.dtype))
    output = tf.matmul(weights, value)
    if joined:
        output = tf.transpose(output, (0, 2, 1, 3))
        output = tf.reshape(output, (-1, tf.shape(output)[1], output.shape[2] * output.shape[3]))
    scores = {"product": product, "softcap": capped, "mask": masked, "softmax": weights}[scores_after]
    return output, present_key, present_value, scores


def separate_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """(batch, length, heads * size) → (batch, heads, length, size)."""
    return tf.transpose(tf.reshape(x, (-1, tf.shape(x)[1], heads, x.shape[2] // heads)), (0, 2, 1, 3))


def attention_bias(
    scores: tf.Tensor,
    mask: tf.Tensor | None,
    before: int | tf.Tensor,
    lengths: tf.Tensor | None,
    causal: bool,
    window: tuple[int, int],
) -> tf.Tensor:
    """What is added to scores: the mask, and -inf where a query may not look."""
    queries, keys = tf.unstack(tf.shape(scores, tf.int64)[-2:])
    ahead = tf.range(keys) - (tf.range(queries)[:, tf.newaxis] + before)  # how far a key lies ahead of the query
    allowed = tf.ones_like(ahead, tf.bool)
    if causal:
        allowed &= ahead <= 0
    if window[0] >= 0:
        allowed &= -ahead <= window[0]
    if window[1] >= 0:
        allowed &= ahead <= window[1]
    if lengths is not None:
        allowed &= tf.range(keys) < tf.reshape(tf.cast(lengths, tf.int64), (-1, 1, 1, 1))
    never = tf.constant(-math.inf, scores.dtype)
    bias = tf.where(allowed, tf.zeros_like(never), never)
    if mask is None:
        return bias
    if mask.dtype == tf.bool:
        mask = tf.where(mask, tf.zeros_like(never), never)
    missing = [(0, 0)] * (len(mask.shape) - 1) + [(0, keys - tf.shape(mask, tf.int64)[-1])]
    return bias + tf.pad(mask, missing, constant_values=never)


def turn_pairs(
    x: tf.Tensor,
    cos: tf.Tensor,
    sin: tf.Tensor,
    positions: tf.Tensor | None = None,
    heads: int = 0,
    size: int = 0,
    interleaved: bool = False,
) -> tf.Tensor:
    """Rotary positions: turns pairs of features by angles that depend on the position.

    Over (batch, heads, length, features), or (batch, length, heads * features) with a number of heads. The pairs are
    the two halves of the first `size` features (of all with 0), or neighbours with `interleaved`.
    """
    joined = len(x.shape) == 3
    shape = tf.shape(x)
    y = tf.reshape(x, (shape[0], shape[1], heads, -1)) if joined else tf.transpose(x, (0, 2, 1, 3))
    size = size or (x.shape[-1] // heads if joined else x.shape[-1])
    turned, kept = y[..., :size], y[..., size:]
    if positions is not None:
        cos, sin = tf.gather(cos, positions), tf.gather(sin, positions)
    cos, sin = cos[:, :, tf.newaxis, : size // 2], sin[:, :, tf.newaxis, : size // 2]
    first, second = (turned[..., 0::2], turned[..., 1::2]) if interleaved else tf.split(turned, 2, -1)
    pairs = cos * first - sin * second, sin * first + cos * second
    turned = tf.reshape(tf.stack(pairs, -1), tf.shape(turned)) if interleaved else tf.concat(pairs, -1)
    y = tf.concat([turned, kept], -1)
    return tf.reshape(y, shape) if joined else tf.transpose(y, (0, 2, 1, 3))

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

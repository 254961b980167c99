"""Functions of written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import math

import numpy as np
import tensorflow as tf


def split_heads(x: tf.Tensor, heads: int) -> tf.Tensor:
    """(batch, time, features) → (batch, heads, time, features / heads)."""
    _, time, features = x.shape
    return tf.transpose(tf.reshape(x, (-1, time, heads, features // heads)), (0, 2, 1, 3))


def split_packed_heads(x: tf.Tensor, heads: int, parts: int) -> list[tf.Tensor]:
    """(batch, time, parts * features) → parts of (batch, heads, time, features / heads)."""
    _, time, features = x.shape
    x = tf.reshape(x, (-1, time, parts, heads, features // (parts * heads)))
    return tf.unstack(tf.transpose(x, (2, 0, 3, 1, 4)))


def attention(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, causal: bool = False) -> tf.Tensor:
    """Scaled dot-product attention: (batch, heads, time, size) → (batch, time, heads * size)."""
    scores = tf.matmul(query * query.shape[-1] ** -0.5, key, transpose_b=True)
    if causal:
        later = np.triu(np.ones(scores.shape[-2:]), 1)
        scores += tf.constant(np.where(later, -np.inf, 0), scores.dtype)
    mixed = tf.transpose(tf.matmul(tf.nn.softmax(scores), value), (0, 2, 1, 3))
    return tf.reshape(mixed, (-1, mixed.shape[1], mixed.shape[2] * mixed.shape[3]))


def gelu(x: tf.Tensor) -> tf.Tensor:
    """The exact GELU. (tf.nn.gelu rounds a constant to float32, whatever the type of x.)"""
    return 0.5 * x * (1 + tf.math.erf(math.sqrt(0.5) * x))


def gelu_tanh(x: tf.Tensor) -> tf.Tensor:
    """GELU in its tanh form. (tf.nn.gelu rounds a constant to float32, whatever the type of x.)"""
    return 0.5 * x * (1 + tf.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def max_pool(
    x: tf.Tensor,
    size: int | tuple[int, ...],
    strides: int | tuple[int, ...],
    padding: int | tuple[tuple[int, int], ...],
) -> tf.Tensor:
    """Max pooling with explicit padding, which tf.nn has for some modes and axes only."""
    return tf.nn.max_pool(surrounded(x, padding, -math.inf), size, strides, "VALID")


def average_pool(
    x: tf.Tensor,
    size: int | tuple[int, ...],
    strides: int | tuple[int, ...],
    padding: int | tuple[tuple[int, int], ...],
) -> tf.Tensor:
    """Average pooling with explicit padding that does not count."""
    means = tf.nn.avg_pool(surrounded(x, padding, 0), size, strides, "VALID")
    inside = surrounded(tf.ones_like(x), padding, 0)  # 1 in x, 0 in the padding
    return means / tf.nn.avg_pool(inside, size, strides, "VALID")


def surrounded(x: tf.Tensor, padding: int | tuple[tuple[int, int], ...], value: float) -> tf.Tensor:
    """Adds `value` before and after each axis between batch and channels."""
    pairs = [(padding, padding)] * (len(x.shape) - 2) if isinstance(padding, int) else padding
    return tf.pad(x, [(0, 0), *pairs, (0, 0)], constant_values=value)

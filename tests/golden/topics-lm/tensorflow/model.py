"""topics-lm in TensorFlow."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file


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


def glorot_uniform(shape: tuple[int, ...]) -> tf.Tensor:
    """Initial weights (…, inputs, outputs), uniform with variance 2 / (inputs + outputs)."""
    limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
    return tf.random.uniform(shape, -limit, limit)


class Dense(tf.Module):
    """A linear map of the last axis, and an activation: (…, inputs) → (…, units)."""

    def __init__(
        self,
        inputs: int,
        units: int,
        use_bias: bool = True,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.kernel = tf.Variable(glorot_uniform((inputs, units)))
        self.bias = tf.Variable(tf.zeros(units)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if len(x.shape) > 2:  # of matrices, TensorFlow makes product, bias and activation one operation
            y = self(tf.reshape(x, (-1, x.shape[-1])))
            return tf.reshape(y, (-1, *x.shape[1:-1], y.shape[-1]))
        y = tf.matmul(x, self.kernel)
        if self.bias is not None:
            y = tf.nn.bias_add(y, self.bias)
        return y if self.activation is None else self.activation(y)


class LayerNorm(tf.Module):
    """Normalises the last axis of every position by itself."""

    def __init__(self, features: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.scale = tf.Variable(tf.ones(features))
        self.offset = tf.Variable(tf.zeros(features))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x = x - tf.reduce_mean(x, -1, keepdims=True)  # not -=, which a variable would refuse
        variance = tf.reduce_mean(tf.square(x), -1, keepdims=True)
        return x * tf.math.rsqrt(variance + self.epsilon) * self.scale + self.offset


class Dropout(tf.Module):
    """In training, zeroes a share `rate` of the elements and divides the others by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.dropout(x, self.rate) if training else x


class Embedding(tf.Module):
    """Tokens (…) → their vectors (…, features)."""

    def __init__(self, tokens: int, features: int) -> None:
        super().__init__()
        self.table = tf.Variable(tf.random.normal((tokens, features), stddev=0.02))

    def __call__(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.table, tokens)


class MultiHeadAttention(tf.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = Dense(128, 384)
        self.output = Dense(128, 128)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x = self.query_key_value(x)  # (batch, 64, 384)
        query, key, value = split_packed_heads(x, heads=4, parts=3)
        x = attention(query, key, value, causal=True)  # (batch, 64, 128)
        return self.output(x)  # (batch, 64, 128)


class MLP(tf.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = Dense(128, 512, activation=gelu)
        self.contract = Dense(512, 128)
        self.dropout = Dropout(0.1)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.dropout(self.contract(self.expand(x)), training=training)  # (batch, 64, 128)


class TransformerBlock(tf.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(128)
        self.attention = MultiHeadAttention()
        self.dropout = Dropout(0.1)
        self.mlp_norm = LayerNorm(128)
        self.mlp = MLP()

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        y = self.attention(self.attention_norm(x))  # (batch, 64, 128)
        x = x + self.dropout(y, training=training)  # (batch, 64, 128)
        return x + self.mlp(self.mlp_norm(x), training=training)  # (batch, 64, 128)


class TopicsLM(tf.Module):
    """topics-lm: tokens (batch, 64) → (batch, 64, 96)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = Embedding(96, 128)
        self.position = tf.Variable(tf.zeros((64, 128)))
        self.blocks = [TransformerBlock() for _ in range(4)]
        self.norm = LayerNorm(128)
        self.output = Dense(128, 96)

    def __call__(self, tokens: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = self.embedding(tokens) + self.position  # (batch, 64, 128)
        for block in self.blocks:
            x = block(x, training=training)  # (batch, 64, 128)
        return self.output(self.norm(x))  # (batch, 64, 96)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> TopicsLM:
    """The model with the weights of a safetensors file, keyed by the variables' paths."""
    model = TopicsLM()
    arrays = load_file(weights)
    if len(arrays) != len(model.variables):
        raise ValueError(f"{weights} has {len(arrays)} arrays for {len(model.variables)} variables")
    for path, array in arrays.items():
        variable = model
        for name in path.split("."):
            variable = variable[int(name)] if name.isdigit() else getattr(variable, name)
        variable.assign(array)
    return model

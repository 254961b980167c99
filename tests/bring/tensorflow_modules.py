"""Models that people write in TensorFlow: modules, functions, and what is saved of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

Made = tuple[tf.Module, tuple[Any, ...]]


def _random(*shape: int, seed: int = 0) -> tf.Variable:
    generator = np.random.default_rng(seed + sum(shape))
    return tf.Variable(generator.normal(size=shape).astype(np.float32) * 0.4)


class Dense(tf.Module):
    def __init__(self, inputs: int, outputs: int, name: str | None = None) -> None:
        super().__init__(name=name)
        self.w = _random(inputs, outputs)
        self.b = _random(outputs)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, self.w) + self.b


class MLP(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [Dense(4, 6), Dense(6, 6), Dense(6, 3)]
        self.scale = _random(3)
        self.steps = tf.Variable(3.0, trainable=False)

    def __call__(self, x: tf.Tensor, training: bool = True) -> tf.Tensor:
        for layer in self.layers[:-1]:
            x = tf.nn.relu(layer(x))
        x = tf.nn.dropout(x, 0.5) if training else x
        return self.layers[-1](x) * self.scale / self.steps + 0.1


class Block(tf.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = _random(3, 3, channels, channels)
        self.gamma, self.beta = _random(channels), _random(channels, seed=1)
        self.mean = tf.Variable(tf.zeros([channels]) + 0.2, trainable=False)
        self.var = tf.Variable(tf.ones([channels]) * 1.5, trainable=False)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        y = tf.nn.conv2d(x, self.kernel, 1, "SAME")
        y, *_ = tf.compat.v1.nn.fused_batch_norm(y, self.gamma, self.beta, self.mean, self.var, 1e-3, is_training=False)
        return tf.nn.relu(x + y)


class ConvNet(tf.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = _random(3, 3, 3, 4)
        self.depthwise = _random(3, 3, 4, 2)
        self.blocks = [Block(8), Block(8)]
        self.head = Dense(8, 5)

    def __call__(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        x = tf.nn.bias_add(tf.nn.conv2d(image, self.stem, 2, "SAME"), [0.1, 0.2, 0.3, 0.4])
        x = tf.nn.depthwise_conv2d(x, self.depthwise, [1, 1, 1, 1], "SAME")
        x = tf.nn.max_pool2d(tf.nn.leaky_relu(x, 0.1), 2, 2, "SAME")
        for block in self.blocks:
            x = block(x)
        x = tf.nn.avg_pool2d(x, 2, 1, "VALID")
        features = tf.reduce_mean(x, [1, 2])
        return {"features": features, "logits": self.head(features)}


class Attention(tf.Module):
    """A decoder's block with its embedding: products, slices, a mask, a normalisation by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.positions = _random(11, 8), _random(6, 8)
        self.packed, self.out = Dense(8, 24), Dense(8, 8)
        self.gain = _random(8, seed=3)

    def __call__(self, tokens: tf.Tensor) -> tf.Tensor:
        steps = tokens.shape[1]
        x = tf.gather(self.table, tokens) + self.positions[:steps]
        centred = x - tf.reduce_mean(x, -1, keepdims=True)
        normal = centred * tf.math.rsqrt(tf.reduce_mean(tf.square(centred), -1, keepdims=True) + 1e-5) * self.gain
        query, key, value = tf.split(
            tf.reshape(tf.reshape(self.packed(tf.reshape(normal, [-1, 8])), [-1, steps, 24]), [-1, steps, 3, 8]), 3, 2
        )
        scores = tf.einsum("bqxf,bkxf->bqk", query, key) / 8.0**0.5
        mask = tf.linalg.band_part(tf.ones([steps, steps]), -1, 0)
        weights = tf.nn.softmax(tf.where(mask[None] > 0, scores, -1e9))
        mixed = tf.matmul(weights, tf.squeeze(value, 2))
        last = tf.stack([mixed[:, -1], x[:, 0]], 1)
        return tf.concat([x, tf.pad(last, [[0, 0], [1, 0], [0, 0]])], 1)


class Nested(tf.Module):
    """A part that is a tf.function of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Dense(4, 4)

    @tf.function
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.elu(self.inner(x)) + self.other(x)

    @tf.function
    def other(self, x: tf.Tensor) -> tf.Tensor:
        return tf.tanh(x) * self.inner.b


class DataDependent(tf.Module):
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if tf.reduce_sum(x) > 0:  # the line that the message names
            return x
        return -x


class Unknown(tf.Module):
    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.math.lgamma(x) + tf.random.normal([4]) + tf.math.digamma(x)


MODULES: dict[str, Callable[[], Made]] = {
    "mlp": lambda: (MLP(), (np.zeros((2, 4), np.float32),)),
    "convnet": lambda: (ConvNet(), (np.zeros((2, 8, 8, 3), np.float32),)),
    "attention": lambda: (Attention(), (np.zeros((2, 5), np.int32),)),
    "nested": lambda: (Nested(), (np.zeros((2, 4), np.float32),)),
}


def convnet() -> Made:
    return MODULES["convnet"]()


def mlp() -> tf.Module:
    return MLP()

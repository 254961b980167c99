"""A small transformer language model as a TensorFlow expert writes it: fused kernels, products on matrices."""

from __future__ import annotations

from typing import Any

import loop
import tensorflow as tf
from loop import wait

__all__ = ["make", "wait"]

STEPS, WIDTH, HEADS, VOCABULARY = 64, 128, 4, 96
DEPTH = WIDTH // HEADS

LEARNING_RATE = 3e-3


class Dense(tf.Module):
    """Works on matrices: the batch and the time are one axis throughout."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.kernel, self.bias = loop.glorot(inputs, units), loop.zeros(units)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.bias_add(tf.matmul(x, self.kernel), self.bias)


class Norm(tf.Module):
    """Layer normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.offset = loop.ones(WIDTH), loop.zeros(WIDTH)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x -= tf.reduce_mean(x, -1, keepdims=True)  # faster than tf.nn.moments and tf.nn.batch_normalization
        return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + 1e-5) * self.scale + self.offset


class Block(tf.Module):
    """Attention and an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm, self.mlp_norm = Norm(), Norm()
        self.qkv, self.out = Dense(WIDTH, 3 * WIDTH), Dense(WIDTH, WIDTH)
        self.up, self.down = Dense(WIDTH, 4 * WIDTH), Dense(4 * WIDTH, WIDTH)

    def __call__(self, x: tf.Tensor, mask: tf.Tensor, training: bool) -> tf.Tensor:
        x += drop(self.out(self.attend(self.qkv(self.attention_norm(x)), mask)), training)
        return x + drop(self.down(tf.nn.gelu(self.up(self.mlp_norm(x)))), training)

    def attend(self, qkv: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        split = tf.transpose(tf.reshape(qkv, (-1, STEPS, 3, HEADS, DEPTH)), (2, 0, 3, 1, 4))
        query, key, value = tf.unstack(split)
        scores = tf.matmul(query * DEPTH**-0.5, key, transpose_b=True) + mask
        mixed = tf.matmul(tf.nn.softmax(scores), value)
        return tf.reshape(tf.transpose(mixed, (0, 2, 1, 3)), (-1, WIDTH))


def drop(x: tf.Tensor, training: bool) -> tf.Tensor:
    return tf.nn.dropout(x, 0.1) if training else x


class Network(tf.Module):
    """tokens (batch, 64) → logits (batch, 64, 96)."""

    def __init__(self) -> None:
        super().__init__()
        self.table = tf.Variable(tf.random.normal((VOCABULARY, WIDTH), stddev=0.02))
        self.position = tf.Variable(tf.random.normal((STEPS, WIDTH), stddev=0.02))
        self.blocks = [Block() for _ in range(4)]
        self.norm, self.head = Norm(), Dense(WIDTH, VOCABULARY)
        self.mask = -1e9 * (1 - tf.linalg.band_part(tf.ones((STEPS, STEPS)), -1, 0))

    def __call__(self, tokens: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.reshape(tf.gather(self.table, tokens) + self.position, (-1, WIDTH))
        for block in self.blocks:
            x = block(x, self.mask, training)
        return tf.reshape(self.head(self.norm(x)), (-1, STEPS, VOCABULARY))


def make(mode: str, threads: int) -> tuple[Any, Any, Any]:
    loop.set_threads(threads)
    network = Network()
    variables = network.trainable_variables
    means, squares = loop.slots(variables), loop.slots(variables)
    count = tf.Variable(0, dtype=tf.int64, trainable=False)

    def update(gradients: Any) -> None:
        gradients, _ = tf.clip_by_global_norm([tf.convert_to_tensor(g) for g in gradients], 1.0)
        rate = loop.cosine(count, LEARNING_RATE, 100, 1532)
        taken = tf.cast(count + 1, tf.float32)
        powers = tf.pow(0.9, taken), tf.pow(0.999, taken)
        for variable, mean, square, gradient in zip(variables, means, squares, gradients, strict=True):
            variable.assign_sub(0.01 * rate * variable)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-8,
                grad=gradient,
            )
        count.assign_add(1)

    return loop.make(network, variables, update, mode)

"""A residual network for 28×28 images as a TensorFlow expert writes it: fused normalisation, one kernel per update."""

from __future__ import annotations

from typing import Any

import loop
import tensorflow as tf
from loop import wait

__all__ = ["make", "wait"]

LEARNING_RATE = 0.05


class ConvNorm(tf.Module):
    """A convolution and TensorFlow's fused batch normalisation, which also keeps the running statistics."""

    def __init__(self, inputs: int, filters: int, size: int = 3, strides: int = 1) -> None:
        super().__init__()
        self.strides = strides
        self.kernel = loop.glorot(size, size, inputs, filters)
        self.scale, self.offset = loop.ones(filters), loop.zeros(filters)
        self.mean = loop.zeros(filters, trainable=False)
        self.variance = loop.ones(filters, trainable=False)

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.conv2d(x, self.kernel, self.strides, "SAME")
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.scale,
            offset=self.offset,
            mean=self.mean,
            variance=self.variance,
            epsilon=1e-5,
            exponential_avg_factor=0.1,
            is_training=training,
        )
        if training:
            self.mean.assign(mean)
            self.variance.assign(variance)
        return y


class Block(tf.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, inputs: int, filters: int, strides: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, filters, strides=strides)
        self.second = ConvNorm(filters, filters)
        self.shortcut = ConvNorm(inputs, filters, 1, strides) if strides != 1 else None

    def __call__(self, x: tf.Tensor, training: bool) -> tf.Tensor:
        y = self.second(tf.nn.relu(self.first(x, training)), training)
        return tf.nn.relu(y + (x if self.shortcut is None else self.shortcut(x, training)))


class Network(tf.Module):
    """images (batch, 28, 28) → logits (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(1, 32)
        self.blocks = [Block(32, 32), Block(32, 32), Block(32, 64, 2), Block(64, 64)]
        self.kernel, self.bias = loop.glorot(64, 10), loop.zeros(10)

    def __call__(self, images: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.nn.relu(self.stem(images[..., tf.newaxis], training))
        for block in self.blocks:
            x = block(x, training)
        x = tf.reduce_mean(x, (1, 2))
        if training:
            x = tf.nn.dropout(x, 0.2)
        return tf.nn.bias_add(tf.matmul(x, self.kernel), self.bias)


def make(mode: str, threads: int) -> tuple[Any, Any, Any]:
    loop.set_threads(threads)
    network = Network()
    variables = network.trainable_variables
    velocities = loop.slots(variables)
    count = tf.Variable(0, dtype=tf.int64, trainable=False)

    def update(gradients: Any) -> None:
        rate = loop.cosine(count, LEARNING_RATE, 20, 496)
        for variable, velocity, gradient in zip(variables, velocities, gradients, strict=True):
            tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle,
                accum=velocity.handle,
                lr=rate,
                grad=gradient + 5e-4 * variable,
                momentum=0.9,
                use_nesterov=True,
            )
        count.assign_add(1)

    return loop.make(network, variables, update, mode)

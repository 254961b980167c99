"""A bidirectional LSTM as a TensorFlow expert writes it: the block kernel on the CPU, a while loop for XLA."""

from __future__ import annotations

from typing import Any

import loop
import tensorflow as tf
from loop import wait

__all__ = ["make", "wait"]

STEPS, INPUTS, UNITS, CLASSES = 29, 12, 64, 9

LEARNING_RATE = 3e-3


class Direction(tf.Module):
    """One direction; gates input, cell, forget, output, as the block kernel has them."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = loop.glorot(INPUTS + UNITS, 4 * UNITS)
        self.bias = loop.zeros(4 * UNITS)

    def by_kernel(self, x: tf.Tensor) -> tf.Tensor:
        zeros, unused = tf.zeros((tf.shape(x)[1], UNITS)), tf.zeros(UNITS)
        return tf.raw_ops.BlockLSTM(
            seq_len_max=STEPS,
            x=x,
            cs_prev=zeros,
            h_prev=zeros,
            w=self.kernel,
            wci=unused,
            wcf=unused,
            wco=unused,
            b=self.bias,
            forget_bias=0,
            cell_clip=0,
        ).h[-1]

    def by_loop(self, x: tf.Tensor) -> tf.Tensor:
        kernel, recurrent = self.kernel[:INPUTS], self.kernel[INPUTS:]
        projected = tf.reshape(tf.matmul(tf.reshape(x, (-1, INPUTS)), kernel) + self.bias, (STEPS, -1, 4 * UNITS))
        inputs = tf.TensorArray(x.dtype, STEPS).unstack(projected)
        zeros = tf.zeros((tf.shape(x)[1], UNITS))

        def advance(step: tf.Tensor, hidden: tf.Tensor, cell: tf.Tensor) -> tuple[tf.Tensor, ...]:
            admit, content, keep, show = tf.split(inputs.read(step) + tf.matmul(hidden, recurrent), 4, -1)
            cell = tf.sigmoid(keep) * cell + tf.sigmoid(admit) * tf.tanh(content)
            return step + 1, tf.sigmoid(show) * tf.tanh(cell), cell

        start = (0, zeros, zeros)
        _, hidden, _ = tf.while_loop(lambda step, *_: step < STEPS, advance, start, maximum_iterations=STEPS)
        return hidden


class Network(tf.Module):
    """frames (batch, 29, 12) → logits (batch, 9)."""

    def __init__(self, by_kernel: bool) -> None:
        super().__init__()
        self.by_kernel = by_kernel
        self.directions = [Direction(), Direction()]
        self.kernel, self.bias = loop.glorot(2 * UNITS, CLASSES), loop.zeros(CLASSES)

    def __call__(self, frames: tf.Tensor, training: bool) -> tf.Tensor:
        x = tf.transpose(frames, (1, 0, 2))
        sides = zip(self.directions, (x, tf.reverse(x, [0])), strict=True)
        state = [side.by_kernel(x) if self.by_kernel else side.by_loop(x) for side, x in sides]
        state = tf.concat(state, -1)
        if training:
            state = tf.nn.dropout(state, 0.2)
        return tf.nn.bias_add(tf.matmul(state, self.kernel), self.bias)


def make(mode: str, threads: int) -> tuple[Any, Any, Any]:
    loop.set_threads(threads)
    network = Network(by_kernel=mode != "xla")
    variables = network.trainable_variables
    squares = loop.slots(variables)
    momenta = loop.slots(variables)
    count = tf.Variable(0, dtype=tf.int64, trainable=False)

    def update(gradients: Any) -> None:
        rate = loop.cosine(count, LEARNING_RATE, 18, 360)
        for variable, square, momentum, gradient in zip(variables, squares, momenta, gradients, strict=True):
            tf.raw_ops.ResourceApplyRMSProp(
                var=variable.handle,
                ms=square.handle,
                mom=momentum.handle,
                lr=rate,
                rho=0.9,
                momentum=0.0,
                epsilon=1e-8,
                grad=gradient,
            )
        count.assign_add(1)

    return loop.make(network, variables, update, mode)

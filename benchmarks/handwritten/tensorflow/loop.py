"""What the TensorFlow yardsticks share: threads, compilation, the training step, fused optimizer kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

Update = Callable[[Sequence[tf.Tensor]], None]


def set_threads(threads: int) -> None:
    """TensorFlow takes this before its first operation only."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_tensor_float_32_execution(False)


def wait(value: Any) -> None:
    """On the CPU, TensorFlow returns when the work is done."""
    if tf.config.list_physical_devices("GPU"):
        tf.test.experimental.sync_devices()


def glorot(*shape: int) -> tf.Variable:
    """A weight (…, inputs, outputs), uniform with variance 2 / (inputs + outputs)."""
    area = int(np.prod(shape[:-2]))
    limit = (6 / (area * (shape[-2] + shape[-1]))) ** 0.5
    return tf.Variable(tf.random.uniform(shape, -limit, limit))


def zeros(*shape: int, trainable: bool = True) -> tf.Variable:
    return tf.Variable(tf.zeros(shape), trainable=trainable)


def ones(*shape: int, trainable: bool = True) -> tf.Variable:
    return tf.Variable(tf.ones(shape), trainable=trainable)


def cosine(step: tf.Tensor, peak: float, warmup: int, steps: int) -> tf.Tensor:
    """Linear warm-up, then half a cosine down to zero."""
    step = tf.cast(step, tf.float32)
    down = peak * 0.5 * (1 + tf.cos(np.pi * tf.minimum((step - warmup) / (steps - warmup), 1)))
    return tf.where(step < warmup, peak * (step + 1) / (warmup + 1), down)


def slots(variables: Sequence[tf.Variable]) -> list[tf.Variable]:
    return [tf.Variable(tf.zeros_like(variable), trainable=False) for variable in variables]


def make(
    forward: Callable[..., tf.Tensor], variables: Sequence[tf.Variable], update: Update, mode: str
) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(place, train_step, predict); the whole step is one graph, or one XLA program, unless the mode is eager."""

    def train_step(*batch: tf.Tensor) -> tf.Tensor:
        *inputs, targets = batch
        with tf.GradientTape() as tape:
            logits = forward(*inputs, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        update(tape.gradient(loss, variables))
        return loss

    def predict(*inputs: tf.Tensor) -> tf.Tensor:
        return forward(*inputs, training=False)

    def place(arrays: Sequence[np.ndarray]) -> tuple[tf.Tensor, ...]:
        return tuple(tf.constant(array) for array in arrays)

    if mode == "eager":
        return place, train_step, predict
    xla = mode == "xla"
    step = tf.function(train_step, jit_compile=xla, autograph=False)
    graph = tf.function(predict, jit_compile=xla, autograph=False)
    concrete: dict[Any, Any] = {}  # calling a concrete function skips most of what tf.function does on every call

    def predict_compiled(*inputs: tf.Tensor) -> tf.Tensor:
        shape = inputs[0].shape
        if shape not in concrete:
            concrete[shape] = graph.get_concrete_function(*inputs)
        return concrete[shape](*inputs)

    return place, step, predict_compiled

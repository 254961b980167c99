"""XLA refuses tf.nn.max_pool2d with explicit padding, which works in eager mode and in a graph.

TensorFlow 2.21.0, CPU. Measured in November 2026.
https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/compiler/tf2xla/kernels/pooling_ops.cc
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf


@tf.function(jit_compile=True)
def f(x):
    return tf.nn.max_pool2d(x, 2, 1, [[0, 0], [1, 0], [1, 0], [0, 0]])


try:
    observed = f(tf.ones((1, 3, 3, 1))).shape.as_list()
except tf.errors.UnimplementedError as error:
    observed = f"UnimplementedError: {error.message.splitlines()[0]}"
expected = [1, 3, 3, 1]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

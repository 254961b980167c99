"""The eager gradient of tf.nn.convolution on rank 5 raises where no data_format is given.

TensorFlow 2.21.0, CPU. Measured in November 2026. tf.nn.conv3d, or data_format="NDHWC", is right.
_Conv3DGrad: https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/ops/nn_grad.py
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

x, kernel = tf.ones((1, 3, 3, 3, 1)), tf.ones((2, 2, 2, 1, 1))
with tf.GradientTape() as tape:
    tape.watch(kernel)
    y = tf.nn.convolution(x, kernel)
try:
    observed = f"every element {tape.gradient(y, kernel).numpy().max()}"
except AttributeError as error:
    observed = f"AttributeError: {error}"
expected = "every element 8.0"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

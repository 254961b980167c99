"""tf.nn.gelu rounds its constants to float32, for float64 too, in both its forms.

TensorFlow 2.21.0, CPU. Measured in November 2026.
https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/ops/nn_ops.py
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from math import erf, pi, sqrt, tanh

import tensorflow as tf

one = tf.constant(1.0, tf.float64)
observed = [float(tf.nn.gelu(one)), float(tf.nn.gelu(one, approximate=True))]
expected = [0.5 * (1 + erf(1 / sqrt(2))), 0.5 * (1 + tanh(sqrt(2 / pi) * 1.044715))]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(max(abs(a - b) for a, b in zip(observed, expected, strict=True)) > 1e-12)))

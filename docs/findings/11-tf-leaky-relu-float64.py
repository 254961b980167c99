"""tf.nn.leaky_relu holds its slope as a float32, for float64 too.

TensorFlow 2.21.0, CPU. Measured in November 2026.
https://www.tensorflow.org/api_docs/python/tf/raw_ops/LeakyRelu
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

observed, expected = float(tf.nn.leaky_relu(tf.constant(-1.0, tf.float64), 0.2)), -0.2

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(abs(observed - expected) > 1e-12)))

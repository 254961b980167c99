"""tf.truncatemod has no gradient, unlike tf.math.floormod.

TensorFlow 2.21.0, CPU. Measured in November 2026.
https://www.tensorflow.org/api_docs/python/tf/truncatemod
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

x = tf.constant([5.5, -5.5])
with tf.GradientTape() as tape:
    tape.watch(x)
    y = tf.truncatemod(x, 3.0)
try:
    observed = tape.gradient(y, x).numpy().tolist()
except LookupError as error:
    observed = f"LookupError: {error}"
expected = [1.0, 1.0]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

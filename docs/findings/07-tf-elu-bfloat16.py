"""tf.nn.elu in bfloat16 rounds the exponential before it takes one from it.

TensorFlow 2.21.0, CPU. Measured in November 2026.
https://www.tensorflow.org/api_docs/python/tf/nn/elu
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

observed = float(tf.nn.elu(tf.constant(-0.25, tf.bfloat16)))
expected = float(tf.cast(np.expm1(np.float32(-0.25)), tf.bfloat16))

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

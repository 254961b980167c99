"""After a product with bias, tf.function turns maximum(y, c * y) into a leaky ReLU whatever c is: wrong for c > 1.

TensorFlow 2.21.0, CPU with oneDNN, float32. Measured in November 2026. TF_ENABLE_ONEDNN_OPTS=0 and eager mode are right.
https://github.com/tensorflow/tensorflow/pull/56375
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf


@tf.function
def f(x, w, b):
    y = tf.nn.bias_add(tf.matmul(x, w), b)
    return tf.maximum(y, 2.0 * y)


observed = f(tf.constant([[-1.0, 3.0]]), tf.eye(2), tf.zeros(2)).numpy().tolist()
expected = [[-1.0, 6.0]]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

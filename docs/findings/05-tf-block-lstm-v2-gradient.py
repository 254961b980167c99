"""BlockLSTMV2's registered gradient is that of BlockLSTM, whose gates stand in another order.

TensorFlow 2.21.0, CPU. Measured in November 2026. Outputs are right. BlockLSTM's own gradient agrees with differences to 1e-4.
https://github.com/tensorflow/tensorflow/blob/v2.21.0/tensorflow/python/ops/rnn_grad.py
"""

import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

rng = np.random.default_rng(0)
x, w = rng.normal(size=(2, 1, 3)).astype("float32"), rng.normal(size=(5, 8)).astype("float32")


def total(w):
    zeros = {name: tf.zeros((1, 2)) for name in ("cs_prev", "h_prev")} | dict.fromkeys(
        ("wci", "wcf", "wco"), tf.zeros(2)
    )
    return tf.reduce_sum(
        tf.raw_ops.BlockLSTMV2(seq_len_max=tf.constant(2, tf.int64), x=x, w=w, b=tf.zeros(8), **zeros).h
    )


weights = tf.Variable(w)
with tf.GradientTape() as tape:
    y = total(weights)
gradient = tape.gradient(y, weights).numpy()
differences = np.zeros_like(w)
for place in range(40):
    step = np.float32(0.01) * (np.arange(40).reshape(5, 8) == place)
    differences.flat[place] = (total(w + step) - total(w - step)) / 0.02
observed, expected = [f"{g:.3f}" for g in gradient[0]], [f"{g:.3f}" for g in differences[0]]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(np.abs(gradient - differences).max() > 0.01)))

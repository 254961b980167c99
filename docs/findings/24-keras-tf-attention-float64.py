"""ops.dot_product_attention's scale is a float32 on TensorFlow, for float64 too, unless the head size is a power of four.

Keras 3.15.1 on TensorFlow 2.21. Measured in November 2026.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/backend/tensorflow/nn.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
from keras import ops

rng = np.random.default_rng(0)
q = rng.normal(size=(1, 4, 1, 2))
scores = np.exp(np.einsum("bqhd,bkhd->bhqk", q, q) / np.sqrt(2))
exact = np.einsum("bhqk,bkhd->bqhd", scores / scores.sum(-1, keepdims=True), q)
y = ops.convert_to_numpy(ops.dot_product_attention(q, q, q))
observed = f"{y.dtype}, {np.abs(y - exact).max():.1e} off"
expected = "float64, less than 1e-14 off"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(np.abs(y - exact).max() > 1e-14)))

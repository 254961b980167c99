"""Keras' type of two uint64 is uint32: ops.maximum and many others lose the upper bits without a word.

Keras 3.15.1 on TensorFlow 2.21. Measured in November 2026.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/backend/common/dtypes.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

from keras import ops

x = ops.cast([2**32 + 1], "uint64")
y = ops.convert_to_numpy(ops.maximum(x, x))
observed, expected = f"{y} as {y.dtype}", "[4294967297] as uint64"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

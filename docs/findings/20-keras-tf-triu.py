"""ops.triu and ops.tril raise on TensorFlow where the diagonal lies outside the matrix.

Keras 3.15.1 on TensorFlow 2.21; JAX and torch give what NumPy gives. Measured in November 2026.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/backend/tensorflow/numpy.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
from keras import ops

try:
    observed = ops.convert_to_numpy(ops.triu(ops.ones((3, 3)), -7)).tolist()
except Exception as error:
    observed = f"{type(error).__name__}: {str(error)[-100:]}"
expected = np.triu(np.ones((3, 3)), -7).tolist()

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

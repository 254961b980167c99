"""ops.max along an empty axis, with an initial value, loses the other axes on torch.

Keras 3.15.1 on torch 2.13; TensorFlow and JAX give what NumPy gives. Measured in November 2026.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/backend/torch/numpy.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
from keras import ops

observed = ops.convert_to_numpy(ops.max(ops.zeros((2, 0, 4)), axis=1, initial=0.0)).shape
expected = np.max(np.zeros((2, 0, 4)), axis=1, initial=0.0).shape

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

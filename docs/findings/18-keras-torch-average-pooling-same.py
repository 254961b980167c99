"""AveragePooling(padding="same") counts repeated edge values on torch where the padding is uneven.

Keras 3.15.1 on torch 2.13; TensorFlow and JAX leave the padding out. Measured in November 2026. Fixed in the main branch in July 2026.
https://github.com/keras-team/keras/pull/23233
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

layer = keras.layers.AveragePooling1D(4, strides=1, padding="same")
observed = keras.ops.convert_to_numpy(layer(np.arange(4, dtype="float32").reshape(1, 4, 1))).ravel().tolist()
expected = [1.0, 1.5, 2.0, 2.5]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

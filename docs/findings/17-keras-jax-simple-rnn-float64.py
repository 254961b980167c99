"""SimpleRNN raises on JAX with floatx float64: its state changes to float32 in the loop.

Keras 3.15.1 on JAX 0.10.2 with 64-bit types on. Measured in November 2026.
https://github.com/keras-team/keras/issues/23704
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import jax
import keras
import numpy as np

jax.config.update("jax_enable_x64", True)
keras.config.set_floatx("float64")
try:
    observed = keras.layers.SimpleRNN(2)(np.ones((1, 3, 2))).shape
except TypeError as error:
    observed = f"TypeError: {str(error).splitlines()[2][:100]}"
expected = (1, 2)

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

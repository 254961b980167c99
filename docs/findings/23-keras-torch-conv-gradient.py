"""The float64 gradient of Conv2D(1, …) raises on torch: Keras' layout of kernels meets finding 03.

Keras 3.15.1 on torch 2.13. Measured in November 2026.
https://github.com/pytorch/vision/issues/6001
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

keras.config.set_floatx("float64")
layer = keras.layers.Conv2D(1, 3, use_bias=False)
try:
    layer(np.ones((1, 5, 5, 2))).sum().backward()
    observed = f"every element {layer.kernel.value.grad.unique().tolist()}"
except RuntimeError as error:
    observed = f"RuntimeError: {error}"
expected = "every element [9.0]"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

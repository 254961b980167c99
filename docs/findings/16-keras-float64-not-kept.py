"""With floatx float64, Keras computes much in float32 on JAX and torch: result_type(float64, float64) is float32.

Keras 3.15.1 on torch 2.13 (on JAX too). Measured in November 2026. The output's type is float64 all the same.
https://github.com/keras-team/keras/issues/23704
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

keras.config.set_floatx("float64")
x = np.random.default_rng(0).normal(size=(2, 5))
layer = keras.layers.LayerNormalization()
y = keras.ops.convert_to_numpy(layer(x))
exact = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.epsilon)
observed = [keras.backend.result_type("float64", "float64"), f"layer normalisation {np.abs(y - exact).max():.1e} off"]
expected = ["float64", "layer normalisation less than 1e-14 off"]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed[0] != "float64" or np.abs(y - exact).max() > 1e-14)))

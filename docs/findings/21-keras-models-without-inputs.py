"""A subclassed model whose call() takes no arguments cannot be called.

Keras 3.15.1 on TensorFlow 2.21, JAX 0.10 and torch 2.13. Measured in November 2026.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/layer.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras


class Model(keras.Model):
    def call(self):
        return keras.ops.ones(2)


try:
    observed = keras.ops.convert_to_numpy(Model()()).tolist()
except IndexError as error:
    observed = f"IndexError: {error}"
expected = [1.0, 1.0]

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

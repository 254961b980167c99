"""A subclassed model with a build() of its own saves and loads without a word, and its layers come back with random weights.

Keras 3.15.1 on TensorFlow 2.21, JAX 0.10 and torch 2.13. Measured in November 2026. Without build() the weights come back.
https://github.com/keras-team/keras/blob/v3.15.1/keras/src/layers/layer.py
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tempfile

import keras
import numpy as np


class Model(keras.Model):
    def __init__(self, **settings):
        super().__init__(**settings)
        self.dense = keras.layers.Dense(1)

    def build(self, shape):
        self.scale = self.add_weight(shape=(1,), initializer="ones", name="scale")

    def call(self, x):
        return self.dense(x) * self.scale


model, x = Model(), np.ones((1, 3), "float32")
expected = keras.ops.convert_to_numpy(model(x)).tolist()
with tempfile.TemporaryDirectory() as folder:
    model.save(f"{folder}/model.keras")
    loaded = keras.models.load_model(f"{folder}/model.keras", custom_objects={"Model": Model})
observed = keras.ops.convert_to_numpy(loaded(x)).tolist()

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))

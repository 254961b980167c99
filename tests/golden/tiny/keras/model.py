"""tiny in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND). Arrays are channels-last."""

from pathlib import Path

import keras
from keras import layers
from safetensors.numpy import load_file


@keras.saving.register_keras_serializable(package="tiny")
class Tiny(keras.Model):
    """tiny: x (batch, 4) → (batch, 3)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.layers_layer = keras.Sequential(
            [layers.Dense(16, name="layers_layer_0"), layers.ReLU(), layers.Dense(3, name="layers_layer_2")],
            name="layers_layer",
        )

    def call(self, x):
        return self.layers_layer(x)  # (batch, 3)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
    model = Tiny(name="tiny")
    model(keras.Input((4,)))  # creates the variables
    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model

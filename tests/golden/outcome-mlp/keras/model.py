"""outcome-mlp in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND). Arrays are channels-last."""

from pathlib import Path

import keras
from keras import layers, ops
from safetensors.numpy import load_file


@keras.saving.register_keras_serializable(package="outcome_mlp")
class OutcomeMLP(keras.Model):
    """outcome-mlp: measurements (batch, 21) → (batch, 1)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.hidden1 = layers.Dense(64, name="hidden1")
        self.norm = layers.LayerNormalization(epsilon=1e-5, name="norm")
        self.dropout = layers.Dropout(0.3, name="dropout")
        self.hidden2 = layers.Dense(64, name="hidden2")
        self.output_layer = layers.Dense(1, name="output_layer")

    def call(self, measurements, training=None):
        x = ops.relu(self.norm(self.hidden1(measurements)))  # (batch, 64)
        x = ops.relu(self.hidden2(self.dropout(x, training=training)))  # (batch, 64)
        return self.output_layer(x)  # (batch, 1)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
    model = OutcomeMLP(name="outcome_mlp")
    model(keras.Input((21,)))  # creates the variables
    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model

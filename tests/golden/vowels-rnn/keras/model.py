"""vowels-rnn in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND). Arrays are channels-last."""

from pathlib import Path

import keras
from keras import layers
from safetensors.numpy import load_file


@keras.saving.register_keras_serializable(package="vowels_rnn")
class VowelsRNN(keras.Model):
    """vowels-rnn: frames (batch, 29, 12) → (batch, 9)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.lstm = layers.Bidirectional(layers.LSTM(64, name="lstm"), name="lstm")
        self.dropout = layers.Dropout(0.2, name="dropout")
        self.output_layer = layers.Dense(9, name="output_layer")

    def call(self, frames, training=None):
        x = self.dropout(self.lstm(frames), training=training)  # (batch, 128)
        return self.output_layer(x)  # (batch, 9)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
    model = VowelsRNN(name="vowels_rnn")
    model(keras.Input((29, 12)))  # creates the variables
    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model

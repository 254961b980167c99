"""digits-cnn in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND). Arrays are channels-last."""

from pathlib import Path

import keras
from keras import layers, ops
from safetensors.numpy import load_file


@keras.saving.register_keras_serializable(package="digits_cnn")
class DigitsCNN(keras.Model):
    """digits-cnn: images (batch, 8, 8) → (batch, 10)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv1 = layers.Conv2D(32, 3, padding="same", name="conv1")
        self.conv2 = layers.Conv2D(64, 3, padding="same", name="conv2")
        self.pool = layers.MaxPooling2D(2, name="pool")
        self.hidden = layers.Dense(128, name="hidden")
        self.dropout = layers.Dropout(0.25, name="dropout")
        self.output_layer = layers.Dense(10, name="output_layer")

    def call(self, images, training=None):
        x = ops.relu(self.conv1(ops.expand_dims(images, -1)))  # (batch, 8, 8, 32)
        x = self.pool(ops.relu(self.conv2(x)))  # (batch, 4, 4, 64)
        x = ops.relu(self.hidden(ops.reshape(x, (-1, 1024))))  # (batch, 128)
        return self.output_layer(self.dropout(x, training=training))  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
    model = DigitsCNN(name="digits_cnn")
    model(keras.Input((8, 8)))  # creates the variables
    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model

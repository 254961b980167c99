"""mnist-cnn in Keras 3, for TensorFlow, JAX and PyTorch (KERAS_BACKEND). Arrays are channels-last."""

from pathlib import Path

import keras
from keras import layers, ops
from safetensors.numpy import load_file


@keras.saving.register_keras_serializable(package="mnist_cnn")
class ResidualBlock(layers.Layer):
    """x (batch, …, …, channels) → (batch, …, …, channels)."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.conv1 = layers.Conv2D(channels, 3, padding="same", use_bias=False, name="conv1")
        self.norm1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm1")
        self.conv2 = layers.Conv2D(channels, 3, padding="same", use_bias=False, name="conv2")
        self.norm2 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm2")

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}

    def call(self, x, training=None):
        y = ops.relu(self.norm1(self.conv1(x), training=training))  # (batch, …, …, channels)
        y = self.norm2(self.conv2(y), training=training) + x  # (batch, …, …, channels)
        return ops.relu(y)  # (batch, …, …, channels)


@keras.saving.register_keras_serializable(package="mnist_cnn")
class DownBlock(layers.Layer):
    """x (batch, 28, 28, 32) → (batch, 14, 14, 64)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv1_padding = layers.ZeroPadding2D(1, name="conv1_padding")
        self.conv1 = layers.Conv2D(64, 3, strides=2, use_bias=False, name="conv1")
        self.norm1 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm1")
        self.conv2 = layers.Conv2D(64, 3, padding="same", use_bias=False, name="conv2")
        self.norm2 = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm2")
        self.shortcut = layers.Conv2D(64, 1, strides=2, use_bias=False, name="shortcut")
        self.shortcut_norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="shortcut_norm")

    def call(self, x, training=None):
        y = self.norm1(self.conv1(self.conv1_padding(x)), training=training)  # (batch, 14, 14, 64)
        y = self.norm2(self.conv2(ops.relu(y)), training=training)  # (batch, 14, 14, 64)
        y = y + self.shortcut_norm(self.shortcut(x), training=training)  # (batch, 14, 14, 64)
        return ops.relu(y)  # (batch, 14, 14, 64)


@keras.saving.register_keras_serializable(package="mnist_cnn")
class MnistCNN(keras.Model):
    """mnist-cnn: images (batch, 28, 28) → (batch, 10)."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.stem = layers.Conv2D(32, 3, padding="same", use_bias=False, name="stem")
        self.norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name="norm")
        self.blocks = keras.Sequential(
            [
                ResidualBlock(32, name="blocks_0"),
                ResidualBlock(32, name="blocks_1"),
                DownBlock(name="blocks_2"),
                ResidualBlock(64, name="blocks_3"),
            ],
            name="blocks",
        )
        self.dropout = layers.Dropout(0.2, name="dropout")
        self.output_layer = layers.Dense(10, name="output_layer")

    def call(self, images, training=None):
        x = self.norm(self.stem(ops.expand_dims(images, -1)), training=training)  # (batch, 28, 28, 32)
        x = self.blocks(ops.relu(x), training=training)  # (batch, 14, 14, 64)
        x = self.dropout(ops.mean(x, axis=(1, 2)), training=training)  # (batch, 64)
        return self.output_layer(x)  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights=WEIGHTS):
    """The model with the weights of a safetensors file."""
    model = MnistCNN(name="mnist_cnn")
    model(keras.Input((28, 28)))  # creates the variables
    arrays = load_file(weights)
    for variable in model.weights:
        variable.assign(arrays[variable.path])
    return model

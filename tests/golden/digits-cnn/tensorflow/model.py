"""digits-cnn in TensorFlow."""

import math
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from safetensors.numpy import load_file


class Conv2D(tf.Module):
    """(batch, height, width, inputs) → (batch, height', width', filters)."""

    def __init__(
        self,
        inputs: int,
        filters: int,
        size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: str | int | tuple[tuple[int, int], ...] = "VALID",
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        self.strides, self.padding = strides, padding
        self.kernel = tf.Variable(glorot_uniform((height, width, inputs, filters)))
        self.bias = tf.Variable(tf.zeros(filters)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x, padding = padded(x, self.padding)
        y = tf.nn.conv2d(x, self.kernel, self.strides, padding)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


def padded(x: tf.Tensor, padding: str | int | tuple[tuple[int, int], ...]) -> tuple[tf.Tensor, str]:
    """Adds the zeros of a padding given in numbers; returns what is left to do to the operation.

    (tf.nn.conv2d takes such a padding too, but its gradient is half as fast then.)
    """
    if isinstance(padding, str):
        return x, padding
    pairs = [(padding, padding)] * (len(x.shape) - 2) if isinstance(padding, int) else padding
    return tf.pad(x, [(0, 0), *pairs, (0, 0)]), "VALID"


def glorot_uniform(shape: tuple[int, ...]) -> tf.Tensor:
    """Initial weights (…, inputs, outputs), uniform with variance 2 / (inputs + outputs)."""
    limit = math.sqrt(6 / (math.prod(shape[:-2]) * (shape[-2] + shape[-1])))
    return tf.random.uniform(shape, -limit, limit)


class Dense(tf.Module):
    """A linear map of the last axis, and an activation: (…, inputs) → (…, units)."""

    def __init__(
        self,
        inputs: int,
        units: int,
        use_bias: bool = True,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.kernel = tf.Variable(glorot_uniform((inputs, units)))
        self.bias = tf.Variable(tf.zeros(units)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        if len(x.shape) > 2:  # of matrices, TensorFlow makes product, bias and activation one operation
            y = self(tf.reshape(x, (-1, x.shape[-1])))
            return tf.reshape(y, (-1, *x.shape[1:-1], y.shape[-1]))
        y = tf.matmul(x, self.kernel)
        if self.bias is not None:
            y = tf.nn.bias_add(y, self.bias)
        return y if self.activation is None else self.activation(y)


class Dropout(tf.Module):
    """In training, zeroes a share `rate` of the elements and divides the others by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.dropout(x, self.rate) if training else x


class DigitsCNN(tf.Module):
    """digits-cnn: images (batch, 8, 8) → (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2D(1, 32, 3, padding="SAME")
        self.conv2 = Conv2D(32, 64, 3, padding="SAME")
        self.hidden = Dense(1024, 128)
        self.dropout = Dropout(0.25)
        self.output = Dense(128, 10)

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.nn.relu(self.conv1(tf.expand_dims(images, -1)))  # (batch, 8, 8, 32)
        x = tf.nn.max_pool2d(tf.nn.relu(self.conv2(x)), 2, 2, "VALID")  # (batch, 4, 4, 64)
        x = tf.nn.relu(self.hidden(tf.reshape(x, (-1, 1024))))  # (batch, 128)
        return self.output(self.dropout(x, training=training))  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> DigitsCNN:
    """The model with the weights of a safetensors file, keyed by the variables' paths."""
    model = DigitsCNN()
    arrays = load_file(weights)
    if len(arrays) != len(model.variables):
        raise ValueError(f"{weights} has {len(arrays)} arrays for {len(model.variables)} variables")
    for path, array in arrays.items():
        variable = model
        for name in path.split("."):
            variable = variable[int(name)] if name.isdigit() else getattr(variable, name)
        variable.assign(array)
    return model

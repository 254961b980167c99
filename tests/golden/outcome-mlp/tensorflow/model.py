"""outcome-mlp in TensorFlow."""

import math
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from safetensors.numpy import load_file


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


class LayerNorm(tf.Module):
    """Normalises the last axis of every position by itself."""

    def __init__(self, features: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.scale = tf.Variable(tf.ones(features))
        self.offset = tf.Variable(tf.zeros(features))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x = x - tf.reduce_mean(x, -1, keepdims=True)  # not -=, which a variable would refuse
        variance = tf.reduce_mean(tf.square(x), -1, keepdims=True)
        return x * tf.math.rsqrt(variance + self.epsilon) * self.scale + self.offset


class Dropout(tf.Module):
    """In training, zeroes a share `rate` of the elements and divides the others by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.dropout(x, self.rate) if training else x


class OutcomeMLP(tf.Module):
    """outcome-mlp: measurements (batch, 21) → (batch, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden1 = Dense(21, 64)
        self.norm = LayerNorm(64)
        self.dropout = Dropout(0.3)
        self.hidden2 = Dense(64, 64)
        self.output = Dense(64, 1)

    def __call__(self, measurements: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.nn.relu(self.norm(self.hidden1(measurements)))  # (batch, 64)
        x = tf.nn.relu(self.hidden2(self.dropout(x, training=training)))  # (batch, 64)
        return self.output(x)  # (batch, 1)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> OutcomeMLP:
    """The model with the weights of a safetensors file, keyed by the variables' paths."""
    model = OutcomeMLP()
    arrays = load_file(weights)
    if len(arrays) != len(model.variables):
        raise ValueError(f"{weights} has {len(arrays)} arrays for {len(model.variables)} variables")
    for path, array in arrays.items():
        variable = model
        for name in path.split("."):
            variable = variable[int(name)] if name.isdigit() else getattr(variable, name)
        variable.assign(array)
    return model

"""tiny in TensorFlow."""

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


class Tiny(tf.Module):
    """tiny: x (batch, 4) → (batch, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_0 = Dense(4, 16)
        self.layer_2 = Dense(16, 3)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = tf.nn.relu(self.layer_0(x))  # (batch, 16)
        return self.layer_2(x)  # (batch, 3)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> Tiny:
    """The model with the weights of a safetensors file, keyed by the variables' paths."""
    model = Tiny()
    arrays = load_file(weights)
    if len(arrays) != len(model.variables):
        raise ValueError(f"{weights} has {len(arrays)} arrays for {len(model.variables)} variables")
    for path, array in arrays.items():
        variable = model
        for name in path.split("."):
            variable = variable[int(name)] if name.isdigit() else getattr(variable, name)
        variable.assign(array)
    return model

"""mnist-cnn in TensorFlow."""

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


class BatchNorm(tf.Module):
    """Normalises the last axis over all others; its running variance averages the biased one."""

    def __init__(self, channels: int, momentum: float = 0.9, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.momentum, self.epsilon = momentum, epsilon
        self.scale = tf.Variable(tf.ones(channels))
        self.offset = tf.Variable(tf.zeros(channels))
        self.moving_mean = tf.Variable(tf.zeros(channels), trainable=False)
        self.moving_variance = tf.Variable(tf.ones(channels), trainable=False)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        fused = x.dtype == tf.float32 and len(x.shape) == 4  # all that TensorFlow's kernel knows
        y, mean, variance = self.run_kernel(x, training) if fused else self.run_steps(x, training)
        if training:
            rate = 1 - self.momentum
            self.moving_mean.assign_sub(rate * (self.moving_mean - mean))
            self.moving_variance.assign_sub(rate * (self.moving_variance - variance))
        return y

    def run_kernel(self, x: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.scale,
            offset=self.offset,
            mean=[] if training else self.moving_mean,
            variance=[] if training else self.moving_variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:  # the kernel returns the unbiased variance
            variance *= 1 - x.shape[-1] / tf.cast(tf.size(x), x.dtype)
        return y, mean, variance

    def run_steps(self, x: tf.Tensor, training: bool) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            mean, variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
        y = tf.nn.batch_normalization(x, mean, variance, self.offset, self.scale, self.epsilon)
        return y, mean, variance


class Dropout(tf.Module):
    """In training, zeroes a share `rate` of the elements and divides the others by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.dropout(x, self.rate) if training else x


class ResidualBlock(tf.Module):
    """x (batch, …, …, channels) → (batch, …, …, channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv2D(channels, channels, 3, padding="SAME", use_bias=False)
        self.norm1 = BatchNorm(channels)
        self.conv2 = Conv2D(channels, channels, 3, padding="SAME", use_bias=False)
        self.norm2 = BatchNorm(channels)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        y = tf.nn.relu(self.norm1(self.conv1(x), training=training))  # (batch, …, …, channels)
        y = self.norm2(self.conv2(y), training=training) + x  # (batch, …, …, channels)
        return tf.nn.relu(y)  # (batch, …, …, channels)


class DownBlock(tf.Module):
    """x (batch, 28, 28, 32) → (batch, 14, 14, 64)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv2D(32, 64, 3, strides=2, padding=1, use_bias=False)
        self.norm1 = BatchNorm(64)
        self.conv2 = Conv2D(64, 64, 3, padding="SAME", use_bias=False)
        self.norm2 = BatchNorm(64)
        self.shortcut = Conv2D(32, 64, 1, strides=2, use_bias=False)
        self.shortcut_norm = BatchNorm(64)

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        y = tf.nn.relu(self.norm1(self.conv1(x), training=training))  # (batch, 14, 14, 64)
        y = self.norm2(self.conv2(y), training=training)  # (batch, 14, 14, 64)
        y = y + self.shortcut_norm(self.shortcut(x), training=training)  # (batch, 14, 14, 64)
        return tf.nn.relu(y)  # (batch, 14, 14, 64)


class MnistCNN(tf.Module):
    """mnist-cnn: images (batch, 28, 28) → (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv2D(1, 32, 3, padding="SAME", use_bias=False)
        self.norm = BatchNorm(32)
        self.blocks = [ResidualBlock(32), ResidualBlock(32), DownBlock(), ResidualBlock(64)]
        self.dropout = Dropout(0.2)
        self.output = Dense(64, 10)

    def __call__(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        x = self.norm(self.stem(tf.expand_dims(images, -1)), training=training)  # (batch, 28, 28, 32)
        x = tf.nn.relu(x)  # (batch, 28, 28, 32)
        for block in self.blocks:
            x = block(x, training=training)  # (batch, 14, 14, 64)
        x = self.dropout(tf.reduce_mean(x, axis=(1, 2)), training=training)  # (batch, 64)
        return self.output(x)  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> MnistCNN:
    """The model with the weights of a safetensors file, keyed by the variables' paths."""
    model = MnistCNN()
    arrays = load_file(weights)
    if len(arrays) != len(model.variables):
        raise ValueError(f"{weights} has {len(arrays)} arrays for {len(model.variables)} variables")
    for path, array in arrays.items():
        variable = model
        for name in path.split("."):
            variable = variable[int(name)] if name.isdigit() else getattr(variable, name)
        variable.assign(array)
    return model

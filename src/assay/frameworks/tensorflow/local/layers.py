"""Layers of written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import math
from collections.abc import Callable

import tensorflow as tf


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


class PartialBatchNorm(BatchNorm):
    """A BatchNorm that has no scale of its own (it stays one), or no offset (zero)."""

    def __init__(
        self, channels: int, momentum: float = 0.9, epsilon: float = 1e-5, scale: bool = True, offset: bool = True
    ) -> None:
        super().__init__(channels, momentum, epsilon)
        if not scale:
            self.scale = tf.Variable(tf.ones(channels), trainable=False)
        if not offset:
            self.offset = tf.Variable(tf.zeros(channels), trainable=False)


class UnbiasedBatchNorm(BatchNorm):
    """Its running variance averages the unbiased variance of each batch, as PyTorch's does."""

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        kept = self.momentum * self.moving_variance
        y = super().__call__(x, training)
        if training:  # count / (count - 1) times the biased one
            count = tf.cast(tf.size(x), x.dtype) / x.shape[-1]
            self.moving_variance.assign_add((self.moving_variance - kept) / (count - 1))
        return y


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


class GroupNorm(tf.Module):
    """Normalises each group of channels, over all places, of each example by itself."""

    def __init__(self, groups: int, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.groups, self.epsilon = groups, epsilon
        self.scale = tf.Variable(tf.ones(channels))
        self.offset = tf.Variable(tf.zeros(channels))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        *places, channels = x.shape[1:]
        grouped = tf.reshape(x, (-1, *places, self.groups, channels // self.groups))
        axes = [*range(1, len(places) + 1), len(places) + 2]
        mean, variance = tf.nn.moments(grouped, axes, keepdims=True)
        y = (grouped - mean) * tf.math.rsqrt(variance + self.epsilon)
        return tf.reshape(y, (-1, *places, channels)) * self.scale + self.offset


class RMSNorm(tf.Module):
    """Divides the last axis of every position by the root of its mean square."""

    def __init__(self, features: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.scale = tf.Variable(tf.ones(features))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        mean_square = tf.reduce_mean(tf.square(x), -1, keepdims=True)
        return x * tf.math.rsqrt(mean_square + self.epsilon) * self.scale


class Dropout(tf.Module):
    """In training, zeroes a share `rate` of the elements and divides the others by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return tf.nn.dropout(x, self.rate) if training else x


class StochasticDepth(tf.Module):
    """In training, zeroes a share `rate` of the examples and divides the others by 1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return x
        return tf.nn.dropout(x, self.rate, noise_shape=[tf.shape(x)[0], *[1] * (len(x.shape) - 1)])


class Embedding(tf.Module):
    """Tokens (…) → their vectors (…, features)."""

    def __init__(self, tokens: int, features: int) -> None:
        super().__init__()
        self.table = tf.Variable(tf.random.normal((tokens, features), stddev=0.02))

    def __call__(self, tokens: tf.Tensor) -> tf.Tensor:
        return tf.gather(self.table, tokens)


class PReLU(tf.Module):
    """x where it is positive, slope * x elsewhere, with one slope for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.slope = tf.Variable(tf.fill((channels,), 0.25))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        return tf.where(x >= 0, x, self.slope * x)

"""Normalisation by computed weights; see `assay.frameworks.tensorflow.local`."""

import tensorflow as tf


def normalize_batch(
    x: tf.Tensor,
    scale: tf.Tensor,
    offset: tf.Tensor,
    mean: tf.Tensor,
    variance: tf.Tensor,
    epsilon: float,
    momentum: float,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Batch normalisation in training, channels last: the result, and the running statistics after it."""
    own_mean, own_variance = tf.nn.moments(x, list(range(len(x.shape) - 1)))
    y = tf.nn.batch_normalization(x, own_mean, own_variance, offset, scale, epsilon)
    rate = 1 - momentum
    return y, momentum * mean + rate * own_mean, momentum * variance + rate * own_variance


def normalize_places(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Normalises each channel (the last axis) of each example over all places."""
    mean, variance = tf.nn.moments(x, list(range(1, len(x.shape) - 1)), keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, epsilon)


def normalize_groups(x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor, groups: int, epsilon: float) -> tf.Tensor:
    """Normalises each group of channels of x (batch, channels, …), over all places, of each example by itself."""
    shape = tf.shape(x)
    grouped = tf.reshape(x, (shape[0], groups, -1))
    mean, variance = tf.nn.moments(grouped, [2], keepdims=True)
    y = tf.reshape((grouped - mean) * tf.math.rsqrt(variance + epsilon), shape)
    channels = [-1] + [1] * (len(x.shape) - 2)
    return y * tf.reshape(scale, channels) + tf.reshape(offset, channels)


def normalize_layer(
    x: tf.Tensor, scale: tf.Tensor, offset: tf.Tensor | None = None, axis: int = -1, epsilon: float = 1e-5
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalises over `axis` and all axes after it; gives the mean and the inverse deviation too.

    Narrow floats are normalised in float32.
    """
    axes = list(range(axis % len(x.shape), len(x.shape)))
    wide = tf.cast(x, tf.float32) if x.dtype.size < 4 else x
    mean = tf.reduce_mean(wide, axes, keepdims=True)
    centred = wide - mean
    inverse = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axes, keepdims=True) + epsilon)
    y = tf.cast(centred * inverse, x.dtype) * scale
    return y if offset is None else y + offset, mean, inverse


def normalize_by_rms(x: tf.Tensor, scale: tf.Tensor, axis: int = -1, epsilon: float = 1e-5) -> tf.Tensor:
    """Divides by the root of the mean square over `axis` and all axes after it, in float32 for narrow floats."""
    axes = list(range(axis % len(x.shape), len(x.shape)))
    wide = tf.cast(x, tf.float32) if x.dtype.size < 4 else x
    mean_square = tf.reduce_mean(tf.square(wide), axes, keepdims=True)
    return tf.cast(wide * tf.math.rsqrt(mean_square + epsilon), x.dtype) * scale


def normalize_neighbours(x: tf.Tensor, size: int, alpha: float, beta: float, bias: float) -> tf.Tensor:
    """Local response normalisation: divides by what `size` neighbouring channels (axis 1) hold together."""
    before = (size - 1) // 2
    pairs = [(0, 0), (before, size - 1 - before)] + [(0, 0)] * (len(x.shape) - 2)
    squares = tf.pad(tf.square(x), pairs)
    channels = tf.shape(x)[1]
    total = tf.add_n([squares[:, start : start + channels] for start in range(size)])
    return x / (bias + alpha / size * total) ** beta


def normalize_lp(x: tf.Tensor, axis: int, power: int) -> tf.Tensor:
    """Divides by the norm along an axis; what is 0 throughout stays so."""
    norm = tf.norm(x, power, axis, keepdims=True)
    return tf.where(norm == 0, tf.zeros_like(x), x / tf.where(norm == 0, tf.ones_like(norm), norm))

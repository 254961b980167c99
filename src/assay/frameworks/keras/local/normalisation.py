"""Normalisations with computed scales, and dropout that gives its mask."""

import keras
from keras import layers, ops


class UnbiasedBatchNormalization(layers.BatchNormalization):
    """Its moving variance averages the unbiased variance of each batch, as PyTorch's does."""

    def call(self, inputs, training=None, mask=None):
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        kept = self.momentum * self.moving_variance
        outputs = super().call(inputs, training=training, mask=mask)
        count = ops.cast(ops.size(inputs), self.moving_variance.dtype) / inputs.shape[self.axis]
        # count / (count - 1) times the biased one
        self.moving_variance.assign_add((self.moving_variance - kept) / (count - 1))
        return outputs


def over_channels(values, x, axis):
    """One value per channel, so that it broadcasts with x."""
    rank = len(x.shape)
    return ops.reshape(values, [-1 if place == axis % rank else 1 for place in range(rank)])


def batch_norm(x, scale, bias, mean, variance, epsilon, axis=-1):
    """x normalised by given statistics of its channels."""
    factor = over_channels(scale / ops.sqrt(variance + epsilon), x, axis)
    return ops.cast((x - over_channels(mean, x, axis)) * factor + over_channels(bias, x, axis), x.dtype)


def batch_norm_in_training(x, scale, bias, mean, variance, momentum, epsilon, axis=-1):
    """x normalised by its own statistics, and the running ones moved towards those."""
    axes = [place for place in range(len(x.shape)) if place != axis % len(x.shape)]
    own_mean, own_variance = ops.mean(x, axis=axes), ops.var(x, axis=axes)
    y = batch_norm(x, scale, bias, own_mean, own_variance, epsilon, axis)
    return y, mean * momentum + own_mean * (1 - momentum), variance * momentum + own_variance * (1 - momentum)


def instance_norm(x, scale, bias, epsilon):
    """Each channel of each example normalised by itself; channels are the last axis."""
    axes = list(range(1, len(x.shape) - 1))
    centred = x - ops.mean(x, axis=axes, keepdims=True)
    variance = ops.mean(centred * centred, axis=axes, keepdims=True)
    return centred / ops.sqrt(variance + epsilon) * scale + bias


def local_response_norm(x, size, alpha, beta, bias):
    """x divided by a power of the squares of its neighbours among the channels, the axis after the first."""
    before = (size - 1) // 2
    widths = [(before, size - 1 - before) if axis == 1 else (0, 0) for axis in range(len(x.shape))]
    squares = ops.pad(x * x, widths)
    channels = x.shape[1]
    total = squares[:, :channels]
    for place in range(1, size):
        total = total + squares[:, place : place + channels]
    return x / (bias + alpha / size * total) ** beta


def dropout_with_mask(x, rate, training, seed=None):
    """x with elements dropped where a model says that it trains, and which were kept."""
    if not training or rate == 0:
        return x, ops.ones_like(x, dtype="bool")
    kept = keras.random.uniform(ops.shape(x), seed=seed) >= rate
    return ops.where(kept, x / (1 - rate), ops.zeros_like(x)), kept

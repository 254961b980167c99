"""Local definitions that written Keras code uses where Keras has no layer with the stated meaning."""

import math

import keras
from keras import layers, ops


def max_pool(x, size, strides, padding):
    """The maximum of each window, with explicit padding that never wins."""
    x = ops.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-float("inf"))
    return ops.max_pool(x, size, strides, padding="valid")


def average_pool(x, size, strides, padding, count_padding=False):
    """The mean of each window, with explicit padding that counts or does not."""
    widths = ((0, 0), *padding, (0, 0))
    sums = ops.average_pool(ops.pad(x, widths), size, strides, padding="valid")
    if count_padding:
        return sums
    inside = ops.pad(ops.ones_like(x[:1, ..., :1]), widths)
    return sums / ops.average_pool(inside, size, strides, padding="valid")


def attention(query, key, value, is_causal=False):
    """Scaled dot-product attention. Keras' own rounds to float32 on the way; other types are computed in full here."""
    if keras.backend.standardize_dtype(query.dtype) == "float32":
        return ops.dot_product_attention(query, key, value, is_causal=is_causal)
    scores = ops.einsum("bqhd,bkhd->bhqk", query / math.sqrt(query.shape[-1]), key)
    if is_causal:
        steps = ops.arange(scores.shape[-1])
        scores = ops.where(steps[: scores.shape[-2], None] >= steps, scores, -float("inf"))
    return ops.einsum("bhqk,bkhd->bqhd", ops.softmax(scores), value)


def gelu(x):
    """x times the normal distribution function. Keras' own rounds to float32 on TensorFlow; other types do not here."""
    if keras.backend.standardize_dtype(x.dtype) == "float32":
        return ops.gelu(x, approximate=False)
    return 0.5 * x * (1 + ops.erf(x / math.sqrt(2)))


class ConvTranspose(layers.Layer):
    """A transposed convolution in groups or with dilation, as a convolution of the input spread out with zeros."""

    def __init__(self, filters, kernel_size, strides, padding, dilation_rate, groups, use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.kernel_size, self.strides = filters, kernel_size, strides
        self.padding, self.dilation_rate, self.groups = padding, dilation_rate, groups
        self.use_bias = use_bias

    def get_config(self):
        names = ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}

    def build(self, input_shape):
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.kernel = self.add_weight(shape=shape, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        for axis, stride in enumerate(self.strides, start=1):
            size = x.shape[axis]
            x = ops.expand_dims(x, axis + 1)
            x = ops.pad(x, [(0, stride - 1) if i == axis + 1 else (0, 0) for i in range(len(x.shape))])
            spread = (-1, *x.shape[1:axis], size * stride, *x.shape[axis + 2 :])
            x = ops.take(ops.reshape(x, spread), range(size * stride - stride + 1), axis=axis)
        x = ops.pad(x, ((0, 0), *self.padding, (0, 0)))
        x = ops.conv(x, self.kernel, padding="valid", dilation_rate=self.dilation_rate)
        return x + self.bias if self.use_bias else x

"""Convolutions of written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import tensorflow as tf

from assay.frameworks.tensorflow.local.layers import glorot_uniform


class Conv1D(tf.Module):
    """(batch, length, inputs) → (batch, length', filters)."""

    def __init__(
        self,
        inputs: int,
        filters: int,
        size: int,
        strides: int = 1,
        padding: str | int | tuple[tuple[int, int], ...] = "VALID",
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.strides, self.padding = strides, padding
        self.kernel = tf.Variable(glorot_uniform((size, inputs, filters)))
        self.bias = tf.Variable(tf.zeros(filters)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x, padding = padded(x, self.padding)
        y = tf.nn.conv1d(x, self.kernel, self.strides, padding)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


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


class DepthwiseConv1D(tf.Module):
    """Filters each channel by itself: (batch, length, channels) → (…, multiplied)."""

    def __init__(
        self,
        channels: int,
        size: int,
        multiplier: int = 1,
        strides: int = 1,
        padding: str | int | tuple[tuple[int, int], ...] = "VALID",
        dilations: int = 1,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.strides, self.padding, self.dilations = strides, padding, dilations
        self.kernel = tf.Variable(glorot_uniform((size, channels, multiplier)))
        self.bias = tf.Variable(tf.zeros(channels * multiplier)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x, padding = padded(x, self.padding)
        x = tf.expand_dims(x, 1)  # (batch, 1, length, channels)
        kernel = tf.expand_dims(self.kernel, 0)
        strides, dilations = (1, self.strides, self.strides, 1), (1, self.dilations)
        y = tf.nn.depthwise_conv2d(x, kernel, strides, padding, dilations=dilations)
        y = tf.squeeze(y, 1)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class DepthwiseConv2D(tf.Module):
    """Filters each channel by itself: (batch, height, width, channels) → (…, multiplied)."""

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        multiplier: int = 1,
        strides: int = 1,
        padding: str | int | tuple[tuple[int, int], ...] = "VALID",
        dilations: int | tuple[int, int] = 1,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        self.strides, self.padding = strides, padding
        self.dilations = (dilations, dilations) if isinstance(dilations, int) else dilations
        self.kernel = tf.Variable(glorot_uniform((height, width, channels, multiplier)))
        self.bias = tf.Variable(tf.zeros(channels * multiplier)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x, padding = padded(x, self.padding)
        strides = (1, self.strides, self.strides, 1)
        y = tf.nn.depthwise_conv2d(x, self.kernel, strides, padding, dilations=self.dilations)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class DilatedConv(tf.Module):
    """A convolution over any number of axes that looks at every `dilations`-th place."""

    def __init__(
        self,
        inputs: int,
        filters: int,
        size: tuple[int, ...],
        dilations: tuple[int, ...],
        padding: str | int | tuple[tuple[int, int], ...] = "VALID",
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.padding, self.dilations = padding, dilations
        self.kernel = tf.Variable(glorot_uniform((*size, inputs, filters)))
        self.bias = tf.Variable(tf.zeros(filters)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x, padding = padded(x, self.padding)
        # tf.nn.conv2d(dilations=…) has no gradient in float64 on the CPU; this works in every type.
        y = tf.nn.convolution(x, self.kernel, padding=padding, dilations=self.dilations)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class GroupedConv(tf.Module):
    """A convolution over any number of axes; each group of channels has its own filters."""

    def __init__(
        self,
        inputs: int,
        filters: int,
        size: tuple[int, ...],
        groups: int,
        strides: int | tuple[int, ...] = 1,
        padding: str | int | tuple[tuple[int, int], ...] = "VALID",
        dilations: int | tuple[int, ...] = 1,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.groups, self.padding = groups, padding
        self.strides, self.dilations = strides, dilations
        self.kernel = tf.Variable(glorot_uniform((*size, inputs // groups, filters)))
        self.bias = tf.Variable(tf.zeros(filters)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        x, padding = padded(x, self.padding)
        # One convolution per group: TensorFlow's grouped convolution has no gradient on the CPU.
        parts = tf.split(x, self.groups, -1)
        kernels = tf.split(self.kernel, self.groups, -1)
        results = [
            tf.nn.convolution(part, kernel, self.strides, padding, dilations=self.dilations)
            for part, kernel in zip(parts, kernels, strict=True)
        ]
        y = tf.concat(results, -1)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


def padded(x: tf.Tensor, padding: str | int | tuple[tuple[int, int], ...]) -> tuple[tf.Tensor, str]:
    """Adds the zeros of a padding given in numbers; returns what is left to do to the operation.

    (tf.nn.conv2d takes such a padding too, but its gradient is half as fast then.)
    """
    if isinstance(padding, str):
        return x, padding
    pairs = [(padding, padding)] * (len(x.shape) - 2) if isinstance(padding, int) else padding
    return tf.pad(x, [(0, 0), *pairs, (0, 0)]), "VALID"

"""Transposed convolutions of written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import tensorflow as tf

from assay.frameworks.tensorflow.local.layers import glorot_uniform


class Conv1DTranspose(tf.Module):
    """(batch, length, inputs) → (batch, length', filters): the transpose of a strided convolution.

    `padding` is cut off the full result, before and after; `output_padding` is added after.
    """

    def __init__(
        self,
        inputs: int,
        filters: int,
        size: int,
        strides: int = 1,
        padding: int | tuple[tuple[int, int], ...] = 0,
        output_padding: int = 0,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.strides, self.padding, self.output_padding = strides, padding, output_padding
        self.kernel = tf.Variable(glorot_uniform((size, filters, inputs)))
        self.bias = tf.Variable(tf.zeros(filters)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        size, filters, _ = self.kernel.shape
        length = (x.shape[1] - 1) * self.strides + size + self.output_padding
        shape = (tf.shape(x)[0], length, filters)
        y = tf.nn.conv1d_transpose(x, self.kernel, shape, self.strides, "VALID")
        y = cropped(y, self.padding)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class Conv2DTranspose(tf.Module):
    """(batch, height, width, inputs) → (…, filters): the transpose of a strided convolution.

    `padding` is cut off the full result, before and after; `output_padding` is added after.
    """

    def __init__(
        self,
        inputs: int,
        filters: int,
        size: int | tuple[int, int],
        strides: int | tuple[int, int] = 1,
        padding: int | tuple[tuple[int, int], ...] = 0,
        output_padding: int | tuple[int, int] = 0,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        height, width = (size, size) if isinstance(size, int) else size
        self.strides = (strides, strides) if isinstance(strides, int) else strides
        self.padding = padding
        self.extra = (output_padding,) * 2 if isinstance(output_padding, int) else output_padding
        self.kernel = tf.Variable(glorot_uniform((height, width, filters, inputs)))
        self.bias = tf.Variable(tf.zeros(filters)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        *sizes, filters, _ = self.kernel.shape
        axes = zip(x.shape[1:3], self.strides, sizes, self.extra, strict=True)
        height, width = ((places - 1) * stride + size + more for places, stride, size, more in axes)
        shape = (tf.shape(x)[0], height, width, filters)
        y = tf.nn.conv2d_transpose(x, self.kernel, shape, self.strides, "VALID")
        y = cropped(y, self.padding)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class GroupedConvTranspose(tf.Module):
    """A transposed convolution with groups or dilations: a convolution of x with zeros in between.

    The kernel lies as that convolution needs it: reversed along each axis of `size`.
    """

    def __init__(
        self,
        inputs: int,
        filters: int,
        size: tuple[int, ...],
        groups: int,
        strides: tuple[int, ...],
        padding: int | tuple[tuple[int, int], ...] = 0,
        output_padding: tuple[int, ...] = (0, 0),
        dilations: tuple[int, ...] = (1, 1),
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.groups, self.strides, self.padding = groups, strides, padding
        self.output_padding, self.dilations = output_padding, dilations
        self.kernel = tf.Variable(glorot_uniform((*size, inputs // groups, filters)))
        self.bias = tf.Variable(tf.zeros(filters)) if use_bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        for axis, stride in enumerate(self.strides, start=1):
            x = spread(x, axis, stride)
        sizes = self.kernel.shape[:-2]
        reach = [rate * (size - 1) for rate, size in zip(self.dilations, sizes, strict=True)]
        zeros = [(r, r + extra) for r, extra in zip(reach, self.output_padding, strict=True)]
        parts = tf.split(tf.pad(x, [(0, 0), *zeros, (0, 0)]), self.groups, -1)
        kernels = tf.split(self.kernel, self.groups, -1)
        results = [
            tf.nn.convolution(part, kernel, padding="VALID", dilations=self.dilations)
            for part, kernel in zip(parts, kernels, strict=True)
        ]
        y = cropped(tf.concat(results, -1), self.padding)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


def spread(x: tf.Tensor, axis: int, stride: int) -> tf.Tensor:
    """Puts stride - 1 zeros between neighbours along an axis."""
    places = x.shape[axis]
    pairs = [(0, 0)] * (axis + 1) + [(0, stride - 1)] + [(0, 0)] * (len(x.shape) - axis - 1)
    x = tf.pad(tf.expand_dims(x, axis + 1), pairs)
    x = tf.reshape(x, (-1, *x.shape[1:axis], places * stride, *x.shape[axis + 2 :]))
    return x[(slice(None),) * axis + (slice((places - 1) * stride + 1),)]


def cropped(x: tf.Tensor, padding: int | tuple[tuple[int, int], ...]) -> tf.Tensor:
    """Cuts off as many places before and after each axis between batch and channels."""
    pairs = [(padding, padding)] * (len(x.shape) - 2) if isinstance(padding, int) else padding
    axes = zip(x.shape[1:-1], pairs, strict=True)
    return x[(slice(None), *[slice(before, size - after) for size, (before, after) in axes])]

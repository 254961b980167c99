"""Elementwise functions and products of written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import tensorflow as tf


def hardmax(x: tf.Tensor, axis: int = -1) -> tf.Tensor:
    """1 at the first largest element along an axis, 0 elsewhere."""
    return tf.one_hot(tf.argmax(x, axis), tf.shape(x)[axis], axis=axis % len(x.shape), dtype=x.dtype)


def multiply_matrices(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """A product of matrices as NumPy defines it: a vector is a row on the left, a column on the right."""
    y = tf.matmul(a[tf.newaxis] if len(a.shape) == 1 else a, b[:, tf.newaxis] if len(b.shape) == 1 else b)
    if len(b.shape) == 1:
        y = tf.squeeze(y, -1)
    return tf.squeeze(y, -1 if len(b.shape) == 1 else -2) if len(a.shape) == 1 else y


def shift_left(x: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Shifts bits; by as many as there are, or more, (or by a negative number) nothing is left."""
    count = tf.broadcast_to(count, tf.broadcast_dynamic_shape(tf.shape(x), tf.shape(count)))
    outside = (count < 0) | (count >= 8 * x.dtype.size)
    return tf.where(
        outside, tf.zeros_like(count), tf.bitwise.left_shift(x, tf.where(outside, tf.zeros_like(count), count))
    )


def shift_right(x: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Shifts bits; by as many as there are, or more, (or by a negative number) the sign is left."""
    last = tf.constant(8 * x.dtype.size - 1, x.dtype)
    outside = (count < 0) | (count > last)
    shifted = tf.bitwise.right_shift(x, tf.where(outside, last, count))
    return tf.where(outside, tf.zeros_like(shifted), shifted) if x.dtype.is_unsigned else shifted

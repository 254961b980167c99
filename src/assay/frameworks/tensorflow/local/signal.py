"""Fourier transforms in written TensorFlow code; see `assay.frameworks.tensorflow.local`."""

import numpy as np
import tensorflow as tf


def fourier(
    x: tf.Tensor, axis: int, length: int | tf.Tensor | None = None, inverse: bool = False, onesided: bool = False
) -> tf.Tensor:
    """The discrete Fourier transform of (…, 1) or (…, 2: real and imaginary part) along an axis, in the same form.

    `onesided` leaves out what is known by symmetry; its inverse gives real numbers.
    """
    axis %= len(x.shape)
    wide = x if inverse else tf.cast(x, tf.float64)  # what cancels out in a long sum is far below its terms
    signal = tf.complex(wide[..., 0], wide[..., 1] if x.shape[-1] == 2 else tf.zeros_like(wide[..., 0]))
    signal = tf.experimental.numpy.moveaxis(signal, axis, -1)
    present = tf.shape(signal)[-1]
    if length is None:
        length = 2 * (present - 1) if inverse and onesided else present
    length = tf.cast(tf.reshape(length, []), tf.int32)
    if inverse and onesided:
        y = tf.signal.irfft(signal, [length])
        return tf.cast(tf.experimental.numpy.moveaxis(y, -1, axis)[..., tf.newaxis], x.dtype)
    signal = signal[..., :length]
    more = length - tf.shape(signal)[-1]
    signal = tf.pad(signal, [(0, 0)] * (len(signal.shape) - 1) + [(0, more)])
    y = tf.signal.ifft(signal) if inverse else tf.signal.fft(signal)
    if onesided:
        y = y[..., : length // 2 + 1]
    y = tf.experimental.numpy.moveaxis(y, -1, axis)
    return tf.cast(tf.stack([tf.math.real(y), tf.math.imag(y)], -1), x.dtype)


def fourier_of_frames(
    x: tf.Tensor,
    step: int | tf.Tensor,
    window: tf.Tensor | None = None,
    length: int | tf.Tensor | None = None,
    onesided: bool = True,
) -> tf.Tensor:
    """The Fourier transform of frames of x (batch, time, 1 or 2): (batch, frames, frequencies, 2)."""
    length = tf.shape(window)[0] if length is None else tf.cast(tf.reshape(length, []), tf.int32)
    step = tf.cast(tf.reshape(step, []), tf.int32)
    frames = tf.signal.frame(x, length, step, axis=1)
    if window is not None:
        frames *= window[:, tf.newaxis]
    return fourier(frames, 2, onesided=onesided)


def mel_weights(
    bins: tf.Tensor, length: tf.Tensor, rate: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor, dtype: tf.DType
) -> tf.Tensor:
    """(frequencies, bins): how much each frequency of a spectrum belongs to each of the mel scale's bins."""
    bins, length, rate = (int(np.asarray(value)) for value in (bins, length, rate))
    low, high = (2595 * np.log10(1 + float(np.asarray(edge)) / 700) for edge in (lowest, highest))
    edges = low + np.arange(bins + 2) * (high - low) / (bins + 2)
    edges = ((length + 1) * 700 * (10 ** (edges / 2595) - 1) // rate).astype(int)
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    places = np.arange(length // 2 + 1)[:, np.newaxis]
    rising = np.where(left == center, places == center, (places - left) / np.maximum(center - left, 1))
    falling = (right - places) / np.maximum(right - center, 1)
    weights = np.where(places <= center, rising, falling)
    return tf.constant(np.maximum(weights, 0), dtype)

"""Fourier transforms. They are computed in float64 where the backend has it."""

import numpy as np
from keras import ops


def dft(x, length=None, axis=1, inverse=False, onesided=False):
    """The discrete Fourier transform along an axis; the last axis holds the real and the imaginary part."""
    kind = x.dtype
    rank = len(x.shape)
    axis = axis % rank
    x = ops.cast(x, "float64")
    real = x[..., 0]
    imaginary = x[..., 1] if x.shape[-1] == 2 else ops.zeros_like(real)
    both = ops.moveaxis(ops.stack([real, imaginary]), axis + 1, -1)
    size = both.shape[-1]
    if length is not None and length != size:
        both = both[..., :length]
        both = ops.pad(both, [(0, 0)] * (len(both.shape) - 1) + [(0, max(0, length - size))])
    count = both.shape[-1]
    if inverse and onesided:  # the other half is the mirror image
        total = 2 * (size - 1) if length is None else length
        return ops.cast(inverse_half(both, total, axis), kind)
    real, imaginary = ops.fft((both[0], -both[1] if inverse else both[1]))
    if inverse:
        real, imaginary = real / count, -imaginary / count
    if onesided:
        real, imaginary = real[..., : count // 2 + 1], imaginary[..., : count // 2 + 1]
    joined = ops.stack([ops.moveaxis(real, -1, axis), ops.moveaxis(imaginary, -1, axis)], axis=-1)
    return ops.cast(joined, kind)


def inverse_half(both, total, axis):
    """The real signal whose transform's first half is given."""
    kept = total // 2 + 1
    half = both[..., :kept]
    half = ops.pad(half, [(0, 0)] * (len(half.shape) - 1) + [(0, kept - half.shape[-1])])
    mirrored = ops.flip(half[..., 1 : total - kept + 1], axis=-1)
    real = ops.concatenate([half[0], mirrored[0]], axis=-1)
    imaginary = ops.concatenate([half[1], -mirrored[1]], axis=-1)
    found, _ = ops.fft((real, -imaginary))
    return ops.moveaxis(found / total, -1, axis)[..., None]


def stft(signal, step, window=None, length=None, onesided=True):
    """Transforms of overlapping frames of a signal (batch, time, parts)."""
    length = int(length) if length is not None else window.shape[0]
    count = (signal.shape[1] - length) // int(step) + 1
    places = np.arange(count)[:, None] * int(step) + np.arange(length)
    frames = ops.take(signal, places, axis=1)
    if window is not None:
        frames = frames * ops.reshape(window, (-1, 1))
    return dft(frames, axis=2, onesided=onesided)


def mel_weights(bins, length, rate, low, high, dtype):
    """The matrix that turns a spectrum into one of mel bands."""
    spectrum = length // 2 + 1
    ends = [2595 * np.log10(1 + frequency / 700) for frequency in (low, high)]
    edges = np.arange(bins + 2) * (ends[1] - ends[0]) / (bins + 2) + ends[0]
    edges = np.floor((length + 1) * (700 * (10 ** (edges / 2595) - 1)) / rate).astype(int)
    weights = np.zeros((spectrum, bins))
    for band in range(bins):
        left, centre, right = edges[band : band + 3]
        if centre == left:
            weights[centre, band] = 1
        else:
            for place in range(left, centre + 1):
                weights[place, band] = (place - left) / (centre - left)
        for place in range(centre, right):
            weights[place, band] = (right - place) / (right - centre)
    return ops.convert_to_tensor(weights, dtype=dtype)

"""Fourier transforms. Complex numbers are pairs along the last axis, as in ONNX."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def fourier_transform(
    x: jax.Array, length: int | None = None, axis: int = -2, inverse: bool = False, one_sided: bool = False
) -> jax.Array:
    """The discrete Fourier transform along an axis of numbers, real ([..., 1]) or complex ([..., 2])."""
    axis = axis % x.ndim
    values = x[..., 0] if x.shape[-1] == 1 else lax.complex(x[..., 0], x[..., 1])
    if inverse and one_sided:
        return jnp.fft.irfft(values, length, axis)[..., None].astype(x.dtype)
    if inverse:
        y = jnp.fft.ifft(values, length, axis)
    elif x.shape[-1] == 2:
        y = jnp.fft.fft(values, length, axis)
        y = lax.slice_in_dim(y, 0, y.shape[axis] // 2 + 1, axis=axis) if one_sided else y
    else:  # the second half of a real signal's transform mirrors the first
        y = jnp.fft.rfft(values, length, axis)
        if not one_sided:
            rest = lax.slice_in_dim(y, 1, ((length or x.shape[axis]) + 1) // 2, axis=axis)
            y = jnp.concatenate([y, jnp.conj(jnp.flip(rest, axis))], axis)
    return jnp.stack([y.real, y.imag], axis=-1).astype(x.dtype)


def short_time_fourier_transform(
    x: jax.Array, step: int, window: jax.Array | None = None, length: int | None = None, one_sided: bool = True
) -> jax.Array:
    """(batch, time, 1 or 2) → (batch, frames, frequencies, 2): the transform of each frame under a window."""
    length = length or (x.shape[1] if window is None else window.shape[0])
    frames = 1 + (x.shape[1] - length) // step
    places = np.arange(frames)[:, None] * step + np.arange(length)
    cut = x[:, places] if window is None else x[:, places] * window[:, None]
    return fourier_transform(cut, axis=2, one_sided=one_sided)


def mel_weights(
    bins: int, length: int, rate: int, lowest: float, highest: float, dtype: type = jnp.float32
) -> jax.Array:
    """A matrix from frequencies (length // 2 + 1 of them) to bins of the mel scale: overlapping triangles."""
    low, high = (2595 * np.log10(1 + frequency / 700) for frequency in (lowest, highest))
    points = np.arange(bins + 2) * ((high - low) / (bins + 2)) + low
    edges = ((length + 1) * (700 * (10 ** (points / 2595) - 1)) // rate).astype(int)
    weights = np.zeros((length // 2 + 1, bins))
    for place, (left, middle, right) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        rising = np.arange(left, middle + 1)
        weights[rising, place] = 1 if left == middle else (rising - left) / (middle - left)
        falling = np.arange(middle, right)
        weights[falling, place] = (right - falling) / max(right - middle, 1)
    return jnp.asarray(weights, dtype)

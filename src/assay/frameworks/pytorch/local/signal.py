"""Fourier transforms of arrays whose last axis holds the real and the imaginary part."""

import math

import torch
from torch import Tensor


def fourier_transform(
    x: Tensor, length: int | None = None, axis: int = -2, inverse: bool = False, onesided: bool = False
) -> Tensor:
    """The discrete Fourier transform along an axis; x has a last axis of (real,) or (real, imaginary)."""
    axis = axis % x.ndim
    real = x.shape[-1] == 1
    values = x.squeeze(-1) if real else torch.view_as_complex(x.contiguous())
    if inverse and onesided:  # half of a spectrum gives a real signal
        return torch.fft.irfft(values, length, axis).unsqueeze(-1)
    if inverse:
        return torch.view_as_real(torch.fft.ifft(values, length, axis))
    if onesided and real:
        return torch.view_as_real(torch.fft.rfft(values, length, axis))
    spectrum = torch.fft.fft(values, length, axis)
    if onesided:
        spectrum = spectrum.narrow(axis, 0, spectrum.shape[axis] // 2 + 1)
    return torch.view_as_real(spectrum)


def fourier_transform_of_frames(
    signal: Tensor, step: int, window: Tensor | None = None, length: int | None = None, onesided: bool = True
) -> Tensor:
    """Spectra of frames of a signal (batch, length, 1 or 2), each multiplied by a window."""
    if length is None:
        length = step if window is None else len(window)
    frames = signal.unfold(1, length, step).transpose(-1, -2)  # (batch, frame, place, 1 or 2)
    if window is not None:
        frames = frames * window.unsqueeze(-1)
    return fourier_transform(frames, onesided=onesided)


def mel_weights(bands: int, length: int, rate: int, low: float, high: float) -> Tensor:
    """Triangles that sum a spectrum into bands of equal width on the mel scale."""

    def mel(frequency: float) -> float:
        return 2595 * math.log10(1 + frequency / 700)

    edges = mel(low) + torch.arange(bands + 2) * ((mel(high) - mel(low)) / (bands + 2))
    bins = ((length + 1) * (700 * (10 ** (edges.double() / 2595) - 1)) / rate).floor()
    below, centre, above = bins[:-2], bins[1:-1], bins[2:]
    places = torch.arange(length // 2 + 1, dtype=torch.float64).unsqueeze(1)
    rising = torch.where(centre > below, (places - below) / (centre - below).clamp(min=1), (places == centre).double())
    falling = (above - places) / (above - centre).clamp(min=1)
    inside_left, inside_right = (places >= below) & (places <= centre), (places > centre) & (places < above)
    return torch.where(inside_left, rising, 0.0) + torch.where(inside_right, falling, 0.0)

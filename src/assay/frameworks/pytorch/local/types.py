"""Conversions between types, quantisation."""

import numpy as np
import torch
from torch import Tensor

FLOAT4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)  # the magnitudes of a four-bit float, by its lower three bits


def from_float4(bits: Tensor, dtype: torch.dtype) -> Tensor:
    """Four-bit floats, given by their bits: a sign and three bits of magnitude."""
    magnitude = torch.tensor(FLOAT4, dtype=dtype, device=bits.device)[(bits & 7).long()]
    return torch.where(bits > 7, -magnitude, magnitude)


def to_float4(x: Tensor) -> Tensor:
    """The bits of the nearest four-bit floats, ties to even; what is too large becomes the largest, NaN becomes 0."""
    x = x.float()
    middles = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0], device=x.device)
    magnitude = x.abs().nan_to_num(0.0, 6.0)
    below = torch.bucketize(magnitude, middles)  # a middle itself counts as below
    above = torch.bucketize(magnitude, middles, right=True)
    nearest = torch.where(below % 2 == 0, below, above)
    return (nearest + 8 * (x.signbit() & ~x.isnan())).to(torch.uint8)


def wrap_to(x: Tensor, bits: int, signed: bool) -> Tensor:
    """Integers of few bits, in a wider type: what does not fit wraps around, as in wider integers."""
    count = 1 << bits
    whole = x.to(torch.int64) % count
    if signed:
        return torch.where(whole >= count // 2, whole - count, whole).to(torch.int8)
    return whole.to(torch.uint8)


def to_power_of_two(x: Tensor, rounding: str = "up", saturate: bool = True) -> Tensor:
    """float8_e8m0fnu holds powers of two only; `rounding` is "up", "down" or "nearest" (a tie goes up)."""
    mantissa, exponent = torch.frexp(x.double())  # x = mantissa · 2^exponent, 0.5 ≤ mantissa < 1
    up = {"up": mantissa > 0.5, "down": torch.zeros_like(mantissa, dtype=torch.bool), "nearest": mantissa >= 0.75}
    bits = exponent - 1 + up[rounding].int() + 127
    bits = torch.where(x == 0, 0, bits)
    bits = bits.clamp(0, 254) if saturate else torch.where((bits < 0) | (bits > 254), 255, bits)
    bits = torch.where(torch.isfinite(x) & (x >= 0), bits, 255)  # NaN
    return bits.to(torch.uint8).view(torch.float8_e8m0fnu)


def to_text(x: Tensor) -> np.ndarray:
    """Numbers as strings, as NumPy writes them."""
    return x.numpy(force=True).astype(np.str_).astype(object)


def from_text(x: np.ndarray, dtype: torch.dtype) -> Tensor:
    """Numbers from strings."""
    values = np.array([float(text) for text in x.reshape(-1)], dtype=np.float64)
    if not dtype.is_floating_point:
        values = np.array([int(float(text)) for text in x.reshape(-1)], dtype=np.int64)
    return torch.from_numpy(values.reshape(x.shape)).to(dtype)


def meet_data(scale: Tensor, x: Tensor, axis: int, block: int = 0) -> Tensor:
    """A scale (or zero point) as it meets the data: one number, one per place of an axis, or one per block along it."""
    if block:
        return scale.repeat_interleave(block, axis).narrow(axis, 0, x.shape[axis])
    if scale.ndim == 1 and scale.numel() > 1:
        shape = [1] * x.ndim
        shape[axis] = -1
        return scale.reshape(shape)
    return scale


def quantize(
    x: Tensor, scale: Tensor, zero_point: Tensor | int = 0, low: float = 0, high: float = 255, dtype=torch.uint8
) -> Tensor:
    """x / scale + zero_point, rounded to even and saturated."""
    scaled = torch.round(x / scale) + (zero_point.to(x.dtype) if isinstance(zero_point, Tensor) else zero_point)
    return scaled.clamp(low, high).to(dtype)


def overflow_to_nan(x: Tensor) -> Tensor:
    """To float8_e4m3fn, NaN where x is too large; torch's own conversion gives the largest number there."""
    return torch.where(x.abs() > 464, torch.nan, x).to(torch.float8_e4m3fn)


def saturate_to(x: Tensor, largest: float, dtype: torch.dtype) -> Tensor:
    """What is too large becomes the largest number of the type; NaN stays."""
    return x.clamp(-largest, largest).to(dtype)


def dequantize_rows(x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """The numbers that quantised rows stand for; scale and zero point are one, or one per row."""
    if scale.ndim == 1 and scale.numel() > 1:
        scale, zero_point = scale.unsqueeze(-1), zero_point.unsqueeze(-1)
    return (x.double() - zero_point.double()) * scale.double()


def dequantize_columns(x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """The numbers that quantised columns stand for; scale and zero point are one, or one per column."""
    return (x.double() - zero_point.double()) * scale.double()


def quantize_dynamically(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x in 8 bits, with the scale and zero point that its range (0 included) asks for."""
    low, high = x.amin().clamp(max=0), x.amax().clamp(min=0)
    scale = (high - low) / 255
    zero_point = torch.round(-low / scale).clamp(0, 255)
    return (torch.round(x / scale) + zero_point).clamp(0, 255).to(torch.uint8), scale, zero_point.to(torch.uint8)

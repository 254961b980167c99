"""Elementwise functions that torch lacks."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor


def with_numpy(function: Callable, *values: Tensor | int | None) -> Tensor:
    """Integers that torch stores and does not compute with, such as uint32; they have no gradient."""
    arrays = [value.numpy(force=True) if isinstance(value, Tensor) else value for value in values]
    return torch.from_numpy(np.array(function(*arrays)))


def soft_shrink(x: Tensor, limit: float, bias: float) -> Tensor:
    """Values within the limit become 0, others move towards 0 by the bias."""
    moved = torch.where(x > 0, x - bias, x + bias)
    return torch.where(x.abs() > limit, moved, torch.zeros_like(moved)).to(x.dtype)


def one_at_maximum(x: Tensor, dim: int) -> Tensor:
    """1 at the first maximum along an axis, 0 elsewhere."""
    return torch.zeros_like(x).scatter(dim, x.argmax(dim, keepdim=True), 1)

"""Reductions that torch has along one axis only, or not for arrays without elements."""

from collections.abc import Sequence

import torch
from torch import Tensor


def product_along(x: Tensor, axes: int | Sequence[int], keepdim: bool = False) -> Tensor:
    """The product along several axes; torch's own takes one."""
    places = [axes] if isinstance(axes, int) else list(axes) or list(range(x.ndim))
    for axis in sorted((axis % x.ndim for axis in places), reverse=True):
        x = x.prod(axis, keepdim=keepdim, dtype=x.dtype)
    return x


def amax_or_bound(x: Tensor, axes: int | Sequence[int] | None, keepdim: bool = False) -> Tensor:
    """The maximum; of nothing it is the lowest value of the type."""
    lowest = False if x.dtype == torch.bool else -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    return fill_if_empty(x, axes, keepdim, lowest) if x.numel() == 0 else x.amax(axes or (), keepdim)


def amin_or_bound(x: Tensor, axes: int | Sequence[int] | None, keepdim: bool = False) -> Tensor:
    """The minimum; of nothing it is the highest value of the type."""
    highest = True if x.dtype == torch.bool else torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).max
    return fill_if_empty(x, axes, keepdim, highest) if x.numel() == 0 else x.amin(axes or (), keepdim)


def fill_if_empty(x: Tensor, axes: int | Sequence[int] | None, keepdim: bool, value: float) -> Tensor:
    """The result of a reduction of nothing: one value everywhere."""
    places = range(x.ndim) if axes is None else [axes] if isinstance(axes, int) else axes
    reduced = {axis % x.ndim for axis in places}
    sizes = [1 if axis in reduced else size for axis, size in enumerate(x.shape) if keepdim or axis not in reduced]
    return torch.full(sizes, value, dtype=x.dtype, device=x.device)

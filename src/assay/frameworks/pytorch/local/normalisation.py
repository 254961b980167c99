"""Normalisation with more results, or other windows, than torch's own has."""

import torch
import torch.nn.functional as F
from torch import Tensor


def batch_norm_by_batch(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, momentum: float, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation in training, and the new running mean and (biased) variance."""
    axes = [0, *range(2, x.ndim)]
    found, spread = x.mean(axes), x.var(axes, correction=0)
    y = F.batch_norm(x, None, None, weight, bias, training=True, eps=eps)
    keep = 1 - momentum
    return y, mean * momentum + found.to(mean.dtype) * keep, variance * momentum + spread.to(variance.dtype) * keep


def layer_norm_with_statistics(
    x: Tensor, axis: int, eps: float, weight: Tensor, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Layer normalisation over the axes from `axis` on, the mean, and 1 / the standard deviation."""
    axes = tuple(range(axis % x.ndim, x.ndim))
    values = x if x.dtype == torch.float64 else x.float()
    mean = values.mean(axes, keepdim=True)
    inverse = (values.var(axes, correction=0, keepdim=True) + eps).rsqrt()
    y = ((values - mean) * inverse).to(x.dtype) * weight
    return y if bias is None else y + bias, mean, inverse


def normalise_over_channels(x: Tensor, size: int, alpha: float, beta: float, bias: float) -> Tensor:
    """Local response normalisation over an even number of channels, of which more lie after than before."""
    squares = F.pad(x.square().movedim(1, -1), ((size - 1) // 2, size // 2)).unfold(-1, size, 1).sum(-1).movedim(-1, 1)
    return x / (bias + alpha / size * squares) ** beta

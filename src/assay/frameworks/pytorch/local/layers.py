"""Layers that torch has with another meaning."""

import torch.nn.functional as F
from torch import Tensor, nn


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation whose running variance averages the biased batch variance (torch's own: the unbiased one)."""

    def forward(self, x: Tensor) -> Tensor:
        return train_batch_norm(self, x) if self.training else super().forward(x)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose running variance averages the biased batch variance (torch's own: the unbiased one)."""

    def forward(self, x: Tensor) -> Tensor:
        return train_batch_norm(self, x) if self.training else super().forward(x)


class BatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation whose running variance averages the biased batch variance (torch's own: the unbiased one)."""

    def forward(self, x: Tensor) -> Tensor:
        return train_batch_norm(self, x) if self.training else super().forward(x)


class PartialBatchNorm1d(BatchNorm1d):
    """A BatchNorm1d that has no scale of its own (it stays one), or no offset (zero)."""

    def __init__(self, channels: int, scale: bool = True, offset: bool = True, **options: float) -> None:
        super().__init__(channels, **options)
        self.weight.requires_grad_(scale)
        self.bias.requires_grad_(offset)


class PartialBatchNorm2d(BatchNorm2d):
    """A BatchNorm2d that has no scale of its own (it stays one), or no offset (zero)."""

    def __init__(self, channels: int, scale: bool = True, offset: bool = True, **options: float) -> None:
        super().__init__(channels, **options)
        self.weight.requires_grad_(scale)
        self.bias.requires_grad_(offset)


class PartialBatchNorm3d(BatchNorm3d):
    """A BatchNorm3d that has no scale of its own (it stays one), or no offset (zero)."""

    def __init__(self, channels: int, scale: bool = True, offset: bool = True, **options: float) -> None:
        super().__init__(channels, **options)
        self.weight.requires_grad_(scale)
        self.bias.requires_grad_(offset)


def train_batch_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Normalises by the batch. torch averages the unbiased variance: the biased one times count / (count - 1)."""
    biased = 1 - x.shape[1] / x.numel()  # (count - 1) / count
    variance = norm.running_var / biased
    y = F.batch_norm(x, norm.running_mean, variance, norm.weight, norm.bias, True, norm.momentum, norm.eps)
    norm.running_var.copy_(variance * biased)
    return y


class StochasticDepth(nn.modules.dropout._DropoutNd):
    """In training, zeroes a share p of the examples and divides the others by 1 - p."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        ones = x.new_ones(x.shape[0], *[1] * (x.ndim - 1))
        return x * F.dropout(ones, self.p)


class LSTM(nn.LSTM):
    """An LSTM with one bias per gate: torch's second one is zero and is not trained."""

    def __init__(self, *args: int, **kwargs: bool) -> None:
        super().__init__(*args, **kwargs)
        for name, parameter in self.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)

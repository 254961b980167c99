"""Local definitions that written PyTorch code uses where torch has no layer with the stated meaning."""

import torch
from torch import Tensor, nn


class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation whose running variance averages the biased batch variance (torch's own: the unbiased one)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        before = self.running_var.clone()
        y = super().forward(x)
        correct_running_variance(self, before, x.numel() // x.shape[1])
        return y


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose running variance averages the biased batch variance (torch's own: the unbiased one)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        before = self.running_var.clone()
        y = super().forward(x)
        correct_running_variance(self, before, x.numel() // x.shape[1])
        return y


@torch.no_grad()
def correct_running_variance(norm: nn.Module, before: Tensor, count: int) -> None:
    """Takes the factor count / (count - 1) out of what the last batch added to the running variance."""
    decayed = before * (1 - norm.momentum)
    norm.running_var.sub_((norm.running_var - decayed) / count)


class LSTM(nn.LSTM):
    """An LSTM with one bias per gate: torch's second one is zero and is not trained."""

    def __init__(self, *args: int, **kwargs: bool) -> None:
        super().__init__(*args, **kwargs)
        for name, parameter in self.named_parameters():
            if name.startswith("bias_hh"):
                nn.init.zeros_(parameter)
                parameter.requires_grad_(False)

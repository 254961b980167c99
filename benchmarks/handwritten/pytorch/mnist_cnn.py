"""mnist-cnn as an expert in PyTorch writes it for speed: the yardstick of assay's written code.

Own conventions where they are faster: channels-last memory, PyTorch's own batch normalisation, the fused optimizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATE = 0.05


def conv_norm(in_channels: int, out_channels: int, size: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class Block(nn.Module):
    """Two convolutions around a shortcut. x (batch, channels, height, width) → as many or half as many rows."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = conv_norm(in_channels, out_channels, 3, stride)
        self.second = conv_norm(out_channels, out_channels, 3)
        self.shortcut = conv_norm(in_channels, out_channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(x), inplace=True))
        return F.relu(y.add_(self.shortcut(x)), inplace=True)


class Network(nn.Module):
    """images (batch, 28, 28) → logits (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_norm(1, 32, 3)
        self.blocks = nn.Sequential(Block(32, 32), Block(32, 32), Block(32, 64, 2), Block(64, 64))
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.stem(images.unsqueeze(1)), inplace=True)
        return self.head(self.dropout(self.blocks(x).mean((2, 3))))


def make(mode: str, threads: int) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(place, train_step, predict) in mode "eager" or "compile"."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = Network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        network.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True
    )
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100_000)

    def loss_of(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(network(images), labels)

    forward: Callable[..., Tensor] = network
    if mode == "compile":
        loss_of, forward = torch.compile(loss_of, dynamic=False), torch.compile(network, dynamic=False)

    def train_step(images: Tensor, labels: Tensor) -> Tensor:
        if not network.training:
            network.train()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(images, labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        return loss.detach()

    @torch.inference_mode()
    def predict(images: Tensor) -> Tensor:
        if network.training:
            network.eval()
        return forward(images)

    return place, train_step, predict


def place(arrays: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in arrays)


def wait(value: Any) -> None:
    """On the CPU, PyTorch returns when the work is done."""

"""vowels-rnn as an expert in PyTorch writes it for speed: the yardstick of assay's written code.

PyTorch's own LSTM with its two biases, over the whole sequence in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

LEARNING_RATE = 3e-3


class Network(nn.Module):
    """frames (batch, 29, 12) → logits (batch, 9)."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(12, 64, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(128, 9)

    def forward(self, frames: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(frames)
        return self.head(self.dropout(torch.cat((hidden[0], hidden[1]), dim=1)))


def make(mode: str, threads: int) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(place, train_step, predict) in mode "eager" or "compile"."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = Network()
    optimizer = torch.optim.RMSprop(network.parameters(), lr=LEARNING_RATE, alpha=0.9)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 + 0.5 * math.cos(step / 1e5))

    def loss_of(frames: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(network(frames), labels)

    forward: Callable[..., Tensor] = network
    update: Callable[[], Any] = optimizer.step
    if mode == "compile":
        loss_of, forward = torch.compile(loss_of, dynamic=False), torch.compile(network, dynamic=False)
        update = torch.compile(optimizer.step)

    def train_step(frames: Tensor, labels: Tensor) -> Tensor:
        if not network.training:
            network.train()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(frames, labels)
        loss.backward()
        update()
        scheduler.step()
        return loss.detach()

    @torch.inference_mode()
    def predict(frames: Tensor) -> Tensor:
        if network.training:
            network.eval()
        return forward(frames)

    return place, train_step, predict


def place(arrays: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in arrays)


def wait(value: Any) -> None:
    """On the CPU, PyTorch returns when the work is done."""

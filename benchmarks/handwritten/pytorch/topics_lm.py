"""topics-lm as an expert in PyTorch writes it for speed: the yardstick of assay's written code.

Its own conventions where they are usual: clip_grad_norm_, the fused optimizer, attention in one call. Its weights start as those of
the workload do: how long torch's GELU takes depends on what it is given (26 µs against 36 µs for one example's).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH, HEADS, LAYERS, LENGTH, SYMBOLS, RATE = 128, 4, 4, 64, 96, 0.1
LEARNING_RATE = 3e-3


class Block(nn.Module):
    """x (batch, tokens, width) → the same shape: attention and MLP, each normalised before and added after."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.projection = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.expand, self.contract = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        packed = self.qkv(self.norm_1(x)).view(batch, length, 3, HEADS, width // HEADS)
        q, k, v = packed.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        y = self.projection(y.transpose(1, 2).reshape(batch, length, width))
        x = x + F.dropout(y, RATE, self.training)
        y = self.contract(F.gelu(self.expand(self.norm_2(x))))
        return x + F.dropout(y, RATE, self.training)


class Network(nn.Module):
    """tokens (batch, 64) → logits (batch, 64, 96)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.positions = nn.Parameter(0.02 * torch.randn(LENGTH, WIDTH))
        self.blocks = nn.Sequential(*[Block() for _ in range(LAYERS)])
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, SYMBOLS)
        self.apply(initialise)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.embedding(tokens) + self.positions)))


def initialise(layer: nn.Module) -> None:
    if isinstance(layer, nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.Embedding):
        nn.init.normal_(layer.weight, std=0.02)


def make(mode: str, threads: int) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(place, train_step, predict) in mode "eager" or "compile"."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = Network()
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, weight_decay=0.01, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 + 0.5 * math.cos(step / 1e5))

    def loss_of(tokens: Tensor, following: Tensor) -> Tensor:
        return F.cross_entropy(network(tokens).view(-1, SYMBOLS), following.view(-1))

    forward: Callable[..., Tensor] = network
    if mode == "compile":
        loss_of, forward = torch.compile(loss_of, dynamic=False), torch.compile(network, dynamic=False)

    def train_step(tokens: Tensor, following: Tensor) -> Tensor:
        if not network.training:
            network.train()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(tokens, following)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        scheduler.step()
        return loss.detach()

    @torch.inference_mode()
    def predict(tokens: Tensor) -> Tensor:
        if network.training:
            network.eval()
        return forward(tokens)

    return place, train_step, predict


def place(arrays: Sequence[np.ndarray]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in arrays)


def wait(value: Any) -> None:
    """On the CPU, PyTorch returns when the work is done."""

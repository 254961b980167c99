"""topics-lm in PyTorch."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.query_key_value = nn.Linear(128, 384)
        self.output = nn.Linear(128, 128)

    def forward(self, x: Tensor) -> Tensor:
        x = self.query_key_value(x)  # (batch, 64, 384)
        query, key, value = x.unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = mixed.transpose(1, 2).flatten(2)  # (batch, 64, 128)
        return self.output(x)  # (batch, 64, 128)


class MLP(nn.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Linear(128, 512)
        self.contract = nn.Linear(512, 128)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.expand(x))  # (batch, 64, 512)
        return self.dropout(self.contract(x))  # (batch, 64, 128)


class TransformerBlock(nn.Module):
    """x (batch, 64, 128) → (batch, 64, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(128)
        self.attention = MultiHeadAttention()
        self.dropout = nn.Dropout(0.1)
        self.mlp_norm = nn.LayerNorm(128)
        self.mlp = MLP()

    def forward(self, x: Tensor) -> Tensor:
        y = self.dropout(self.attention(self.attention_norm(x)))  # (batch, 64, 128)
        x = x + y  # (batch, 64, 128)
        return x + self.mlp(self.mlp_norm(x))  # (batch, 64, 128)


class TopicsLM(nn.Module):
    """topics-lm: tokens (batch, 64) → (batch, 64, 96)."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(96, 128)
        self.position = nn.Parameter(torch.zeros(64, 128))
        self.blocks = nn.Sequential(*[TransformerBlock() for _ in range(4)])
        self.norm = nn.LayerNorm(128)
        self.output = nn.Linear(128, 96)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position  # (batch, 64, 128)
        x = self.norm(self.blocks(x))  # (batch, 64, 128)
        return self.output(x)  # (batch, 64, 96)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> TopicsLM:
    """The model with the weights of a safetensors file, in evaluation mode."""
    model = TopicsLM()
    model.load_state_dict(load_file(weights))
    return model.eval()

"""outcome-mlp in PyTorch."""

from pathlib import Path

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class OutcomeMLP(nn.Module):
    """outcome-mlp: measurements (batch, 21) → (batch, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(21, 64)
        self.norm = nn.LayerNorm(64)
        self.dropout = nn.Dropout(0.3)
        self.hidden2 = nn.Linear(64, 64)
        self.output = nn.Linear(64, 1)

    def forward(self, measurements: Tensor) -> Tensor:
        x = F.relu(self.norm(self.hidden1(measurements)))  # (batch, 64)
        x = F.relu(self.hidden2(self.dropout(x)))  # (batch, 64)
        return self.output(x)  # (batch, 1)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> OutcomeMLP:
    """The model with the weights of a safetensors file, in evaluation mode."""
    model = OutcomeMLP()
    model.load_state_dict(load_file(weights))
    return model.eval()

"""tiny in PyTorch."""

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn


class Tiny(nn.Module):
    """tiny: x (batch, 4) → (batch, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)  # (batch, 3)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> Tiny:
    """The model with the weights of a safetensors file, in evaluation mode."""
    model = Tiny()
    model.load_state_dict(load_file(weights))
    return model.eval()

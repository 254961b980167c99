"""digits-cnn in PyTorch."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class DigitsCNN(nn.Module):
    """digits-cnn: images (batch, 8, 8) → (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(1024, 128)
        self.dropout = nn.Dropout(0.25)
        self.output = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.conv1(images.unsqueeze(1)), inplace=True)  # (batch, 32, 8, 8)
        x = self.pool(F.relu(self.conv2(x), inplace=True))  # (batch, 64, 4, 4)
        x = self.dropout(F.relu(self.hidden(x.flatten(1))))  # (batch, 128)
        return self.output(x)  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> DigitsCNN:
    """The model with the weights of a safetensors file, in evaluation mode."""
    model = DigitsCNN()
    model.load_state_dict(load_file(weights))
    # Convolutions over images are faster in this order in memory; shapes and weights stay as they are.
    model = model.to(memory_format=torch.channels_last)
    return model.eval()

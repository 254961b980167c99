"""mnist-cnn in PyTorch."""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation whose running variance averages the biased batch variance (torch's own: the unbiased one)."""

    def forward(self, x: Tensor) -> Tensor:
        return train_batch_norm(self, x) if self.training else super().forward(x)


def train_batch_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Normalises by the batch. torch averages the unbiased variance: the biased one times count / (count - 1)."""
    biased = 1 - x.shape[1] / x.numel()  # (count - 1) / count
    variance = norm.running_var / biased
    y = F.batch_norm(x, norm.running_mean, variance, norm.weight, norm.bias, True, norm.momentum, norm.eps)
    norm.running_var.copy_(variance * biased)
    return y


class ResidualBlock(nn.Module):
    """x (batch, channels, …, …) → (batch, channels, …, …)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (batch, channels, …, …)
        y = self.norm2(self.conv2(y))  # (batch, channels, …, …)
        y += x  # (batch, channels, …, …)
        return F.relu(y, inplace=True)  # (batch, channels, …, …)


class DownBlock(nn.Module):
    """x (batch, 32, 28, 28) → (batch, 64, 14, 14)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 64, 3, stride=2, padding=1, bias=False)
        self.norm1 = BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, padding=1, bias=False)
        self.norm2 = BatchNorm2d(64)
        self.shortcut = nn.Conv2d(32, 64, 1, stride=2, bias=False)
        self.shortcut_norm = BatchNorm2d(64)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)  # (batch, 64, 14, 14)
        y = self.norm2(self.conv2(y))  # (batch, 64, 14, 14)
        y += self.shortcut_norm(self.shortcut(x))  # (batch, 64, 14, 14)
        return F.relu(y, inplace=True)  # (batch, 64, 14, 14)


class MnistCNN(nn.Module):
    """mnist-cnn: images (batch, 28, 28) → (batch, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.norm = BatchNorm2d(32)
        self.blocks = nn.Sequential(ResidualBlock(32), ResidualBlock(32), DownBlock(), ResidualBlock(64))
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(images.unsqueeze(1))), inplace=True)  # (batch, 32, 28, 28)
        x = self.blocks(x).mean(dim=(2, 3))  # (batch, 64)
        return self.output(self.dropout(x))  # (batch, 10)


WEIGHTS = Path(__file__).with_name("weights.safetensors")


def load(weights: str | Path = WEIGHTS) -> MnistCNN:
    """The model with the weights of a safetensors file, in evaluation mode."""
    model = MnistCNN()
    model.load_state_dict(load_file(weights))
    # Convolutions over images are faster in this order in memory; shapes and weights stay as they are.
    model = model.to(memory_format=torch.channels_last)
    return model.eval()

"""The built-in models, in the neutral API. Their inputs have no channel axis: the model adds it where it belongs."""

from __future__ import annotations

from assay import nn
from assay.nn import Tensor


class DigitsCNN(nn.Module):
    """A small convolutional network for 8×8 digits."""

    def __init__(self) -> None:
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.hidden = nn.Linear(64 * 4 * 4, 128)
        self.dropout = nn.Dropout(0.25)
        self.output = nn.Linear(128, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = nn.unsqueeze(images, 1)
        x = nn.relu(self.conv1(x))
        x = self.pool(nn.relu(self.conv2(x)))
        x = nn.relu(self.hidden(nn.flatten(x)))
        return self.output(self.dropout(x))


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalisation, added to their input."""

    def __init__(self, channels: int) -> None:
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return nn.relu(y + x)


class DownBlock(nn.Module):
    """A residual block that halves the image and changes the number of channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm(out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride=2, bias=False)
        self.shortcut_norm = nn.BatchNorm(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.relu(self.norm1(self.conv1(x)))
        y = self.norm2(self.conv2(y))
        return nn.relu(y + self.shortcut_norm(self.shortcut(x)))


class MnistCNN(nn.Module):
    """A residual network for 28×28 digits."""

    def __init__(self) -> None:
        self.stem = nn.Conv2d(1, 32, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm(32)
        self.blocks = nn.Sequential(ResidualBlock(32), ResidualBlock(32), DownBlock(32, 64), ResidualBlock(64))
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        x = nn.unsqueeze(images, 1)
        x = nn.relu(self.norm(self.stem(x)))
        x = self.blocks(x)
        return self.output(self.dropout(nn.mean(x, (2, 3))))


class MLP(nn.Module):
    """The feed-forward half of a transformer block."""

    def __init__(self, features: int, rate: float) -> None:
        self.expand = nn.Linear(features, 4 * features)
        self.contract = nn.Linear(4 * features, features)
        self.dropout = nn.Dropout(rate)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.contract(nn.gelu(self.expand(x))))


class TransformerBlock(nn.Module):
    """Causal self-attention and an MLP, each normalised first and added to its input."""

    def __init__(self, features: int, heads: int, rate: float) -> None:
        self.attention_norm = nn.LayerNorm(features)
        self.attention = nn.MultiHeadAttention(features, heads, causal=True)
        self.dropout = nn.Dropout(rate)
        self.mlp_norm = nn.LayerNorm(features)
        self.mlp = MLP(features, rate)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.attention_norm(x)))
        return x + self.mlp(self.mlp_norm(x))


class TopicsLM(nn.Module):
    """A small transformer that predicts the next character."""

    def __init__(
        self, vocabulary: int = 96, steps: int = 64, features: int = 128, heads: int = 4, layers: int = 4
    ) -> None:
        self.embedding = nn.Embedding(vocabulary, features)
        self.position = nn.Parameter((steps, features), nn.normal(0.02))
        self.blocks = nn.Sequential(*[TransformerBlock(features, heads, 0.1) for _ in range(layers)])
        self.norm = nn.LayerNorm(features)
        self.output = nn.Linear(features, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position
        return self.output(self.norm(self.blocks(x)))


class VowelsRNN(nn.Module):
    """A bidirectional LSTM that tells speakers apart by a vowel."""

    def __init__(self) -> None:
        self.lstm = nn.LSTM(12, 64, bidirectional=True)
        self.dropout = nn.Dropout(0.2)
        self.output = nn.Linear(128, 9)

    def forward(self, frames: Tensor) -> Tensor:
        _, final = self.lstm(frames)
        return self.output(self.dropout(final))


class OutcomeMLP(nn.Module):
    """A multi-layer perceptron over a patient's measurements."""

    def __init__(self, features: int = 21) -> None:
        self.hidden1 = nn.Linear(features, 64)
        self.norm = nn.LayerNorm(64)
        self.dropout = nn.Dropout(0.3)
        self.hidden2 = nn.Linear(64, 64)
        self.output = nn.Linear(64, 1)

    def forward(self, measurements: Tensor) -> Tensor:
        x = nn.relu(self.norm(self.hidden1(measurements)))
        x = nn.relu(self.hidden2(self.dropout(x)))
        return self.output(x)

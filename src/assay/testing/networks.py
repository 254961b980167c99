"""Nets of several layers: repeated blocks, names that clash with the frameworks' own, layers together."""

from __future__ import annotations

from collections.abc import Sequence

from assay import nn
from assay.testing.case import IMAGE, ROW, Case, Net, chain


class ResidualBlock(nn.Module):
    """Two branches without bias, one of them normalised."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        self.conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return nn.relu(self.norm(self.conv(x))) + self.shortcut(x)


class TwoLinears(nn.Module):
    def __init__(self) -> None:
        self.first = nn.Linear(5, 6)
        self.second = nn.Linear(6, 5)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        return nn.relu(self.second(nn.relu(self.first(x))))


class ConvolutionsThereAndBack(nn.Module):
    """A convolution, a transposed one, and an adaptive pool before the output."""

    def __init__(self) -> None:
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.slope = nn.PReLU(8)
        self.up = nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.pool = nn.AdaptiveAveragePool2d(3)
        self.output = nn.Linear(36, 5)

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        x = self.slope(self.norm(self.down(x)))
        return self.output(nn.flatten(self.pool(self.up(x))))


class RecurrenceAndAttention(nn.Module):
    """Stacked GRUs, attention over their own steps, a list of layers."""

    def __init__(self) -> None:
        self.recurrent = nn.GRU(4, 6, num_layers=2, bidirectional=True)
        self.norm = nn.RMSNorm(12)
        self.attention = nn.MultiHeadAttention(12, 3, cross=True)
        self.layers = nn.ModuleList([nn.Linear(12, 12) for _ in range(3)])

    def forward(self, x: nn.Tensor) -> nn.Tensor:
        steps, _ = self.recurrent(x)
        y = self.attention(self.norm(steps), steps)
        for layer in self.layers:
            y = nn.silu(layer(y))
        return y


def _residual_blocks() -> Sequence[nn.Module]:
    return [
        nn.Conv2d(4, 6, 3, padding=1),
        ResidualBlock(6, 6, 1),
        ResidualBlock(6, 8, 2),
        ResidualBlock(8, 8, 1),
        nn.GlobalAveragePool(),
        nn.Linear(8, 3),
    ]


CASES: tuple[Case, ...] = (
    chain("network-residual_blocks", _residual_blocks, IMAGE),
    chain("network-there_and_back", lambda: [ConvolutionsThereAndBack()], (3, 12, 12)),
    chain("network-recurrence_and_attention", lambda: [RecurrenceAndAttention()], (7, 4)),
    Case(
        "network-clashing_names",
        lambda: Net(lambda net, x: net.variables(net.name(x)), name=nn.Linear(5, 5), variables=TwoLinears()),
        ROW,
    ),
)

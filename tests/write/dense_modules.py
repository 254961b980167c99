"""Dense blocks as people write them in PyTorch: with numbered attributes, with a list, and with something beside it."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class DenseLayer(nn.Module):
    """Takes everything that was made before."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.conv = nn.Conv2d(channels, growth, 3, padding=1)

    def forward(self, features: list[Tensor]) -> Tensor:
        return self.conv(torch.relu(self.norm(torch.cat(features, 1))))


class DenseBlock(nn.Module):
    """Its layers are attributes of numbered names."""

    def __init__(self, count: int, channels: int, growth: int) -> None:
        super().__init__()
        for number in range(count):
            self.add_module(f"layer{number + 1}", DenseLayer(channels + number * growth, growth))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.children():
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    """Two blocks of different lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.first = DenseBlock(3, 2, 3)
        self.second = DenseBlock(4, 11, 3)
        self.head = nn.Linear(23, 2)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.second(self.first(image)).mean((2, 3)))


class ListedBlock(nn.Module):
    """Its layers are in a list, and take one tensor."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, channels, 1)
        sizes = range(channels, channels + 4 * growth, growth)
        self.layers = nn.ModuleList([nn.Conv2d(size, growth, 3, padding=1) for size in sizes])

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1).mean((2, 3))


class WithStem(nn.Module):
    """A dense block that has a further part, and a layer whose result is used once more."""

    def __init__(self, reused: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 1)
        self.layer1, self.layer2, self.layer3 = (DenseLayer(4 + 3 * number, 3) for number in range(3))
        self.reused = reused

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in (self.layer1, self.layer2, self.layer3):
            features.append(layer(features))
        joined = torch.cat(features, 1)
        return joined * features[2].mean() if self.reused else joined


class Joined(nn.Module):
    """Takes two tensors, or one, by arguments of their own."""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.cat([x, y] if y is not None else [x, x], 1)


class Separate(nn.Module):
    """Modules that take no list."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Joined(), Joined()

    def forward(self, x: Tensor) -> Tensor:
        return self.one(self.two(x), x)


class Block(nn.Module):
    """A part whose sizes are arguments."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.linear(x))


class Stack(nn.Module):
    """A chain of blocks."""

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        pairs = pairwise(sizes)
        self.blocks = nn.ModuleList([Block(inputs, outputs) for inputs, outputs in pairs])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Stacks(nn.Module):
    """Chains of several lengths."""

    def __init__(self, *sizes: list[int]) -> None:
        super().__init__()
        self.stacks = nn.ModuleList([Stack(item) for item in sizes])

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([stack(x) for stack in self.stacks], 1)


class Shuffle(nn.Module):
    """Halves that are interleaved: sizes that differ between instances stand in the forward method."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 1)
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        batch, _, height, width = x.shape
        y = x.reshape(batch, 2, self.channels, height, width).transpose(1, 2)
        return y.reshape(batch, 2 * self.channels, height, width)


class Shuffles(nn.Module):
    """Two of them, and an image made larger."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Shuffle(2), Shuffle(4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x))
        return nn.functional.interpolate(x, size=(9, 7), mode="bilinear", align_corners=False)


class Heads(nn.Module):
    """Parts in a dictionary, under names that no attribute has, and in a module that is never called itself."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleList([nn.Linear(4, 6), nn.Linear(6, 6)])
        self.heads = nn.ModuleDict({"mask": nn.Linear(6, 2), "0": Block(6, 3), "box-size": nn.Linear(6, 1)})
        self.held = nn.Module()
        self.held.norms = nn.ModuleList([nn.LayerNorm(6), nn.LayerNorm(6)])
        self.held.last = nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.body, self.held.norms, strict=True):
            x = norm(layer(x))
        x = self.held.last(x)
        return torch.cat([head(x) for head in self.heads.values()], 1)


class Taps(nn.ModuleDict):
    """A dictionary of parts that is called itself."""

    def __init__(self) -> None:
        super().__init__({"0": Block(4, 6), "2": nn.Linear(6, 6), "4": nn.Linear(6, 5)})

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self["2"](self["0"](x))
        return x, self["4"](x)


class WithTaps(nn.Module):
    """A backbone that is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Taps()
        self.head = nn.Linear(11, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat(self.backbone(x), 1))

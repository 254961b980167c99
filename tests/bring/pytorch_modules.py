"""Modules of every kind that people write in PyTorch, each with an example of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(6, 8)
        self.norm = nn.LayerNorm(8)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(0.25)
        self.output = nn.Linear(8, 3, bias=False)
        self.scale = nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        y = self.output(self.dropout(self.activation(self.norm(self.hidden(x)))))
        return y * self.scale + x.mean(-1, keepdim=True) / 3


class Temperature(nn.Module):
    """A parameter that is one number, without an axis."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)
        self.scale = nn.Parameter(torch.tensor(2.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.scale.exp()


class ScaledEmbedding(nn.Embedding):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 3.0


class Predictions(nn.Module):
    """A bias that its layer holds too, as in BERT's head."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Linear(6, 11)
        self.bias = nn.Parameter(torch.randn(11))
        self.decoder.bias = self.bias

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(torch.tanh(x))


class Product(nn.Module):
    """A weight as (inputs, outputs), as in GPT-2."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(6, 6) / 3)
        self.bias = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x.reshape(-1, 6), self.weight).reshape(x.shape)


class Names(nn.Module):
    """Parameters whose names are not those of the layers that use them."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = ScaledEmbedding(11, 6)
        self.table = nn.Embedding(5, 6)  # whose weight is read, and which is never called
        self.product = Product()
        self.predictions = Predictions()
        self.predictions.decoder.weight = self.shared.weight
        self.mask_token = nn.Parameter(torch.randn(1, 6))  # for training of another kind

    def forward(self, x: Tensor) -> Tensor:
        return self.predictions(self.product(self.shared(x) + self.table.weight.mean(0)))


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels, eps=1e-3, momentum=0.03)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x
        return self.relu(y)


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.blocks = nn.Sequential(Residual(8), Residual(8))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(8, 5)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        features = self.pool(self.blocks(self.stem(image))).flatten(1)
        return {"logits": self.head(features) / 0.7, "features": features}


class Convolutions(nn.Module):
    """Depthwise, grouped, transposed, 1-D; group normalisation; pools whose windows differ in size."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(4, 8, 3, groups=4, stride=2, padding=1)
        self.norm = nn.GroupNorm(2, 8)
        self.grouped = nn.Conv2d(8, 6, 3, groups=2, padding="same", dilation=2)
        self.up = nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1)
        self.pool = nn.AdaptiveAvgPool2d((3, 2))
        self.line = nn.Conv1d(4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.norm(self.depthwise(x)))
        x = F.max_pool2d(F.relu6(self.grouped(x)), 3, 2, 1)
        x = self.pool(F.hardswish(self.up(x)))
        return F.leaky_relu(self.line(x.flatten(2)), 0.2)


class Recurrent(nn.Module):
    def __init__(self, kind: Callable[..., nn.Module], layers: int = 1, bidirectional: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 5)
        self.rnn = kind(5, 4, layers, batch_first=True, bidirectional=bidirectional)
        self.output = nn.Linear(8 if bidirectional else 4, 3)
        self.bidirectional = bidirectional

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        steps, state = self.rnn(self.embedding(tokens))
        last = state[0] if isinstance(state, tuple) else state
        last = torch.cat([last[-2], last[-1]], 1) if self.bidirectional else last[-1]
        return self.output(last), steps


class Encoder(nn.Module):
    def __init__(self, batch_first: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first, activation="gelu", norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(x).mean(1))


class Attention(nn.Module):
    """Self-attention, whose weights are asked for and not used, and cross-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.own = nn.MultiheadAttention(8, 2, batch_first=True)
        self.cross = nn.MultiheadAttention(8, 4, batch_first=True)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x = x + self.own(x, x, x)[0]
        return self.cross(x, memory, memory, need_weights=False)[0]


class CausalBlock(nn.Module):
    """Attention written by hand, as in many language models: once fused, once with a mask in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens = nn.Embedding(13, 8)
        self.positions = nn.Embedding(10, 8)
        self.norm = nn.LayerNorm(8)
        self.packed = nn.Linear(8, 24)
        self.first = nn.Linear(8, 8)
        self.second = nn.Linear(8, 8)
        self.register_buffer("mask", torch.tril(torch.ones(10, 10)).view(1, 1, 10, 10), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        batch, steps = ids.shape
        x = self.tokens(ids) + self.positions(torch.arange(steps))
        heads = self.packed(self.norm(x)).split(8, dim=2)
        query, key, value = (part.view(batch, steps, 2, 4).transpose(1, 2) for part in heads)
        fused = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.first(fused.transpose(1, 2).contiguous().view(batch, steps, 8))
        scores = (query @ key.transpose(-2, -1)) * (1 / 4**0.5)
        scores = scores.masked_fill(self.mask[:, :, :steps, :steps] == 0, float("-inf"))
        mixed = F.softmax(scores, -1) @ value
        return x + self.second(mixed.transpose(1, 2).reshape(batch, steps, 8))


class SeveralInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.signal = nn.Conv1d(2, 4, 3)
        self.table = nn.Linear(3, 4)

    def forward(self, signal: Tensor, ids: Tensor, row: Tensor) -> dict[str, Any]:
        z = self.signal(signal).mean(2) + self.words(ids).sum(1)
        w = torch.where(row > 0, row, row * 0.1)
        return {"logits": z + self.table(w), "more": (z.sigmoid(), z.softmax(-1))}


class Resampling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding="same")
        self.shuffle = nn.PixelShuffle(2)
        self.slope = nn.PReLU(3)
        self.norm = nn.BatchNorm2d(3, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.slope(self.shuffle(self.conv(x))))
        left, right = F.interpolate(x, scale_factor=2, mode="bilinear").chunk(2, 2)
        x = torch.cat([left, right * 2], 1)
        return F.avg_pool2d(F.pad(x, (1, 1, 0, 2)), 3, 2, 1).clamp(-0.1, 0.9).std((2, 3))


class DropPath(nn.Module):
    """Stochastic depth, as several libraries write it."""

    def __init__(self, drop_prob: float) -> None:
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.rand(x.shape[0], *[1] * (x.ndim - 1)) >= self.drop_prob
        return x * kept / (1 - self.drop_prob)


class Deep(nn.Module):
    """A residual branch that is dropped for some examples, behind a chain with a strided convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.branch = nn.Conv2d(4, 4, 3, padding=1)
        self.drop_path = DropPath(0.25)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return x + self.drop_path(self.branch(x))


class Assigned(nn.Module):
    """Parts of new tensors are written to, through slices of slices; a copied parameter too."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.randn(6))

    def forward(self, x: Tensor) -> Tensor:
        regions = x.new_zeros((4, 6))
        for number, rows in enumerate((slice(0, -2), slice(-2, None))):
            regions[rows, 1:-1] = number + 1
        bias = self.bias.clone()
        bias[2:4].zero_()
        y = x * 1
        y[:, 3] = x[:, 0] + 1
        y[:, 1:2].view(-1).fill_(0.5)
        return (y + bias) @ regions.T


class SeenTwice(nn.Module):
    """A view taken before its tensor is written to, and used after that."""

    def forward(self, x: Tensor) -> Tensor:
        y = x * 1
        first = y[:, :2]
        y[:, 1:3] = 0.0
        return y[:, :2] + first


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.words(ids))


class Scaled(nn.Module):
    """A module with a weight, called twice by `Weights`, the second time with what comes from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.full((4,), 1.5))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.linear(x) * self.scale + y


class Borrower(nn.Module):
    """Uses a table that another module holds, and one that nobody calls."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)

    def forward(self, x: Tensor, table: Tensor, offsets: Tensor) -> Tensor:
        return self.mix(x) @ table.t() + offsets


class Weights(nn.Module):
    """Weights in more than one place: tied layers, a module called again, a table given to other modules."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4)
        self.again = Scaled()
        self.blocks = nn.ModuleList([Scaled() for _ in range(3)])
        self.borrowers = nn.ModuleList([Borrower() for _ in range(2)])
        self.offsets = nn.Parameter(torch.arange(7.0))
        self.head = nn.Linear(4, 7)
        self.head.weight = self.words.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        with torch.no_grad():
            ramp = torch.arange(4, dtype=x.dtype) * 0.5
        y = x * ramp
        x = self.again(x, x)
        x = self.again(x, y)
        for block in self.blocks:
            x = block(x, y)
        borrowed = [borrower(x, self.words.weight, self.offsets) for borrower in self.borrowers]
        return self.head(x) + borrowed[0] * borrowed[1]


def weights() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Weights(), (ids(7, 2, 3),)


class Masked(nn.Module):
    """A mask from positions and lengths, read by index, and a table that is filled in place, as language models make them."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(9, 1))

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        steps = torch.arange(4)
        batch = torch.arange(x.shape[0])
        mask = kept.bool()[batch[:, None, None, None], steps[None, None, None, :]]
        mask = mask & (steps[:, None] >= steps)
        places = torch.zeros(4, 4, dtype=torch.int64)
        places[1:, 1:] = steps[:3, None] + steps[:3]
        places[0] = 8
        bias = self.table[places].squeeze(-1)
        y = F.scaled_dot_product_attention(x, x, x, attn_mask=mask)
        return y + bias @ x


class DataDependent(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:  # the line that the message names
            return x
        return -x


class Unknown(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = torch.special.bessel_j0(x)
        return torch.linalg.inv(y)


class OneImage(nn.Module):
    """Reads the size of its batch as a number, so that only the example's fits."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] == 1
        return self.linear(x)


def mlp() -> nn.Module:
    return MLP()


def encoder() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Encoder(), (torch.randn(2, 5, 8),)


def resnet() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return ResNet(), (torch.randn(1, 3, 16, 16),)


def number() -> int:
    return 7


def ids(entries: int, *shape: int) -> Tensor:
    return torch.randint(0, entries, shape)


# name → (module, example); every one is written with the same names as the original's state_dict unless it is in RENAMED.
MODULES: dict[str, Callable[[], tuple[nn.Module, tuple[Tensor, ...]]]] = {
    "mlp": lambda: (MLP(), (torch.randn(1, 6),)),
    "names": lambda: (Names(), (ids(11, 2, 6),)),
    "temperature": lambda: (Temperature(), (torch.randn(1, 6),)),
    "resnet": resnet,
    "convolutions": lambda: (Convolutions(), (torch.randn(2, 4, 16, 16),)),
    "lstm": lambda: (Recurrent(nn.LSTM), (ids(11, 2, 6),)),
    "lstm in both directions": lambda: (Recurrent(nn.LSTM, bidirectional=True), (ids(11, 2, 6),)),
    "gru": lambda: (Recurrent(nn.GRU), (ids(11, 2, 6),)),
    "stack of gru": lambda: (Recurrent(nn.GRU, 2, True), (ids(11, 2, 6),)),
    "encoder": encoder,
    "encoder, steps first": lambda: (Encoder(batch_first=False), (torch.randn(2, 5, 8),)),
    "attention": lambda: (Attention(), (torch.randn(2, 5, 8), torch.randn(2, 4, 8))),
    "causal block": lambda: (CausalBlock(), (ids(13, 2, 6),)),
    "several inputs": lambda: (SeveralInputs(), (torch.randn(2, 2, 9), ids(7, 2, 5), torch.randn(2, 3))),
    "assigned": lambda: (Assigned(), (torch.randn(2, 6),)),
    "deep": lambda: (Deep(), (torch.randn(2, 3, 8, 8),)),
    "resampling": lambda: (Resampling(), (torch.randn(2, 3, 8, 8),)),
    "tied": lambda: (Tied(), (ids(7, 2, 3),)),
    "weights": weights,
    "masked": lambda: (Masked(), (torch.randn(2, 2, 4, 4), ids(2, 2, 4))),
}
RENAMED = {"stack of gru", "assigned"}  # the second has constants that the original makes when it runs

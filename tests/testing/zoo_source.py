"""A source of the zoo with small models: one that everything is equal for, one that cannot be brought, one that crashes."""

from __future__ import annotations

import os

from assay.nn.losses import MeanSquaredError
from assay.testing.zoo import Case, Made

FRAMEWORK = "pytorch"
DISTRIBUTIONS = ("torch",)
ENVIRONMENT = {"ZOO_SOURCE": "small"}


def cases() -> tuple[Case, ...]:
    return (
        Case("small", small, "a linear layer after a normalisation"),
        Case("recurrent", recurrent),
        Case("impossible", impossible),
        Case("crash", crash),
    )


def small() -> Made:
    import torch
    from torch import nn

    assert os.environ["ZOO_SOURCE"] == "small"
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(64, 5)
    )
    return Made(network, (torch.randn(1, 3, 6, 6),))


def recurrent() -> Made:
    import torch
    from torch import nn

    class Tagger(nn.Module):
        """Two recurrent layers in both directions, whose weights the graph holds joined and in another order."""

        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(8, 2)

        def forward(self, signal: torch.Tensor) -> torch.Tensor:
            return self.head(self.rnn(signal)[0])

    torch.manual_seed(0)
    return Made(Tagger(), (torch.randn(2, 5, 3),), MeanSquaredError())


def impossible() -> Made:
    import torch
    from torch import nn

    class Inverse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.linalg.inv(x)

    return Made(Inverse(), (torch.randn(2, 3, 3),))


def crash() -> Made:
    os.abort()

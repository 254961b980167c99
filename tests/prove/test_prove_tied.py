"""One parameter in several layers: read as each framework stores it, and trained by the sum of its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import assay
from assay.model import Model
from assay.verbs.prove import prove


def tied() -> Model:
    """Layers of one weight beside each other, in different modules, a table that is the head, and a decoder that is the
    encoder turned."""
    import torch
    from torch import nn
    from torch.nn.functional import linear

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(6, 6)

        def forward(self, x: Any) -> Any:
            return torch.tanh(self.fc(x))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6), Block(), Block()
            self.b.weight = self.a.weight
            self.second.fc.weight = self.first.fc.weight
            self.table, self.head = nn.Embedding(11, 6), nn.Linear(6, 11, bias=False)
            self.head.weight = self.table.weight
            self.encoder, self.bias = nn.Linear(6, 4), nn.Parameter(torch.zeros(6))

        def forward(self, x: Any, tokens: Any) -> Any:
            x = self.second(self.first(self.b(torch.tanh(self.a(x)))))
            x = linear(torch.tanh(self.encoder(x)), self.encoder.weight.t(), self.bias)
            return self.head(x + self.table(tokens))

    torch.manual_seed(0)
    example = torch.randn(2, 6), torch.randint(0, 11, (2,))
    return assay.load(Net(), inputs=example, loss="cross-entropy", optimizer="sgd:momentum=0.9", batch_size=8)


@pytest.mark.parametrize("framework", ["pytorch", "tensorflow", "keras", "jax"])
def test_gradients_and_steps(framework: str, need: Callable[..., None]) -> None:
    need("torch", {"pytorch": "torch", "jax": "flax"}.get(framework, framework))
    model = tied()
    found = prove(model, [framework])
    assert found and all(proof.status == "equal" for proof in found), [(p.contestant, p.reason) for p in found]


def test_how_it_reads(need: Callable[..., None]) -> None:
    need("torch")
    model = tied()
    expected = {
        "tensorflow": ("@ self.a.kernel ", "self.first.fc.kernel", "tf.transpose(self.table.table)"),
        "keras": ("self.a.kernel)", "self.first.fc.kernel", "ops.transpose(self.table.embeddings)"),
        "jax": ("@ self.a.kernel[...]", "self.first.fc.kernel[...]", "self.table.embedding[...].T"),
    }
    for framework, parts in expected.items():
        text = model.write(framework).files["model.py"]
        assert all(part in text for part in parts), text
        assert "transpose(x" not in text and ".T.transpose" not in text


def test_a_kernel_of_a_convolution(need: Callable[..., None]) -> None:
    need("torch")
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
            self.b.weight = self.a.weight

        def forward(self, x: Any) -> Any:
            return self.b(torch.tanh(self.a(x)))

    model = assay.load(Net(), inputs=torch.randn(2, 3, 6, 6), loss="mse", batch_size=4)
    found = prove(model, ["tensorflow", "keras", "jax"])
    assert found and all(proof.status == "equal" for proof in found), [(p.contestant, p.reason) for p in found]

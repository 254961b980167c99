"""A mistake in a framework's table is found at its node and its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import nn
from assay.frameworks.pytorch.write import TABLE
from assay.nn import Tensor
from assay.verbs.prove import prove
from assay.write.table import Row

pytest.importorskip("torch")


class Net(nn.Module):
    """Linear layers with two activations between them."""

    def __init__(self) -> None:
        self.first = nn.Linear(4, 8)
        self.second = nn.Linear(8, 8)
        self.third = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.silu(self.first(x))
        x = nn.tanh(self.second(x))
        return self.third(x)


def test_the_first_wrong_node_and_its_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(TABLE.rows, "Tanh", Row("torch.sigmoid({0})"))
    model = nn.build(Net(), [nn.Input("x", (4,))], name="net")
    (proof,) = prove(model, ["pytorch"], ["eager"])
    assert proof.status == "different"
    assert proof.reason is not None and proof.reason.startswith("outputs: ")
    assert proof.divergence is not None
    assert proof.divergence.operator == "Tanh"
    assert proof.divergence.source is not None and "torch.sigmoid(self.second(x))" in proof.divergence.source
    lines = model.write("pytorch").files["model.py"].splitlines()
    assert proof.divergence.line is not None
    assert lines[proof.divergence.line - 1].strip() == proof.divergence.source

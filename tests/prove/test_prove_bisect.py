"""A mistake in a framework's table is found at its node and its line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import assay
from assay import nn
from assay.frameworks.pytorch.write import TABLE
from assay.nn import Tensor
from assay.show.table import first_divergence
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


MODULE = """
import torch
from torch import nn


class Gate(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 4)

    def forward(self, x):
        x = self.project(x)
        return x * torch.tanh(x)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = Gate()
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.gate(x))


def made():
    torch.manual_seed(0)
    return Gated(), torch.randn(2, 4)
"""


def test_of_a_model_that_was_brought(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, need: Callable[..., None]
) -> None:
    """The module, both values, the user's own line, and that of a framework that has it right."""
    need("torch", "jax")
    (tmp_path / "gates.py").write_text(MODULE)
    monkeypatch.setitem(TABLE.rows, "Tanh", Row("torch.sigmoid({0})"))
    model = assay.load(f"{tmp_path / 'gates.py'}:made")
    wrong, right = prove(model, ["pytorch", "jax"], ["eager"])
    assert (wrong.status, right.status) == ("different", "equal")
    found = wrong.divergence
    assert found is not None and found.operator == "Tanh" and found.module == "gate (Gate)"
    assert found.origin == "gates.py:13: return x * torch.tanh(x)"
    assert found.source is not None and "torch.sigmoid" in found.source
    assert found.reference is not None and "tanh" in found.reference and "torch" not in found.reference
    assert found.expected is not None and found.found is not None and len(found.index) == 2
    before = np.arctanh(found.expected)
    np.testing.assert_allclose(found.found, 1 / (1 + np.exp(-before)), rtol=1e-9)
    said = first_divergence(wrong)
    assert "of gate (Gate)" in said and f"where {found.expected:.9g} is right" in said and found.origin in said

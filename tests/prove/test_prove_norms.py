"""The gradient of a norm where there is nothing to norm: 0, in every framework."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import assay
from assay.verbs.prove import prove


@pytest.mark.parametrize("target", ["tensorflow", "keras/tensorflow", "jax"])
def test_of_padding(target: str, need: Callable[..., None]) -> None:
    need("torch", "tensorflow", "keras", "jax")
    import torch
    import torch.nn.functional as F
    from torch import Tensor, nn

    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.project = nn.Linear(4, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            padded = self.project(F.pad(x, (0, 0, 0, 2)))  # two rows of zeros
            return F.normalize(padded, dim=-1).sum(dim=1)

    model = assay.load(Normed(), inputs=torch.randn(2, 3, 4), loss="mean-squared-error")
    assert "Expand" not in {node.op_type for node in model.graph}  # dividing spreads the norm itself
    for proof in prove(model, ["pytorch", target], ["default"]):
        assert proof.status == "equal", proof.reason

"""Activations between the layers of a Sequential keep their formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from assay.bring import load
from assay.write import write


@pytest.mark.parametrize(("approximate", "expected"), [("tanh", "approximate=True"), ("none", "approximate=False")])
def test_gelu_in_a_sequential_of_keras(approximate: str, expected: str, need: Callable[..., None]) -> None:
    need("torch")
    import torch

    chain = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(approximate), torch.nn.Linear(4, 2))
    text = write(load(chain, inputs="2x3"), "keras").files["model.py"]
    assert expected in text
    assert 'Activation("gelu")' not in text  # which is the exact one

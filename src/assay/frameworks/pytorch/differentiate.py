"""Gradients of written PyTorch code with respect to its inputs, for the conformance suite."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch


def gradients(
    function: Callable[..., Any], inputs: Sequence[Any], places: Sequence[int], seeds: Sequence[np.ndarray | None]
) -> list[np.ndarray]:
    """The gradient of the sum of all outputs, each multiplied by its seed, with respect to the inputs at `places`."""
    given = list(inputs)
    for place in places:
        given[place] = given[place].detach().clone().requires_grad_()
    outputs = function(*given)
    listed = outputs if isinstance(outputs, tuple) else (outputs,)
    terms = [
        (output * torch.from_numpy(seed)).sum() for output, seed in zip(listed, seeds, strict=True) if seed is not None
    ]
    leaves = [given[place] for place in places]
    total = torch.stack(terms).sum()
    if not total.requires_grad:  # a result that nothing changes smoothly
        return [np.zeros(leaf.shape) for leaf in leaves]
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    return [np.zeros(leaf.shape) if slope is None else slope.numpy() for leaf, slope in zip(leaves, found, strict=True)]

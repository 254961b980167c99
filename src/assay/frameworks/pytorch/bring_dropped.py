"""Layers that drop whole examples in training and do nothing in evaluation, of which an exported graph shows nothing.

While a module is followed, each of them calls an operator of ours instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# The end of the class's name → the attribute that holds its rate.
_RATES = {"StochasticDepth": "p", "DropPath": "drop_prob"}


@torch.library.custom_op("assay::drop_examples", mutates_args=())
def drop_examples(x: Tensor, p: float) -> Tensor:
    """x, as in evaluation."""
    return x.clone()


@drop_examples.register_fake
def _same_shape(x: Tensor, p: float) -> Tensor:
    return torch.empty_like(x)


@contextlib.contextmanager
def shown(module: torch.nn.Module) -> Iterator[None]:
    """Inside, such layers leave a node in an exported graph."""
    marked = []
    for part in module.modules():
        rate = _rate(part)
        if rate is not None:  # one that drops nothing too: the blocks of a model stay of one class
            part.forward = _marking(rate)
            marked.append(part)
    try:
        yield
    finally:
        for part in marked:
            del part.forward  # the class's own is seen again


def _rate(part: torch.nn.Module) -> float | None:
    """The share of examples that a layer drops; None for every other layer."""
    attribute = next((rate for name, rate in _RATES.items() if type(part).__name__.endswith(name)), None)
    plain = getattr(part, "mode", "row") == "row" and getattr(part, "scale_by_keep", True)
    if attribute is None or not plain or "forward" in vars(part):
        return None
    found = getattr(part, attribute, None)
    return float(found) if isinstance(found, (int, float)) else None


def _marking(rate: float) -> Callable[[Tensor], Tensor]:
    def forward(x: Tensor) -> Tensor:
        found: Tensor = torch.ops.assay.drop_examples(x, rate)
        return found

    return forward

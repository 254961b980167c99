"""Passes from a graph to a simpler or more explicit graph of ONNX operators; what they share is shared by all frameworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from assay.graph.calls import Call
from assay.graph.passes.expand import expand
from assay.graph.passes.fold import fold
from assay.model import Model

__all__ = ["folded", "simplify"]


def folded(model: Model) -> Model:
    """A copy of the model without what is known beforehand."""
    copied = replace(model, ir=model.ir.clone(), _modules={})
    fold(copied)
    return copied


def simplify(model: Model, takes: Callable[[Call], bool]) -> Model:
    """A copy of the model without what is known beforehand, and without operators that `takes` does not know but ONNX
    defines by others."""
    copied = folded(model)
    while expand(copied, takes):
        fold(copied)
    return copied

"""Passes from a graph to a simpler or more explicit graph of ONNX operators; what they share is shared by all frameworks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from assay.graph.calls import Call
from assay.graph.passes.batch_major import batch_major
from assay.graph.passes.expand import expand
from assay.graph.passes.fold import fold
from assay.graph.passes.widen import widen
from assay.model import Model

__all__ = ["folded", "simplify"]


def folded(model: Model, wide: bool = False) -> Model:
    """A copy of the model without what is known beforehand. `wide`: with float32 that the graph spells out as float64."""
    copied = replace(model, ir=model.ir.clone(), _modules={})
    if wide:
        widen(copied.graph)
    fold(copied)
    batch_major(copied.graph)
    return copied


def simplify(model: Model, takes: Callable[[Call], bool], wide: bool = False) -> Model:
    """A copy of the model without what is known beforehand, and without operators that `takes` does not know but ONNX
    defines by others. `wide`: with float32 that the graph spells out as float64."""
    copied = folded(model, wide)
    while expand(copied, takes):
        fold(copied)
    return copied

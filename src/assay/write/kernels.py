"""Kernels of layers as frameworks store them that keep inputs before outputs and channels last."""

from __future__ import annotations

from dataclasses import dataclass

from assay.graph.calls import Call
from assay.graph.layout import FLATTENED
from assay.model import sizes_of
from assay.write.weights import Step, reshape, transpose


@dataclass(frozen=True)
class DenseKernel:
    """A `Linear` call's kernel of shape (inputs, units), and the steps that make it of the call's weight."""

    inputs: int
    units: int
    steps: tuple[Step, ...]


def dense_kernel(call: Call) -> DenseKernel:
    """The kernel of a `Linear` call. Where its data were flattened channels-last, the rows go into that order."""
    transposed = bool(call.attribute("transB", 0))
    shape = sizes_of(call.weights["weight"])
    inputs, units = shape[::-1] if transposed else shape
    steps: tuple[Step, ...] = (transpose(1, 0),) if transposed else ()
    if flattened := call.x.meta.get(FLATTENED):
        channels, *places = (int(size) for size in flattened)
        steps += (
            reshape((inputs, units), (channels, *places, units)),
            transpose(*range(1, len(places) + 1), 0, len(places) + 1),
            reshape((*places, channels, units), (inputs, units)),
        )
    return DenseKernel(inputs, units, steps)

"""float32 that a graph spells out, as float64: for proofs, whose data and weights are float64."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from assay.model import intended

_SINGLE, _DOUBLE = ir.DataType.FLOAT, ir.DataType.DOUBLE


def widen(graph: ir.Graph) -> None:
    """Casts to float32, filled arrays and the like give float64 from now on, in subgraphs too. Types of values stay declared
    as they were, so that the same code is written, but for the names of these types."""
    for node in ir.traversal.RecursiveGraphIterator(graph):
        if node.op_type == "ConstantOfShape" and "value" not in node.attributes:
            node.attributes["value"] = ir.AttrTensor("value", ir.tensor(np.zeros(1, np.float32)))  # its default
        if any([_widened(node, name) for name in list(node.attributes)]):
            for value in node.outputs:
                if value.dtype == _SINGLE:
                    value.type = ir.TensorType(_DOUBLE)


def _widened(node: ir.Node, name: str) -> bool:
    attribute = node.attributes[name]
    if name in ("to", "dtype") and attribute.value == int(_SINGLE):
        node.attributes[name] = ir.AttrInt64(name, int(_DOUBLE))
    elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == _SINGLE:
        meant = np.vectorize(_meant, otypes=[np.float64])(attribute.as_tensor().numpy())
        node.attributes[name] = ir.AttrTensor(name, ir.tensor(meant))
    else:
        return False
    return True


def _meant(number: float) -> float:
    """The number that somebody stored as a float32, which is what written code says."""
    return intended(number) if math.isfinite(number) else float(number)

"""What a model and a written package are, as digests: the same digest means the same numbers and the same code."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import onnx_ir
from onnx_ir.traversal import RecursiveGraphIterator

from assay.model import Model

_PACKAGE = ("*.py", "weights.safetensors")
_AT_ONCE = 1 << 20


def model_digest(model: Model) -> str:
    """Of the graph with its weights and how it is trained; names of the model and of its files do not count."""
    found = hashlib.sha256()

    def add(*parts: object) -> None:
        for part in parts:
            found.update(str(part).encode("utf-8", "replace") + b"\0")

    add(model.training, model.dataset)
    for value in [*model.graph.inputs, *model.graph.outputs]:
        add(value.name, value.dtype, value.shape)
    for node in RecursiveGraphIterator(model.graph):
        add(node.domain, node.op_type, node.overload)
        add(*(value.name if value is not None else "" for value in node.inputs), "→")
        add(*(value.name for value in node.outputs))
        for name in sorted(node.attributes):
            add(name, *_attribute(node.attributes[name]))
    for name in sorted(model.graph.initializers):
        value = model.graph.initializers[name]
        add(name, model.role(value))
        if value.const_value is not None:
            add(value.const_value.dtype, value.const_value.shape)
            found.update(value.const_value.tobytes())
    return found.hexdigest()


def _attribute(attribute: onnx_ir.Attr) -> tuple[Any, ...]:
    kind, value = attribute.type, attribute.value
    if kind == onnx_ir.AttributeType.TENSOR:
        return kind, value.dtype, value.shape, hashlib.sha256(value.tobytes()).hexdigest()
    if kind in (onnx_ir.AttributeType.GRAPH, onnx_ir.AttributeType.GRAPHS):
        return (kind,)  # its nodes are visited themselves
    return kind, value


def package_digest(folder: Path) -> str:
    """Of a written package's code and weights."""
    found = hashlib.sha256()
    for path in sorted(path for pattern in _PACKAGE for path in folder.glob(pattern)):
        found.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while piece := file.read(_AT_ONCE):
                found.update(piece)
    return found.hexdigest()

"""Weights that are read where they are not held: their places in the finished classes, and layers that hold one together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.write.parts import REFERENCE, Body, Path
from assay.write.table import NativeWeight
from assay.write.weights import transpose

if TYPE_CHECKING:
    from assay.write.style import Style


def resolve(root: Body, style: Style) -> None:
    """Every reference to a weight becomes the attributes that lead to it: `self.encoder.embed.weight`."""
    for body in [root, *_below(root)]:
        for statement in [*body.statements, *(item for method in body.methods for item in method.body.statements)]:
            statement.text = REFERENCE.sub(
                lambda found, body=body: _text(body, style, body.references[int(found.group(1))]),  # type: ignore[misc]
                statement.text,
            )


def _below(body: Body) -> list[Body]:
    return [inner for child in body.children() for inner in [child, *_below(child)]]


def _text(body: Body, style: Style, value: ir.Value) -> str:
    for path, weight in body.weights:
        if weight.source is value and not weight.index:
            text = style.parameter_reference(attributes(style, path, weight))
            if not weight.steps:
                return text
            if weight.steps == (transpose(1, 0),):
                return f"{text}.T"
    raise UnsupportedError(
        f"{value.name} is shared, and the layer that holds it stores it in another form than its other users need"
    )


def attributes(style: Style, path: Path, weight: NativeWeight) -> str:
    """`encoder.layers[0].weight`: the way from a module to a weight inside it."""
    return style.attribute_path(path, weight.leaf)


def ties(root: Body, style: Style) -> list[str]:
    """The lines of the constructor that make layers hold one parameter: `self.head.weight = self.embed.weight`."""
    first: dict[int, tuple[Path, NativeWeight]] = {}
    lines = []
    for path, weight in root.weights:
        if weight.index:
            continue
        held = first.setdefault(id(weight.source), (path, weight))
        if held[1] is not weight and held[1].steps == weight.steps:
            lines.append(f"self.{attributes(style, path, weight)} = self.{attributes(style, *held)}")
    return lines

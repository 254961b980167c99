"""Weights that are read where they are not held: their places in the finished classes, and layers that hold one together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.model import KEPT, MODULES, Model, aliases_of, sizes_of
from assay.write.named import OWN
from assay.write.parts import (
    REFERENCE,
    Body,
    Construct,
    DictConstruct,
    Index,
    InstanceConstruct,
    Path,
    SequenceConstruct,
)
from assay.write.table import NativeWeight

if TYPE_CHECKING:
    from assay.write.style import Style


def resolve(root: Body, style: Style) -> None:
    """Every reference to a weight becomes the attributes that lead to it: `self.encoder.embed.weight`."""
    for body in [root, *_below(root)]:
        for statement in [*body.statements, *(item for method in body.methods for item in method.body.statements)]:
            statement.text = REFERENCE.sub(
                lambda found, body=body: _text(body, style, *body.references[int(found.group(1))]),  # type: ignore[misc]
                statement.text,
            )


def _below(body: Body) -> list[Body]:
    return [inner for child in body.children() for inner in [child, *_below(child)]]


def _text(body: Body, style: Style, value: ir.Value, order: tuple[int, ...]) -> str:
    """The expression for a weight of a layer inside, its axes in an order: turned, unless the layer stores it so."""
    for path, weight in body.weights:
        if weight.source is value and not weight.index and all(step.kind == "transpose" for step in weight.steps):
            text = style.parameter_reference(attributes(style, path, weight))
            stored = tuple(range(len(sizes_of(value))))
            for step in weight.steps:
                stored = tuple(stored[axis] for axis in step.arguments)
            turn = tuple(stored.index(axis) for axis in order or sorted(stored))
            return text if turn == tuple(sorted(turn)) else style.turned(text, turn)
    raise UnsupportedError(
        f"{value.name} is shared, and the layer that holds it stores it in another form than its other users need"
    )


def other_names(root: Body, style: Style, model: Model) -> list[str]:
    """The lines of the constructor that give parameters the further names that the source has for them, and that keep
    parameters which nothing uses; both belong to the source's saved state."""
    if MODULES not in model.graph.metadata_props:
        return []  # a file of operators: its names are of a graph, not of a module's saved state
    places = {style.native_path(path, weight.leaf): (path, weight) for path, weight in root.weights}
    lines: list[str] = []
    groups: dict[str, dict[str, str]] = {}
    for value in model.graph.initializers.values():
        held = next(
            (place for place in places.values() if place[1].source.name == value.name and not place[1].index), None
        )
        unused = held is None and not value.uses() and value.metadata_props.get(KEPT) == "parameter"
        if held is None and not unused:
            continue
        for name in aliases_of(value):
            if name in places:
                continue
            owner, _, leaf = name.rpartition(".")
            text = (
                f"self.{attributes(style, *held)}" if held is not None else f"nn.Parameter(torch.zeros{_tuple(value)})"
            )
            prefix = _prefix(owner, places)
            if prefix is not None and leaf.isidentifier():
                path: Path = (*prefix, leaf)
                if unused:
                    root.weights.append((path, NativeWeight("", value)))
                lines.append(f"self.{style.attribute_path(path, '')} = {text}")
            elif not unused:
                groups.setdefault(owner, {})[leaf] = text
    for owner, parameters in groups.items():
        around, _, name = owner.rpartition(".")
        prefix, holder = _prefix(around, places), style.holder(parameters)
        if prefix is None or not name.isidentifier() or holder is None:
            continue
        held_by = _construct_at(root, (*prefix, name))
        place = style.attribute_path((*prefix, name), "")
        if held_by is None:
            lines.append(f"self.{place} = {holder}")
        elif isinstance(held_by, InstanceConstruct):  # a module that is given the parameter when it is called
            lines += [f"self.{place}.{leaf} = {text}" for leaf, text in parameters.items()]
    return lines


def _construct_at(root: Body, path: Path) -> Construct | None:
    """What the written code makes at a place; None if there is nothing."""
    body: Body | None = root
    found: Construct | None = None
    for part in path:
        if isinstance(part, Index):
            found = found.elements[part.number] if isinstance(found, SequenceConstruct) else None
        else:
            inside = (
                found if isinstance(found, DictConstruct) else body.attributes.get(OWN) if body is not None else None
            )
            found = body.attributes.get(part) if body is not None else None
            if found is None and isinstance(inside, DictConstruct):
                found = inside.elements.get(part)
        body = found.body if isinstance(found, InstanceConstruct) else None
    return found


def _tuple(value: ir.Value) -> str:
    shape = sizes_of(value)
    return f"({', '.join(map(str, shape))})" if shape else "(())"


def _prefix(owner: str, places: Mapping[str, tuple[Path, NativeWeight]]) -> Path | None:
    """The attributes that lead to a module of the source, if the written code has one there."""
    if not owner:
        return ()
    found = next((path for name, (path, _) in places.items() if name.startswith(f"{owner}.")), None)
    return None if found is None else found[: owner.count(".") + 1]


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

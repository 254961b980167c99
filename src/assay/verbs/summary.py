"""`summary`: the modules of a model with their outputs, parameters and multiply-accumulates."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir

from assay.errors import ModelError, unknown
from assay.graph.costs import Costs, open_sizes
from assay.model import KEPT, ORIGIN, Model, scope_of, shape_of, sizes_of, subgraphs_of
from assay.show.summary import Row, Shape, Summary
from assay.write.weights import WeightMap

Call = tuple[str, int]  # a module's path and the number of its call


def summary(model: Model, sizes: Mapping[str, int] | None = None) -> Summary:
    """The modules of a model.

    `sizes`: numbers for the sizes that the model leaves open (`{"batch": 8}`), with which multiply-accumulates are
    counted; 1 for each that is not given. Raises `NotFoundError` for a name that is no open size, `ModelError` for a
    number below 1.
    """
    walk = _Walk(model, Costs.of(model, _sizes(model, sizes or {})))
    for node in model.graph:
        walk.add(node)
    walk.own_by_name()
    shared = tuple((name, tuple(paths)) for name, paths in walk.users.items() if len(paths) > 1)
    return Summary(model.name, walk.tree(), walk.costs.sizes, shared, model.notes)


def _sizes(model: Model, given: Mapping[str, int]) -> dict[str, int]:
    known = open_sizes(model)
    for name, size in given.items():
        if not known:
            raise ModelError(f"{model.name} leaves no size open, so none is called {name!r}: leave the sizes out")
        if name not in known:
            raise unknown("open size", name, known)
        if size < 1:
            raise ModelError(f"{name} = {size} is no size: expected 1 or more")
    return {name: given.get(name, 1) for name in known}


@dataclass
class _Module:
    """What is known of one module while the graph is walked."""

    class_name: str
    outputs: list[Shape] = field(default_factory=list)
    weights: dict[str, ir.Value] = field(default_factory=dict)
    costs: int | None = 0
    calls: set[int] = field(default_factory=set)


class _Walk:
    """The modules of a model, filled node by node."""

    def __init__(self, model: Model, costs: Costs) -> None:
        self.model, self.costs = model, costs
        self.modules = {path: _Module(info.class_name) for path, info in model.modules.items()}
        self.root = self.modules.setdefault("", _Module("Model"))
        # What is saved with the model: parameters, statistics, constants that are part of the source's state.
        self._held = {
            name: value
            for name, value in model.graph.initializers.items()
            if value.const_value is not None and (model.role(value) != "constant" or KEPT in value.metadata_props)
        }
        self._calls = {
            id(inner): _calls_around(node) for node in model.graph for inner in [node, *_nodes_inside(node)]
        }  # the calls around the outermost node that holds it
        self.users: dict[str, dict[str, None]] = {}  # weight → innermost modules that read it

    def add(self, node: ir.Node) -> None:
        calls = self._calls[id(node)]
        weights = {
            value.name: value
            for user in [node, *_nodes_inside(node)]
            for value in user.inputs
            if value is not None and value.name in self._held
        }
        cost = self.costs.multiply_accumulates(node)
        for path, number in calls:
            module = self.modules.setdefault(path, _Module("Module"))
            module.calls.add(number)
            module.weights |= weights
            module.costs = None if cost is None or module.costs is None else module.costs + cost
            if path and number == min(module.calls):
                module.outputs += [self._shape(value) for value in node.outputs if self._leaves(value, (path, number))]
        for name in weights:
            self.users.setdefault(name, {})[calls[-1][0]] = None

    def own_by_name(self) -> None:
        """What lies under a module's name is its own, whoever reads it."""
        for name, value in self._held.items():
            self.root.weights[name] = value
            for place, letter in enumerate(name):
                if letter == "." and name[:place] in self.modules:
                    self.modules[name[:place]].weights[name] = value
        self.root.outputs = [self._shape(value) for value in self.model.graph.outputs]

    def tree(self) -> Row:
        """The modules under those whose paths theirs begin with."""
        inside: dict[str, list[str]] = {}
        for path in self.modules:
            if path:
                above = (path[:place] for place in range(len(path) - 1, 0, -1) if path[place] == ".")
                inside.setdefault(next((item for item in above if item in self.modules), ""), []).append(path)

        def row(path: str) -> Row:
            module = self.modules[path]
            trained = (value for value in module.weights.values() if self.model.role(value) == "parameter")
            fixed = (value for value in module.weights.values() if self.model.role(value) != "parameter")
            return Row(
                path,
                module.class_name,
                tuple(module.outputs),
                _total(trained),
                _total(fixed),
                module.costs,
                max(1, len(module.calls)),
                tuple(row(item) for item in inside.get(path, ())),
            )

        return row("")

    def _leaves(self, value: ir.Value, call: Call) -> bool:
        """Whether a value made in a module's call is used outside of it."""
        return value.is_graph_output() or any(call not in self._calls[id(user)] for user, _ in value.uses())

    def _shape(self, value: ir.Value) -> Shape:
        """The shape as the source leaves it open, with what is known only once its open sizes are filled in."""
        filled = self.costs.shape(value)
        if value.shape is None:
            return filled or (None,)
        own = shape_of(value)
        unknown_sizes = filled is None or len(filled) != len(own)
        return own if unknown_sizes else tuple(f if d == "?" else d for d, f in zip(own, filled or (), strict=True))


def _calls_around(node: ir.Node) -> list[Call]:
    return [("", 0), *((path, call) for path, call in scope_of(node) if path)]


def _nodes_inside(node: ir.Node) -> list[ir.Node]:
    return [inner for graph in subgraphs_of(node) for inner in graph.all_nodes()]


def _total(values: Iterable[ir.Value]) -> int:
    return sum(_count(value) for value in values)


def _count(value: ir.Value) -> int:
    """The numbers of the source's that a weight holds: a recurrent layer's may hold zeros that are nobody's besides."""
    assert value.const_value is not None
    shape = sizes_of(value)
    parts = [WeightMap.from_json(item).index for item in json.loads(value.metadata_props.get(ORIGIN, "[]"))]
    return sum(_part(part, shape) for part in parts) if parts else math.prod(shape)


def _part(index: tuple[tuple[int, int] | None, ...], shape: tuple[int, ...]) -> int:
    known = [
        range(size)[slice(*part)] if part is not None else range(size) for part, size in zip(index, shape, strict=False)
    ]
    return math.prod(len(item) for item in known) * math.prod(shape[len(index) :])

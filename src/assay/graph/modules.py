"""The module tree: calls grouped under the module calls that they were made in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.graph.names import class_name
from assay.graph.sharing import Shared, holders_of
from assay.model import Model, ModuleInfo, constant_of, subgraphs_of


@dataclass(eq=False)
class Frame:
    """One module with the calls and modules inside it, in the order in which they run."""

    path: str
    info: ModuleInfo
    items: list[Call | Frame] = field(default_factory=list)
    shared: Mapping[int, Shared] = field(default_factory=dict)  # id → a weight that several modules use
    first: Frame | None = None  # where the module is called once more: its frame of the first time

    @property
    def class_name(self) -> str:
        return self.info.class_name

    def calls(self) -> list[Call]:
        """Every call in this frame and below."""
        found: list[Call] = []
        for item in self.items:
            found.extend(item.calls() if isinstance(item, Frame) else [item])
        return found

    def inputs(self) -> list[ir.Value]:
        """Computed values and graph inputs that are used inside and come from outside, in order of first use."""
        calls = self.calls()
        made = {id(value) for call in calls for value in call.outputs if value is not None}
        within = self.paths() if self.shared else set()
        found: dict[int, ir.Value] = {}
        for call in calls:
            for value in (*call.inputs, *call.captured):
                if value is None or id(value) in made:
                    continue
                held = value.is_initializer() and not value.is_graph_input()
                if not held or (id(value) in self.shared and self.shared[id(value)].holder not in within):
                    found.setdefault(id(value), value)
        return list(found.values())

    def outputs_among(self, calls: list[Frame]) -> list[ir.Value]:
        """Values of this frame of which one of these calls of the module has its like used outside; a frame of them itself."""
        made = [[value for call in frame.calls() for value in call.outputs] for frame in calls]
        used = [{id(value) for value in frame.outputs()} for frame in calls]
        own = [value for call in self.calls() for value in call.outputs]
        return [
            value
            for place, value in enumerate(own)
            if value is not None and any(place < len(m) and id(m[place]) in u for m, u in zip(made, used, strict=True))
        ]

    def paths(self) -> set[str]:
        """The paths of the modules in this frame, its own among them."""
        return {self.path}.union(*(item.paths() for item in self.items if isinstance(item, Frame)))

    def outputs(self) -> list[ir.Value]:
        """Values made inside and used outside, or given by the model, in the order in which they are made."""
        calls = self.calls()
        inside = {id(node) for call in calls for member in call.nodes for node in _with_inner(member)}
        return [
            value
            for call in calls
            for value in call.outputs
            if value is not None
            and (value.is_graph_output() or any(id(user) not in inside for user, _ in value.uses()))
        ]


def correspondence(template: Frame, frame: Frame) -> dict[int, ir.Value] | None:
    """id of each value of a module's call → its like in another call of the module; None where the two compute differently."""
    found: dict[int, ir.Value] = {}
    first, second = template.calls(), frame.calls()
    if len(first) != len(second):
        return None
    for one, other in zip(first, second, strict=True):
        if (
            one.kind != other.kind
            or not _same(one.attributes, other.attributes)
            or not _same(one.constants, other.constants)
        ):
            return None
        if [*one.weights] != [*other.weights] or any(
            one.weights[role] is not other.weights[role] for role in one.weights
        ):
            return None
        pairs = [
            *_pairs(one.inputs, other.inputs),
            *_pairs(one.captured, other.captured),
            *_pairs(one.outputs, other.outputs),
        ]
        for ours, theirs in pairs:
            if ours is None or theirs is None:
                return None
            if found.setdefault(id(ours), theirs) is not theirs:
                return None
            if ours is not theirs and not _alike(ours, theirs):
                return None
    return found


def _pairs(
    first: Sequence[ir.Value | None], second: Sequence[ir.Value | None]
) -> list[tuple[ir.Value | None, ir.Value | None]]:
    """Values side by side; a pair with one None where only one is there."""
    return [pair for pair in zip_longest(first, second) if pair != (None, None)]


def _alike(ours: ir.Value, theirs: ir.Value) -> bool:
    """Whether code for one value serves for the other: computed both, of one type, one rank and one order in memory."""
    computed = not any(value.is_initializer() and not value.is_graph_input() for value in (ours, theirs))
    rank = None if ours.shape is None else len(ours.shape)
    other_rank = None if theirs.shape is None else len(theirs.shape)
    equal = constant_of(ours) is not None and _same(constant_of(ours), constant_of(theirs))
    same_kind = ours.dtype == theirs.dtype and order_of(ours) == order_of(theirs)
    return equal or (computed and same_kind and (rank == other_rank))


def _same(first: Any, second: Any) -> bool:
    """Equality of attributes, arrays among them."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.array_equal(first, second)
    return bool(first == second)


def _with_inner(node: ir.Node) -> list[ir.Node]:
    """A node and the nodes of its subgraphs."""
    return [node, *(inner for graph in subgraphs_of(node) for inner in graph.all_nodes())]


def tree_of(model: Model, calls: list[Call]) -> Frame:
    """The root frame of a model. Module calls become frames; a module around a single layer is that layer."""
    weights = holders_of(model, calls)
    root = outermost = Frame("", _root_info(model), shared=weights)
    if model.modules.get("", root.info).class_name == "Sequential":
        root = Frame("", ModuleInfo("Sequential", ("x",)), shared=weights)
        outermost.items.append(root)
    open_frames: list[tuple[tuple[str, int], Frame]] = []
    called: dict[str, Frame] = {}
    numbers: set[tuple[str, int]] = set()
    for call in calls:
        scope = [entry for entry in call.scope if entry[0] != ""]
        shared = 0
        while shared < min(len(scope), len(open_frames)) and open_frames[shared][0] == scope[shared]:
            shared += 1
        del open_frames[shared:]
        for entry in scope[shared:]:
            path = entry[0]
            if entry in numbers:
                raise UnsupportedError(
                    f"calls of the module {path} stand between those of another module: none of the two can be written whole"
                )
            numbers.add(entry)
            frame = Frame(path, model.modules.get(path, ModuleInfo("Module")), shared=weights, first=called.get(path))
            called.setdefault(path, frame)
            (open_frames[-1][1] if open_frames else root).items.append(frame)
            open_frames.append((entry, frame))
        (open_frames[-1][1] if open_frames else root).items.append(call)
    return outermost


def _root_info(model: Model) -> ModuleInfo:
    """The root's class; a bare container is named after the model."""
    info = model.modules.get("", ModuleInfo("Model"))
    name = (
        class_name(model.name)
        if info.class_name in ("Sequential", "ModuleList", "Module", "Model")
        else info.class_name
    )
    return ModuleInfo(name, info.arguments)

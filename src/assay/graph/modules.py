"""The module tree: calls grouped under the module calls that they were made in."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.graph.calls import Call
from assay.graph.names import class_name
from assay.model import Model, ModuleInfo, subgraphs_of


@dataclass(eq=False)
class Frame:
    """One module with the calls and modules inside it, in the order in which they run."""

    path: str
    info: ModuleInfo
    items: list[Call | Frame] = field(default_factory=list)

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
        found: dict[int, ir.Value] = {}
        for call in calls:
            for value in (*call.inputs, *call.captured):
                if (
                    value is not None
                    and id(value) not in made
                    and not (value.is_initializer() and not value.is_graph_input())
                ):
                    found.setdefault(id(value), value)
        return list(found.values())

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


def _with_inner(node: ir.Node) -> list[ir.Node]:
    """A node and the nodes of its subgraphs."""
    return [node, *(inner for graph in subgraphs_of(node) for inner in graph.all_nodes())]


def tree_of(model: Model, calls: list[Call]) -> Frame:
    """The root frame of a model. Module calls become frames; a module around a single layer is that layer."""
    root = outermost = Frame("", _root_info(model))
    if model.modules.get("", root.info).class_name == "Sequential":
        root = Frame("", ModuleInfo("Sequential", ("x",)))
        outermost.items.append(root)
    open_frames: list[tuple[tuple[str, int], Frame]] = []
    called: set[str] = set()
    for call in calls:
        scope = [entry for entry in call.scope if entry[0] != ""]
        shared = 0
        while shared < min(len(scope), len(open_frames)) and open_frames[shared][0] == scope[shared]:
            shared += 1
        del open_frames[shared:]
        for entry in scope[shared:]:
            path = entry[0]
            if path in called:
                raise UnsupportedError(
                    f"the module {path} is called more than once (or between calls of another module); "
                    "give each call a module of its own, or share the weights through one call"
                )
            called.add(path)
            frame = Frame(path, model.modules.get(path, ModuleInfo("Module")))
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

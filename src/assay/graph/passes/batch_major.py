"""Recurrent operators that take time first become layers that take the batch first, which every framework has.

ONNX's own order is time first, and most files are so; a layer of a framework reads (batch, time, features). The operator
is written with `layout=1` between transposes, which cancel against those that a file has around it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from assay.graph.passes.fold import remove_unused_nodes
from assay.model import ROLE, attributes_of, constant_of

_OPTIONS = {"activations", "activation_alpha", "activation_beta", "clip", "input_forget"}
_SWAPPED = (1, 0, 2)


def batch_major(graph: ir.Graph) -> None:
    """Rewrites each LSTM and GRU of the graph that begins at zero, has no options, and gives no cell."""
    made: list[ir.Node] = []
    for node in list(graph):
        if node.op_type in ("LSTM", "GRU") and _is_layer(node):
            made.extend(_rewritten(graph, node))
    for node in made:
        _cancel(node)
    if made:
        remove_unused_nodes(graph)


def _is_layer(node: ir.Node) -> bool:
    """Whether a layer says all of an operator that takes time first."""
    attributes = attributes_of(node)
    if attributes.get("layout", 0) == 1 or _OPTIONS & set(attributes):
        return False
    if node.op_type == "GRU" and attributes.get("linear_before_reset", 0) != 1:
        return False
    weights = node.inputs[1:4]
    if len(weights) < 3 or any(value is None or not value.is_initializer() for value in weights):
        return False
    further = [value for value in node.inputs[4:5] if value is not None]
    states = [value for value in node.inputs[5:7] if value is not None]
    peepholes = [value for value in node.inputs[7:] if value is not None]
    cell = node.outputs[2] if len(node.outputs) > 2 else None
    gives_cell = cell is not None and (bool(cell.uses()) or cell.is_graph_output())
    known = node.inputs[0] is not None and node.inputs[0].shape is not None and len(node.inputs[0].shape) == 3
    return known and not further and not peepholes and not gives_cell and all(map(_is_zero, states))


def _is_zero(value: ir.Value) -> bool:
    """Whether a first state is zeros, whatever the size of its batch."""
    array = constant_of(value)
    node = value.producer()
    if array is None and node is not None and node.op_type == "Slice" and node.inputs[0] is not None:
        return _is_zero(node.inputs[0])  # the states of one layer of several
    if array is None and node is not None and node.op_type == "Expand":
        array = constant_of(node.inputs[0])
    if array is None and node is not None and node.op_type == "ConstantOfShape":
        given = attributes_of(node).get("value")
        array = np.zeros(1) if given is None else given.numpy()
    return array is not None and not array.any()


def _rewritten(graph: ir.Graph, node: ir.Node) -> list[ir.Node]:
    """Puts the operator with the batch first in the node's place; gives the nodes made around it."""
    x, hidden = node.inputs[0], int(attributes_of(node)["hidden_size"])
    directions = 2 if attributes_of(node).get("direction", "forward") == "bidirectional" else 1
    assert x is not None and x.shape is not None
    build = _Builder(graph, node)
    time, batch, _ = x.shape
    turned = build.node("Transpose", x, [x.shape[axis] for axis in _SWAPPED], perm=list(_SWAPPED))
    attributes = [item for name, item in node.attributes.items() if name != "layout"]
    layer = ir.Node(
        node.domain,
        node.op_type,
        [turned, *node.inputs[1:4]],
        [*attributes, ir.AttrInt64("layout", 1)],
        num_outputs=2,
        name=node.name,
        metadata_props=dict(node.metadata_props),
    )
    graph.insert_before(node, layer)
    shapes = ([batch, time, directions, hidden], [batch, directions, hidden])
    for place, (old, new) in enumerate(zip(node.outputs, layer.outputs, strict=False)):
        if not old.name or not (old.uses() or old.is_graph_output()):
            new.name = ""
            continue
        new.name, new.type, new.shape = build.name(), x.type, ir.Shape(shapes[place])
        joined = build.reshape(new, [0] * (2 - place) + [-1], [*shapes[place][:-2], directions * hidden])
        result = _as_before(build, joined, place, directions, hidden)
        result.meta.update(old.meta)
        old.replace_all_uses_with(result, replace_graph_outputs=True)
        result.name, old.name = old.name, f"{old.name}_time_first"
    graph.remove(node, safe=True)
    return build.made


def _as_before(build: _Builder, joined: ir.Value, place: int, directions: int, hidden: int) -> ir.Value:
    """The outputs (time, directions, batch, hidden), or the state (directions, batch, hidden), from the joined features."""
    assert joined.shape is not None
    if directions == 1:
        if place == 0:
            sizes = [joined.shape[axis] for axis in _SWAPPED]
            return build.unsqueeze(build.node("Transpose", joined, sizes, perm=list(_SWAPPED)), 1)
        return build.unsqueeze(joined, 0)
    split = build.reshape(joined, [0] * (2 - place) + [2, hidden], [*joined.shape[:-1], 2, hidden])
    order = [1, 2, 0, 3] if place == 0 else list(_SWAPPED)
    assert split.shape is not None
    return build.node("Transpose", split, [split.shape[axis] for axis in order], perm=order)


class _Builder:
    """Writes nodes before the operator that gives way."""

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.graph, self.before, self.made = graph, node, list[ir.Node]()
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"{self.before.name or self.before.op_type}.batch_first_{self.count}"

    def node(
        self, op_type: str, x: ir.Value, shape: Sequence[int | ir.SymbolicDim], *more: ir.Value, **given: object
    ) -> ir.Value:
        made = ir.node(op_type, [x, *more], given, metadata_props=dict(self.before.metadata_props), name=self.name())  # type: ignore[arg-type]
        self.graph.insert_before(self.before, made)
        self.made.append(made)
        value = made.outputs[0]
        value.name, value.type, value.shape = self.name(), x.type, ir.Shape(shape)
        return value

    def reshape(self, x: ir.Value, sizes: Sequence[int], shape: Sequence[int | ir.SymbolicDim]) -> ir.Value:
        return self.node("Reshape", x, shape, self._integers(sizes))

    def unsqueeze(self, x: ir.Value, axis: int) -> ir.Value:
        assert x.shape is not None
        return self.node("Unsqueeze", x, [*x.shape[:axis], 1, *x.shape[axis:]], self._integers([axis]))

    def _integers(self, numbers: Sequence[int]) -> ir.Value:
        array = np.array(numbers, np.int64)
        name = self.name()
        value = ir.Value(name=name, const_value=ir.tensor(array, name=name), shape=ir.Shape(array.shape))
        value.type = ir.TensorType(ir.DataType.INT64)
        value.metadata_props[ROLE] = "constant"
        self.graph.register_initializer(value)
        return value


def _cancel(node: ir.Node) -> None:
    """Takes away what undoes a node, as far as there is something: squeezes of what was unsqueezed, transposes back."""
    source = node.inputs[0]
    if source is None:
        return
    for user, _ in list(node.outputs[0].uses()):
        if user.outputs[0].is_graph_output():
            continue
        undone = False
        if node.op_type == "Unsqueeze" and user.op_type == "Squeeze" and len(user.inputs) > 1:
            axes, own = constant_of(user.inputs[1]), constant_of(node.inputs[1])
            rank = len(node.outputs[0].shape or ())
            undone = axes is not None and own is not None and [int(a) % rank for a in axes] == [int(a) for a in own]
        if node.op_type == user.op_type == "Transpose":
            first, second = attributes_of(node)["perm"], attributes_of(user).get("perm") or []
            undone = [first[axis] for axis in second] == sorted(first)
        if undone:
            user.outputs[0].replace_all_uses_with(source)
            if node.op_type == "Unsqueeze" and (before := source.producer()) is not None:
                _cancel(before)
    if node.op_type == "Transpose" and (before := source.producer()) is not None and before.op_type == "Transpose":
        first, second = attributes_of(before).get("perm") or [], attributes_of(node)["perm"]
        if before.inputs[0] is not None and [first[axis] for axis in second] == sorted(second):
            node.outputs[0].replace_all_uses_with(before.inputs[0])

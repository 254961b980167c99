"""Recurrent layers whose first axis is the batch, in a form that runtimes take, and back.

ONNX has `layout=1` for them, which ONNX Runtime does not run. A file therefore has `layout=0` between transposes; they
carry a mark, by which the layer comes back as it was.
"""

from __future__ import annotations

import onnx_ir as ir

MARK = "assay.batch_first"  # on a recurrent node and the transposes around it
RECURRENT = ("LSTM", "GRU", "RNN")

_SWAPPED = (1, 0, 2)  # (batch, length, …) ↔ (length, batch, …), and so for states
_INPUTS: dict[int, tuple[int, ...]] = {0: _SWAPPED, 5: _SWAPPED, 6: _SWAPPED}  # the sequence and the first states
_OUTPUTS: tuple[tuple[int, ...], ...] = (
    (2, 0, 1, 3),
    _SWAPPED,
    _SWAPPED,
)  # (length, directions, batch, hidden) → (batch, length, directions, hidden)


def spell_out(graph: ir.Graph) -> None:
    """Writes every recurrent node with `layout=1` as one with `layout=0` between transposes."""
    for node in list(ir.traversal.RecursiveGraphIterator(graph)):
        layout = node.attributes.get("layout")
        if node.op_type in RECURRENT and layout is not None and layout.as_int() == 1:
            _spell_out(node)


def _spell_out(node: ir.Node) -> None:
    assert node.graph is not None
    inputs, before = list(node.inputs), []
    for slot, axes in _INPUTS.items():
        if slot < len(inputs) and (value := inputs[slot]) is not None:
            before.append(_transpose(node, value, axes))
            inputs[slot] = before[-1].outputs[0]
    layer = _like(node, inputs, layout=0)
    after: list[ir.Node] = []
    made: list[ir.Value] = []
    for old, raw, axes in zip(node.outputs, layer.outputs, _OUTPUTS, strict=False):
        if old.name:
            raw.type = old.type
            raw.shape = None if old.shape is None else ir.Shape([old.shape[axes.index(i)] for i in range(len(axes))])
            after.append(_transpose(node, raw, axes))
            made.append(after[-1].outputs[0])
        else:
            raw.name = ""
            made.append(raw)
    _replace(node.graph, [node], [*before, layer, *after], list(node.outputs), made)


def restore(graph: ir.Graph) -> None:
    """Writes the nodes that carry the mark with `layout=1` again, where they are still between their transposes."""
    for node in list(ir.traversal.RecursiveGraphIterator(graph)):
        if node.op_type in RECURRENT and MARK in node.metadata_props:
            _restore(node)


def _restore(node: ir.Node) -> None:
    assert node.graph is not None
    inputs = list(node.inputs)
    around: dict[int, ir.Node] = {}
    for slot, axes in _INPUTS.items():
        if slot < len(inputs) and (value := inputs[slot]) is not None:
            producer = value.producer()
            if producer is None or not _is_marked(producer, axes):
                return
            around[id(producer)] = producer
            inputs[slot] = producer.inputs[0]
    old: list[ir.Value] = []
    for raw, axes in zip(node.outputs, _OUTPUTS, strict=False):
        users = [user for user, _ in raw.uses()]
        if raw.is_graph_output() or len(users) > 1 or not all(_is_marked(user, axes) for user in users):
            return
        around |= {id(user): user for user in users}
        old.append(users[0].outputs[0] if users else raw)
    layer = _like(node, inputs, layout=1)
    for value, raw in zip(layer.outputs, node.outputs, strict=True):
        if not raw.name:
            value.name = ""
    _replace(node.graph, [*around.values(), node], [layer], old, list(layer.outputs))
    del layer.metadata_props[MARK]


def _is_marked(node: ir.Node, axes: tuple[int, ...]) -> bool:
    perm = node.attributes.get("perm")
    found = node.op_type == "Transpose" and MARK in node.metadata_props
    return found and perm is not None and tuple(perm.as_ints()) == axes


def _transpose(node: ir.Node, value: ir.Value, axes: tuple[int, ...]) -> ir.Node:
    found = ir.node("Transpose", [value], {"perm": list(axes)}, metadata_props={**node.metadata_props, MARK: "1"})
    found.outputs[0].type = value.type
    found.outputs[0].shape = None if value.shape is None else ir.Shape([value.shape[axis] for axis in axes])
    return found


def _like(node: ir.Node, inputs: list[ir.Value | None], layout: int) -> ir.Node:
    attributes = [item for name, item in node.attributes.items() if name != "layout"]
    if layout:
        attributes.append(ir.AttrInt64("layout", layout))
    return ir.Node(
        node.domain,
        node.op_type,
        inputs,
        attributes,
        num_outputs=len(node.outputs),
        version=node.version,
        name=node.name,
        metadata_props={**node.metadata_props, MARK: "1"},
    )


def _replace(
    graph: ir.Graph, old: list[ir.Node], new: list[ir.Node], values: list[ir.Value], made: list[ir.Value]
) -> None:
    for before, after in zip(values, made, strict=True):
        after.metadata_props.update(before.metadata_props)
    last = old[-1]
    ir.convenience.replace_nodes_and_values(graph, last, old, new, values, made)

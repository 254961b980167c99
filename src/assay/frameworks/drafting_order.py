"""Transposes of channels-last sources, moved out of the way.

A source that is channels-last meets ONNX's operators, which are channels-first, through transposes before and after each.
Here a transpose moves down through operators that work in any order, until it meets one that undoes it. What remains
stands just before the operator that needs it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from assay.frameworks.drafting import dims_of, remove_unused
from assay.model import ROLE, SCOPE, constant_of, scope_of
from assay.ops import Layout, operator

_REDUCTIONS = ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2")
_WITH_AXES = (*_REDUCTIONS, "Squeeze")

Order = tuple[int, ...]


def settle_transposes(graph: ir.Graph) -> None:
    """Moves transposes down, joins those that follow one another, removes those that do nothing."""
    for node in list(graph):
        if node.op_type == "Transpose":
            _join(graph, node)
        elif node.op_type in _WITH_AXES:
            _pass_axes(graph, node)
        elif operator(node.op_type).layout is Layout.FREE:
            _pass_free(graph, node)
    remove_unused(graph)
    _place(graph)


def _order(value: ir.Value | None) -> Order | None:
    """How a value is transposed, if a transpose has made it."""
    producer = None if value is None else value.producer()
    if producer is None or producer.op_type != "Transpose":
        return None
    return tuple(int(axis) for axis in producer.attributes["perm"].as_ints())


def _source(value: ir.Value) -> ir.Value:
    producer = value.producer()
    assert producer is not None and producer.inputs[0] is not None
    return producer.inputs[0]


def _inverse(order: Order) -> Order:
    return tuple(int(axis) for axis in np.argsort(order))


# Transposes after other operators -------------------------------------------------------------------------------------


def _join(graph: ir.Graph, node: ir.Node) -> ir.Value:
    """Two transposes are one, or none; one after new axes of size one is other new axes. Gives what stands for it now."""
    given, result = node.inputs[0], node.outputs[0]
    assert given is not None
    own = tuple(int(axis) for axis in node.attributes["perm"].as_ints())
    before = _order(given)
    if before is not None:
        whole = tuple(before[axis] for axis in own)
        node.replace_input_with(0, _source(given))
        node.attributes["perm"] = ir.AttrInt64s("perm", list(whole))
        if whole == tuple(range(len(whole))) and not result.is_graph_output():
            source = _source(result)
            result.replace_all_uses_with(source)
            return source
        return result
    producer = given.producer()
    if producer is None or producer.op_type != "Unsqueeze" or result.is_graph_output():
        return result
    axes = constant_of(producer.inputs[1])
    inner = producer.inputs[0]
    if axes is None or inner is None:
        return result
    new = [place for place, axis in enumerate(own) if axis in axes]
    kept = [axis for axis in own if axis not in axes]
    if kept != sorted(kept):
        return result
    made = ir.node("Unsqueeze", [inner, _integers(graph, f"{result.name}.axes", new)], name=f"{node.name}.axes")
    return _replace(graph, node, made)


def _replace(graph: ir.Graph, old: ir.Node, new: ir.Node) -> ir.Value:
    """Another node with one output in the place of one."""
    new.metadata_props.update(old.metadata_props)
    graph.insert_before(old, new)
    result, made = old.outputs[0], new.outputs[0]
    made.shape, made.type = result.shape, result.type
    result.replace_all_uses_with(made)
    made.name, result.name = result.name, f"{result.name}.before"
    return made


def _integers(graph: ir.Graph, name: str, values: Sequence[int]) -> ir.Value:
    """A constant list of integers."""
    return _constant(graph, name, np.array(values, np.int64))


def _constant(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    number = 0
    while (full := f"{name}_{number}") in graph.initializers:
        number += 1
    tensor = ir.tensor(array, name=full)
    value = ir.Value(name=full, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
    value.metadata_props[ROLE] = "constant"
    graph.register_initializer(value)
    return value


# Operators that a transpose passes ------------------------------------------------------------------------------------


def _pass_free(graph: ir.Graph, node: ir.Node) -> None:
    """op(T(a), T(b)) = T(op(a, b)), for operators that work in any order of the axes."""
    kind = operator(node.op_type)
    slots = [slot for slot in kind.data if slot < len(node.inputs) and node.inputs[slot] is not None]
    values = [value for slot in slots if (value := node.inputs[slot]) is not None]
    orders = {order for value in values if (order := _order(value)) is not None}
    if len(orders) != 1 or any(output.shape is None for output in node.outputs):
        return
    order = orders.pop()
    if not all(_may_follow(value, order, values) for value in values) or not _rewrite_axes(graph, node, order):
        return
    for slot in slots:
        value = node.inputs[slot]
        assert value is not None
        node.replace_input_with(slot, _followed(graph, node, value, order))
    for output in node.outputs:
        _restore(graph, node, output, order)


def _may_follow(value: ir.Value, order: Order, values: Sequence[ir.Value]) -> bool:
    """Whether an operand can be had in the order before the transpose, at less than the cost of transposing the others."""
    if _order(value) is not None:
        return True
    shape = dims_of(value)
    if shape is None or len(shape) > len(order):
        return False
    if value.is_initializer():
        constant = value.metadata_props.get(ROLE) == "constant"
        return math.prod(size for size in shape if isinstance(size, int)) == 1 or constant
    largest = max(_cost(other) for other in values if _order(other) is not None)
    return len(shape) == len(order) and _cost(value) < largest


def _cost(value: ir.Value) -> int:
    return math.prod(size if isinstance(size, int) else 1 for size in dims_of(value) or ())


def _followed(graph: ir.Graph, node: ir.Node, value: ir.Value, order: Order) -> ir.Value:
    """An operand in the order before the transpose."""
    if _order(value) is not None:
        return _source(value)
    if value.is_initializer():
        array = constant_of(value)
        assert array is not None
        if array.size == 1:
            return value
        full = array.reshape((1,) * (len(order) - array.ndim) + array.shape)
        return _constant(graph, f"{value.name}.ordered", np.ascontiguousarray(full.transpose(_inverse(order))))
    moved = _transpose(value, _inverse(order), node)
    graph.insert_before(node, moved)
    return _join(graph, moved)


def _transpose(value: ir.Value, order: Order, beside: ir.Node) -> ir.Node:
    name = f"{value.name}.order"
    node = ir.node("Transpose", [value], attributes={"perm": list(order)}, name=name)
    node.metadata_props[SCOPE] = beside.metadata_props.get(SCOPE, "[]")
    shape = dims_of(value)
    assert shape is not None
    node.outputs[0].name, node.outputs[0].type = name, value.type
    node.outputs[0].shape = ir.Shape([shape[axis] for axis in order])
    return node


def _rewrite_axes(graph: ir.Graph, node: ir.Node, order: Order) -> bool:
    """Makes what an operator says of axes true before the transpose; whether it could be done."""
    rank = len(order)
    for name in operator(node.op_type).axes_attributes:
        default = 0 if node.op_type == "Split" else -1
        axis = node.attributes[name].as_int() if name in node.attributes else default
        node.attributes[name] = ir.AttrInt64(name, order[axis % rank])
    if node.op_type == "Slice":
        axes = constant_of(node.inputs[3]) if len(node.inputs) > 3 else None
        if axes is None:
            return False
        moved = [order[int(axis) % rank] for axis in axes]
        node.replace_input_with(3, _integers(graph, f"{node.name}.axes", moved))
    if node.op_type == "Pad":
        pads = constant_of(node.inputs[1])
        if pads is None or (len(node.inputs) > 3 and node.inputs[3] is not None) or len(pads) != 2 * rank:
            return False
        back = _inverse(order)
        both = [int(pads[side * rank + axis]) for side in (0, 1) for axis in back]
        node.replace_input_with(1, _integers(graph, f"{node.name}.pads", both))
    return True


def _restore(graph: ir.Graph, node: ir.Node, output: ir.Value, order: Order) -> None:
    """The output now comes in the order before the transpose; who used it gets it transposed."""
    shape = dims_of(output)
    assert shape is not None
    if order == tuple(range(len(order))):
        return
    output.shape = ir.Shape([shape[axis] for axis in _inverse(order)])
    restored = _transpose(output, order, node)
    users = [(user, slot) for user, slot in output.uses() if user is not restored]
    graph.insert_after(node, restored)
    for user, slot in users:
        user.replace_input_with(slot, restored.outputs[0])
    for place, value in enumerate(graph.outputs):
        if value is output:
            graph.outputs[place] = restored.outputs[0]
            restored.outputs[0].name, output.name = output.name, restored.outputs[0].name


def _pass_axes(graph: ir.Graph, node: ir.Node) -> None:
    """A reduction, or taking away axes of one, before the transpose instead of after it."""
    given = node.inputs[0]
    order = _order(given)
    listed = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if order is None or listed is None or given is None or node.outputs[0].shape is None:
        return
    rank = len(order)
    axes = [int(axis) % rank for axis in listed.reshape(-1)]
    keeps = node.op_type != "Squeeze" and ("keepdims" not in node.attributes or node.attributes["keepdims"].as_int())
    node.replace_input_with(0, _source(given))
    node.replace_input_with(1, _integers(graph, f"{node.name}.axes", sorted(order[axis] for axis in axes)))
    if keeps:
        _restore(graph, node, node.outputs[0], order)
        return
    rest = [order[axis] for axis in range(rank) if axis not in axes]
    _restore(graph, node, node.outputs[0], tuple(sorted(rest).index(axis) for axis in rest))


# What remains ---------------------------------------------------------------------------------------------------------


def _place(graph: ir.Graph) -> None:
    """Each transpose that remains stands just before the first that uses it, in the module that all its users share."""
    for node in reversed([item for item in graph if item.op_type == "Transpose"]):
        places = {id(item): number for number, item in enumerate(graph)}
        users = [user for user, _ in node.outputs[0].uses()]
        if not users or node.outputs[0].is_graph_output():
            _set_scope(node, [entry for entry in scope_of(node) if entry[0] == ""])
            continue
        first = min(users, key=lambda user: places[id(user)])
        scopes = [scope_of(user) for user in users]
        shared = 0
        while all(len(scope) > shared and scope[shared] == scopes[0][shared] for scope in scopes):
            shared += 1
        graph.remove(node)
        graph.insert_before(first, node)
        _set_scope(node, _entered(graph, node, scopes[0][:shared]))


def _entered(graph: ir.Graph, node: ir.Node, scope: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    """The module calls that are under way when a node runs: not those that the node after it begins."""
    previous: tuple[tuple[str, int], ...] = ()
    for item in graph:
        if item is node:
            break
        if item.op_type != "Transpose":
            previous = scope_of(item)
    while scope and tuple(scope) != previous[: len(scope)] and scope[-1][0] != "":
        scope = scope[:-1]
    return scope


def _set_scope(node: ir.Node, scope: Sequence[tuple[str, int]]) -> None:
    node.metadata_props[SCOPE] = json.dumps([list(entry) for entry in scope])

"""The one place that decides channels-first or channels-last, for a whole graph at once.

Every operator is one or two *ports* (its input side and its output side), each to be labelled channels-last or ONNX
order. Spatial operators must be channels-last, others must keep ONNX's order, many do not care. Where the two ends of an
edge are labelled differently the data must be transposed, at the cost of its size: the cheapest labelling is a minimum
cut. Transposes that remain become `Identity` nodes whose input and output are stored in different orders, so that the
graph keeps its meaning and stays valid ONNX.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import networkx as nx
import onnx_ir as ir

from assay.model import SCOPE, Model, constant_of, scope_of, shape_of, subgraphs_of
from assay.ops import Layout, operator

ORDER = "assay.order"  # in `value.meta`: the order in which the value's axes are stored
FLATTENED = "assay.flattened"  # in `value.meta`: the (channels, …) shape that was flattened channels-last

_OF_WEIGHTS = "assay.of_weights"  # in `node.meta`: whether it computes with parameters alone

Scope = tuple[tuple[str, int], ...]

_LAST, _FIRST = "channels-last", "onnx"


def channels_last_order(rank: int) -> tuple[int, ...]:
    """(batch, channels, …) → (batch, …, channels); nothing to reorder below three axes."""
    return (0, *range(2, rank), 1) if rank >= 3 else tuple(range(rank))


def order_of(value: ir.Value) -> tuple[int, ...]:
    """The order in which a value's axes are stored: stored axis i is the value's axis `order[i]`."""
    order: tuple[int, ...] = value.meta.get(ORDER) or tuple(range(max(_rank(value), 0)))
    return order


def _rank(value: ir.Value) -> int:
    """The number of axes; -1 where that is not known before the model runs (or there are none, as in a sequence)."""
    return -1 if value.shape is None else len(value.shape)


def stored_shape(value: ir.Value) -> tuple[int | str, ...]:
    """The shape of a value as it is stored."""
    shape = shape_of(value)
    return tuple(shape[axis] for axis in order_of(value))


def stored_axis(value: ir.Value, axis: int) -> int:
    """Where an axis of a value is stored."""
    order = order_of(value)
    return order.index(axis % len(order))


@dataclass(frozen=True)
class _Port:
    node: int
    side: str  # "in" or "out"; the same port for both sides where the operator ties them


def decide(model: Model) -> Model:
    """A copy of the model in which every value knows the order it is stored in (`order_of`)."""
    copied = Model(model.name, model.ir.clone(), model.training, model.dataset, model.target)
    _decide_graph(copied.graph)
    return copied


def _decide_graph(graph: ir.Graph) -> None:
    """Lays out one graph, then those inside its nodes; what goes in or out of a graph is in ONNX's order."""
    nodes = list(graph)
    _mark_weights(nodes)
    network = nx.DiGraph()
    network.add_node(_LAST)
    network.add_node(_FIRST)
    numbers = {id(node): number for number, node in enumerate(nodes)}
    for number, node in enumerate(nodes):
        _tie(network, number, node)
    for number, node in enumerate(nodes):
        for value in _data_inputs(node):
            producer = value.producer()
            inside = producer is not None and id(producer) in numbers
            source: object = _port(numbers[id(producer)], producer, "out") if producer and inside else _FIRST
            _add_cost(network, source, _port(number, node, "in"), value)
    for value in graph.outputs:
        producer = value.producer()
        if producer is not None and id(producer) in numbers:
            _add_cost(network, _port(numbers[id(producer)], producer, "out"), _FIRST, value)
    last = nx.minimum_cut(network, _LAST, _FIRST)[1][0]
    for number, node in enumerate(nodes):
        _apply(graph, node, _port(number, node, "in") in last, _port(number, node, "out") in last)
    for value in graph.outputs:
        if order_of(value) != tuple(range(max(_rank(value), 0))):
            _reorder_output(graph, value)
    for node in nodes:
        for inner in subgraphs_of(node):
            _restore_captured(graph, node, inner)
            _decide_graph(inner)


def _restore_captured(graph: ir.Graph, node: ir.Node, inner: ir.Graph) -> None:
    """Values from outside that a subgraph uses reach it in ONNX's order."""
    for user in ir.traversal.RecursiveGraphIterator(inner):
        for slot, value in enumerate(user.inputs):
            if value is None or value.graph is not graph or order_of(value) == tuple(range(max(_rank(value), 0))):
                continue
            user.replace_input_with(slot, _reordered(graph, value, tuple(range(_rank(value))), node))


def _layout(node: ir.Node) -> Layout:
    """The catalogue's layout, made strict where this node's shapes take the freedom away."""
    kind = operator(node.op_type).layout
    ranks = {_rank(value) for value in _data_inputs(node)}
    if -1 in ranks or _rank(node.outputs[0]) < 0 or node.meta.get(_OF_WEIGHTS, False):
        return Layout.FIXED
    if kind is Layout.SPATIAL and max(ranks, default=0) < 3:
        return Layout.FIXED
    if kind is Layout.FREE and (len(ranks) > 1 or ranks != {_rank(node.outputs[0])}):
        return Layout.FIXED
    if node.op_type == "Flatten" and not _feeds_linear(node):
        return Layout.FIXED
    if (
        node.op_type in ("Slice", "Pad")
        and len([v for v in node.inputs if v is not None and constant_of(v) is None]) > 1
    ):
        return Layout.FIXED
    return kind


def _mark_weights(nodes: list[ir.Node]) -> None:
    """Marks the nodes that compute with parameters and nothing else, as a weight's norm is made: those are in ONNX's order,
    as is what a layer makes of them. Nodes come in the order of computation."""
    for node in nodes:
        given = [value for value in node.inputs if value is not None]
        node.meta[_OF_WEIGHTS] = bool(given) and all(
            value.is_initializer() or ((maker := value.producer()) is not None and maker.meta.get(_OF_WEIGHTS, False))
            for value in given
        )


def _feeds_linear(node: ir.Node) -> bool:
    """Whether a flattened value reaches only linear layers, whose weight rows can be reordered instead of the data."""
    if int(node.attributes["axis"].value if "axis" in node.attributes else 1) != 1:
        return False
    waiting = [node.outputs[0]]
    while waiting:
        value = waiting.pop()
        if value.is_graph_output():
            return False
        for user, slot in value.uses():
            if user.op_type in ("Dropout", "Relu", "Identity") and slot == 0:
                waiting.append(user.outputs[0])
            elif user.op_type not in ("MatMul", "Gemm") or slot != 0 or not _is_parameter(user.inputs[1]):
                return False
    return True


def _is_parameter(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer()


def _data_inputs(node: ir.Node) -> list[ir.Value]:
    """The inputs whose layout matters: computed values of three or more axes (weights are stored as needed)."""
    slots = (
        operator(node.op_type).data if operator(node.op_type).layout is not Layout.FIXED else range(len(node.inputs))
    )
    found = []
    for slot in slots:
        value = node.inputs[slot] if slot < len(node.inputs) else None
        if value is not None and not value.is_initializer() and constant_of(value) is None:
            found.append(value)
    return found


def _port(number: int, node: ir.Node, side: str) -> _Port:
    return _Port(number, side if _layout(node) is Layout.BRIDGE else "both")


def _tie(network: nx.DiGraph, number: int, node: ir.Node) -> None:
    kind = _layout(node)
    if kind is Layout.SPATIAL:
        network.add_edge(_LAST, _port(number, node, "in"), capacity=math.inf)
    elif kind is Layout.FIXED:
        network.add_edge(_port(number, node, "in"), _FIRST, capacity=math.inf)
    elif node.op_type == "Transpose" and node.inputs[0] is not None and _rank(node.outputs[0]) >= 3:
        _tie_transpose(network, number, node, node.inputs[0])


def _tie_transpose(network: nx.DiGraph, number: int, node: ir.Node, given: ir.Value) -> None:
    """A transpose between the two orders moves nothing if its input is stored in the one and its output in the other."""
    rank = _rank(given)
    last = channels_last_order(rank)
    first = tuple(last.index(axis) for axis in range(rank))
    order = tuple(node.attributes["perm"].as_ints()) if "perm" in node.attributes else tuple(reversed(range(rank)))
    inside, outside = _port(number, node, "in"), _port(number, node, "out")
    # With three axes both directions are the same transpose: what made the data tells which is meant.
    if order == last and (order != first or _is_spatial(given)):
        _charge(network, _LAST, inside, given)
        _charge(network, outside, _FIRST, given)
    elif order == first:
        _charge(network, inside, _FIRST, given)
        _charge(network, _LAST, outside, given)


def _is_spatial(value: ir.Value) -> bool:
    """Whether a value comes from an operator with channels and places, through operators that work in any order."""
    node = value.producer()
    while node is not None and _layout(node) is Layout.FREE:
        data = _data_inputs(node)
        node = data[0].producer() if data else None
    return node is not None and _layout(node) is Layout.SPATIAL


def _add_cost(network: nx.DiGraph, source: object, sink: object, value: ir.Value) -> None:
    if _rank(value) < 3 or source == sink:
        return
    for first, second in ((source, sink), (sink, source)):
        _charge(network, first, second, value)


def _charge(network: nx.DiGraph, first: object, second: object, value: ir.Value) -> None:
    """Moving a value costs its size, if the first port is labelled channels-last and the second is not."""
    # One more than the size: of two ways that move the same amount of data, the one with fewer transposes.
    cost = math.prod(size if isinstance(size, int) else 1 for size in shape_of(value)) + 1
    if network.has_edge(first, second):
        network[first][second]["capacity"] += cost
    else:
        network.add_edge(first, second, capacity=cost)


def _apply(graph: ir.Graph, node: ir.Node, last_in: bool, last_out: bool) -> None:
    """Makes a node's inputs come in the order decided for it, and marks its outputs."""
    for slot, value in enumerate(node.inputs):
        if value is None or value.is_initializer() or not any(value is data for data in _data_inputs(node)):
            continue
        rank = max(_rank(value), 0)
        wanted = channels_last_order(rank) if last_in else tuple(range(rank))
        if order_of(value) != wanted:
            node.replace_input_with(slot, _reordered(graph, value, wanted, node))
    for output in node.outputs:
        if last_out and output.shape is not None:
            output.meta[ORDER] = channels_last_order(len(shape_of(output)))
    first = node.inputs[0] if node.inputs else None
    if first is None:
        return
    if node.op_type == "Flatten" and last_in and _rank(first) >= 3:
        node.outputs[0].meta[FLATTENED] = shape_of(first)[1:]
    elif node.op_type in ("Dropout", "Relu", "Identity") and FLATTENED in first.meta:
        node.outputs[0].meta[FLATTENED] = first.meta[FLATTENED]


def _reordered(graph: ir.Graph, value: ir.Value, wanted: tuple[int, ...], before: ir.Node) -> ir.Value:
    for user, _ in value.uses():  # one reordering serves every user that needs it
        if (
            user.op_type == "Identity"
            and user.outputs[0].meta.get(ORDER) == wanted
            and user.metadata_props.get("assay.reorder")
        ):
            return user.outputs[0]
    node = _reordering(value, _scope_before(graph, before))
    node.outputs[0].meta[ORDER] = wanted
    graph.insert_before(before, node)
    return node.outputs[0]


def _reordering(value: ir.Value, scope: Scope) -> ir.Node:
    """A node between two orders of the same value."""
    properties = {"assay.reorder": "yes", SCOPE: json.dumps(scope)}
    node = ir.node("Identity", [value], name=f"{value.name}.reorder", metadata_props=properties)
    output = node.outputs[0]
    output.name, output.shape, output.type = f"{value.name}_reordered", value.shape, value.type
    return node


def _scope_before(graph: ir.Graph, node: ir.Node) -> Scope:
    """The module calls for something written just before a node: if the node is the first of its module, those around it."""
    scope = scope_of(node)
    nodes = list(graph)
    place = next(index for index, item in enumerate(nodes) if item is node)
    previous = nodes[place - 1] if place else None
    while scope and (previous is None or scope[: len(scope)] != scope_of(previous)[: len(scope)]):
        scope = scope[:-1]
    return scope


def _reorder_output(graph: ir.Graph, value: ir.Value) -> None:
    """An output leaves the model in ONNX's order: the last thing that the outermost module does."""
    node = _reordering(value, ())
    graph.append(node)
    for index, existing in enumerate(graph.outputs):
        if existing is value:
            graph.outputs[index] = node.outputs[0]

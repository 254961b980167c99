"""The part of a graph that leads from some values to another, as a graph of its own: what a gradient is taken of."""

from __future__ import annotations

import onnx_ir as ir

from assay.graph.calls import Call


def objective_of(call: Call) -> tuple[list[ir.Value], ir.Graph]:
    """What a `Gradient` node differentiates: the values that it differentiates by, and the nodes from them to its target."""
    names, target = call.attribute("xs"), call.attribute("y")
    call.attribute("zs")
    sources = [value for value in call.inputs[: len(names)] if value is not None]
    graph = call.nodes[0].graph
    assert graph is not None
    made = {value.name: value for node in graph for value in node.outputs}
    return sources, between(sources, made[target])


def between(sources: list[ir.Value], target: ir.Value) -> ir.Graph:
    """A copy of the nodes that lead from the sources to the target, as a graph of its own."""
    copies = {value: ir.Value(name=value.name, shape=value.shape, type=value.type) for value in sources}
    inputs, nodes = list(copies.values()), []

    def copy(value: ir.Value) -> ir.Value:
        producer = value.producer()
        if value in copies or producer is None:
            return copies.get(value, value)
        given = [None if item is None else copy(item) for item in producer.inputs]
        attributes = list(producer.attributes.values())
        renewed = ir.Node(producer.domain, producer.op_type, given, attributes, num_outputs=len(producer.outputs))
        renewed.name = producer.name
        for old, new in zip(producer.outputs, renewed.outputs, strict=True):
            new.name, new.shape, new.type = old.name, old.shape, old.type
            copies[old] = new
        nodes.append(renewed)
        return copies[value]

    return ir.Graph(inputs, [copy(target)], nodes=nodes, name="objective")

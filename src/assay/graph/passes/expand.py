"""Operators that ONNX itself defines by other operators, written as those where a framework has no word for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir

from assay.graph.calls import Call, calls_of
from assay.model import SCOPE, Model, lift_constants


def expand(model: Model, takes: Callable[[Call], bool]) -> bool:
    """Replaces, once, every operator that `takes` refuses and ONNX defines by a function body. Whether there was any."""
    graphs = [model.graph, *model.graph.subgraphs()]
    refused = [
        call.nodes[0] for graph in graphs for call in calls_of(model, graph) if len(call.nodes) == 1 and not takes(call)
    ]
    found = False
    for node in refused:
        function = _definition(model, node)
        if function is not None:
            _inline(model, node, function)
            found = True
    if found:
        lift_constants(model)
        infer_shapes(model)
    return found


def _definition(model: Model, node: ir.Node) -> ir.Function | None:
    """The function body that ONNX gives for this node, for its attributes and input types."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    opset = model.graph.opset_imports.get(domain, 1)
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, opset, domain)  # whose stubs know nothing of functions
    except onnx.defs.SchemaError:
        return None
    body = None
    if schema.has_context_dependent_function:
        body = _dependent_body(schema, node, opset)
    if not body and schema.has_function:
        body = _plain_body(schema, opset)
    if not body:
        return None
    proto = onnx.FunctionProto()
    proto.ParseFromString(body)
    _leave_out(proto, node)
    if not proto.name:  # as a body that depends on the node comes
        proto.name, proto.domain = node.op_type, domain
    logger = logging.getLogger("onnx_ir.serde")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of outer values in a body, which `_inline` finds
    try:
        return ir.serde.deserialize_function(proto)
    finally:
        logger.setLevel(level)


def _leave_out(proto: onnx.FunctionProto, node: ir.Node) -> None:
    """Takes away the optional outputs that this node does without, which its body may lack."""
    del proto.output[len(node.outputs) :]
    made = {name for inner in proto.node for name in inner.output}
    for place, value in enumerate(node.outputs):
        name = proto.output[place] if place < len(proto.output) else ""
        if name and not value.name and name not in made:  # something must stand at its place
            proto.node.append(onnx.helper.make_node("Constant", [], [name], value_ints=[0]))


def _plain_body(schema: Any, opset: int) -> bytes | None:
    versions = [version for version in schema.function_opset_versions if version <= opset]
    if not versions:
        return None
    found: bytes = schema.get_function_with_opset_version(max(versions))
    return found


def _dependent_body(schema: Any, node: ir.Node, opset: int) -> bytes | None:
    proto = ir.to_proto(node)
    types = [b"" if value is None or value.type is None else _type_of(value) for value in node.inputs]
    versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
    if not versions or any(not item for item, value in zip(types, node.inputs, strict=True) if value is not None):
        return None
    try:
        found: bytes = schema.get_context_dependent_function_with_opset_version(
            max(versions), proto.SerializeToString(), types
        )
    except Exception:  # onnx raises errors of several kinds for a node whose body it cannot build
        return None
    return found


def _type_of(value: ir.Value) -> bytes:
    info = ir.to_proto(value)
    assert isinstance(info, onnx.ValueInfoProto)
    found: bytes = info.type.SerializeToString()
    return found


def _inline(model: Model, node: ir.Node, function: ir.Function) -> None:
    """Puts the body in the node's place; its nodes get the node's module scope and attributes."""
    graph = node.graph
    assert graph is not None
    values: dict[ir.Value, ir.Value | None] = {}
    for place, formal in enumerate(function.inputs):
        values[formal] = node.inputs[place] if place < len(node.inputs) else None
    defaults = {name: item for name, item in function.attributes.items() if item.value is not None}
    outer = _by_name(model)
    for inner in function:  # the nodes of a node's own subgraph, spliced into its body, refer to outer values by name
        for value in inner.inputs:
            if value is not None and value.producer() is None and value not in values and value.name in outer:
                values[value] = outer[value.name]
    attributes = {**_schema_defaults(model, node), **defaults, **node.attributes}
    stem = node.name or node.op_type
    for inner in function:
        renewed = _copy(inner, values, attributes, stem, node)
        graph.insert_before(node, renewed)
    for old, formal in zip(node.outputs, function.outputs, strict=False):
        if not old.name:  # left out
            continue
        replacement = values[formal]
        assert replacement is not None
        if replacement.producer() is None or replacement.is_graph_output():  # a body that passes an input on
            passed = ir.node("Identity", [replacement], metadata_props=dict(node.metadata_props))
            graph.insert_before(node, passed)
            replacement = passed.outputs[0]
        replacement.shape, replacement.type = old.shape, old.type
        replacement.meta.update(old.meta)
        old.replace_all_uses_with(replacement, replace_graph_outputs=True)
        replacement.name, old.name = old.name, f"{old.name}_expanded"
    graph.remove(node, safe=False)


def _by_name(model: Model) -> dict[str, ir.Value]:
    found = {name: value for name, value in model.graph.initializers.items()}
    found.update({value.name: value for value in model.graph.inputs if value.name})
    for node in model.graph:
        found.update({value.name: value for value in node.outputs if value.name})
    return found


def _schema_defaults(model: Model, node: ir.Node) -> dict[str, ir.Attr]:
    schema = onnx.defs.get_schema(node.op_type, model.graph.opset_imports.get(node.domain, 1), node.domain)
    found: dict[str, ir.Attr] = {}
    for name, item in schema.attributes.items():
        if item.default_value.type != onnx.AttributeProto.UNDEFINED:
            found[name] = ir.serde.deserialize_attribute(item.default_value)
    return found


def _copy(
    node: ir.Node, values: dict[ir.Value, ir.Value | None], attributes: dict[str, ir.Attr], stem: str, caller: ir.Node
) -> ir.Node:
    """A node of a body, with the caller's values and attributes in the place of formal ones."""
    own = []
    for name, item in node.attributes.items():
        if item.is_ref():
            given = attributes.get(item.ref_attr_name or "")
            if given is not None:
                own.append(ir.Attr(name, given.type, given.value))
        elif item.type == ir.AttributeType.GRAPH:
            own.append(ir.AttrGraph(name, _copy_graph(item.as_graph(), values, attributes, stem, caller)))
        else:
            own.append(item)
    inputs = [None if value is None else values.get(value, value) for value in node.inputs]
    properties = {SCOPE: caller.metadata_props[SCOPE]} if SCOPE in caller.metadata_props else {}
    renewed = ir.Node(
        node.domain,
        node.op_type,
        inputs,
        own,
        num_outputs=len(node.outputs),
        name=f"{stem}.{node.name or node.outputs[0].name}",
        metadata_props=properties,
    )
    for old, new in zip(node.outputs, renewed.outputs, strict=True):
        new.name = f"{stem}.{old.name}" if old.name else ""
        values[old] = new
    return renewed


def _copy_graph(
    graph: ir.Graph, values: dict[ir.Value, ir.Value | None], attributes: dict[str, ir.Attr], stem: str, caller: ir.Node
) -> ir.Graph:
    inputs = [ir.Value(name=f"{stem}.{value.name}", shape=value.shape, type=value.type) for value in graph.inputs]
    values.update(zip(graph.inputs, inputs, strict=True))
    nodes = [_copy(node, values, attributes, stem, caller) for node in graph]
    outputs = [values.get(value, value) for value in graph.outputs]
    assert all(value is not None for value in outputs)
    return ir.Graph(inputs, [value for value in outputs if value is not None], nodes=nodes, name=graph.name)


def infer_shapes(model: Model) -> None:
    """Shapes and types of what is new, as far as ONNX's inference finds them."""
    from onnx_ir.passes.common import ShapeInferencePass

    ShapeInferencePass(check_type=False, strict_mode=False, data_prop=True)(model.ir)

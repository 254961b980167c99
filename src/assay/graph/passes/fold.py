"""Constant folding: what can be computed when the code is written is not written.

Only constants are folded, never parameters: a weight that is reshaped on its way stays a weight that can be trained.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from assay.model import EXACT, KEPT, ROLE, SCOPE, Model, constant_of, exact_of

_LARGEST = 1 << 16  # elements of a folded result: nobody wants to read (or store) more
_RANDOM = {
    "Bernoulli",
    "Dropout",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
_PLAIN = {
    *(ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.BOOL),
    *(ir.DataType.INT8, ir.DataType.INT16, ir.DataType.INT32, ir.DataType.INT64),
    *(ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64),
}


def fold(model: Model, exact: bool = False) -> None:
    """Replaces every node whose result is known by a constant, and removes what nothing uses any more.

    `exact`: a float32 result that float32 cannot hold is kept as a float64 constant and its cast to float32, so that a
    proof in float64 sees it unrounded.
    """
    unrounded: list[ir.Value] = []
    for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
        result = _known_result(model, node, exact)
        if result is None:
            continue
        single = node.outputs[0].dtype == ir.DataType.FLOAT
        if exact and single and not node.outputs[0].is_graph_output():
            constant = constant_value(model, node.outputs[0].name or "constant", result.astype(np.float64))
            unrounded.append(constant)
            _put(node, constant)
        else:
            _replace(model, node, result)
    _remove_unused(model.graph)
    for constant in unrounded:
        _round(model, constant)


def _is_rounding(node: ir.Node) -> bool:
    """Whether a node casts a float64 constant to float32."""
    given = node.inputs[0] if node.op_type == "Cast" else None
    return given is not None and given.dtype == ir.DataType.DOUBLE and node.outputs[0].dtype == ir.DataType.FLOAT


def _round(model: Model, constant: ir.Value) -> None:
    """A float64 constant that stands for float32 as that, by a cast where it loses something."""
    if not constant.uses() or constant.const_value is None:
        return
    array = constant.const_value.numpy()
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if np.array_equal(single, array, equal_nan=True):
        constant.const_value = ir.tensor(single, name=constant.name)
        constant.type = ir.TensorType(ir.DataType.FLOAT)
        return
    users = [user for user, _ in constant.uses()]
    cast = ir.node("Cast", [constant], attributes={"to": int(ir.DataType.FLOAT)})
    common = _common_scope(users)
    if common:
        cast.metadata_props[SCOPE] = common
    rounded = cast.outputs[0]
    rounded.name, rounded.shape, rounded.type = (
        f"{constant.name}_rounded",
        constant.shape,
        ir.TensorType(ir.DataType.FLOAT),
    )
    cast.name = rounded.name
    constant.replace_all_uses_with(rounded)
    cast.replace_input_with(0, constant)
    graph = users[0].graph
    assert graph is not None
    graph.insert_before(min(users, key=list(graph).index) if len(users) > 1 else users[0], cast)


def _common_scope(nodes: list[ir.Node]) -> str:
    """The module calls that are around all of some nodes, as a node's metadata has them."""
    scopes = [json.loads(node.metadata_props.get(SCOPE, "[]")) for node in nodes]
    depth = 0
    while all(len(scope) > depth and scope[depth] == scopes[0][depth] for scope in scopes):
        depth += 1
    return json.dumps(scopes[0][:depth])


def _known_result(model: Model, node: ir.Node, exact: bool = False) -> np.ndarray | None:
    if node.domain not in ("", "ai.onnx") or node.op_type in _RANDOM or len(node.outputs) != 1:
        return None
    if any(item.type == ir.AttributeType.GRAPH for item in node.attributes.values()):
        return None
    if node.op_type in ("Shape", "Size"):
        return _known_shape(node)
    given = [value for value in node.inputs if value is not None]
    if not all(_is_constant(model, value) for value in given) or not _is_small(node):
        return None
    if exact and node.op_type == "Cast" and node.outputs[0].dtype == ir.DataType.FLOAT:
        array = constant_of(given[0])
        return None if array is None else _unrounded(given[0], array).astype(np.float64)
    return _evaluate(model, node, given, exact)


def _known_shape(node: ir.Node) -> np.ndarray | None:
    """`Shape` and `Size` of a value whose sizes are all known."""
    value = node.inputs[0]
    if value is None or value.shape is None or not all(isinstance(size, int) for size in value.shape):
        return None
    sizes = [int(size) for size in value.shape if isinstance(size, int)]
    if node.op_type == "Size":
        return np.array(math.prod(sizes), np.int64)
    start = node.attributes["start"].as_int() if "start" in node.attributes else 0
    end = node.attributes["end"].as_int() if "end" in node.attributes else len(sizes)
    return np.array(sizes[start:end], np.int64)


def _is_constant(model: Model, value: ir.Value) -> bool:
    """Whether a value is known beforehand: not the numbers that the source keeps beside its parameters."""
    kept = KEPT in value.metadata_props and value.dtype is not None and value.dtype.is_floating_point()
    return value.is_initializer() and model.role(value) == "constant" and value.dtype in _PLAIN and not kept


def _is_small(node: ir.Node) -> bool:
    output = node.outputs[0]
    if output.type is not None and output.dtype not in _PLAIN:
        return False
    if output.shape is not None and all(isinstance(size, int) for size in output.shape):
        return math.prod(size for size in output.shape if isinstance(size, int)) <= _LARGEST
    # A result of unknown size: only operators that cannot make much of little.
    return node.op_type not in ("Expand", "Tile", "ConstantOfShape", "Range", "Resize", "EyeLike", "OneHot", "Pad")


def _evaluate(model: Model, node: ir.Node, given: list[ir.Value], exact: bool) -> np.ndarray | None:
    """The node's result by ONNX's reference, in float64 if `exact`; None where that does not know it."""
    proto = ir.to_proto(node)
    assert isinstance(proto, onnx.NodeProto)
    infos = [onnx.helper.make_tensor_value_info(name, 0, None) for name in proto.input if name]
    outputs = [onnx.helper.make_tensor_value_info(proto.output[0], 0, None)]
    graph = onnx.helper.make_graph([proto], "constant", infos, outputs)
    versions = [onnx.helper.make_opsetid("", model.graph.opset_imports[""])]
    arrays = {value.name or "": value.const_value.numpy() for value in given if value.const_value is not None}
    if exact:
        arrays = {
            name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in arrays.items()
        }
    try:
        with np.errstate(all="ignore"):
            result = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=versions)).run(None, arrays)
    except Exception:  # the reference refuses what it does not know with errors of every kind; the node then stays
        return None
    found: Any = next(iter(result))
    return np.asarray(found) if isinstance(found, (np.ndarray, np.generic)) and np.size(found) <= _LARGEST else None


def _replace(model: Model, node: ir.Node, array: np.ndarray) -> None:
    output = node.outputs[0]
    graph = node.graph
    assert graph is not None
    if output.is_graph_output():  # the model must give it: it stays a node, of a constant
        if node.op_type == "Identity":
            return
        constant = constant_value(model, f"{output.name}_constant", array)
        renewed = ir.node("Identity", [constant], outputs=None, metadata_props=dict(node.metadata_props))
        kept = renewed.outputs[0]
        kept.shape, kept.type = output.shape, output.type
        graph.insert_before(node, renewed)
        output.replace_all_uses_with(kept, replace_graph_outputs=True)
        kept.name, output.name = output.name, f"{output.name}_folded"
    else:
        constant = constant_value(model, output.name or "constant", array)
        if array.size == 1 and _is_rounding(node):
            constant.metadata_props[EXACT] = repr(float(node.inputs[0].const_value.numpy().reshape(())))  # type: ignore[union-attr]
        output.replace_all_uses_with(constant)
    graph.remove(node, safe=True)


def _unrounded(value: ir.Value, array: np.ndarray) -> np.ndarray:
    """A float32 constant in float64, with the digits of the number meant where they are known."""
    if array.dtype != np.float32:
        return array
    meant = exact_of(value)
    return array.astype(np.float64) if meant is None else np.full(array.shape, meant)


def _put(node: ir.Node, constant: ir.Value) -> None:
    """A constant in a node's place."""
    graph = node.graph
    assert graph is not None
    node.outputs[0].replace_all_uses_with(constant)
    graph.remove(node, safe=True)


def constant_value(model: Model, name: str, array: np.ndarray) -> ir.Value:
    """A new initializer that is a constant of the model, not trained."""
    taken = model.graph.initializers
    number, wanted = 2, name
    while wanted in taken:
        wanted, number = f"{name}_{number}", number + 1
    value = ir.Value(name=wanted, const_value=ir.tensor(array, name=wanted), metadata_props={ROLE: "constant"})
    assert value.const_value is not None
    value.shape, value.type = ir.Shape(array.shape), ir.TensorType(value.const_value.dtype)
    model.graph.register_initializer(value)
    return value


def _remove_unused(graph: ir.Graph) -> None:
    """Nodes without a used result, and constants without a user."""
    remove_unused_nodes(graph)
    for name, value in list(graph.initializers.items()):
        if value.metadata_props.get(ROLE) == "constant" and not value.uses() and not value.is_graph_output():
            del graph.initializers[name]


def remove_unused_nodes(graph: ir.Graph) -> None:
    """Takes away the nodes of which no result is used, and those that only they needed."""
    for node in reversed(list(graph)):
        if not any(value.is_graph_output() or value.uses() for value in node.outputs):
            graph.remove(node, safe=True)

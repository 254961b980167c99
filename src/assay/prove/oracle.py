"""The float64 truth: the model evaluated by ONNX's own NumPy reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from assay.model import Model, intended

_DOUBLE = int(ir.DataType.DOUBLE)
_IN_INPUT_TYPE = ("LayerNormalization", "RMSNormalization")  # the reference knows no other stash type, and needs none
_SELU = {"alpha": 1.6732632423543772848, "gamma": 1.0507009873554804934}  # the schema's defaults are these in float32


class Gelu(OpRun):
    """ONNX's formula; the reference expands it into a function whose constants are float32."""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        if approximate == "tanh":
            return (0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),)
        erf = np.vectorize(math.erf, otypes=[np.float64])
        return ((0.5 * x * (1 + erf(x / math.sqrt(2)))).astype(x.dtype),)


class HardSwish(OpRun):
    """ONNX's formula; the reference expands it into a function whose constants are float32."""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (x * np.clip(x / 6 + 0.5, 0, 1),)


def in_float64(model: Model) -> ir.Model:
    """A copy of the graph in which every float32 is a float64, normalisations' inner type included."""
    copy = model.ir.clone()
    graph = copy.graph
    for value in [*graph.inputs, *graph.initializers.values(), *(output for node in graph for output in node.outputs)]:
        if value.dtype == ir.DataType.FLOAT:
            value.type = ir.TensorType(ir.DataType.DOUBLE)
        if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT:
            value.const_value = ir.tensor(value.const_value.numpy().astype(np.float64), name=value.name)
    for node in graph:
        schema = onnx.defs.get_schema(node.op_type, graph.opset_imports[""], node.domain)
        if "stash_type" in schema.attributes and node.op_type not in _IN_INPUT_TYPE:
            node.attributes["stash_type"] = ir.AttrInt64("stash_type", _DOUBLE)
        for name, attribute in list(node.attributes.items()):
            if name == "to" and attribute.value == int(ir.DataType.FLOAT):
                node.attributes[name] = ir.AttrInt64(name, _DOUBLE)
    return copy


def evaluate(model: Model, inputs: Mapping[str, np.ndarray], wanted: Iterable[str] | None = None) -> list[np.ndarray]:
    """The outputs of the model in evaluation mode, in float64, or the values named in `wanted`.

    `inputs`: name → array; floating ones are converted.
    """
    double = in_float64(model)
    names = [value.name for value in double.graph.outputs] if wanted is None else list(wanted)
    if wanted is not None:
        by_name = {output.name: output for node in double.graph for output in node.outputs}
        by_name.update({value.name: value for value in double.graph.inputs})
        double.graph.outputs.clear()
        double.graph.outputs.extend(by_name[name] for name in names)
    evaluator = ReferenceEvaluator(ir.to_proto(double), new_ops=[Gelu, HardSwish])
    _restore_attributes(evaluator)
    given = {
        name: array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array
        for name, array in inputs.items()
    }
    results = evaluator.run(None, given)
    assert isinstance(results, list)  # a dictionary comes from intermediate results only
    return results


def _restore_attributes(evaluator: ReferenceEvaluator) -> None:
    """Float attributes are stored in float32; the evaluation uses the number that was meant, as the written code does."""
    for operation in evaluator.rt_nodes_:
        for attribute in operation.onnx_node.attribute:
            if attribute.type == onnx.AttributeProto.FLOAT and hasattr(operation, attribute.name):
                setattr(operation, attribute.name, intended(attribute.f))
        if operation.onnx_node.op_type == "Selu" and not operation.onnx_node.attribute:
            for name, value in _SELU.items():
                setattr(operation, name, value)

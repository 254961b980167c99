"""The float64 truth: the model evaluated by ONNX's own NumPy reference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv_transpose import ConvTranspose as _ReferenceConvTranspose

from assay.graph.passes import folded
from assay.graph.passes.widen import widen
from assay.model import Model, exact_of, intended

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


class GatherElements(OpRun):
    """ONNX's formula; the reference fails on some shapes of one row."""

    def _run(self, data: np.ndarray, indices: np.ndarray, axis: int = 0) -> tuple[np.ndarray]:
        axis %= data.ndim
        sizes = [slice(None) if place == axis else slice(size) for place, size in enumerate(indices.shape)]
        return (np.take_along_axis(data[tuple(sizes)], indices % data.shape[axis], axis),)


class ConvTranspose(_ReferenceConvTranspose):
    """ONNX's formula; the reference fails on groups, and on more output padding than its image of columns has room for."""

    def _run(
        self,
        x: np.ndarray,
        weight: np.ndarray,
        bias: np.ndarray | None = None,
        auto_pad: str | None = None,
        dilations: Sequence[int] | None = None,
        group: int | None = None,
        kernel_shape: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        output_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[np.ndarray]:
        if output_shape is not None or auto_pad not in (None, "NOTSET"):
            options = (auto_pad, dilations, group, kernel_shape, output_padding, output_shape, pads, strides)
            result: tuple[np.ndarray] = super()._run(x, weight, bias, *options)  # type: ignore[no-untyped-call]
            return result
        rank = x.ndim - 2
        once, nothing = (1,) * rank, (0,) * rank
        y = _spread(x, weight, group or 1, strides or once, dilations or once, output_padding or nothing)
        pads = pads or nothing * 2
        kept = tuple(slice(pads[axis], y.shape[axis + 2] - pads[rank + axis]) for axis in range(rank))
        index: tuple[Any, ...] = (..., *kept)
        y = y[index]
        return (y if bias is None else y + bias.reshape(-1, *once),)


def _spread(
    x: np.ndarray,
    weight: np.ndarray,
    groups: int,
    strides: Sequence[int],
    dilations: Sequence[int],
    output_padding: Sequence[int],
) -> np.ndarray:
    """Every element of x times the kernel, added up where it falls; before padding is cut off."""
    kernel, places = weight.shape[2:], x.shape[2:]
    reach = [(place - 1) * stride + 1 for place, stride in zip(places, strides, strict=True)]
    sizes = [
        far + dilation * (size - 1) + more
        for far, dilation, size, more in zip(reach, dilations, kernel, output_padding, strict=True)
    ]
    x = x.reshape(x.shape[0], groups, -1, *places)
    weight = weight.reshape(groups, -1, *weight.shape[1:])
    y = np.zeros((x.shape[0], groups, weight.shape[2], *sizes), x.dtype)
    for offset in np.ndindex(*kernel):
        where = [
            slice(at * dilation, at * dilation + far, stride)
            for at, dilation, far, stride in zip(offset, dilations, reach, strides, strict=True)
        ]
        index: tuple[Any, ...] = (..., *where)
        y[index] += np.einsum("bgi...,gio->bgo...", x, weight[(..., *offset)])
    return y.reshape(x.shape[0], -1, *sizes)


def in_float64(model: Model) -> ir.Model:
    """A copy of the graph in which every float32 is a float64, normalisations' inner type included.

    Weights are converted whenever their numbers are asked for, and are never in memory as a whole.
    """
    copy = model.ir.clone()
    graph = copy.graph
    nodes = list(ir.traversal.RecursiveGraphIterator(graph))
    inner = [value for subgraph in graph.subgraphs() for value in subgraph.inputs]
    made = [output for node in nodes for output in node.outputs]
    for value in [*graph.inputs, *graph.initializers.values(), *inner, *made]:
        if value.dtype == ir.DataType.FLOAT:
            value.type = ir.TensorType(ir.DataType.DOUBLE)
        if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT:
            value.const_value = _double(value.const_value, exact_of(value), value.name)
    for node in nodes:
        schema = onnx.defs.get_schema(node.op_type, graph.opset_imports.get(node.domain, 1), node.domain)
        if "stash_type" in schema.attributes and node.op_type not in _IN_INPUT_TYPE:
            node.attributes["stash_type"] = ir.AttrInt64("stash_type", _DOUBLE)
    widen(graph)
    return copy


def _double(single: ir.TensorProtocol, exact: float | None, name: str | None) -> ir.TensorProtocol:
    """The tensor in float64; `exact` is the one number that it stands for, if float32 does not hold it."""
    if exact is not None:
        return ir.tensor(np.full(single.shape.numpy(), exact, np.float64), name=name)
    return ir.LazyTensor(
        lambda: ir.tensor(single.numpy().astype(np.float64)),
        ir.DataType.DOUBLE,
        shape=ir.Shape(single.shape.numpy()),
        name=name,
    )


def evaluate(model: Model, inputs: Mapping[str, np.ndarray], wanted: Iterable[str] | None = None) -> list[np.ndarray]:
    """The outputs of the model in evaluation mode, in float64, or the values named in `wanted`.

    `inputs`: name → array; floating ones are converted.
    """
    # Constants are folded as they are when code is written, where they are float32; values that are asked for stay.
    double = in_float64(folded(model, wide=True) if wanted is None else model)
    names = [value.name for value in double.graph.outputs] if wanted is None else list(wanted)
    if wanted is not None:
        by_name = {output.name: output for node in double.graph for output in node.outputs}
        by_name.update({value.name: value for value in double.graph.inputs})
        double.graph.outputs.clear()
        double.graph.outputs.extend(by_name[name] for name in names)
    weights = {name: value.const_value for name, value in double.graph.initializers.items()}
    double.graph.initializers.clear()
    evaluator = ReferenceEvaluator(ir.to_proto(double), new_ops=[Gelu, HardSwish, GatherElements, ConvTranspose])
    _restore_attributes(evaluator)
    given = {
        name: array.astype(np.float64) if np.issubdtype(array.dtype, np.floating) else array
        for name, array in inputs.items()
    }
    return _run(evaluator, given, weights, names)


def _run(
    evaluator: ReferenceEvaluator,
    given: dict[str, np.ndarray],
    weights: Mapping[str, ir.TensorProtocol | None],
    wanted: Sequence[str | None],
) -> list[np.ndarray]:
    """The values that are wanted. The evaluator's own `run` keeps every intermediate result and every weight to the end;
    here a result is let go after the last node that reads it, and a weight is there while its node runs."""
    nodes = evaluator.rt_nodes_
    arrays = {name: tensor for name, tensor in weights.items() if tensor is not None}
    if any(node.need_context() for node in nodes):  # its subgraphs may read anything
        given |= {name: tensor.numpy() for name, tensor in arrays.items()}
        results = evaluator.run(wanted, given)
        assert isinstance(results, list)  # a dictionary comes from intermediate results only
        return results
    last = {name: index for index, node in enumerate(nodes) for name in node.input}
    kept = {"", *wanted}
    values: dict[str, Any] = {"": None, **given}
    for index, node in enumerate(nodes):
        inputs = [values[name] if name in values else arrays[name].numpy() for name in node.input]
        values.update(zip(node.output, node.run(*inputs), strict=False))
        for name in {*node.input, *node.output} - kept:
            if last.get(name, -1) <= index:
                values.pop(name, None)
    return [values[name] if name in values else arrays[name or ""].numpy() for name in wanted]


def _restore_attributes(evaluator: ReferenceEvaluator) -> None:
    """Float attributes are stored in float32; the evaluation uses the number that was meant, as the written code does."""
    for operation in evaluator.rt_nodes_:
        for attribute in operation.onnx_node.attribute:
            if attribute.type == onnx.AttributeProto.FLOAT and hasattr(operation, attribute.name):
                setattr(operation, attribute.name, intended(attribute.f))
        if operation.onnx_node.op_type == "Selu" and not operation.onnx_node.attribute:
            for name, value in _SELU.items():
                setattr(operation, name, value)

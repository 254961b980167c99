"""Multiply-accumulates of a graph's nodes, and the sizes that they are counted with.

Counted is what products of tensors need: convolutions, matrix products, attention, recurrent layers. Additions of biases,
activations, normalisations and pooling are not, as is usual where such figures are published.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import onnx
import onnx_ir as ir

from assay.model import Model, attributes_of, constant_of, shape_of, sizes_of, subgraphs_of

Sizes = tuple[int | None, ...]  # None: a size that is not known before the model runs
_LARGE = 1024  # elements; smaller constants may be sizes, which the inference of shapes needs


class _Unknown(Exception):
    """A size that would be needed is not known."""


def open_sizes(model: Model) -> tuple[str, ...]:
    """The names of the sizes that the model's inputs leave open, in the order in which they appear."""
    shapes = [shape_of(value) for value in model.graph.inputs if value.shape is not None]
    return tuple(dict.fromkeys(dim for shape in shapes for dim in shape if isinstance(dim, str)))


@dataclass(frozen=True)
class Costs:
    """What each node of a model costs when its open sizes are these."""

    model: Model
    sizes: Mapping[str, int]  # open size → the number that it is counted with
    _inferred: Mapping[str, Sizes]

    @classmethod
    def of(cls, model: Model, sizes: Mapping[str, int]) -> Costs:
        bare = cls(model, sizes, {})
        values = [value for node in model.graph for value in node.outputs]
        known = all(None not in (bare._own(value) or (None,)) for value in values)
        return bare if known else replace(bare, _inferred=_inferred(model, sizes))

    def shape(self, value: ir.Value | None) -> Sizes | None:
        """A value's shape with the open sizes filled in; None if not even its rank is known."""
        if value is None:
            return None
        own = self._own(value)
        found = self._inferred.get(value.name or "")
        return found if own is None or (found is not None and None in own) else own

    def multiply_accumulates(self, node: ir.Node) -> int | None:
        """What a node needs, with the graphs inside it; None if a size that decides it is not known."""
        try:
            return self._count(node)
        except _Unknown:
            return None

    def _own(self, value: ir.Value) -> Sizes | None:
        if value.shape is None:
            return None
        return tuple(dim if isinstance(dim, int) else evaluated(dim, self.sizes) for dim in shape_of(value))

    def _count(self, node: ir.Node) -> int:
        inner = [sum(self._count(item) for item in graph) for graph in subgraphs_of(node)]
        if inner:
            return max(inner) if node.op_type == "If" else sum(inner) * self._times(node)
        counter = COUNTERS.get(node.op_type)
        return 0 if counter is None else counter(_Sized(node, self))

    def _times(self, node: ir.Node) -> int:
        """How often the body of a loop runs."""
        if node.op_type == "Loop":
            trips = constant_of(node.inputs[0])
            if trips is None:
                raise _Unknown
            return int(trips)
        sequence = self.shape(node.inputs[-1]) if node.op_type == "Scan" else None
        axes: list[int] = attributes_of(node).get("scan_input_axes") or [0]
        if not sequence or (length := sequence[axes[-1]]) is None:
            raise _Unknown
        return length


class _Sized:
    """A node whose sizes are known; asking for one that is not raises `_Unknown`."""

    def __init__(self, node: ir.Node, costs: Costs) -> None:
        self.node, self._costs = node, costs
        self.attributes: Mapping[str, Any] = attributes_of(node)

    def has(self, slot: int) -> bool:
        return slot < len(self.node.inputs) and self.node.inputs[slot] is not None

    def input(self, slot: int) -> tuple[int, ...]:
        return self._sizes(self.node.inputs[slot] if slot < len(self.node.inputs) else None)

    def output(self) -> tuple[int, ...]:
        return self._sizes(self.node.outputs[0])

    def _sizes(self, value: ir.Value | None) -> tuple[int, ...]:
        shape = self._costs.shape(value)
        if shape is None:
            raise _Unknown
        known = tuple(size for size in shape if size is not None)
        if len(known) != len(shape):
            raise _Unknown
        return known


# A counter for each family of operators -------------------------------------------------------------------------------


def _convolution(node: _Sized, weight: int = 1) -> int:
    """Each output element is a sum over the input channels of its group and the kernel's places."""
    return math.prod(node.output()) * math.prod(node.input(weight)[1:])


def _transposed_convolution(node: _Sized) -> int:
    """Each input element is spread over the output channels of its group and the kernel's places."""
    return math.prod(node.input(0)) * math.prod(node.input(1)[1:])


def _product(node: _Sized) -> int:
    """Each output element is a sum over the last axis of the first factor."""
    return math.prod(node.output()) * node.input(0)[-1]


def _gemm(node: _Sized) -> int:
    first = node.input(0)
    return math.prod(node.output()) * first[0 if node.attributes.get("transA", 0) else 1]


def _einsum(node: _Sized) -> int:
    """One for each combination of all indices, and each factor beyond the first."""
    terms = node.attributes["equation"].replace(" ", "").partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for slot, term in enumerate(terms):
        shape = node.input(slot)
        before, dots, after = term.partition("...")
        spread = len(shape) - len(before) - len(after)
        labels = [*before, *([f"...{place - spread}" for place in range(spread)] if dots else []), *after]
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, 1))
    return (len(terms) - 1) * math.prod(sizes.values())


def _attention(node: _Sized) -> int:
    """Scores of each query with each key, and the sum of the values that they weigh. Masked ones are counted too."""
    query, key, value = (node.input(slot) for slot in range(3))
    if len(query) == 3:  # heads lie side by side
        heads = int(node.attributes["q_num_heads"])
        width = query[2] // heads
        value_width = value[2] // int(node.attributes["kv_num_heads"])
        batch, length, keys = query[0], query[1], key[1]
    else:
        batch, heads, length, width = query
        value_width, keys = value[3], key[2]
    if node.has(4):
        keys += node.input(4)[2]
    return batch * heads * length * keys * (width + value_width)


def _recurrent(gates: int) -> Callable[[_Sized], int]:
    """The products of every gate with the input and with the state, at each place and in each direction."""

    def count(node: _Sized) -> int:
        sequence, weight = node.input(0), node.input(1)
        directions, hidden = weight[0], weight[1] // gates
        return sequence[0] * sequence[1] * directions * gates * hidden * (sequence[2] + hidden)

    return count


COUNTERS: dict[str, Callable[[_Sized], int]] = {
    **{name: _convolution for name in ("Conv", "ConvInteger", "DeformConv")},
    "QLinearConv": lambda node: _convolution(node, weight=3),
    "ConvTranspose": _transposed_convolution,
    **{name: _product for name in ("MatMul", "MatMulInteger", "QLinearMatMul")},
    "Gemm": _gemm,
    "Einsum": _einsum,
    "Attention": _attention,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
}


# Sizes ----------------------------------------------------------------------------------------------------------------

_OPERATIONS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_CALLS: dict[str, Callable[..., Any]] = {
    **{"floor": math.floor, "ceiling": math.ceil, "ceil": math.ceil, "Max": max, "Min": min, "max": max, "min": min},
    **{"FloorDiv": operator.floordiv, "CeilToInt": math.ceil, "Mod": operator.mod},
}


def evaluated(text: str, sizes: Mapping[str, int]) -> int | None:
    """`10*batch` as a number, by the sizes that have a name; None for what cannot be told."""
    if text in sizes:
        return sizes[text]
    if len(text) > 500:  # names come from files
        return None
    try:
        found = _number(ast.parse(text, mode="eval").body, sizes)
    except (SyntaxError, ValueError, ArithmeticError, TypeError, LookupError, RecursionError, MemoryError):
        return None
    return int(found) if found == int(found) and found >= 0 else None


def _number(tree: ast.expr, sizes: Mapping[str, int]) -> Any:
    match tree:
        case ast.Constant(value=int() as value):
            return value
        case ast.Name(id=name):
            return sizes[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_number(operand, sizes)
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATIONS:
            return _OPERATIONS[type(kind)](_number(left, sizes), _number(right, sizes))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            return _CALLS[name](*(_number(item, sizes) for item in arguments))
    raise ValueError(ast.dump(tree))


def _inferred(model: Model, sizes: Mapping[str, int]) -> dict[str, Sizes]:
    """Value name → shape as ONNX infers it once the open sizes are filled in."""
    copy = model.ir.clone()
    for value in copy.graph.inputs:
        if value.shape is not None:
            dims = [dim if isinstance(dim, int) else sizes.get(dim) for dim in shape_of(value)]
            value.shape = ir.Shape(dims)
    for name, value in list(copy.graph.initializers.items()):
        if value.const_value is not None and value.const_value.size > _LARGE:
            value.shape, value.type = ir.Shape(sizes_of(value)), ir.TensorType(value.const_value.dtype)
            del copy.graph.initializers[name]
            value.const_value = None
            copy.graph.inputs.append(value)
    _forget(copy.graph)
    try:
        proto = onnx.shape_inference.infer_shapes(ir.to_proto(copy), data_prop=True)
    except Exception:  # the inference of shapes has errors of its own; what it cannot tell stays unknown
        return {}
    return {item.name: _sizes(item) for item in (*proto.graph.value_info, *proto.graph.output)}


def _forget(graph: ir.Graph) -> None:
    """Removes the shapes with open sizes, which would be kept as they are."""
    for node in graph.all_nodes():
        for value in node.outputs:
            if value.shape is not None and not all(isinstance(dim, int) for dim in shape_of(value)):
                value.shape = None


def _sizes(item: onnx.ValueInfoProto) -> Sizes:
    dims: Sequence[Any] = item.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)

"""The table, and what its rules share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.model import constant_of, meant, shape_of
from assay.write.body import Builder
from assay.write.table import Argument, NativeWeight, Table

TABLE = Table("jax")

_TYPES = {
    ir.DataType.FLOAT: "float32",
    ir.DataType.DOUBLE: "float64",
    ir.DataType.BOOL: "bool_",
    ir.DataType.FLOAT8E4M3FN: "float8_e4m3fn",
    ir.DataType.FLOAT8E4M3FNUZ: "float8_e4m3fnuz",
    ir.DataType.FLOAT8E5M2: "float8_e5m2",
    ir.DataType.FLOAT8E5M2FNUZ: "float8_e5m2fnuz",
    ir.DataType.FLOAT8E8M0: "float8_e8m0fnu",
    ir.DataType.FLOAT4E2M1: "float4_e2m1fn",
}
# Types that JAX lacks travel in a wider one (see values.py).
_TYPES.update({item: "float8_e4m3fn" for item in ir.DataType if item.name in ("FLOAT6E2M3", "FLOAT6E3M2")})


def dtype_text(kind: ir.DataType | int) -> str:
    """`jnp.float32`."""
    found = ir.DataType(kind)
    return f"jnp.{_TYPES.get(found, found.name.lower())}"


def is_integer(value: ir.Value | None) -> bool:
    """Whether a value is known to hold integers."""
    return value is not None and value.dtype is not None and value.dtype.is_integer()


def is_signed(value: ir.Value | None) -> bool:
    return value is not None and value.dtype is not None and value.dtype.is_signed()


def is_string(value: ir.Value | None) -> bool:
    return value is not None and value.dtype == ir.DataType.STRING


def is_one_number(value: ir.Value | None) -> bool:
    """Whether a value is a constant of rank 0."""
    array = constant_of(value) if value is not None and value.is_initializer() else None
    return array is not None and array.ndim == 0


def rank_of(value: ir.Value | None) -> int | None:
    """The number of axes, None where it is not known."""
    return None if value is None or value.shape is None else len(value.shape)


def sizes_known(value: ir.Value | None) -> bool:
    return value is not None and value.shape is not None and all(isinstance(size, int) for size in value.shape)


def is_moved(value: ir.Value) -> bool:
    """Whether a value is stored in another order than ONNX's."""
    return order_of(value) != tuple(range(rank_of(value) or 0))


def transposed(text: str, order: Sequence[int]) -> str:
    return text if list(order) == sorted(order) else f"{text}.transpose({', '.join(map(str, order))})"


def in_onnx_order(w: Builder, value: ir.Value | None) -> str:
    """A value with its axes in ONNX's order, however it is stored."""
    assert value is not None
    if not is_moved(value):
        return w.array(value)
    order = order_of(value)
    return transposed(w.array(value), [order.index(axis) for axis in range(len(order))])


def as_stored(text: str, value: ir.Value) -> str:
    """A result in ONNX's order in the order that the value is stored in."""
    return transposed(text, order_of(value)) if is_moved(value) else text


_ON_HOST = "assay.host"  # in `value.meta`: whether it is computed in NumPy
_HOST_KINDS = {"Shape", "Size", "Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "Reshape", "ReduceProd"}
_HOST_SIGNS = {"Add", "Sub", "Mul", "Div"}


def on_host(value: ir.Value | None) -> bool:
    """Whether a value is computed from shapes only, and in NumPy: under jit it stays a number that a shape can take."""
    if value is None or value.is_graph_output():
        return False
    if _ON_HOST not in value.meta:
        value.meta[_ON_HOST] = _is_from_shapes(value)
    return bool(value.meta[_ON_HOST])


def _is_from_shapes(value: ir.Value) -> bool:
    node = value.producer()
    if node is None or node.op_type not in _HOST_KINDS | _HOST_SIGNS or not is_integer(value):
        return False
    if node.op_type in ("Shape", "Size"):
        return True
    given = [item for item in node.inputs if item is not None]
    whole = all(on_host(item) or _is_host_constant(item, node.op_type in _HOST_SIGNS) for item in given)
    return whole and any(on_host(item) for item in given)


def _is_host_constant(value: ir.Value, single: bool) -> bool:
    """Whether NumPy takes a constant: between signs as a number, else as a few numbers."""
    array = constant_of(value) if value.is_initializer() else None
    return array is not None and array.dtype.kind in "iu" and 0 < array.size <= (1 if single else 16)


def module_for(value: ir.Value | None) -> str:
    """The library that computes a value: strings and what is known of shapes are NumPy's."""
    return "np" if is_string(value) or on_host(value) else "jnp"


def beside(w: Builder, value: ir.Value | None, result: ir.Value, precedence: int = 0) -> str:
    """An operand of what may be computed in NumPy."""
    text = w.array(value, precedence)
    return text.replace("jnp.array(", "np.array(", 1) if on_host(result) and text.startswith("jnp.array(") else text


def numbers(array: np.ndarray) -> list[int]:
    return [int(item) for item in array.reshape(-1)]


def one_or_all(items: Sequence[Any]) -> str:
    """An axis as a number, several as a tuple."""
    return str(items[0]) if len(items) == 1 else str(tuple(items))


def number_text(number: float) -> str:
    """A number as source text."""
    if isinstance(number, float) and not math.isfinite(number):
        return "jnp.nan" if math.isnan(number) else "jnp.inf" if number > 0 else "-jnp.inf"
    return repr(number)


def tuple_of(call: Call, w: Builder, slot: int) -> str | None:
    """An input of whole numbers as a tuple of Python's, known now or when the code runs; None for one left out."""
    found = call.constant(slot)
    if found is not None:
        return str(tuple(numbers(found)))
    value = call.computed(slot)
    return None if value is None else f"tuple({w.array(value, 100)}.tolist())"


def number_of(call: Call, w: Builder, slot: int) -> str | None:
    """An input of one number as Python's, known now or when the code runs; None for one left out."""
    found = call.constant(slot)
    if found is not None:
        return number_text(meant(found.reshape(())))
    value = call.computed(slot)
    return None if value is None else f"{w.array(value, 100)}.item()"


def weight_or_input(call: Call, w: Builder, slot: int, role: str) -> str | None:
    """An input that a layer may own: in ONNX's order in both cases. None for one left out."""
    if role in call.weights:
        return w.array(call.weights[role], stored=False)
    value = call.computed(slot)
    if value is None:
        return None
    return w.array(value, stored=False)


def options(**given: Any) -> str:
    """Keyword arguments as text, each after a comma; those of None are left out."""
    return "".join(f", {name}={value}" for name, value in given.items() if value is not None)


def call_layer(call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]) -> None:
    layer = w.layer(callee, arguments, weights)
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


def weights_named(call: Call, leaves: dict[str, str]) -> list[NativeWeight]:
    """The native weights of a layer whose parameters are those of the operator under other names."""
    return [NativeWeight(leaf, call.weights[role]) for role, leaf in leaves.items() if role in call.weights]


def channels_axis_last(call: Call) -> bool:
    """Whether the data of a spatial operator is stored channels-last."""
    return call.x.shape is not None and is_moved(call.x)


def same_shape(first: ir.Value | None, second: ir.Value | None) -> bool:
    if first is None or second is None or not sizes_known(first) or not sizes_known(second):
        return False
    return shape_of(first) == shape_of(second)

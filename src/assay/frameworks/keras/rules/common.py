"""The table, and what rules of every family need: types, orders of axes, operands that may be weights."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx_ir as ir

from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.model import meant
from assay.write.body import Builder, is_constant
from assay.write.table import Argument, Table, keyword

TABLE = Table("keras")

# ONNX's types as Keras names them. What Keras lacks travels in the type that is named here (see values.py).
_TYPES = {
    "FLOAT": "float32",
    "DOUBLE": "float64",
    "STRING": "string",
    "INT4": "int8",
    "INT2": "int8",
    "UINT4": "uint8",
    "UINT2": "uint8",
    "COMPLEX64": "complex64",
    "COMPLEX128": "complex128",
}


def type_name(kind: ir.DataType | None) -> str:
    """The Keras type that holds values of an ONNX type."""
    assert kind is not None
    if kind.name.startswith(("FLOAT8", "FLOAT4")):
        return "uint8"
    return _TYPES.get(kind.name, kind.name.lower())


def type_of(value: ir.Value | None) -> str:
    """The Keras type of a value."""
    assert value is not None
    return type_name(value.dtype)


def is_float(value: ir.Value | None) -> bool:
    return value is None or value.dtype is None or "float" in type_of(value)


def is_unsigned(value: ir.Value) -> bool:
    return value.dtype is not None and type_of(value).startswith("uint")


def tuple_text(values: Iterable[object]) -> str:
    """A tuple as text."""
    return str(tuple(values))


def plain(values: Iterable[object]) -> list[object]:
    """Numbers of a NumPy array as Python's own."""
    return np.asarray(list(values)).tolist()  # type: ignore[no-any-return]


def moved(text: str, order: Sequence[int]) -> str:
    """The text with its axes in another order."""
    return text if list(order) == sorted(order) else f"ops.transpose({text}, {tuple_text(order)})"


def rank_of(value: ir.Value | None) -> int | None:
    """The number of axes, if it is known."""
    return None if value is None or value.shape is None else len(value.shape)


def _stored_in(value: ir.Value, call: Call) -> tuple[int, ...] | None:
    """The order in which a constant array is kept, if that is not ONNX's (see `Builder`): that of the call's result."""
    order = order_of(call.y)
    natural = order == tuple(range(len(order)))
    size = 0 if value.const_value is None else value.const_value.size
    return order if is_constant(value) and not natural and size > 1 else None


def vector(call: Call, w: Builder, value: ir.Value | None) -> str:
    """One value for each channel, computed or constant."""
    assert value is not None
    return f"ops.reshape({w.array(value)}, (-1,))" if _stored_in(value, call) else w.array(value)


def kernel_in_order(call: Call, w: Builder, value: ir.Value, wanted: Sequence[int]) -> str:
    """A kernel, computed or constant, with its ONNX axes in the wanted order."""
    order = _stored_in(value, call) or order_of(value)
    return moved(w.array(value), [order.index(axis) for axis in wanted])


def from_end(axis: int, rank: int) -> int:
    """The last axis as people write it."""
    return -1 if axis == rank - 1 else axis


def present(call: Call, slot: int) -> bool:
    """Whether an optional input is given, as a constant or computed."""
    return call.computed(slot) is not None or call.constants.get(slot) is not None


def given(call: Call, w: Builder, slot: int, otherwise: str = "None") -> str:
    """An input as an array, known or computed; `otherwise` for one that is left out."""
    known = call.constant(slot)
    if known is not None:
        return w.literal(meant(known), "value")
    value = call.computed(slot)
    return otherwise if value is None else w.array(value)


def numbers(call: Call, w: Builder, slot: int) -> str:
    """The numbers of an input as a list: those known when writing, or read when the model runs."""
    known = call.constant(slot)
    if known is not None:
        return str(meant(known.reshape(-1)))
    value = call.computed(slot)
    return "None" if value is None else f"numbers_of({w.array(value)})"


def number(call: Call, w: Builder, slot: int, otherwise: object) -> str:
    """The one number of an input, known or read when the model runs."""
    known = call.constant(slot)
    if known is not None:
        return repr(meant(known.reshape(-1)[0:1])[0])
    value = call.computed(slot)
    return repr(otherwise) if value is None else f"numbers_of({w.array(value)})[0]"


def operand(call: Call, w: Builder, slot: int, role: str) -> str | None:
    """An input that may be one of the call's weights, as an array; None if it is left out."""
    value = call.weights.get(role) or (call.inputs[slot] if slot < len(call.inputs) else None)
    return None if value is None else w.array(value)


def typed(call: Call) -> list[Argument]:
    """The type of a layer that computes in another one than Keras' own."""
    kind = type_of(call.x) if call.x.dtype is not None else "float32"
    return [keyword("dtype", kind, "float32")] if kind != "float32" else []


def options(**named: tuple[object, object]) -> str:
    """`, name=value` for every pair (value, default) that differs."""
    return "".join(f", {name}={value!r}" for name, (value, default) in named.items() if value != default)

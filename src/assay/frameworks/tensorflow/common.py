"""What TensorFlow's rules share: the table itself, axes in channels-last data, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.graph.calls import Call
from assay.graph.layout import order_of, stored_axis
from assay.model import meant, shape_of
from assay.ops import operator
from assay.write.table import Argument, NativeWeight, Table
from assay.write.text import literal_text

if TYPE_CHECKING:
    from assay.write.body import Builder

TABLE = Table("tensorflow")

# The TensorFlow type that carries each of ONNX's: see `values.py` for those that TensorFlow has no arithmetic for.
_D = ir.DataType
CARRIERS: dict[ir.DataType, str] = {
    **{_D.FLOAT: "float32", _D.DOUBLE: "float64", _D.FLOAT16: "float16", _D.BFLOAT16: "bfloat16", _D.BOOL: "bool"},
    **{kind: kind.name.lower() for kind in (_D.INT8, _D.INT16, _D.INT32, _D.INT64)},
    **{kind: kind.name.lower() for kind in (_D.UINT8, _D.UINT16, _D.UINT32, _D.UINT64)},
    **{_D.INT4: "int8", _D.INT2: "int8", _D.UINT4: "uint8", _D.UINT2: "uint8"},
    **{_D.COMPLEX64: "complex64", _D.COMPLEX128: "complex128"},
}
BIT_PATTERNS: dict[ir.DataType, str] = {  # floats that travel as uint8, by the name of ml_dtypes
    _D.FLOAT8E4M3FN: "float8_e4m3fn",
    _D.FLOAT8E4M3FNUZ: "float8_e4m3fnuz",
    _D.FLOAT8E5M2: "float8_e5m2",
    _D.FLOAT8E5M2FNUZ: "float8_e5m2fnuz",
    _D.FLOAT8E8M0: "float8_e8m0fnu",
    _D.FLOAT4E2M1: "float4_e2m1fn",
}
CARRIERS.update({kind: "uint8" for kind in BIT_PATTERNS})
FLOATS = frozenset({_D.FLOAT, _D.DOUBLE, _D.FLOAT16, _D.BFLOAT16})
NARROW_FLOATS = frozenset({_D.FLOAT16, _D.BFLOAT16})
UNSIGNED = frozenset({_D.UINT2, _D.UINT4, _D.UINT8, _D.UINT16, _D.UINT32, _D.UINT64})

ABSORBED = "tensorflow.absorbed"  # in `value.meta`: the layer before the activation that makes it applies that too
HEADS = "tensorflow.heads"  # in `value.meta`: written code holds the value as (batch, heads, time, size)


def refuse(call: Call, what: str) -> UnsupportedError:
    """The error for a call that TensorFlow's table cannot express: `raise refuse(call, "a dynamic shape")`."""
    return UnsupportedError(f"tensorflow cannot write {call.kind} with {what}", [f"{call.kind}: {what}"])


def require(call: Call, **expected: Any) -> None:
    """Accepts attributes only where they are absent or say what the written code does anyway."""
    for name, value in expected.items():
        found = call.attribute(name, value)
        if found != value:
            raise refuse(call, f"{name}={found!r}")


def only_data(call: Call, count: int) -> None:
    """Refuses inputs beyond the first `count`: optional ones, or shapes that are computed when the model runs."""
    if any(value is not None for value in call.inputs[count:]):
        raise refuse(call, f"more than {count} computed input{'s' if count > 1 else ''}")


def one_or_all(values: Sequence[int]) -> int | tuple[int, ...]:
    """One number where all are equal."""
    return values[0] if len(set(values)) == 1 else tuple(values)


def kind_of(value: ir.Value | None) -> ir.DataType:
    """The type of a value's elements. Raises `UnsupportedError` where nothing says it."""
    if value is None or value.dtype is None:
        name = "a value" if value is None else repr(value.name)
        raise UnsupportedError(f"tensorflow needs the type of {name}, which is not known", ["a type"])
    return value.dtype


def is_float(value: ir.Value | None) -> bool:
    """Whether a value holds floats; one of unknown type does, as almost all do."""
    return value is not None and (value.dtype is None or value.dtype in FLOATS)


def is_text(value: ir.Value | None) -> bool:
    """Whether a value holds strings."""
    return value is not None and value.dtype == ir.DataType.STRING


def carrier(kind: ir.DataType | int) -> str:
    """`tf.float32` for ONNX's FLOAT. Raises `UnsupportedError` for a type that TensorFlow cannot carry."""
    found = CARRIERS.get(ir.DataType(kind))
    if found is None:
        name = ir.DataType(kind).name
        raise UnsupportedError(f"tensorflow has no type for {name}", [f"the type {name}"])
    return f"tf.{found}"


def rank_of(value: ir.Value | None) -> int | None:
    """The number of axes, if it is known before the model runs."""
    return None if value is None or value.shape is None else len(value.shape)


def axis_of(call: Call, axis: int, value: ir.Value | None = None) -> int:
    """An ONNX axis of a value (the first input unless given) as written code counts it."""
    value = value or call.x
    rank = rank_of(value)
    return axis if not rank else axis_text(stored_axis(value, axis), rank)


def integers(call: Call, slot: int) -> list[int] | None:
    """The numbers of an input that is known when writing."""
    found = call.constant(slot)
    return None if found is None else [int(number) for number in np.reshape(found, -1)]


def given(call: Call, slot: int, w: Builder) -> str:
    """An input about the operator: its numbers where they are known, else the value; `None` where it is left out."""
    known = call.constant(slot)
    if known is not None:
        return repr(meant(known))
    computed = call.computed(slot)
    return "None" if computed is None else in_order(computed, w)


def in_order(value: ir.Value, w: Builder, precedence: int = 0) -> str:
    """A value as an array with its axes in ONNX's order, for calls that look at its axes."""
    order = order_of(value)
    if list(order) == sorted(order):
        return w.array(value, precedence, stored=False)
    return arranged(w.array(value), order, range(len(order)))


def optional(call: Call, slot: int, w: Builder) -> str | None:
    """A data input in ONNX's order; None where it is left out."""
    value = call.inputs[slot] if slot < len(call.inputs) else None
    return None if value is None else in_order(value, w)


def operand(call: Call, slot: int, w: Builder) -> str | None:
    """An input in ONNX's order, be it a weight of the call's own or a value; None where it is left out."""
    role = operator(call.kind.removeprefix("Functional")).weights.get(slot)
    if call.weights and role is not None:
        return w.array(call.weights[role], stored=False) if role in call.weights else None
    return optional(call, slot, w)


def are_layers(call: Call) -> bool:
    """Whether the weights are of the type that local layers have; others are operands of functions."""
    return all(value.dtype in (None, ir.DataType.FLOAT) for value in call.weights.values())


def written(name: str, *positionals: str | None, **named: Any) -> str:
    """`name(a, b, key=value)`: without positionals at the end that are None, and without names that are None."""
    listed = list(positionals)
    while listed and listed[-1] is None:
        listed.pop()
    parts = [str(item) for item in listed]
    parts += [f"{key}={literal_text(value)}" for key, value in named.items() if value is not None]
    return f"{name}({', '.join(parts)})"


def call_layer(call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]) -> None:
    layer = w.layer(callee, arguments, weights)
    training = ", training=training" if call.kind in ("Dropout", "BatchNormalization") else ""
    w.emit(call.y, f"{layer}({w.use(call.x)}{training})", light=True)


def axis_text(place: int, rank: int) -> int:
    """An axis as a person writes it: the last one is -1."""
    return -1 if place == rank - 1 else place


def stored(call: Call, axes: Sequence[int]) -> list[int]:
    """Where axes of the first input are stored, in ascending order."""
    return sorted(call.stored_axis(axis) for axis in axes)


def arranged(text: str, present: Sequence[int], wanted: Sequence[int]) -> str:
    """`text`, whose stored axes are `present`, with its axes in the order `wanted`."""
    if list(present) == list(wanted):
        return text
    return f"tf.transpose({text}, ({', '.join(str(list(present).index(axis)) for axis in wanted)}))"


def kept_order(value: ir.Value, removed: Sequence[int]) -> list[int]:
    """The stored order of a value without some of its axes, in the numbers of the axes that are left."""
    left = [axis for axis in range(len(shape_of(value))) if axis not in removed]
    return [left.index(axis) for axis in order_of(value) if axis in left]

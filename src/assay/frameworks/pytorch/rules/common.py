"""The table, and what its rules share: names of types, numbers that may be known or computed."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from assay.graph.calls import Call
from assay.model import meant
from assay.write.body import Builder
from assay.write.parts import Value
from assay.write.table import Argument, NativeWeight, Table

TABLE = Table("pytorch")

# How values of each type travel; the narrow ones in the next wider type that torch has (see values.py).
TYPES = {
    ir.DataType.FLOAT: "torch.float32",
    ir.DataType.DOUBLE: "torch.float64",
    ir.DataType.FLOAT16: "torch.float16",
    ir.DataType.BFLOAT16: "torch.bfloat16",
    ir.DataType.BOOL: "torch.bool",
    ir.DataType.COMPLEX64: "torch.complex64",
    ir.DataType.COMPLEX128: "torch.complex128",
    **{
        getattr(ir.DataType, f"{sign}INT{bits}"): f"torch.{sign.lower()}int{bits}"
        for sign in ("", "U")
        for bits in (8, 16, 32, 64)
    },
    **{
        getattr(ir.DataType, name): f"torch.{name.lower().replace('float8', 'float8_')}"
        for name in ("FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ")
    },
    ir.DataType.FLOAT8E8M0: "torch.float8_e8m0fnu",
    ir.DataType.INT4: "torch.int8",
    ir.DataType.INT2: "torch.int8",
    ir.DataType.UINT4: "torch.uint8",
    ir.DataType.UINT2: "torch.uint8",
    ir.DataType.FLOAT4E2M1: "torch.uint8",
}

# Types that torch stores but hardly computes with.
UNSIGNED = frozenset({ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64})


def type_of(value: ir.Value) -> str:
    """The torch type of a value: `torch.float32`."""
    assert value.dtype is not None
    return TYPES[value.dtype]


def is_integer(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_integer()


def is_text(value: ir.Value) -> bool:
    """Whether a value is a NumPy array of strings."""
    return value.dtype == ir.DataType.STRING


def rank_of(value: ir.Value) -> int | None:
    """The number of axes, None where only the running model knows it."""
    return None if value.shape is None else len(value.shape)


def sizes_known(value: ir.Value) -> tuple[int, ...] | None:
    """The shape of a value, None if any size of it is unknown."""
    if value.shape is None:
        return None
    sizes = tuple(size for size in value.shape if isinstance(size, int))
    return sizes if len(sizes) == len(value.shape) else None


def given(call: Call, slot: int) -> bool:
    """Whether an input is there, as a constant or computed."""
    return slot in call.constants or call.computed(slot) is not None


def numbers(call: Call, w: Builder, slot: int) -> str | None:
    """A list of numbers: those that are known, or what gives them when the model runs; None for an input left out."""
    array = call.constant(slot)
    if array is not None:
        return str(meant(array.reshape(-1)))
    value = call.computed(slot)
    return None if value is None else f"{w.array(value)}.tolist()"


def number(call: Call, w: Builder, slot: int) -> str | None:
    """One number, known or computed; None for an input that is left out."""
    array = call.constant(slot)
    if array is not None:
        return str(meant(array.reshape(-1)[:1])[0])
    value = call.computed(slot)
    return None if value is None else f"{w.array(value)}.item()"


def call_layer(call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]) -> None:
    layer = w.layer(callee, arguments, weights)
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


def one_or_all(values: Sequence[int]) -> int | tuple[int, ...]:
    return values[0] if len(set(values)) == 1 else tuple(values)


def arguments_of(*parts: str | None) -> str:
    """Arguments with commas, those that are left out left out."""
    return ", ".join(part for part in parts if part)


def targets(call: Call) -> list[Value | None]:
    """The outputs that the model uses; the others have no name."""
    return [
        value if value is not None and (value.uses() or value.is_graph_output()) else None for value in call.outputs
    ]


def emit_wanted(w: Builder, outputs: Sequence[Value | None], text: str, total: int) -> None:
    """Assigns what the model uses of the `total` results of a call."""
    wanted = list(outputs)
    while wanted and wanted[-1] is None:
        wanted.pop()
    if len(wanted) == 1:
        w.emit(wanted, f"{text}[0]", light=True)
    else:
        w.emit(wanted, text if len(wanted) == total else f"{text}[:{len(wanted)}]")

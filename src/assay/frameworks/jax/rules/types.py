"""Casts and quantisation."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.jax.rules.common import TABLE, dtype_text, is_string, options
from assay.graph.calls import Call
from assay.write.body import Builder

_FLOAT8 = {
    *(ir.DataType.FLOAT8E4M3FN, ir.DataType.FLOAT8E4M3FNUZ),
    *(ir.DataType.FLOAT8E5M2, ir.DataType.FLOAT8E5M2FNUZ),
}
_SMALL_INTEGERS = {ir.DataType[f"{sign}INT{bits}"] for sign in ("", "U") for bits in (2, 4)}


@TABLE.rule("Cast")
def cast(call: Call, w: Builder) -> None:
    """As `astype`, except where ONNX saturates or wraps and XLA does not."""
    to = ir.DataType(call.attribute("to"))
    saturate = bool(call.attribute("saturate", 1))
    mode = call.attribute("round_mode", "up")
    source, name, x = call.x.dtype, dtype_text(to), w.array(call.x, 100)
    if to == ir.DataType.STRING:
        text = x if is_string(call.x) else f"numbers_to_strings({x})"
    elif is_string(call.x):
        text = f"jnp.asarray(strings_to_numbers({x}, {name}))"
    elif to == ir.DataType.FLOAT8E8M0:
        text = f"to_float8_e8m0({x}{options(saturate=None if saturate else False)}, mode={mode!r})".replace("'", '"')
    elif to in _FLOAT8 and saturate and source is not None and source.is_floating_point():
        text = f"to_float8({x}, {name})"
    elif to in _SMALL_INTEGERS and source is not None and source.is_floating_point():
        text = f"{x}.astype(jnp.int32).astype({name})"  # which wraps; from a float XLA saturates
    else:
        text = f"{x}.astype({name})"
    w.emit(call.y, text, light=True)


@TABLE.rule("BitCast")
def bit_cast(call: Call, w: Builder) -> None:
    to = ir.DataType(call.attribute("to"))
    if ir.DataType.BOOL in (to, call.x.dtype):  # which XLA does not look at as bits
        text = f"{w.array(call.x)}.view({dtype_text(to)})"
    else:
        text = f"lax.bitcast_convert_type({w.array(call.x)}, {dtype_text(to)})"
    w.emit(call.y, text, light=True)


def _axis_of(call: Call, w: Builder) -> str:
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    return options(axis=axis if axis != 1 else None, block=block or None)


@TABLE.rule("QuantizeLinear")
def quantize(call: Call, w: Builder) -> None:
    zero = call.computed(2)
    output = call.attribute("output_dtype", 0) or ir.DataType.UINT8
    kind = zero.dtype if zero is not None and zero.dtype is not None else ir.DataType(output)
    precision = call.attribute("precision", 0)
    saturate = bool(call.attribute("saturate", 1))
    given = [w.array(call.x), w.array(call.inputs[1])] + ([] if zero is None else [w.array(zero)])
    if precision:
        given[:2] = [f"{text}.astype({dtype_text(precision)})" for text in given[:2]]
    more = options(dtype=dtype_text(kind) if zero is None else None, saturate=None if saturate else False)
    w.emit(call.y, f"quantized({', '.join(given)}{_axis_of(call, w)}{more})", light=True)


@TABLE.rule("DequantizeLinear")
def dequantize(call: Call, w: Builder) -> None:
    zero = call.computed(2)
    output = call.attribute("output_dtype", 0)
    scale = call.inputs[1]
    given = [w.array(call.x), w.array(scale)] + ([] if zero is None else [w.array(zero)])
    more = options(dtype=dtype_text(output) if output else None)
    w.emit(call.y, f"dequantized({', '.join(given)}{_axis_of(call, w)}{more})", light=True)


@TABLE.rule("QLinearMatMul")
def quantized_product(call: Call, w: Builder) -> None:
    w.emit(call.y, f"quantized_matmul({', '.join(w.array(value) for value in call.inputs)})")


@TABLE.rule("MatMulInteger")
def integer_product(call: Call, w: Builder) -> None:
    zeros = [call.computed(slot) for slot in (2, 3)]
    given = [w.array(call.x), w.array(call.inputs[1]), *("None" if zero is None else w.array(zero) for zero in zeros)]
    while given[-1] == "None":
        given.pop()
    w.emit(call.y, f"integer_matmul({', '.join(given)})")

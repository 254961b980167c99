"""Conversions between types, and quantisation."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.frameworks.pytorch.rules.common import TABLE, TYPES, arguments_of, rank_of, type_of
from assay.graph.calls import Call
from assay.write.body import Builder

LARGEST = {
    ir.DataType.FLOAT8E4M3FN: 448.0,
    ir.DataType.FLOAT8E4M3FNUZ: 240.0,
    ir.DataType.FLOAT8E5M2: 57344.0,
    ir.DataType.FLOAT8E5M2FNUZ: 57344.0,
}
_FEW_BITS = {
    ir.DataType.INT4: (4, True),
    ir.DataType.UINT4: (4, False),
    ir.DataType.INT2: (2, True),
    ir.DataType.UINT2: (2, False),
}
_RANGES = {
    ir.DataType.UINT2: (0, 3),
    ir.DataType.INT2: (-2, 1),
    ir.DataType.UINT4: (0, 15),
    ir.DataType.INT4: (-8, 7),
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT16: (0, 65535),
    ir.DataType.INT16: (-32768, 32767),
    ir.DataType.INT32: (-(2**31), 2**31 - 1),
}


@TABLE.rule("Cast", "CastLike")
def cast(call: Call, w: Builder) -> None:
    wanted = call.attribute("to") if call.kind == "Cast" else None
    target = call.y.dtype if wanted is None else ir.DataType(wanted)
    saturate, rounding = bool(call.attribute("saturate", 1)), call.attribute("round_mode", "up")
    assert target is not None
    w.emit(call.y, converted(w.array(call.x), call.x.dtype, target, saturate, rounding), light=True)


def converted(
    x: str, source: ir.DataType | None, target: ir.DataType, saturate: bool = True, rounding: str = "up"
) -> str:
    """An expression for x in another type."""
    if target == ir.DataType.STRING:
        return x if source == ir.DataType.STRING else f"to_text({x})"
    if source == ir.DataType.STRING:
        return f"from_text({x}, {TYPES[target]})"
    if source == target:
        return x
    if source == ir.DataType.FLOAT4E2M1:
        wide = f"from_float4({x}, torch.float32)"
        return wide if target == ir.DataType.FLOAT else converted(wide, ir.DataType.FLOAT, target, saturate, rounding)
    if target == ir.DataType.FLOAT4E2M1:
        return f"to_float4({_bare(x)})"
    if target == ir.DataType.FLOAT8E8M0:
        mode = arguments_of(None if rounding == "up" else f'"{rounding}"', None if saturate else "saturate=False")
        return f"to_power_of_two({arguments_of(_bare(x), mode)})"
    if target in _FEW_BITS and source not in _FEW_BITS:
        bits, signed = _FEW_BITS[target]
        return f"wrap_to({_bare(x)}, {bits}, signed={signed})"
    if target in LARGEST and saturate:
        whole = source is not None and not source.is_floating_point()
        x = f"{x}.float()" if whole or source in LARGEST else _bare(x)
        return f"saturate_to({x}, {LARGEST[target]}, {TYPES[target]})"
    if target == ir.DataType.FLOAT8E4M3FN:
        return f"overflow_to_nan({f'{x}.float()' if source in LARGEST else _bare(x)})"
    if source in _FEW_BITS and target in _FEW_BITS:
        bits, signed = _FEW_BITS[target]
        return f"wrap_to({_bare(x)}, {bits}, signed={signed})"
    return f"{x}.to({TYPES[target]})"


def _bare(x: str) -> str:
    """An expression without the parentheses around it that it needs before a dot."""
    if not (x.startswith("(") and x.endswith(")")):
        return x
    depth = 0
    for place, letter in enumerate(x):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and place < len(x) - 1:
            return x
    return x[1:-1]


@TABLE.rule("BitCast")
def bit_cast(call: Call, w: Builder) -> None:
    target = ir.DataType(call.attribute("to"))
    source = call.x.dtype
    narrow = {*_FEW_BITS, ir.DataType.FLOAT4E2M1}
    if source in narrow or target in narrow:
        raise UnsupportedError(
            "BitCast of types with fewer than eight bits cannot be written", ["BitCast: narrow type"]
        )
    w.emit(call.y, f"{w.array(call.x)}.view({TYPES[target]})", light=True)


def _scale(call: Call, w: Builder, slot: int, axis: int, block: int) -> str | None:
    """A scale or zero point as it meets the data; None for one that is left out."""
    value = call.computed(slot)
    if value is None:
        return None
    text = w.array(value)
    if not block and (rank_of(value) == 0 or (rank_of(value) == 1 and rank_of(call.x) == 1)):
        return text
    return f"meet_data({arguments_of(text, w.array(call.x), str(axis), f'block={block}' if block else None)})"


@TABLE.rule("QuantizeLinear")
def quantize_linear(call: Call, w: Builder) -> None:
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    saturate = bool(call.attribute("saturate", 1))
    precision = call.attribute("precision", 0)
    call.attribute("output_dtype")
    target = call.y.dtype
    assert target is not None and call.computed(1) is not None
    scale, zero = _scale(call, w, 1, axis, block), _scale(call, w, 2, axis, block)
    x: str = w.array(call.x)
    if precision:
        kind = TYPES[ir.DataType(precision)]
        x, scale = f"{x}.to({kind})", f"{scale}.to({kind})"
    elif call.x.dtype is not None and not call.x.dtype.is_floating_point():
        x = f"{x}.to({type_of(_value(call, 1))})"
    if target in _RANGES:
        low, high = _RANGES[target]
        more: list[Any] = [zero or 0, low, high, TYPES[target]]
        if (zero, low, high, target) == (None, 0, 255, ir.DataType.UINT8):
            more = []
        w.emit(call.y, f"quantize({', '.join(map(str, [x, scale, *more]))})", light=True)
        return
    text = f"({x} / {scale})"
    if zero is not None and target != ir.DataType.FLOAT4E2M1:
        text = f"({x} / {scale} + {zero}.to({type_of(call.x)}))"
    w.emit(call.y, converted(text, call.x.dtype, target, saturate), light=True)


def _value(call: Call, slot: int) -> ir.Value:
    value = call.computed(slot)
    assert value is not None
    return value


@TABLE.rule("DequantizeLinear")
def dequantize_linear(call: Call, w: Builder) -> None:
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    call.attribute("output_dtype")
    scale, zero = _scale(call, w, 1, axis, block), _scale(call, w, 2, axis, block)
    kind = type_of(_value(call, 1))
    source = call.x.dtype
    four = source == ir.DataType.FLOAT4E2M1
    x = f"from_float4({w.array(call.x)}, {kind})" if four else f"{w.array(call.x)}.to({kind})"
    if zero is not None and source == ir.DataType.INT32:  # whose numbers a float may not hold
        x = f"({w.array(call.x)} - {zero}).to({kind})"
    elif zero is not None and source != ir.DataType.FLOAT4E2M1:
        x = f"({x} - {zero}.to({kind}))"
    text = f"{x} * {scale}"
    y = call.y.dtype
    if y != _value(call, 1).dtype and y is not None:
        w.emit(call.y, converted(f"({text})", _value(call, 1).dtype, y), light=True)
    else:
        w.emit(call.y, text, precedence=20, light=True)


@TABLE.rule("DynamicQuantizeLinear")
def dynamic_quantize(call: Call, w: Builder) -> None:
    w.emit(call.outputs, f"quantize_dynamically({w.array(call.x)})")


def _zero_point(call: Call, w: Builder, slot: int) -> str:
    value = call.computed(slot)
    return "0" if value is None else w.array(value)


@TABLE.rule("MatMulInteger")
def matmul_integer(call: Call, w: Builder) -> None:
    first, second = (f"{w.array(call.inputs[slot])}.int()" for slot in (0, 1))
    if call.computed(2) is not None:
        value = call.computed(2)
        rows = ".unsqueeze(-1)" if value is not None and rank_of(value) == 1 else ""
        first = f"({first} - {w.array(value)}.int(){rows})"
    if call.computed(3) is not None:
        second = f"({second} - {w.array(call.computed(3))}.int())"
    w.emit(call.y, f"{first} @ {second}", precedence=20)


@TABLE.rule("QLinearMatMul")
def quantized_matmul(call: Call, w: Builder) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = (w.array(value) for value in call.inputs[:8])
    first, second = w.temporary("a"), w.temporary("b")
    w.emit(first, f"dequantize_rows({a}, {a_scale}, {a_zero})")
    w.emit(second, f"dequantize_columns({b}, {b_scale}, {b_zero})")
    low, high = _RANGES[_checked(call.y.dtype)]
    product = f"{w.use(first)} @ {w.use(second)}"
    text = f"quantize({product}, {y_scale}.double(), {y_zero}, {low}, {high}, {type_of(call.y)})"
    w.emit(call.y, text)


def _checked(kind: ir.DataType | None) -> ir.DataType:
    assert kind is not None
    return kind

"""TensorFlow's lowering table: conversions between types, and quantisation."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    BIT_PATTERNS,
    FLOATS,
    TABLE,
    UNSIGNED,
    carrier,
    in_order,
    kind_of,
    optional,
    rank_of,
    refuse,
    written,
)
from assay.frameworks.tensorflow.rules.spatial import functional_convolution
from assay.graph.calls import Call
from assay.write.body import Builder

_NARROW = {ir.DataType.INT4: 4, ir.DataType.UINT4: 4, ir.DataType.INT2: 2, ir.DataType.UINT2: 2}
_RANGES = {
    **{ir.DataType.UINT8: (0, 255), ir.DataType.INT8: (-128, 127), ir.DataType.INT16: (-32768, 32767)},
    **{ir.DataType.UINT16: (0, 65535), ir.DataType.UINT4: (0, 15), ir.DataType.INT4: (-8, 7)},
    **{ir.DataType.UINT2: (0, 3), ir.DataType.INT2: (-2, 1)},
}


@TABLE.rule("Cast")
def cast(call: Call, w: Builder) -> None:
    wanted, present = ir.DataType(call.attribute("to")), kind_of(call.x)
    saturate, mode = bool(call.attribute("saturate", 1)), call.attribute("round_mode", "up")
    x = w.array(call.x)
    if wanted == present:
        w.emit(call.y, x, light=True)
    elif wanted == ir.DataType.STRING:
        x = f"decode_float({x}, {_quoted(present)})" if present in BIT_PATTERNS else x
        w.emit(call.y, f"as_text({x})")
    else:
        if present == ir.DataType.STRING:
            x, present = f"from_text({x})", ir.DataType.DOUBLE
        w.emit(call.y, converted(x, present, wanted, saturate, mode), light=True)


def _quoted(kind: ir.DataType) -> str:
    return f'"{BIT_PATTERNS[kind]}"'


def converted(x: str, present: ir.DataType, wanted: ir.DataType, saturate: bool = True, mode: str = "up") -> str:
    """Text of one type as text of another."""
    if present in BIT_PATTERNS:
        x, present = f"decode_float({x}, {_quoted(present)})", ir.DataType.FLOAT
    if wanted == ir.DataType.FLOAT8E8M0:
        return written("encode_exponent", x, mode=None if mode == "up" else mode, saturate=None if saturate else False)
    if wanted in BIT_PATTERNS:
        return written("encode_float", x, _quoted(wanted), saturate=None if saturate else False)
    if wanted in _NARROW:
        if present in _NARROW and _NARROW[present] <= _NARROW[wanted] and (present in UNSIGNED) == (wanted in UNSIGNED):
            return x
        return f"wrap_integer({x}, {_NARROW[wanted]}, {carrier(wanted)})"
    if wanted == present or (carrier(wanted) == carrier(present) and present not in FLOATS):
        return x
    return f"tf.cast({x}, {carrier(wanted)})"


@TABLE.rule("BitCast")
def bit_cast(call: Call, w: Builder) -> None:
    wanted, present = ir.DataType(call.attribute("to")), kind_of(call.x)
    if (wanted in _NARROW) != (present in _NARROW) or ir.DataType.STRING in (wanted, present):
        raise refuse(call, f"{present.name} to {wanted.name}")
    x = w.use(call.x)
    if present == ir.DataType.BOOL:
        x, present = f"tf.cast({x}, tf.uint8)", ir.DataType.UINT8
    if wanted == ir.DataType.BOOL:
        x = f"tf.cast({x}, tf.bool)"
    elif wanted in _NARROW:
        x = f"wrap_integer({x}, {_NARROW[wanted]}, {carrier(wanted)})"
    elif carrier(wanted) != carrier(present):
        x = f"tf.bitcast({x}, {carrier(wanted)})"
    w.emit(call.y, x, light=True)


def _spread(call: Call, w: Builder, slot: int) -> str | None:
    """A scale or zero point, brought to a shape that goes with the data."""
    text = optional(call, slot, w)
    if text is None:
        return None
    value = call.inputs[slot]
    assert value is not None
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    shape = value.shape
    if shape is not None and (len(shape) == 0 or (len(shape) == 1 and shape[0] == 1)):
        return text if len(shape) == 0 else f"{text}[0]"
    return written("along_axis", text, w.use(call.x), axis=axis, block=block or None)


@TABLE.rule("QuantizeLinear")
def quantize(call: Call, w: Builder) -> None:
    zero = call.inputs[2] if len(call.inputs) > 2 else None
    declared = call.attribute("output_dtype", 0)
    wanted = kind_of(zero) if zero is not None else ir.DataType(declared or ir.DataType.UINT8)
    saturate, precision = bool(call.attribute("saturate", 1)), call.attribute("precision", 0)
    x, scale, point = in_order(call.x, w), _spread(call, w, 1), _spread(call, w, 2)
    kind, scale_kind = kind_of(call.x), kind_of(call.inputs[1])
    between = ir.DataType(precision) if precision else (kind if kind == scale_kind else ir.DataType.FLOAT)
    if kind not in FLOATS or kind != between:
        x = f"tf.cast({x}, {carrier(between)})"
    if scale_kind != between:
        scale = f"tf.cast({scale}, {carrier(between)})"
    if wanted in BIT_PATTERNS:
        name = _quoted(wanted)
        text = written("encode_float", f"{x} / {scale}", name, saturate=None if saturate else False)
    else:
        low, high = _RANGES[wanted]
        text = written("quantize", x, scale, point or "0", str(low), str(high), carrier(wanted))
    w.emit(call.y, text, light=True)


@TABLE.rule("DequantizeLinear")
def dequantize(call: Call, w: Builder) -> None:
    kind, scale_kind = kind_of(call.x), kind_of(call.inputs[1])
    wanted = ir.DataType(call.attribute("output_dtype", 0) or scale_kind)
    x, scale, point = in_order(call.x, w), _spread(call, w, 1), _spread(call, w, 2)
    if scale_kind not in (ir.DataType.FLOAT, ir.DataType.DOUBLE):
        scale = converted(scale or "", scale_kind, ir.DataType.FLOAT)
    between = ir.DataType.DOUBLE if scale_kind == ir.DataType.DOUBLE else ir.DataType.FLOAT
    x = converted(x, kind, between)
    if point is not None and kind not in BIT_PATTERNS:
        x = f"({x} - {converted(point, kind, between)})"
    text, precedence = f"{x} * {scale}", 20
    if wanted != between:
        text, precedence = converted(text, between, wanted), 100
    w.emit(call.y, text, precedence=precedence, light=True)


@TABLE.rule("DynamicQuantizeLinear")
def dynamic_quantize(call: Call, w: Builder) -> None:
    w.emit(call.outputs, f"quantize_dynamically({w.use(call.x)})")


@TABLE.rule("MatMulInteger", "ConvInteger")
def integer_product(call: Call, w: Builder) -> None:
    """Products of integers, exact in float64 (of which TensorFlow has every kernel)."""
    x, weight = (f"tf.cast({in_order(value, w)}, tf.float64)" for value in call.inputs[:2] if value is not None)
    points = [optional(call, slot, w) for slot in (2, 3)]
    rank = rank_of(call.inputs[2]) if len(call.inputs) > 2 else 0
    if points[0] is not None:
        column = "[:, tf.newaxis]" if rank and call.kind == "MatMulInteger" and _size(call.inputs[2]) != 1 else ""
        x = f"{x} - tf.cast({points[0]}{column}, tf.float64)"
    if points[1] is not None:
        point = points[1]
        if call.kind == "ConvInteger" and rank_of(call.inputs[3]):
            point = f"tf.reshape({point}, (-1, {', '.join('1' * ((rank_of(call.inputs[1]) or 4) - 1))}))"
        weight = f"{weight} - tf.cast({point}, tf.float64)"
    data, kernel = w.temporary("x"), w.temporary("kernel")
    w.emit(data, x, light=True)
    w.emit(kernel, weight, light=True)
    if call.kind == "MatMulInteger":
        text = f"{w.use(data, 20)} @ {w.use(kernel, 21)}"
    else:
        text = functional_convolution(call, w, w.use(data), w.use(kernel), None)
    w.emit(call.y, f"tf.cast({text}, tf.int32)", light=True)


def _size(value: ir.Value | None) -> int | None:
    if value is None or value.shape is None or not all(isinstance(size, int) for size in value.shape):
        return None
    return int(value.shape.numpy()[0]) if len(value.shape) == 1 else 1


@TABLE.rule("QLinearMatMul", "QLinearConv")
def quantized_product(call: Call, w: Builder) -> None:
    """The product of dequantised operands, quantised: y = saturate(round(a · b · scales) + zero point)."""

    def place(slot: int, count: int) -> str:
        """Scales and zero points: one, or one for each row of a, column of b, filter of the kernel."""
        value = call.inputs[slot]
        assert value is not None
        text, rank = in_order(value, w), rank_of(value)
        if rank == 1 and _size(value) != 1 and call.kind == "QLinearConv":
            return f"tf.reshape({text}, (-1, {', '.join('1' * count)}))"
        return f"{text}[:, tf.newaxis]" if rank == 1 and _size(value) != 1 and slot < 3 else text

    count = (rank_of(call.inputs[3]) or 4) - 1
    operands = []
    for slot in (0, 3):
        value = call.inputs[slot]
        assert value is not None
        number = w.temporary("xw"[slot > 0])
        w.emit(number, f"dequantize({in_order(value, w)}, {place(slot + 1, count)}, {place(slot + 2, count)})")
        operands.append(w.use(number))
    if call.kind == "QLinearMatMul":
        text = f"{operands[0]} @ {operands[1]}"
    else:
        bias = optional(call, 8, w)
        if bias is not None:  # an integer, in units of the product of both scales
            scales = [
                place(slot, 0) if _size(call.inputs[slot]) == 1 else in_order(call.inputs[slot], w)  # type: ignore[arg-type]
                for slot in (1, 4)
            ]
            bias = f"dequantize({bias}, {scales[0]} * {scales[1]}, 0)"
        text = functional_convolution(call, w, operands[0], operands[1], bias)
    out = call.inputs[7]
    low, high = _RANGES[kind_of(out)]
    scale, point = (f"{in_order(call.inputs[slot], w)}" for slot in (6, 7))  # type: ignore[arg-type]
    scale = f"tf.cast({scale}, tf.float64)"
    w.emit(call.y, f"quantize({text}, {scale}, {point}, {low}, {high}, {carrier(kind_of(out))})")

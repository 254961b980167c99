"""Types: casts, quantisation."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.keras.rules.common import TABLE, operand, present, type_name, type_of
from assay.graph.calls import Call
from assay.write.body import Builder

_SMALL = {"FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ", "FLOAT8E8M0", "FLOAT4E2M1"}
_ML_DTYPES = {
    "FLOAT8E4M3FN": "float8_e4m3fn",
    "FLOAT8E4M3FNUZ": "float8_e4m3fnuz",
    "FLOAT8E5M2": "float8_e5m2",
    "FLOAT8E5M2FNUZ": "float8_e5m2fnuz",
    "FLOAT8E8M0": "float8_e8m0fnu",
    "FLOAT4E2M1": "float4_e2m1fn",
}
_NARROW = {"INT4": 4, "UINT4": 4, "INT2": 2, "UINT2": 2}


@TABLE.rule("Cast", "CastLike")
def cast(call: Call, w: Builder) -> None:
    saturate, rounding = call.attribute("saturate", 1), call.attribute("round_mode", "up")
    if call.kind == "Cast":
        target = ir.DataType(int(call.attribute("to")))
    else:
        like = call.inputs[1]
        assert like is not None and like.dtype is not None
        target = like.dtype
    source = call.x.dtype
    assert source is not None
    w.emit(call.y, cast_text(w.array(call.x), source, target, bool(saturate), rounding), light=True)


def cast_text(x: str, source: ir.DataType, target: ir.DataType, saturate: bool = True, rounding: str = "up") -> str:
    """A value of one ONNX type in another."""
    if source == target:
        return x
    if source == ir.DataType.STRING:
        if target.name in _SMALL:
            return cast_text(f'from_text({x}, "float32")', ir.DataType.FLOAT, target, saturate, rounding)
        return f'from_text({x}, "{type_name(target)}")'
    if source.name in _SMALL:
        decoded = f'from_float8({x}, "{_ML_DTYPES[source.name]}")'
        return cast_text(decoded, ir.DataType.FLOAT, target, saturate, rounding)
    if target == ir.DataType.STRING:
        return f"to_text({x})"
    if target == ir.DataType.FLOAT8E8M0:
        return f'to_float8_e8m0({x}, saturate={saturate}, round_mode="{rounding}")'
    if target.name in _SMALL:
        return f'to_float8({x}, "{_ML_DTYPES[target.name]}"{"" if saturate else ", saturate=False"})'
    if target.name in _NARROW:
        return f"to_narrow_integer({x}, {_NARROW[target.name]}{', signed=False' if target.name[0] == 'U' else ''})"
    if type_name(source) == type_name(target):
        return x
    if "float" in type_name(source) and "int" in type_name(target):
        return (
            f'to_integer({x}, "{type_name(target)}")'
            if target.name.startswith("U")
            else f'ops.cast({x}, "{type_name(target)}")'
        )
    return f'ops.cast({x}, "{type_name(target)}")'


@TABLE.rule("BitCast")
def bit_cast(call: Call, w: Builder) -> None:
    call.attribute("to")
    before, after = type_of(call.x), type_of(call.y)
    x = w.array(call.x)
    if before == "bool":
        x = f'ops.cast({x}, "uint8")'
        before = "uint8"
    target = "uint8" if after == "bool" else after
    text = x if before == target else f'bit_cast({x}, "{target}")'
    w.emit(call.y, f'ops.cast({text}, "bool")' if after == "bool" else text, light=True)


@TABLE.rule("QuantizeLinear")
def quantize(call: Call, w: Builder) -> None:
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    saturate = bool(call.attribute("saturate", 1))
    call.attribute("output_dtype")
    precision = call.attribute("precision", 0)
    zero = call.inputs[2] if len(call.inputs) > 2 else None
    target = call.y.dtype or (zero.dtype if zero is not None else None) or ir.DataType.UINT8
    x, scale = w.array(call.x), w.array(call.inputs[1])
    if target.name in _SMALL:
        ratio = f"quotient_by_block({x}, {scale}, {axis}, {block})"
        source = call.x.dtype if not precision else ir.DataType(precision)
        assert source is not None
        w.emit(call.y, cast_text(ratio, source, target, saturate))
        return
    bits = _NARROW.get(target.name, 0) or int(target.name.lstrip("UINT"))
    low, high = (0, 2**bits - 1) if target.name[0] == "U" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    point = "" if zero is None else f", zero_point={w.array(zero)}"
    place = _blocks(axis, block)
    w.emit(call.y, f'quantize_linear({x}, {scale}, {low}, {high}, "{type_name(target)}"{point}{place})', light=True)


def _blocks(axis: int, block: int) -> str:
    return f", axis={axis}" + (f", block_size={block}" if block else "")


@TABLE.rule("DequantizeLinear")
def dequantize(call: Call, w: Builder) -> None:
    axis, block = call.attribute("axis", 1), call.attribute("block_size", 0)
    call.attribute("output_dtype")
    x, scale = w.array(call.x), w.array(call.inputs[1])
    assert call.x.dtype is not None
    if call.x.dtype.name in _SMALL:
        x = f'from_float8({x}, "{_ML_DTYPES[call.x.dtype.name]}")'
    zero = call.inputs[2] if len(call.inputs) > 2 else None
    point = "" if zero is None or call.x.dtype.name in _SMALL else f", zero_point={w.array(zero)}"
    w.emit(call.y, f'dequantize_linear({x}, {scale}, "{type_of(call.y)}"{point}{_blocks(axis, block)})', light=True)


@TABLE.rule("MatMulInteger")
def integer_product(call: Call, w: Builder) -> None:
    a, b = w.array(call.x), w.array(call.inputs[1])
    zeros = [
        f", {name}={w.array(call.inputs[slot])}" for slot, name in ((2, "a_zero"), (3, "b_zero")) if present(call, slot)
    ]
    w.emit(call.y, f"integer_matmul({a}, {b}{''.join(zeros)})", light=True)


@TABLE.rule("QLinearMatMul")
def quantized_product(call: Call, w: Builder) -> None:
    names = [w.array(value) for value in call.inputs]
    low, high = (0, 255) if type_of(call.y) == "uint8" else (-128, 127)
    target = f'{low}, {high}, "{type_of(call.y)}"'
    product = w.temporary("product")
    w.emit(product, f"integer_matmul({names[0]}, {names[3]}, a_zero={names[2]}, b_zero={names[5]})")
    scale = w.temporary("scale")
    w.emit(scale, f'ops.cast({names[1]} * {names[4]} / {names[6]}, "float32")')
    w.emit(call.y, f"requantize({w.use(product)}, {w.use(scale)}, {target}, {names[7]})", light=True)


@TABLE.rule("QLinearConv", "ConvInteger")
def quantized_convolution(call: Call, w: Builder) -> None:
    quantized = call.kind == "QLinearConv"
    x, weight = call.x, call.inputs[3 if quantized else 1]
    assert weight is not None
    rank = len(call.shape()) - 2
    strides, dilations = call.attribute("strides", [1] * rank), call.attribute("dilations", [1] * rank)
    pads, auto = call.attribute("pads", [0] * 2 * rank), call.attribute("auto_pad", "NOTSET")
    groups = call.attribute("group", 1)
    call.attribute("kernel_shape")
    zero_x, zero_w = (
        call.inputs[slot] if slot < len(call.inputs) else None for slot in ((2, 5) if quantized else (2, 3))
    )
    zeros = "".join(
        f", {name}={w.array(value)}"
        for name, value in (("x_zero", zero_x), ("weight_zero", zero_w))
        if value is not None
    )
    more = "".join(
        f", {name}={value!r}"
        for name, value, usual in (
            ("strides", tuple(strides), (1,) * rank),
            ("pads", tuple(pads), (0,) * 2 * rank),
            ("dilations", tuple(dilations), (1,) * rank),
            ("groups", groups, 1),
            ("auto_pad", auto, "NOTSET"),
        )
        if value != usual
    )
    text = f"integer_conv({w.array(x)}, {w.array(weight)}{zeros}{more})"
    if not quantized:
        w.emit(call.y, text, light=True)
        return
    names = [None if value is None else w.array(value) for value in call.inputs]
    product = w.temporary("product")
    bias = operand(call, w, 8, "bias") if len(call.inputs) > 8 else None
    w.emit(product, text if bias is None else f"add_channels({text}, {bias})")
    low, high = (0, 255) if type_of(call.y) == "uint8" else (-128, 127)
    scale = f"ops.reshape({names[1]} * {names[4]} / {names[6]}, {(-1, *[1] * rank)})"
    w.emit(call.y, f'requantize({w.use(product)}, {scale}, {low}, {high}, "{type_of(call.y)}", {names[7]})', light=True)

"""Products: linear layers, Gemm, Einsum, determinants (MatMul is a sign between two operands, in `arithmetic.py`)."""

from __future__ import annotations

from assay.frameworks.pytorch.rules.common import TABLE, call_layer, is_integer
from assay.graph.calls import Call
from assay.model import ORIGIN, shape_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, keyword, positional
from assay.write.weights import Step, transpose

TABLE.row("Det", "torch.linalg.det({0})")


@TABLE.rule("Linear")
def linear(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    transposed = bool(call.attribute("transB", 0))
    if is_integer(call.x):  # layers are for floats
        text = f"{w.array(call.x, 20)} @ {w.array(weight, 100 if transposed else 21)}{'.T' if transposed else ''}"
        text = text if bias is None else f"{text} + {w.array(bias, 11)}"
        return w.emit(call.y, text, precedence=20 if bias is None else 10)
    rows, columns = shape_of(weight)[::-1] if transposed else shape_of(weight)
    steps: tuple[Step, ...] = () if transposed else (transpose(1, 0),)
    if w.holds(weight) and not transposed and ORIGIN not in weight.metadata_props:
        return _product(call, w)
    if w.holds(weight):
        operands = [w.use(call.x), w.parameter(weight, steps), *([] if bias is None else [w.parameter(bias)])]
        return w.emit(call.y, f"F.linear({', '.join(operands)})", light=True)
    weights = [NativeWeight("weight", weight, steps)]
    if bias is not None:
        weights.append(NativeWeight("bias", bias))
    arguments = [
        positional(rows, "in_features"),
        positional(columns, "out_features"),
        keyword("bias", bias is not None, True),
    ]
    call_layer(call, w, "nn.Linear", arguments, weights)


def _product(call: Call, w: Builder) -> None:
    """A product with a parameter that the source itself keeps as (inputs, outputs)."""
    weight, bias = w.parameter(call.weights["weight"]), call.weights.get("bias")
    if bias is not None and call.x.shape is not None and len(call.x.shape) == 2:
        return w.emit(call.y, f"torch.addmm({w.parameter(bias)}, {w.use(call.x)}, {weight})", light=True)
    text = f"{w.use(call.x, 20)} @ {weight}"
    if bias is None:
        return w.emit(call.y, text, precedence=20)
    w.emit(call.y, f"{text} + {w.parameter(bias)}", precedence=10)


@TABLE.rule("Gemm")
def gemm(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    turned = [call.attribute("transA", 0), call.attribute("transB", 0)]
    first, second = (
        f"{w.array(value, 100)}.T" if turn else w.array(value, 20 + place)
        for place, (value, turn) in enumerate(zip(call.inputs[:2], turned, strict=True))
    )
    if alpha != 1 and is_integer(call.x):
        text = f"({alpha} * ({first} @ {second})).to({w.array(call.x)}.dtype)"
    else:
        text = f"{first} @ {second}" if alpha == 1 else f"{alpha} * ({first} @ {second})"
    bias = call.computed(2)
    if bias is None or beta == 0:
        return w.emit(call.y, text, precedence=20, light=alpha == 1)
    added = w.array(bias, 11) if beta == 1 else f"{beta} * {w.array(bias, 21)}"
    w.emit(call.y, f"{text} + {added}", precedence=10)


@TABLE.rule("Einsum")
def einsum(call: Call, w: Builder) -> None:
    equation = call.attribute("equation")
    operands = ", ".join(w.array(value) for value in call.inputs)
    w.emit(call.y, f'torch.einsum("{_checked(equation)}", {operands})', light=True)


def _checked(equation: str) -> str:
    """An equation comes from a file: only what belongs in one is written into code."""
    import re

    from assay.errors import ModelError

    if not re.fullmatch(r"[A-Za-z.,> -]*", equation):
        raise ModelError(f"{equation!r} is no equation for Einsum")
    return equation.replace(" ", "")

"""Matrix products and linear algebra."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE, is_float, type_of, typed
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.kernels import dense_kernel
from assay.write.table import NativeWeight, keyword, positional


@TABLE.rule("Linear")
def linear(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    kernel = dense_kernel(call)
    weights = [NativeWeight("kernel", weight, kernel.steps)]
    weights += [NativeWeight("bias", bias)] if bias is not None else []
    arguments = [positional(kernel.units, "units"), keyword("use_bias", bias is not None, True), *typed(call)]
    layer = w.layer("layers.Dense", arguments, weights)
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


@TABLE.rule("MatMul")
def matmul(call: Call, w: Builder) -> None:
    text = f"ops.matmul({w.array(call.x)}, {w.array(call.inputs[1])})"
    if is_float(call.y) or type_of(call.y) not in ("uint64", "uint32"):
        w.emit(call.y, text, light=True)
    else:  # Keras takes uint32 for the common type of two uint64
        a, b = (f'ops.cast({w.array(value)}, "int64")' for value in call.inputs)
        w.emit(call.y, f'ops.cast(ops.matmul({a}, {b}), "{type_of(call.y)}")', light=True)


@TABLE.rule("Gemm")
def gemm(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    a, b = w.array(call.x), w.array(call.inputs[1])
    if call.attribute("transA", 0):
        a = f"ops.transpose({a})"
    if call.attribute("transB", 0):
        b = f"ops.transpose({b})"
    text = f"ops.matmul({a}, {b})"
    if alpha != 1.0:
        text = f"{w.literal(alpha, 'alpha')} * {text}"
    bias = call.inputs[2] if len(call.inputs) > 2 else None
    if bias is not None:
        text += f" + {w.literal(beta, 'beta')} * {w.array(bias, 21)}" if beta != 1.0 else f" + {w.array(bias, 11)}"
    w.emit(call.y, text, precedence=10 if bias is not None else 20, light=True)


@TABLE.rule("Einsum")
def einsum(call: Call, w: Builder) -> None:
    equation = call.attribute("equation").replace(" ", "")
    if "->" not in equation:  # the letters that stand once, in the order of the alphabet
        once = sorted(letter for letter in equation if letter.isalpha() and equation.count(letter) == 1)
        equation += f"->{'...' if '...' in equation else ''}{''.join(once)}"
    listed = ", ".join(w.array(value) for value in call.inputs)
    w.emit(call.y, f'ops.einsum("{equation}", {listed})', light=True)


TABLE.row("Det", "ops.det({0})")

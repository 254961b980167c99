"""Products of matrices and what belongs to them."""

from __future__ import annotations

from assay.frameworks.jax.rules.common import TABLE, call_layer, is_one_number
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.kernels import dense_kernel
from assay.write.table import NativeWeight, keyword, positional

TABLE.row("Det", "jnp.linalg.det({0})")


@TABLE.rule("Linear")
def linear(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    kernel = dense_kernel(call)
    weights = [NativeWeight("kernel", weight, kernel.steps)]
    if bias is not None:
        weights.append(NativeWeight("bias", bias))
    arguments = [
        positional(kernel.inputs, "in_features"),
        positional(kernel.units, "out_features"),
        keyword("use_bias", bias is not None, True),
    ]
    call_layer(call, w, "nnx.Linear", arguments, weights)


@TABLE.rule("Gemm")
def gemm(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    first = w.array(call.x, 100) + (".T" if call.attribute("transA", 0) else "")
    second = w.array(call.inputs[1], 100) + (".T" if call.attribute("transB", 0) else "")
    text = f"{first} @ {second}" if alpha == 1.0 else f"{alpha} * ({first} @ {second})"
    bias = call.computed(2)
    if bias is None:
        w.emit(call.y, text, precedence=20, light=True)
        return
    added = w.use(bias, 20) if is_one_number(bias) else w.array(bias, 20)
    text += f" + {added}" if beta == 1.0 else f" + {beta} * {added}"
    w.emit(call.y, text, precedence=10, light=True)


@TABLE.rule("Einsum")
def einsum(call: Call, w: Builder) -> None:
    listed = ", ".join(w.array(value) for value in call.inputs)
    w.emit(call.y, f'jnp.einsum("{call.attribute("equation")}", {listed})', light=True)

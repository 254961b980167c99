"""TensorFlow's lowering table: linear maps, products of matrices, tables of vectors."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    ABSORBED,
    TABLE,
    are_layers,
    call_layer,
    carrier,
    in_order,
    is_float,
    kind_of,
    optional,
    rank_of,
)
from assay.frameworks.tensorflow.rules.arithmetic import absorbed_activation, activation_name
from assay.graph.calls import Call
from assay.graph.layout import FLATTENED
from assay.model import attributes_of, shape_of
from assay.write.body import Builder
from assay.write.kernels import dense_kernel
from assay.write.table import NativeWeight, Raw, keyword, positional


@TABLE.rule("Linear")
def linear(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    if not are_layers(call) and FLATTENED not in call.x.meta:
        matrix = w.array(weight, stored=False)
        text = f"{w.array(call.x, 20)} @ {f'tf.transpose({matrix})' if call.attribute('transB', 0) else matrix}"
        text += f" + {w.array(bias, stored=False)}" if bias is not None else ""
        w.emit(call.y, text, precedence=10 if bias is not None else 20, light=True)
        return
    kernel = dense_kernel(call)
    weights = [NativeWeight("kernel", weight, kernel.steps)] + (
        [NativeWeight("bias", bias)] if bias is not None else []
    )
    arguments = [
        positional(kernel.inputs, "inputs"),
        positional(kernel.units, "units"),
        keyword("use_bias", bias is not None, True),
    ]
    if (follower := absorbed_activation(call, w)) is None:
        call_layer(call, w, "Dense", arguments, weights)
        return
    name = activation_name(follower.op_type, attributes_of(follower).get("approximate"))
    layer = w.layer("Dense", [*arguments, keyword("activation", Raw(name))], weights)
    follower.outputs[0].meta[ABSORBED] = True
    w.emit(follower.outputs[0], f"{layer}({w.use(call.x)})", light=True)
    w.body.statements[-1].nodes += (follower,)


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    if not are_layers(call):
        w.emit(call.y, f"tf.gather({w.array(weight)}, {w.array(call.x)})", light=True)
        return
    tokens, features = shape_of(weight)
    arguments = [positional(tokens, "tokens"), positional(features, "features")]
    call_layer(call, w, "Embedding", arguments, [NativeWeight("table", weight)])


_PRODUCTS = (ir.DataType.INT32, ir.DataType.INT64)  # integers that TensorFlow multiplies matrices of


@TABLE.rule("MatMul")
def product(call: Call, w: Builder) -> None:
    first, second = (value for value in call.inputs if value is not None)
    left, right = rank_of(first), rank_of(second)
    narrow = not is_float(first) and kind_of(first) not in _PRODUCTS
    if left is not None and right is not None and min(left, right) > 1 and not narrow:
        w.emit(call.y, f"{w.array(first, 20)} @ {w.array(second, 21)}", precedence=20, light=True)
        return
    operands = [in_order(first, w), in_order(second, w)]
    if narrow:
        operands = [f"tf.cast({operand}, tf.int64)" for operand in operands]
    text = f"multiply_matrices({', '.join(operands)})"
    w.emit(call.y, f"tf.cast({text}, {carrier(kind_of(first))})" if narrow else text, light=True)


@TABLE.rule("Gemm")
def general_product(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    turned = [bool(call.attribute(name, 0)) for name in ("transA", "transB")]
    first, second = (value for value in call.inputs[:2] if value is not None)
    narrow = not is_float(first) and kind_of(first) not in _PRODUCTS
    operands = [in_order(value, w, 20) for value in (first, second)]
    if narrow:
        operands = [f"tf.cast({operand}, tf.int64)" for operand in operands]
    if any(turned):
        extra = "".join(f", transpose_{name}=True" for name, is_turned in zip("ab", turned, strict=True) if is_turned)
        text = f"tf.matmul({', '.join(operands)}{extra})"
    else:
        text = f"{operands[0]} @ {operands[1]}"
    if alpha != 1.0:
        text = (
            f"{w.literal(alpha if is_float(first) else int(alpha), 'alpha')} * {text if any(turned) else f'({text})'}"
        )
    bias = optional(call, 2, w)
    if bias is not None and beta != 0.0:
        bias = f"tf.cast({bias}, tf.int64)" if narrow else bias
        text += f" + {f'{beta if is_float(first) else int(beta)!r} * ' if beta != 1.0 else ''}{bias}"
    w.emit(call.y, f"tf.cast({text}, {carrier(kind_of(first))})" if narrow else text, precedence=10, light=True)


@TABLE.rule("Einsum")
def einsum(call: Call, w: Builder) -> None:
    equation = call.attribute("equation").replace(" ", "")
    operands = ", ".join(in_order(value, w) for value in call.inputs if value is not None)
    w.emit(call.y, f'tf.einsum("{equation}", {operands})', light=True)

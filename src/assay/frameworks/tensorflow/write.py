"""TensorFlow's lowering table: arithmetic, activations, layers; `spatial.py` and `shaping.py` hold the rest."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from assay.frameworks.tensorflow import shaping, spatial  # noqa: F401  they register their rules
from assay.frameworks.tensorflow.common import ABSORBED, HEADS, TABLE, axis_text, only_data, refuse, require
from assay.graph.calls import Call
from assay.graph.layout import FLATTENED
from assay.graph.modules import Frame
from assay.model import attributes_of, constant_of, shape_of
from assay.write.body import Builder
from assay.write.parts import Temporary
from assay.write.table import Argument, NativeWeight, Raw, keyword, positional
from assay.write.weights import Step, blocks, reshape, transpose

__all__ = ["TABLE"]

# Activations without numbers of their own, as functions.
_ACTIVATIONS = {
    "Relu": "tf.nn.relu",
    "Gelu": "gelu",
    "Sigmoid": "tf.sigmoid",
    "Tanh": "tf.tanh",
    "Swish": "tf.nn.silu",
    "Selu": "tf.nn.selu",
    "Softplus": "tf.nn.softplus",
}
_FUSED = ("Relu", "Gelu", "Sigmoid", "Tanh")  # of which TensorFlow makes one operation with the product before it

for kind, template in (
    ("Exp", "tf.exp({0})"),
    ("Log", "tf.math.log({0})"),
    ("Sqrt", "tf.sqrt({0})"),
    ("Abs", "tf.abs({0})"),
    ("Erf", "tf.math.erf({0})"),
    ("Sign", "tf.sign({0})"),
    ("Reciprocal", "tf.math.reciprocal({0})"),
):
    TABLE.row(kind, template)
TABLE.row("Add", "{0} + {1}", precedence=10)
TABLE.row("Sub", "{0} - {1}", precedence=10)
TABLE.row("Mul", "{0} * {1}", precedence=20)
TABLE.row("Div", "{0} / {1}", precedence=20)
TABLE.row("MatMul", "{0} @ {1}", precedence=20)
TABLE.row("Neg", "-{0}", precedence=30)


@TABLE.rule("Max", "Min")
def extreme(call: Call, w: Builder) -> None:
    # A number cannot stand first: its type would be taken for that of the result.
    operands = sorted(
        (value for value in call.inputs if value is not None), key=lambda value: constant_of(value) is not None
    )
    if call.kind == "Max" and len(operands) == 2 and (_is_multiple(*operands) or _is_multiple(*reversed(operands))):
        # Grappler takes tf.maximum(x, 2 * x) for a leaky ReLU of slope 2, which it is not (TensorFlow 2.21, float32, oneDNN).
        x, y = operands
        w.emit(call.y, f"tf.where({w.use(x, 5)} > {w.use(y, 6)}, {w.use(x)}, {w.use(y)})", light=True)
        return
    text = w.use(operands[0])
    for operand in operands[1:]:
        text = f"tf.{call.kind.lower()}imum({text}, {w.use(operand)})"
    w.emit(call.y, text, light=True)


def _is_multiple(first: ir.Value, second: ir.Value) -> bool:
    """Whether the second is the first, multiplied by a number above 1."""
    producer = second.producer()
    if producer is None or producer.op_type != "Mul" or not any(value is first for value in producer.inputs):
        return False
    factors = [constant_of(value) for value in producer.inputs]
    return any(factor is not None and factor.size == 1 and factor.item() > 1 for factor in factors)


@TABLE.rule("Pow")
def power(call: Call, w: Builder) -> None:
    exponent = constant_of(call.inputs[1])
    if exponent is not None and exponent.size == 1 and exponent.item() == 2:
        w.emit(call.y, f"tf.square({w.use(call.x)})", light=True)
    else:
        w.emit(call.y, f"{w.use(call.x, 41)} ** {w.use(call.inputs[1], 40)}", precedence=40, light=True)


@TABLE.rule(*_ACTIVATIONS)
def activation(call: Call, w: Builder) -> None:
    if ABSORBED not in call.y.meta:
        w.emit(call.y, f"{_activation_name(call.kind, call.attribute('approximate'))}({w.use(call.x)})", light=True)
    call.attribute("approximate")


def _activation_name(kind: str, approximate: str | None) -> str:
    return "gelu_tanh" if kind == "Gelu" and approximate == "tanh" else _ACTIVATIONS[kind]


def _absorbed_activation(call: Call, w: Builder) -> ir.Node | None:
    """The activation that is all that reads a linear map of sequences or images, if both are written in the same method.

    (On matrices TensorFlow sees it anyway; on others there is a reshape in between.)
    """
    uses = list(call.y.uses())
    if len(call.shape()) < 3 or len(uses) != 1 or call.y.is_graph_output() or w.in_container:
        return None
    node = uses[0][0]
    return node if node.op_type in _FUSED and _is_beside(w.frame, node) else None


def _is_beside(frame: Frame, node: ir.Node) -> bool:
    """Whether a frame's own method holds the call of this node: its own call, or a module that is one call."""
    for item in frame.items:
        if isinstance(item, Call):
            found = any(member is node for member in item.nodes)
        else:
            single = len(item.items) == 1 and isinstance(item.items[0], Call)
            found = (single or item.class_name == "Sequential") and _is_beside(item, node)
        if found:
            return True
    return False


@TABLE.rule("LeakyRelu")
def leaky_relu(call: Call, w: Builder) -> None:
    alpha = call.attribute("alpha", 0.01)
    x, slope = w.use(call.x), w.literal(alpha, "slope")
    # tf.nn.leaky_relu takes its slope as a float32, whatever the type of x.
    if float(np.float32(alpha)) == alpha:
        w.emit(call.y, f"tf.nn.leaky_relu({x}, {slope})", light=True)
    elif 0 <= alpha <= 1:
        w.emit(call.y, f"tf.maximum({x}, {slope} * {w.use(call.x, 20)})", light=True)
    else:
        w.emit(call.y, f"tf.where({w.use(call.x, 5)} >= 0, {x}, {slope} * {w.use(call.x, 20)})", light=True)


@TABLE.rule("Elu")
def elu(call: Call, w: Builder) -> None:
    alpha = call.attribute("alpha", 1.0)
    text = f"tf.nn.elu({w.use(call.x)})"
    if alpha != 1.0:
        text = f"tf.where({w.use(call.x, 5)} > 0, {w.use(call.x)}, {w.literal(alpha, 'alpha')} * {text})"
    w.emit(call.y, text, light=True)


@TABLE.rule("HardSigmoid")
def hard_sigmoid(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        w.emit(call.y, f"tf.nn.relu6({w.use(call.x, 10)} + 3) / 6", precedence=20, light=True)
    else:
        scaled = f"{w.literal(alpha, 'alpha')} * {w.use(call.x, 21)} + {w.literal(beta, 'beta')}"
        w.emit(call.y, f"tf.clip_by_value({scaled}, 0, 1)", light=True)


@TABLE.rule("HardSwish")
def hard_swish(call: Call, w: Builder) -> None:
    w.emit(call.y, f"{w.use(call.x, 20)} * tf.nn.relu6({w.use(call.x, 10)} + 3) / 6", precedence=20, light=True)


@TABLE.rule("Mish")
def mish(call: Call, w: Builder) -> None:
    w.emit(call.y, f"{w.use(call.x, 20)} * tf.tanh(tf.nn.softplus({w.use(call.x)}))", precedence=20, light=True)


@TABLE.rule("Softmax", "LogSoftmax")
def softmax(call: Call, w: Builder) -> None:
    name = "softmax" if call.kind == "Softmax" else "log_softmax"
    axis = axis_text(call.stored_axis(call.attribute("axis", -1)), len(call.shape()))
    w.emit(call.y, f"tf.nn.{name}({w.use(call.x)}{'' if axis == -1 else f', axis={axis}'})", light=True)


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    only_data(call, 3)
    heads = call.attribute("q_num_heads")
    require(call, kv_num_heads=heads, qk_matmul_output_mode=0, softcap=0.0)
    if heads is None or len(call.outputs) > 1:
        raise refuse(call, "four axes, or further outputs")
    operands = []
    for value in call.inputs[:3]:
        assert value is not None
        operand: ir.Value | Temporary = value
        if HEADS not in value.meta:
            operand = w.temporary(value.meta.get("assay.hint", "x"))
            w.emit(operand, f"split_heads({w.use(value)}, heads={w.literal(heads, 'heads')})", light=True)
        operands.append(w.use(operand))
    causal = ", causal=True" if call.attribute("is_causal", 0) else ""
    w.emit(call.y, f"attention({', '.join(operands)}{causal})", light=True)


def _call_layer(call: Call, w: Builder, callee: str, arguments: list[Argument], weights: list[NativeWeight]) -> None:
    layer = w.layer(callee, arguments, weights)
    training = ", training=training" if call.kind in ("Dropout", "BatchNormalization") else ""
    w.emit(call.y, f"{layer}({w.use(call.x)}{training})", light=True)


@TABLE.rule("Linear")
def linear(call: Call, w: Builder) -> None:
    weight, bias = call.weights["weight"], call.weights.get("bias")
    transposed = bool(call.attribute("transB", 0))
    shape = [int(size) for size in shape_of(weight)]
    inputs, units = shape[::-1] if transposed else shape
    steps: tuple[Step, ...] = (transpose(1, 0),) if transposed else ()
    if (flattened := call.x.meta.get(FLATTENED)) is not None:
        # The data were flattened channels-last, so the rows of the weight go into that order.
        channels, *places = (int(size) for size in flattened)
        axes = range(1, len(places) + 1)
        steps += (
            reshape((inputs, units), (channels, *places, units)),
            transpose(*axes, 0, len(places) + 1),
            reshape((*places, channels, units), (inputs, units)),
        )
    weights = [NativeWeight("kernel", weight, steps)] + ([NativeWeight("bias", bias)] if bias is not None else [])
    arguments = [positional(inputs, "inputs"), positional(units, "units"), keyword("use_bias", bias is not None, True)]
    if (follower := _absorbed_activation(call, w)) is None:
        _call_layer(call, w, "Dense", arguments, weights)
        return
    name = _activation_name(follower.op_type, attributes_of(follower).get("approximate"))
    layer = w.layer("Dense", [*arguments, keyword("activation", Raw(name))], weights)
    follower.outputs[0].meta[ABSORBED] = True
    w.emit(follower.outputs[0], f"{layer}({w.use(call.x)})", light=True)
    w.body.statements[-1].nodes += (follower,)


@TABLE.rule("BatchNormalization")
def batch_norm(call: Call, w: Builder) -> None:
    names = {"weight": "scale", "bias": "offset", "running_mean": "moving_mean", "running_var": "moving_variance"}
    weights = [NativeWeight(leaf, call.weights[role]) for role, leaf in names.items()]
    require(call, training_mode=0)
    arguments = [
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("momentum", call.attribute("momentum", 0.9), 0.9),
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-5),
    ]
    w.in_training()
    _call_layer(call, w, "BatchNorm", arguments, weights)


@TABLE.rule("LayerNormalization", "RMSNormalization")
def layer_norm(call: Call, w: Builder) -> None:
    shape = shape_of(call.weights["weight"])
    layer = call.kind == "LayerNormalization"
    require(call, stash_type=1)
    if call.attribute("axis", -1) % len(call.shape()) != len(call.shape()) - 1 or len(call.outputs) > 1:
        raise refuse(call, "more than the last axis, or further outputs")
    if layer and "bias" not in call.weights:
        raise refuse(call, "no bias")
    weights = [NativeWeight("scale", call.weights["weight"])]
    weights += [NativeWeight("offset", call.weights["bias"])] if layer else []
    arguments = [positional(shape[0], "features"), keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-5)]
    _call_layer(call, w, "LayerNorm" if layer else "RMSNorm", arguments, weights)


@TABLE.rule("GroupNormalization")
def group_norm(call: Call, w: Builder) -> None:
    require(call, stash_type=1)
    arguments = [
        positional(call.attribute("num_groups"), "groups"),
        positional(shape_of(call.weights["weight"])[0], "channels"),
        keyword("epsilon", call.attribute("epsilon", 1e-5), 1e-5),
    ]
    weights = [NativeWeight("scale", call.weights["weight"]), NativeWeight("offset", call.weights["bias"])]
    _call_layer(call, w, "GroupNorm", arguments, weights)


@TABLE.rule("PRelu")
def prelu(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    shape = [int(size) for size in shape_of(weight)]
    count = int(np.prod(shape))
    if count > 1 and count != call.shape()[1]:
        raise refuse(call, f"slopes of shape {tuple(shape)}, not one for each channel")
    steps = () if len(shape) == 1 else (reshape(shape, (count,)),)
    _call_layer(call, w, "PReLU", [positional(count, "channels")], [NativeWeight("slope", weight, steps)])


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio = call.constant(1)
    rate = 0.5 if ratio is None else float(str(np.float32(ratio.reshape(()))))
    call.attribute("seed")
    call.constant(2)
    w.in_training()
    _call_layer(call, w, "Dropout", [positional(rate, "rate")], [])


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    tokens, features = shape_of(weight)
    arguments = [positional(tokens, "tokens"), positional(features, "features")]
    _call_layer(call, w, "Embedding", arguments, [NativeWeight("table", weight)])


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    only_data(call, 1)
    lstm = call.kind == "RecurrentLSTM"
    units = call.attribute("hidden_size")
    direction = call.attribute("direction", "forward")
    single_bias = call.attribute("single_bias")
    if lstm != bool(single_bias) or (not lstm and "second_bias" in call.weights):
        raise refuse(call, "two trained biases for each gate" if lstm else "one bias for each gate")
    if not lstm:
        require(call, linear_before_reset=1)
    inputs = call.shape()[-1]
    name = "LSTM" if lstm else "GRU"
    if direction == "bidirectional":
        arguments = [positional(Raw(name), "layer"), positional(inputs, "inputs"), positional(units, "units")]
        weights = [weight for number in (0, 1) for weight in _recurrent_weights(call, units, number)]
        layer = w.layer("Bidirectional", arguments, weights)
    else:
        arguments = [
            positional(inputs, "inputs"),
            positional(units, "units"),
            keyword("reverse", direction == "reverse", False),
        ]
        layer = w.layer(name, arguments, _recurrent_weights(call, units, None))
    w.emit(call.outputs, f"{layer}({w.use(call.x)})")


def _recurrent_weights(call: Call, units: int, direction: int | None) -> list[NativeWeight]:
    """The parameters of one direction; `direction` is None where there is only one."""
    # ONNX's gates i, o, f, c and z, r, h → input, cell, forget, output and update, reset, content.
    order = (0, 3, 2, 1) if call.kind == "RecurrentLSTM" else (0, 1, 2)
    rows = len(order) * units
    prefix = "" if direction is None else ("forward.", "backward.")[direction]
    part = (direction or 0, (direction or 0) + 1)
    weights = []
    for role, leaf in (("input_weight", "kernel"), ("hidden_weight", "recurrent_kernel")):
        columns = int(shape_of(call.weights[role])[2])
        steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order), transpose(1, 0))
        weights.append(NativeWeight(f"{prefix}{leaf}", call.weights[role], steps, (part,)))
    for number, leaf in enumerate(("bias",) if call.kind == "RecurrentLSTM" else ("bias", "recurrent_bias")):
        steps = (reshape((1, rows), (rows,)), blocks(0, order))
        index = (part, (number * rows, (number + 1) * rows))
        weights.append(NativeWeight(f"{prefix}{leaf}", call.weights["bias"], steps, index))
    return weights

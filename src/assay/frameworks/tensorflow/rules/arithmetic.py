"""TensorFlow's lowering table: arithmetic, comparison, logic, bits and activations, element by element."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    ABSORBED,
    FLOATS,
    NARROW_FLOATS,
    TABLE,
    UNSIGNED,
    axis_of,
    carrier,
    is_float,
    is_text,
    kind_of,
    rank_of,
)
from assay.graph.calls import Call
from assay.graph.modules import Frame
from assay.model import constant_of
from assay.write.body import Builder

# Activations without numbers of their own, as functions.
ACTIVATIONS = {
    "Relu": "tf.nn.relu",
    "Gelu": "gelu",
    "Sigmoid": "tf.sigmoid",
    "Tanh": "tf.tanh",
    "Softplus": "tf.nn.softplus",
}
_FUSED = ("Relu", "Gelu", "Sigmoid", "Tanh")  # of which TensorFlow makes one operation with the product before it

for kind, template in (
    ("Exp", "tf.exp({0})"),
    ("Log", "tf.math.log({0})"),
    ("Sqrt", "tf.sqrt({0})"),
    ("Erf", "tf.math.erf({0})"),
    ("Reciprocal", "tf.math.reciprocal({0})"),
    ("Sin", "tf.sin({0})"),
    ("Cos", "tf.cos({0})"),
    ("Tan", "tf.tan({0})"),
    ("Asin", "tf.asin({0})"),
    ("Acos", "tf.acos({0})"),
    ("Atan", "tf.atan({0})"),
    ("Sinh", "tf.sinh({0})"),
    ("Cosh", "tf.cosh({0})"),
    ("Asinh", "tf.asinh({0})"),
    ("Acosh", "tf.acosh({0})"),
    ("Atanh", "tf.atanh({0})"),
    ("Ceil", "tf.math.ceil({0})"),
    ("Floor", "tf.floor({0})"),
    ("Round", "tf.round({0})"),
    ("IsNaN", "tf.math.is_nan({0})"),
    ("Softsign", "tf.nn.softsign({0})"),
    ("Not", "tf.logical_not({0})"),
    ("And", "tf.logical_and({0}, {1})"),
    ("Or", "tf.logical_or({0}, {1})"),
    ("Xor", "tf.math.logical_xor({0}, {1})"),
    ("BitwiseNot", "tf.bitwise.invert({0})"),
    ("BitwiseAnd", "tf.bitwise.bitwise_and({0}, {1})"),
    ("BitwiseOr", "tf.bitwise.bitwise_or({0}, {1})"),
    ("BitwiseXor", "tf.bitwise.bitwise_xor({0}, {1})"),
    ("Det", "tf.linalg.det({0})"),
):
    TABLE.row(kind, template)
for kind, sign, precedence in (
    ("Add", "+", 10),
    ("Sub", "-", 10),
    ("Mul", "*", 20),
    ("Greater", ">", 5),
    ("GreaterOrEqual", ">=", 5),
    ("Less", "<", 5),
    ("LessOrEqual", "<=", 5),
    ("Equal", "==", 5),
):
    TABLE.row(kind, f"{{0}} {sign} {{1}}", precedence=precedence)


@TABLE.rule("Abs", "Neg", "Sign")
def of_sign(call: Call, w: Builder) -> None:
    """For integers without a sign, that TensorFlow has no kernels for, it is simple."""
    if call.x.dtype in UNSIGNED and call.kind != "Neg":
        x = w.array(call.x)
        w.emit(call.y, x if call.kind == "Abs" else f"tf.minimum({x}, 1)", light=True)
    elif call.kind == "Neg":
        w.emit(call.y, f"-{w.array(call.x, 30)}", precedence=30, light=True)
    else:
        w.emit(call.y, f"tf.{call.kind.lower()}({w.array(call.x)})", light=True)


@TABLE.rule("Div")
def divide(call: Call, w: Builder) -> None:
    first, second = (value for value in call.inputs if value is not None)
    if is_float(first) and is_float(second):
        numbers = w.may_be_numbers([first, second])
        use = w.use if numbers else w.array
        w.emit(call.y, f"{use(first, 20)} / {use(second, 21)}", precedence=20, light=True)
    else:
        w.emit(call.y, f"tf.truncatediv({w.array(first)}, {w.array(second)})", light=True)


@TABLE.rule("Mod")
def modulo(call: Call, w: Builder) -> None:
    first, second = (w.array(value) for value in call.inputs if value is not None)
    kind = kind_of(call.x)
    if not call.attribute("fmod", 0):
        w.emit(call.y, f"tf.math.floormod({first}, {second})", light=True)
    elif kind in (ir.DataType.INT32, ir.DataType.INT64, ir.DataType.FLOAT, ir.DataType.DOUBLE):
        w.emit(call.y, f"tf.truncatemod({first}, {second})", light=True)
    elif kind in UNSIGNED:
        w.emit(call.y, f"tf.math.floormod({first}, {second})", light=True)
    else:  # which has no kernel of its own
        wider = "tf.float32" if kind in FLOATS else "tf.int32"
        text = f"tf.truncatemod(tf.cast({first}, {wider}), tf.cast({second}, {wider}))"
        w.emit(call.y, f"tf.cast({text}, {carrier(kind)})", light=True)


@TABLE.rule("BitShift")
def shift(call: Call, w: Builder) -> None:
    direction = call.attribute("direction").lower()
    first, second = (w.array(value) for value in call.inputs if value is not None)
    known = constant_of(call.inputs[1])
    if known is not None and (known >= 0).all() and (known < 8 * known.dtype.itemsize).all():
        w.emit(call.y, f"tf.bitwise.{direction}_shift({first}, {second})", light=True)
    else:
        w.emit(call.y, f"shift_{direction}({first}, {second})", light=True)


@TABLE.rule("IsInf")
def is_infinite(call: Call, w: Builder) -> None:
    negative, positive = call.attribute("detect_negative", 1), call.attribute("detect_positive", 1)
    x = w.array(call.x)
    if negative and positive:
        w.emit(call.y, f"tf.math.is_inf({x})", light=True)
    elif negative or positive:
        w.emit(call.y, f"{w.array(call.x, 6)} == {'-' if negative else ''}math.inf", precedence=5, light=True)
    else:
        w.emit(call.y, f"tf.zeros_like({x}, tf.bool)", light=True)


@TABLE.rule("Where")
def where(call: Call, w: Builder) -> None:
    condition, first, second = (value for value in call.inputs if value is not None)
    if is_text(first):
        w.emit(call.y, f"np.where({w.array(condition)}, {w.array(first)}, {w.array(second)})", light=True)
        return
    numbers = constant_of(first) is None and w.may_be_numbers([first, second])
    use = w.use if numbers else w.array
    w.emit(call.y, f"tf.where({w.array(condition)}, {use(first)}, {use(second)})", light=True)


@TABLE.rule("Sum", "Mean")
def total(call: Call, w: Builder) -> None:
    operands = [value for value in call.inputs if value is not None]
    if len(operands) == 1:
        w.emit(call.y, w.array(operands[0]), light=True)
        return
    text = " + ".join(w.array(value, 10 + (place > 0)) for place, value in enumerate(operands))
    if call.kind == "Sum":
        w.emit(call.y, text, precedence=10, light=True)
    else:
        w.emit(call.y, f"({text}) / {len(operands)}", precedence=20, light=True)


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
    use = w.use if w.may_be_numbers(operands) else w.array
    text = use(operands[0])
    for operand in operands[1:]:
        text = f"tf.{call.kind.lower()}imum({text}, {use(operand)})"
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
    base, exponent = (value for value in call.inputs if value is not None)
    known = constant_of(exponent)
    if known is not None and known.size == 1 and known.item() == 2 and w.may_be_numbers([base, exponent]):
        w.emit(call.y, f"tf.square({w.use(base)})", light=True)
    elif base.dtype == exponent.dtype and base.dtype not in UNSIGNED:
        use = w.use if w.may_be_numbers([base, exponent]) else w.array
        w.emit(call.y, f"{use(base, 41)} ** {use(exponent, 40)}", precedence=40, light=True)
    elif base.dtype in FLOATS:
        w.emit(call.y, f"{w.array(base, 41)} ** tf.cast({w.array(exponent)}, {_dtype(base, w)})", precedence=40)
    else:  # a power of integers, by the kernel that there is
        wider = "tf.int64" if exponent.dtype not in FLOATS else "tf.float64"
        text = f"tf.cast({w.array(base)}, {wider}) ** tf.cast({w.array(exponent)}, {wider})"
        w.emit(call.y, f"tf.cast({text}, {carrier(kind_of(base))})")


def _dtype(value: ir.Value, w: Builder) -> str:
    """The type of a computed float, whatever it is when the code runs; that of a constant."""
    return carrier(kind_of(value)) if constant_of(value) is not None else f"{w.use(value, 100)}.dtype"


@TABLE.rule("Clip")
def clip(call: Call, w: Builder) -> None:
    known = [call.constant(slot) for slot in (1, 2)]
    computed = [call.computed(slot) for slot in (1, 2)]
    if all(value is None for value in computed) and all(array is not None for array in known):
        low, high = (_number(array, is_float(call.x)) for array in known)  # type: ignore[arg-type]
        if low <= high:
            text = f"tf.clip_by_value({w.use(call.x)}, {w.literal(low, 'low')}, {w.literal(high, 'high')})"
            w.emit(call.y, text, light=True)
            return
    text = w.array(call.x)
    for place, name in enumerate(("maximum", "minimum")):
        array, value = known[place], computed[place]
        if array is not None:
            text = f"tf.{name}({text}, {_number(array, is_float(call.x))!r})"
        elif value is not None:
            text = f"tf.{name}({text}, {w.array(value)})"
    w.emit(call.y, text, light=True)


def _number(array: np.ndarray, floating: bool) -> float | int:
    return float(str(np.float32(array.reshape(())))) if floating else int(array.reshape(()))


@TABLE.rule(*ACTIVATIONS)
def activation(call: Call, w: Builder) -> None:
    if ABSORBED not in call.y.meta:
        w.emit(call.y, f"{activation_name(call.kind, call.attribute('approximate'))}({w.use(call.x)})", light=True)
    call.attribute("approximate")


def activation_name(kind: str, approximate: str | None) -> str:
    return "gelu_tanh" if kind == "Gelu" and approximate == "tanh" else ACTIVATIONS[kind]


def absorbed_activation(call: Call, w: Builder) -> ir.Node | None:
    """The activation that is all that reads a linear map of sequences or images, if both are written in the same method.

    (On matrices TensorFlow sees it anyway; on others there is a reshape in between.)
    """
    uses = list(call.y.uses())
    rank = rank_of(call.x)
    if rank is None or rank < 3 or len(uses) != 1 or call.y.is_graph_output() or w.in_container:
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


@TABLE.rule("Swish")
def swish(call: Call, w: Builder) -> None:
    alpha = call.attribute("alpha", 1.0)
    if alpha == 1.0:
        w.emit(call.y, f"tf.nn.silu({w.use(call.x)})", light=True)
    else:
        x = w.use(call.x, 20)
        w.emit(call.y, f"{x} * tf.sigmoid({w.literal(alpha, 'alpha')} * {x})", precedence=20, light=True)


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


@TABLE.rule("Elu", "Celu")
def elu(call: Call, w: Builder) -> None:
    alpha = call.attribute("alpha", 1.0)
    inner = (
        f"{w.use(call.x, 20)} / {w.literal(alpha, 'alpha')}" if call.kind == "Celu" and alpha != 1.0 else w.use(call.x)
    )
    text = f"tf.nn.elu({inner})"
    if call.x.dtype in NARROW_FLOATS:  # which TensorFlow subtracts from one after rounding
        text = f"tf.cast(tf.nn.elu(tf.cast({inner}, tf.float32)), {carrier(kind_of(call.x))})"
    if alpha != 1.0:
        text = f"tf.where({w.use(call.x, 5)} > 0, {w.use(call.x)}, {w.literal(alpha, 'alpha')} * {text})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Selu")
def selu(call: Call, w: Builder) -> None:
    alpha, gamma = call.attribute("alpha", 1.6732632), call.attribute("gamma", 1.0507010)
    if abs(alpha - 1.6732632) < 1e-6 and abs(gamma - 1.0507010) < 1e-6:
        w.emit(call.y, f"tf.nn.selu({w.use(call.x)})", light=True)
    else:
        negative = f"{w.literal(alpha, 'alpha')} * tf.nn.elu({w.use(call.x)})"
        text = f"{w.literal(gamma, 'gamma')} * tf.where({w.use(call.x, 5)} > 0, {w.use(call.x)}, {negative})"
        w.emit(call.y, text, precedence=20, light=True)


@TABLE.rule("ThresholdedRelu")
def thresholded_relu(call: Call, w: Builder) -> None:
    alpha = w.literal(call.attribute("alpha", 1.0), "alpha")
    w.emit(call.y, f"tf.where({w.use(call.x, 5)} > {alpha}, {w.use(call.x)}, 0)", light=True)


@TABLE.rule("Shrink", when=lambda call: is_float(call.x))
def shrink(call: Call, w: Builder) -> None:
    bias, edge = call.attribute("bias", 0.0), w.literal(call.attribute("lambd", 0.5), "edge")
    x = w.use(call.x)
    moved = f"{x} - {w.literal(bias, 'bias')} * tf.sign({x})" if bias else x
    w.emit(call.y, f"tf.where(tf.abs({x}) > {edge}, {moved}, 0)", light=True)


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
    axis = axis_of(call, call.attribute("axis", -1))
    w.emit(call.y, f"tf.nn.{name}({w.use(call.x)}{'' if axis == -1 else f', axis={axis}'})", light=True)


@TABLE.rule("Hardmax")
def hardmax(call: Call, w: Builder) -> None:
    axis = axis_of(call, call.attribute("axis", -1))
    w.emit(call.y, f"hardmax({w.array(call.x)}{'' if axis == -1 else f', axis={axis}'})", light=True)

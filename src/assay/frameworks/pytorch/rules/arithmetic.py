"""Elementwise operators: arithmetic, comparisons, logic, bits, activations."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.pytorch.patterns import is_free, overwritable
from assay.frameworks.pytorch.rules.common import TABLE, UNSIGNED, arguments_of, is_integer, is_text, number, type_of
from assay.graph.calls import Call
from assay.write.body import Builder

for kind, template, module in (
    ("Sigmoid", "torch.sigmoid({0})", "nn.Sigmoid()"),
    ("Tanh", "torch.tanh({0})", "nn.Tanh()"),
    ("HardSwish", "F.hardswish({0})", "nn.Hardswish()"),
    ("Mish", "F.mish({0})", "nn.Mish()"),
    ("Softsign", "F.softsign({0})", "nn.Softsign()"),
    ("Identity", "{0}", "nn.Identity()"),
    *((name, f"torch.{name.lower()}({{0}})", None) for name in ("Exp", "Log", "Sqrt", "Erf", "Reciprocal")),
    *((name, f"torch.{name.lower()}({{0}})", None) for name in ("Ceil", "Floor", "Round")),
    *((name, f"torch.{name.lower()}({{0}})", None) for name in ("Sin", "Cos", "Tan", "Sinh", "Cosh")),
    *((name, f"torch.{name.lower()}({{0}})", None) for name in ("Asin", "Acos", "Atan", "Asinh", "Acosh", "Atanh")),
    ("IsNaN", "torch.isnan({0})", None),
):
    TABLE.row(kind, template, module)
TABLE.row("Neg", "-{0}", precedence=30)
TABLE.row("Not", "~{0}", precedence=30)

# Operator → the sign between its operands, how tightly it binds, and what NumPy calls it.
_SIGNS = {
    "Add": ("+", 10, "np.add"),
    "Sub": ("-", 10, "np.subtract"),
    "Mul": ("*", 20, "np.multiply"),
    "Div": ("/", 20, "np.floor_divide"),
    "MatMul": ("@", 20, "np.matmul"),
    "And": ("&", 6, "np.logical_and"),
    "Or": ("|", 4, "np.logical_or"),
    "Xor": ("^", 5, "np.logical_xor"),
    "BitwiseAnd": ("&", 6, "np.bitwise_and"),
    "BitwiseOr": ("|", 4, "np.bitwise_or"),
    "BitwiseXor": ("^", 5, "np.bitwise_xor"),
    "Equal": ("==", 2, "np.equal"),
    "Less": ("<", 2, "np.less"),
    "LessOrEqual": ("<=", 2, "np.less_equal"),
    "Greater": (">", 2, "np.greater"),
    "GreaterOrEqual": (">=", 2, "np.greater_equal"),
}


@TABLE.rule(*_SIGNS)
def between(call: Call, w: Builder) -> None:
    sign, level, host = _SIGNS[call.kind]
    if call.x.dtype in UNSIGNED or is_text(call.x):
        return in_numpy(call, w, host)
    given = [value for value in call.inputs if value is not None]
    use = w.use if call.kind != "MatMul" and w.may_be_numbers(given) else w.array
    if call.kind == "Add" and (terms := overwritable(given, w)) is not None:
        return w.emit(call.y, f"{w.array(terms[0])} + {w.array(terms[1], 11)}", precedence=10, light=True, in_place="+")
    chained = level == 2  # a < b < c means something else in Python
    if call.kind == "Div" and is_integer(call.x):
        first, second = w.array(given[0]), use(given[1])
        w.emit(call.y, f'torch.div({first}, {second}, rounding_mode="trunc")', light=True)
    else:
        text = f"{use(given[0], level + chained)} {sign} {use(given[1], level + 1)}"
        w.emit(call.y, text, precedence=level, light=True)


def in_numpy(call: Call, w: Builder, function: str, *more: str) -> None:
    """For types that torch stores and does not compute with."""
    operands = [w.array(value) for value in call.inputs if value is not None]
    w.emit(call.y, f"with_numpy({', '.join([function, *operands, *more])})", light=True)


@TABLE.rule("Pow")
def power(call: Call, w: Builder) -> None:
    base, exponent = call.inputs[0], call.inputs[1]
    assert base is not None and exponent is not None
    if exponent.dtype in UNSIGNED and not is_integer(base):  # torch does not compute with such integers
        text = f"{w.array(base, 40)} ** {w.array(exponent)}.to({type_of(base)})"
        return w.emit(call.y, text, precedence=40, light=True)
    if base.dtype in UNSIGNED or exponent.dtype in UNSIGNED:
        return w.emit(call.y, f"with_numpy(np.power, {w.array(base)}, {w.array(exponent)}).to({type_of(base)})")
    use = w.use if w.may_be_numbers([base, exponent]) else w.array
    # The result has the type of the base, whatever torch makes of the two.
    kept = base.dtype == exponent.dtype or not (is_integer(base) or exponent.dtype == ir.DataType.DOUBLE)
    text = f"{use(base, 40)} ** {use(exponent, 41)}"
    if kept:
        w.emit(call.y, text, precedence=40, light=True)
    else:
        w.emit(call.y, f"({text}).to({type_of(base)})", light=True)


@TABLE.rule("Max", "Min")
def extreme(call: Call, w: Builder) -> None:
    given = [w.array(value) for value in call.inputs if value is not None]
    name = f"{call.kind.lower()}imum"
    text = given[0]
    for other in given[1:]:
        text = (
            f"with_numpy(np.{name}, {text}, {other})" if call.x.dtype in UNSIGNED else f"torch.{name}({text}, {other})"
        )
    w.emit(call.y, text, light=True)


@TABLE.rule("Sum", "Mean")
def sum_of_all(call: Call, w: Builder) -> None:
    given = [value for value in call.inputs if value is not None]
    text = " + ".join(w.array(value, 10) for value in given)
    if call.kind == "Sum":
        w.emit(call.y, text, precedence=10 if len(given) > 1 else 100, light=True)
    else:
        w.emit(call.y, f"({text}) / {len(given)}", precedence=20, light=True)


@TABLE.rule("Mod")
def modulo(call: Call, w: Builder) -> None:
    like_c = call.attribute("fmod", 0)
    if call.x.dtype in UNSIGNED:
        return in_numpy(call, w, "np.mod")
    first, second = (w.array(value) for value in call.inputs)
    w.emit(call.y, f"torch.{'fmod' if like_c else 'remainder'}({first}, {second})", light=True)


@TABLE.rule("BitShift")
def bit_shift(call: Call, w: Builder) -> None:
    left = call.attribute("direction") == "LEFT"
    if call.x.dtype in UNSIGNED:
        return in_numpy(call, w, f"np.{'left' if left else 'right'}_shift")
    first, second = (w.array(value, 8 + place) for place, value in enumerate(call.inputs))
    w.emit(call.y, f"{first} {'<<' if left else '>>'} {second}", precedence=8, light=True)


@TABLE.rule("BitwiseNot")
def bitwise_not(call: Call, w: Builder) -> None:
    if call.x.dtype in UNSIGNED:
        return in_numpy(call, w, "np.invert")
    w.emit(call.y, f"~{w.array(call.x, 30)}", precedence=30, light=True)


@TABLE.rule("Abs", "Sign")
def magnitude(call: Call, w: Builder) -> None:
    if call.x.dtype in UNSIGNED:
        return in_numpy(call, w, f"np.{call.kind.lower()}")
    w.emit(call.y, f"torch.{call.kind.lower()}({w.array(call.x)})", light=True)


@TABLE.rule("Where")
def where(call: Call, w: Builder) -> None:
    condition, x, y = call.inputs
    assert condition is not None and x is not None and y is not None
    if is_text(x):
        return w.emit(call.y, f"np.where({w.array(condition)}.numpy(force=True), {w.array(x)}, {w.array(y)})")
    use = w.use if w.may_be_numbers([x, y]) else w.array
    w.emit(call.y, f"torch.where({w.array(condition)}, {use(x)}, {use(y)})", light=True)


@TABLE.rule("IsInf")
def is_infinite(call: Call, w: Builder) -> None:
    up, down = call.attribute("detect_positive", 1), call.attribute("detect_negative", 1)
    x = w.array(call.x)
    if up or down:
        name = "isinf" if up and down else "isposinf" if up else "isneginf"
        w.emit(call.y, f"torch.{name}({x})", light=True)
    else:
        w.emit(call.y, f"torch.zeros_like({x}, dtype=torch.bool)", light=True)


@TABLE.rule("Clip")
def clip(call: Call, w: Builder) -> None:
    low, high = call.constant(1), call.constant(2)
    x = w.array(call.x)
    computed = [call.computed(1), call.computed(2)]
    if call.x.dtype in UNSIGNED:
        bounds = [number(call, w, slot) or "None" for slot in (1, 2)]
        return w.emit(call.y, f"with_numpy(np.clip, {x}, {', '.join(bounds)})", light=True)
    if any(value is not None for value in computed):
        # Both bounds must be of one sort: numbers, or tensors.
        mixed = low is not None or high is not None
        parts = [
            None
            if value is None and limit is None
            else number(call, w, slot)
            if value is None or mixed
            else w.array(value)
            for slot, (value, limit) in enumerate(zip(computed, (low, high), strict=True), 1)
        ]
    else:
        parts = [
            None if limit is None else w.literal(_as_number(limit), name)
            for limit, name in ((low, "low"), (high, "high"))
        ]
    if parts == [None, None]:
        return w.emit(call.y, x, light=True)
    if low is not None and high is not None and not is_integer(call.x) and (float(low), float(high)) == (0.0, 6.0):
        return w.emit(call.y, f"F.relu6({x})", light=True, module="nn.ReLU6()")
    low_text = None if parts[0] is None else f"min={parts[0]}" if parts[1] is None else parts[0]
    high_text = None if parts[1] is None else f"max={parts[1]}" if parts[0] is None else parts[1]
    w.emit(call.y, f"torch.clamp({arguments_of(x, low_text, high_text)})", light=True)


def _as_number(array: object) -> object:
    import numpy as np

    from assay.model import intended

    assert isinstance(array, np.ndarray)
    item = array.reshape(()).item()
    return intended(item) if array.dtype == np.float32 and np.isfinite(item) else item


@TABLE.rule("Relu")
def relu(call: Call, w: Builder) -> None:
    option = "inplace=True" if is_free(call.x, w) else ""
    w.emit(call.y, f"F.relu({w.use(call.x)}{', ' + option if option else ''})", light=True, module=f"nn.ReLU({option})")


@TABLE.rule("Gelu")
def gelu(call: Call, w: Builder) -> None:
    tanh = call.attribute("approximate", "none") == "tanh"
    option = 'approximate="tanh"' if tanh else ""
    w.emit(call.y, f"F.gelu({w.use(call.x)}{', ' + option if tanh else ''})", light=True, module=f"nn.GELU({option})")


@TABLE.rule("Swish")
def swish(call: Call, w: Builder) -> None:
    alpha = call.attribute("alpha", 1.0)
    if alpha == 1:
        w.emit(call.y, f"F.silu({w.use(call.x)})", light=True, module="nn.SiLU()")
    else:
        slope = w.literal(alpha, "alpha")
        w.emit(call.y, f"{w.use(call.x, 20)} * torch.sigmoid({slope} * {w.use(call.x, 21)})", precedence=20)


@TABLE.rule("Selu")
def selu(call: Call, w: Builder) -> None:
    alpha, gamma = call.attribute("alpha"), call.attribute("gamma")
    usual = (alpha is None or abs(alpha - 1.6732632) < 1e-6) and (gamma is None or abs(gamma - 1.050701) < 1e-6)
    if usual:
        return w.emit(call.y, f"F.selu({w.use(call.x)})", light=True, module="nn.SELU()")
    slope = w.literal(1.6732632423543772 if alpha is None else alpha, "alpha")
    scale = w.literal(1.0507009873554805 if gamma is None else gamma, "gamma")
    w.emit(call.y, f"{scale} * F.elu({w.use(call.x)}, {slope})", precedence=20, light=True)


@TABLE.rule("LeakyRelu", "Elu", "Celu")
def sloped(call: Call, w: Builder) -> None:
    leaky = call.kind == "LeakyRelu"
    alpha = call.attribute("alpha", 0.01 if leaky else 1.0)
    name, module = {"LeakyRelu": ("leaky_relu", "LeakyReLU"), "Elu": ("elu", "ELU"), "Celu": ("celu", "CELU")}[
        call.kind
    ]
    slope = w.literal(alpha, "slope" if leaky else "alpha")
    w.emit(call.y, f"F.{name}({w.use(call.x)}, {slope})", light=True, module=f"nn.{module}({slope})")


@TABLE.rule("HardSigmoid")
def hard_sigmoid(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-7 and beta == 0.5:
        w.emit(call.y, f"F.hardsigmoid({w.use(call.x)})", light=True, module="nn.Hardsigmoid()")
    else:
        w.emit(call.y, f"torch.clamp({alpha} * {w.use(call.x, 20)} + {beta}, 0, 1)", light=True)


@TABLE.rule("Softplus")
def softplus(call: Call, w: Builder) -> None:
    # torch's own is linear above a threshold; logaddexp is exact everywhere.
    x = w.use(call.x)
    w.emit(call.y, f"torch.logaddexp({x}, torch.zeros_like({x}))", light=False)


@TABLE.rule("ThresholdedRelu")
def thresholded_relu(call: Call, w: Builder) -> None:
    alpha = w.literal(call.attribute("alpha", 1.0), "alpha")
    w.emit(call.y, f"F.threshold({w.use(call.x)}, {alpha}, 0.0)", light=True, module=f"nn.Threshold({alpha}, 0.0)")


@TABLE.rule("Shrink")
def shrink(call: Call, w: Builder) -> None:
    limit, bias = call.attribute("lambd", 0.5), call.attribute("bias", 0.0)
    w.emit(call.y, f"soft_shrink({w.array(call.x)}, {limit}, {bias})", light=True)


@TABLE.rule("Softmax", "LogSoftmax")
def softmax(call: Call, w: Builder) -> None:
    name, module = ("softmax", "Softmax") if call.kind == "Softmax" else ("log_softmax", "LogSoftmax")
    axis = call.attribute("axis", -1)
    w.emit(call.y, f"F.{name}({w.use(call.x)}, dim={axis})", light=True, module=f"nn.{module}(dim={axis})")


@TABLE.rule("Hardmax")
def hardmax(call: Call, w: Builder) -> None:
    w.emit(call.y, f"one_at_maximum({w.array(call.x)}, {call.attribute('axis', -1)})", light=True)


@TABLE.rule("FunctionalPRelu")
def functional_prelu(call: Call, w: Builder) -> None:
    x, slope = call.inputs
    w.emit(call.y, f"torch.where({w.array(x, 3)} < 0, {w.array(slope, 20)} * {w.array(x, 21)}, {w.array(x)})")

"""Elementwise operators: arithmetic, comparison, logic, bits."""

from __future__ import annotations

import math

from assay.frameworks.keras.rules.common import TABLE, is_float, is_unsigned, type_of
from assay.graph.calls import Call
from assay.write.body import Builder

for kind, template, module in (
    ("Relu", "ops.relu({0})", "layers.ReLU()"),
    ("Sigmoid", "ops.sigmoid({0})", 'layers.Activation("sigmoid")'),
    ("Tanh", "ops.tanh({0})", 'layers.Activation("tanh")'),
    ("HardSwish", "ops.hard_silu({0})", 'layers.Activation("hard_silu")'),
    ("Mish", "keras.activations.mish({0})", 'layers.Activation("mish")'),
    ("Softplus", "ops.softplus({0})", 'layers.Activation("softplus")'),
    ("Softsign", "ops.softsign({0})", 'layers.Activation("softsign")'),
    *(
        (kind, f"ops.{name}({{0}})", None)
        for kind, name in {
            **{"Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Abs": "abs", "Erf": "erf", "Reciprocal": "reciprocal"},
            **{"Sin": "sin", "Cos": "cos", "Tan": "tan", "Asin": "arcsin", "Acos": "arccos", "Atan": "arctan"},
            **{"Sinh": "sinh", "Cosh": "cosh", "Asinh": "arcsinh", "Acosh": "arccosh", "Atanh": "arctanh"},
            **{"Ceil": "ceil", "Floor": "floor", "Round": "round", "Sign": "sign"},
            **{"IsNaN": "isnan", "Not": "logical_not"},
        }.items()
    ),
):
    TABLE.row(kind, template, module)
TABLE.row("Add", "{0} + {1}", precedence=10)
TABLE.row("Sub", "{0} - {1}", precedence=10)
TABLE.row("Mul", "{0} * {1}", precedence=20)
TABLE.row("Neg", "-{0}", precedence=30)
TABLE.row("Equal", "{0} == {1}", precedence=5)
for kind, sign in {"Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<="}.items():
    TABLE.row(kind, f"{{0}} {sign} {{1}}", precedence=5)
for kinds, sign, level in (
    (("And", "BitwiseAnd"), "&", 8),
    (("Or", "BitwiseOr"), "|", 6),
    (("Xor", "BitwiseXor"), "^", 7),
):
    for kind in kinds:
        TABLE.row(kind, f"{{0}} {sign} {{1}}", precedence=level)
TABLE.row("BitwiseNot", "~{0}", precedence=30)


@TABLE.rule("Div")
def div(call: Call, w: Builder) -> None:
    x, y = call.inputs
    assert x is not None and y is not None
    if is_float(call.y):
        use = w.use if w.may_be_numbers([x, y]) else w.array
        w.emit(call.y, f"{use(x, 20)} / {use(y, 21)}", precedence=20, light=True)
    elif is_unsigned(call.y):
        w.emit(call.y, f"{w.array(x, 20)} // {w.array(y, 21)}", precedence=20, light=True)
    else:
        w.emit(call.y, f"divide_integers({w.array(x)}, {w.array(y)})", light=True)


@TABLE.rule("Mod")
def mod(call: Call, w: Builder) -> None:
    truncated = bool(call.attribute("fmod", 0))
    x, y = call.inputs
    assert x is not None and y is not None
    if truncated and not is_unsigned(x):
        w.emit(call.y, f"truncated_mod({w.array(x)}, {w.array(y)})", light=True)
    else:
        w.emit(call.y, f"{w.array(x, 20)} % {w.array(y, 21)}", precedence=20, light=True)


@TABLE.rule("Pow")
def power(call: Call, w: Builder) -> None:
    x, y = call.inputs
    assert x is not None and y is not None
    if is_float(x) and (x.dtype == y.dtype or y.is_initializer()) and w.may_be_numbers([x, y]):
        w.emit(call.y, f"{w.use(x, 41)} ** {w.use(y, 40)}", precedence=40, light=True)
    elif is_float(x):
        exponent = w.array(y, 40) if x.dtype == y.dtype else f'ops.cast({w.array(y)}, "{type_of(x)}")'
        w.emit(call.y, f"{w.array(x, 41)} ** {exponent}", precedence=40, light=True)
    elif is_float(y):
        text = f'ops.cast(ops.cast({w.array(x)}, "{type_of(y)}") ** {w.array(y, 40)}, "{type_of(x)}")'
        w.emit(call.y, text, light=True)
    else:
        w.emit(call.y, f"integer_power({w.array(x)}, {w.array(y)})", light=True)


@TABLE.rule("BitShift")
def shift(call: Call, w: Builder) -> None:
    side = "left" if call.attribute("direction") == "LEFT" else "right"
    x, y = (w.array(value) for value in call.inputs)
    kind = type_of(call.x)
    if kind == "uint64":
        w.emit(call.y, f"{side}_shift_uint64({x}, {y})", light=True)
    else:
        w.emit(call.y, f"{side}_shift_within({x}, {y}, {int(kind.lstrip('uint'))})", light=True)


@TABLE.rule("Max", "Min")
def extreme(call: Call, w: Builder) -> None:
    name = "maximum" if call.kind == "Max" else "minimum"
    wide = type_of(call.y) == "uint64"  # Keras computes their common type as uint32
    listed = [value for value in call.inputs if value is not None]
    text = w.array(listed[0])
    for value in listed[1:]:
        text = f"{name}_uint64({text}, {w.array(value)})" if wide else f"ops.{name}({text}, {w.array(value)})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Sum", "Mean")
def total(call: Call, w: Builder) -> None:
    listed = [w.array(value, 11 if place else 10) for place, value in enumerate(call.inputs) if value is not None]
    text = " + ".join(listed)
    if call.kind == "Sum" or len(listed) == 1:
        w.emit(call.y, text, precedence=10 if len(listed) > 1 else 100, light=True)
    else:
        w.emit(call.y, f"({text}) / {len(listed)}", precedence=20, light=True)


@TABLE.rule("Where")
def where(call: Call, w: Builder) -> None:
    condition, x, y = call.inputs
    assert condition is not None and x is not None and y is not None
    if type_of(call.y) in ("uint64", "string"):
        w.emit(call.y, f"where_any({w.array(condition)}, {w.array(x)}, {w.array(y)})", light=True)
        return
    # A number takes the type of the array beside it.
    numbers = [value for value in (x, y) if value.is_initializer()]
    use = w.use if len(numbers) == 1 and w.may_be_numbers([x, y]) and is_float(call.y) else w.array
    w.emit(call.y, f"ops.where({w.array(condition)}, {use(x)}, {use(y)})", light=True)


@TABLE.rule("Clip")
def clip(call: Call, w: Builder) -> None:
    low, high = call.constant(1), call.constant(2)
    least, most = call.computed(1), call.computed(2)
    if low is not None and high is not None and low.item() <= high.item() and is_float(call.x):
        bounds = [w.literal(float(str(item.reshape(()))), name) for item, name in ((low, "low"), (high, "high"))]
        w.emit(call.y, f"ops.clip({w.use(call.x)}, {', '.join(bounds)})", light=True)
        return
    text = w.use(call.x)
    for known, value, name in ((low, least, "maximum"), (high, most, "minimum")):
        if value is not None:
            text = f"ops.{name}({text}, {w.array(value)})"
        elif known is not None:
            text = f"ops.{name}({text}, {_typed(w, known, call)})"
    w.emit(call.y, text, light=True)


def _typed(w: Builder, array: object, call: Call) -> str:
    """A bound as a number, in the type of the data where a plain number would not take it."""
    item = array.reshape(()).item()  # type: ignore[attr-defined]
    text = w.literal(float(str(array.reshape(()))) if isinstance(item, float) else item, "bound")  # type: ignore[attr-defined]
    return text if is_float(call.x) else f'ops.cast({text}, "{type_of(call.x)}")'


@TABLE.rule("IsInf")
def is_inf(call: Call, w: Builder) -> None:
    negative, positive = call.attribute("detect_negative", 1), call.attribute("detect_positive", 1)
    x = w.array(call.x)
    if negative and positive:
        w.emit(call.y, f"ops.isinf({x})", light=True)
    elif negative or positive:
        w.emit(call.y, f"ops.is{'neg' if negative else 'pos'}inf({x})", light=True)
    else:
        w.emit(call.y, f'ops.zeros_like({x}, dtype="bool")', light=True)


@TABLE.rule("Gelu")
def gelu(call: Call, w: Builder) -> None:
    exact = call.attribute("approximate", "none") == "none"
    # No layer of its own in a Sequential: Keras' "gelu" is the exact one, and rounds to float32 on TensorFlow.
    text = f"gelu({w.use(call.x)})" if exact else f"ops.gelu({w.use(call.x)}, approximate=True)"
    w.emit(call.y, text, light=True)


@TABLE.rule("Swish")
def swish(call: Call, w: Builder) -> None:
    alpha = call.attribute("alpha", 1.0)
    if alpha == 1.0:
        w.emit(call.y, f"ops.silu({w.use(call.x)})", light=True, module='layers.Activation("silu")')
    else:
        x = w.use(call.x, 20)
        w.emit(call.y, f"{x} * ops.sigmoid({w.literal(alpha, 'alpha')} * {x})", precedence=20, light=True)


@TABLE.rule("LeakyRelu", "Elu")
def sloped(call: Call, w: Builder) -> None:
    leaky = call.kind == "LeakyRelu"
    narrow = not leaky and str(call.x.dtype) in ("FLOAT16", "BFLOAT16")  # TensorFlow rounds on the way
    alpha = w.literal(call.attribute("alpha", 0.01 if leaky else 1.0), "slope" if leaky else "alpha")
    text = (
        f"ops.leaky_relu({w.use(call.x)}, negative_slope={alpha})"
        if leaky
        else f"ops.elu({w.use(call.x)}, alpha={alpha})"
    )
    if narrow:
        kind = type_of(call.x)
        text = f'ops.cast(ops.elu(ops.cast({w.use(call.x)}, "float32"), alpha={alpha}), "{kind}")'
    w.emit(call.y, text, light=True)


def _is_default_selu(call: Call) -> bool:
    alpha, gamma = call.attributes.get("alpha", 1.6732632), call.attributes.get("gamma", 1.050701)
    return math.isclose(alpha, 1.6732632, rel_tol=1e-6) and math.isclose(gamma, 1.050701, rel_tol=1e-6)


@TABLE.rule("Selu", when=_is_default_selu)
def selu(call: Call, w: Builder) -> None:
    call.attribute("alpha")
    call.attribute("gamma")
    w.emit(call.y, f"ops.selu({w.use(call.x)})", light=True, module='layers.Activation("selu")')


@TABLE.rule("HardSigmoid")
def hard_sigmoid(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if math.isclose(alpha, 1 / 6) and beta == 0.5:
        w.emit(call.y, f"ops.hard_sigmoid({w.use(call.x)})", light=True, module='layers.Activation("hard_sigmoid")')
    else:
        w.emit(call.y, f"ops.clip({alpha} * {w.use(call.x, 20)} + {beta}, 0, 1)", light=True)

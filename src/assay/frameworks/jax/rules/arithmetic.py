"""Elementwise operators: arithmetic, activations, comparison, logic, bits."""

from __future__ import annotations

import math

from assay.frameworks.jax.rules.common import (
    TABLE,
    call_layer,
    dtype_text,
    is_integer,
    is_moved,
    is_signed,
    number_text,
    on_host,
    rank_of,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.model import sizes_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, positional
from assay.write.weights import reshape

for kind, template, module in (
    ("Relu", "nnx.relu({0})", "nnx.relu"),
    ("Swish", "nnx.silu({0})", "nnx.silu"),
    ("Sigmoid", "nnx.sigmoid({0})", "nnx.sigmoid"),
    ("Tanh", "jnp.tanh({0})", "jnp.tanh"),
    ("Selu", "nnx.selu({0})", "nnx.selu"),
    ("HardSwish", "nnx.hard_swish({0})", "nnx.hard_swish"),
    ("Mish", "jax.nn.mish({0})", "jax.nn.mish"),
    ("Softplus", "nnx.softplus({0})", "nnx.softplus"),
    ("Softsign", "nnx.soft_sign({0})", "nnx.soft_sign"),
    ("Erf", "jax.scipy.special.erf({0})", "jax.scipy.special.erf"),
):
    TABLE.row(kind, template, module)
for kind in ("Swish", "Selu"):  # with other constants they are written out
    TABLE.conditions[kind] = lambda call: not call.attributes
for kind, name in (
    *(("Exp", "exp"), ("Log", "log"), ("Sqrt", "sqrt"), ("Abs", "abs"), ("Sign", "sign"), ("Floor", "floor")),
    *(("Ceil", "ceil"), ("Round", "round"), ("IsNaN", "isnan")),
    *(("Sin", "sin"), ("Cos", "cos"), ("Tan", "tan"), ("Sinh", "sinh"), ("Cosh", "cosh")),
    *(("Asin", "arcsin"), ("Acos", "arccos"), ("Atan", "arctan")),
    *(("Asinh", "arcsinh"), ("Acosh", "arccosh"), ("Atanh", "arctanh")),
):
    TABLE.row(kind, f"jnp.{name}({{0}})", f"jnp.{name}")
TABLE.row("Where", "jnp.where({0}, {1}, {2})")
for kind, sign, precedence in (
    *(("Add", "+", 10), ("Sub", "-", 10), ("Mul", "*", 20), ("MatMul", "@", 20)),
    *(("BitwiseOr", "|", 6), ("BitwiseXor", "^", 7), ("BitwiseAnd", "&", 8)),
    *(("Or", "|", 6), ("Xor", "^", 7), ("And", "&", 8)),
):
    TABLE.row(kind, f"{{0}} {sign} {{1}}", precedence=precedence)
TABLE.row("Neg", "-{0}", precedence=30)
TABLE.row("Not", "~{0}", precedence=30)
TABLE.row("BitwiseNot", "~{0}", precedence=30)
TABLE.row("Reciprocal", "1 / {0}", precedence=20)


def _operands(call: Call, w: Builder, level: int) -> list[str]:
    """The inputs as operands of a sign; constants of one number as numbers where a computed one decides the type."""
    given = [value for value in call.inputs if value is not None]
    use = w.use if w.may_be_numbers(given) else w.array
    return [use(value, level + (place > 0)) for place, value in enumerate(given)]


@TABLE.rule("Div")
def divide(call: Call, w: Builder) -> None:
    """Whole numbers are divided towards zero."""
    if is_integer(call.y) or is_integer(call.x):
        if on_host(call.y):
            text = f"np.trunc({' / '.join(_operands(call, w, 20))}).astype({dtype_text(call.y.dtype or 7)})"
            w.emit(call.y, text, light=True)
        elif is_signed(call.x):
            first, second = (w.array(value) for value in call.inputs)
            w.emit(call.y, f"lax.div(*jnp.broadcast_arrays({first}, {second}))", light=True)
        else:
            w.emit(call.y, " // ".join(_operands(call, w, 20)), precedence=20, light=True)
    else:
        w.emit(call.y, " / ".join(_operands(call, w, 20)), precedence=20, light=True)


@TABLE.rule("Pow")
def power(call: Call, w: Builder) -> None:
    """The result is of the base's type."""
    base, exponent = call.inputs
    assert base is not None and exponent is not None
    given = _operands(call, w, 40)
    text = f"{w.use(base, 41) if given[0] == w.use(base, 40) else given[0]} ** {given[1]}"
    if base.dtype == exponent.dtype or base.dtype is None:
        w.emit(call.y, text, precedence=40, light=True)
    elif is_integer(base):  # rounded: a power of floats may lie just below the whole number
        w.emit(call.y, f"jnp.round({text}).astype({dtype_text(base.dtype)})", light=True)
    else:
        w.emit(call.y, f"({text}).astype({dtype_text(base.dtype)})", light=True)


@TABLE.rule("Mod")
def modulo(call: Call, w: Builder) -> None:
    if call.attribute("fmod", 0):
        w.emit(call.y, f"jnp.fmod({', '.join(w.array(value) for value in call.inputs)})", light=True)
    else:
        w.emit(call.y, " % ".join(_operands(call, w, 20)), precedence=20, light=True)


@TABLE.rule("Max", "Min")
def extreme(call: Call, w: Builder) -> None:
    name = "jnp.maximum" if call.kind == "Max" else "jnp.minimum"
    text, *more = (w.array(value) for value in call.inputs)
    for other in more:
        text = f"{name}({text}, {other})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Sum", "Mean")
def total(call: Call, w: Builder) -> None:
    listed = [w.array(value, 10) for value in call.inputs]
    text = " + ".join(listed)
    if call.kind == "Mean":
        text = f"({text}) / {len(listed)}" if len(listed) > 1 else text
    w.emit(call.y, text, precedence=10 if call.kind == "Sum" else 20, light=True)


@TABLE.rule("Clip")
def clip(call: Call, w: Builder) -> None:
    ends = []
    for slot in (1, 2):
        found, value = call.constant(slot), call.computed(slot)
        if found is not None:
            number = found.reshape(()).item() if is_integer(call.x) else float(str(found.reshape(())))
            ends.append(number_text(number))
        else:
            ends.append("None" if value is None else w.array(value))
    w.emit(call.y, f"jnp.clip({w.use(call.x)}, {', '.join(ends)})", light=True)


@TABLE.rule("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")
def compare(call: Call, w: Builder) -> None:
    signs = {"Equal": "==", "Less": "<", "LessOrEqual": "<=", "Greater": ">", "GreaterOrEqual": ">="}
    given = [value for value in call.inputs if value is not None]
    use = w.use if w.may_be_numbers(given) else w.array
    first, second = (use(value, 6) for value in given)
    w.emit(call.y, f"{first} {signs[call.kind]} {second}", precedence=5, light=True)


@TABLE.rule("BitShift")
def shift(call: Call, w: Builder) -> None:
    first, second = (w.array(value, 9 + place) for place, value in enumerate(call.inputs))
    w.emit(call.y, f"{first} {'<<' if call.attribute('direction') == 'LEFT' else '>>'} {second}", precedence=9)


@TABLE.rule("IsInf")
def is_infinite(call: Call, w: Builder) -> None:
    wanted = bool(call.attribute("detect_negative", 1)), bool(call.attribute("detect_positive", 1))
    text = {
        (True, True): "jnp.isinf({0})",
        (False, True): "jnp.isposinf({0})",
        (True, False): "jnp.isneginf({0})",
        (False, False): "jnp.zeros_like({0}, bool)",
    }[wanted]
    w.emit(call.y, text.format(w.array(call.x)), light=True)


@TABLE.rule("PRelu")
def prelu(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    sizes = sizes_of(weight)
    count = math.prod(sizes)
    if count != 1 and not _is_by_channel(call, sizes):
        functional_prelu(call, w)
        return
    steps = () if len(sizes) == 1 else (reshape(sizes, (count,)),)
    call_layer(call, w, "PReLU", [positional(count, "channels")], [NativeWeight("slope", weight, steps)])


def _is_by_channel(call: Call, sizes: tuple[int, ...]) -> bool:
    """Whether a slope has an element for each channel of the data."""
    rank, shape = rank_of(call.x), call.x.shape
    if rank is None or shape is None or rank < 2 or math.prod(sizes) != max(sizes) or max(sizes) != shape[1]:
        return False
    if len(sizes) == 1:  # by a reshape that is taken along, as the last axis, or as old models mean it
        return len(call.nodes) == 2 or rank == 2 or bool(shape[rank - 1] != sizes[0])
    return len(sizes) >= rank - 1 and sizes[len(sizes) - rank + 1] == max(sizes)


@TABLE.rule("FunctionalPRelu")
def functional_prelu(call: Call, w: Builder) -> None:
    """The slope has ONNX's order of axes; it is moved where the data's is another."""
    x = w.use(call.x)
    if "weight" in call.weights:
        slope = w.array(call.weights["weight"])  # stored to meet the data
    else:
        value = call.inputs[1]
        slope = w.array(value, 100)
        if is_moved(call.x):
            order = order_of(call.x)
            missing = len(order) - len(value.shape) if value is not None and value.shape is not None else 0
            shape = "".join("1, " for _ in range(missing))
            slope = f"{slope}.reshape({shape}*{slope}.shape)" if missing else slope
            slope = f"{slope}.transpose({', '.join(map(str, order))})"
    w.emit(call.y, f"jnp.where({x} >= 0, {x}, {slope} * {x})")


@TABLE.rule("Gelu")
def gelu(call: Call, w: Builder) -> None:
    exact = call.attribute("approximate", "none") == "none"
    w.emit(call.y, f"nnx.gelu({w.use(call.x)}, approximate={not exact})", light=True)


@TABLE.rule("LeakyRelu", "Elu", "Celu")
def sloped(call: Call, w: Builder) -> None:
    leaky = call.kind == "LeakyRelu"
    alpha = w.literal(call.attribute("alpha", 0.01 if leaky else 1.0), "slope" if leaky else "alpha")
    name = {"LeakyRelu": "leaky_relu", "Elu": "elu", "Celu": "celu"}[call.kind]
    w.emit(call.y, f"nnx.{name}({w.use(call.x)}, {alpha})", light=True)


@TABLE.rule("ThresholdedRelu")
def thresholded_relu(call: Call, w: Builder) -> None:
    x = w.use(call.x)
    w.emit(call.y, f"jnp.where({x} > {call.attribute('alpha', 1.0)}, {x}, 0)")


@TABLE.rule("HardSigmoid")
def hard_sigmoid(call: Call, w: Builder) -> None:
    alpha, beta = call.attribute("alpha", 0.2), call.attribute("beta", 0.5)
    if math.isclose(alpha, 1 / 6) and beta == 0.5:
        w.emit(call.y, f"nnx.hard_sigmoid({w.use(call.x)})", light=True, module="nnx.hard_sigmoid")
    else:
        w.emit(call.y, f"jnp.clip({alpha} * {w.use(call.x, 20)} + {beta}, 0, 1)", light=True)

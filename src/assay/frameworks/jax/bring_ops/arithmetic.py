"""Element by element."""

from __future__ import annotations

import math

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.jax.bring_ops.common import Call, Result, primitive
from assay.model import constant_of
from assay.nn.tensor import Tensor

_UNARY = {
    "abs": "Abs",
    "acos": "Acos",
    "acosh": "Acosh",
    "asin": "Asin",
    "asinh": "Asinh",
    "atan": "Atan",
    "atanh": "Atanh",
    "ceil": "Ceil",
    "cos": "Cos",
    "cosh": "Cosh",
    "erf": "Erf",
    "exp": "Exp",
    "floor": "Floor",
    "log": "Log",
    "logistic": "Sigmoid",
    "neg": "Neg",
    "not": "Not",
    "sign": "Sign",
    "sin": "Sin",
    "sinh": "Sinh",
    "sqrt": "Sqrt",
    "tan": "Tan",
    "tanh": "Tanh",
}
_BINARY = {"add": "Add", "add_any": "Add", "sub": "Sub", "mul": "Mul", "max": "Max", "min": "Min", "pow": "Pow"}
_COMPARED = {"eq": "Equal", "gt": "Greater", "ge": "GreaterOrEqual", "lt": "Less", "le": "LessOrEqual"}
_LOGIC = {"and": "And", "or": "Or", "xor": "Xor"}


@primitive(*_UNARY)
def unary(c: Call) -> Result:
    x = c.tensor()
    if c.name == "not" and x.dtype != "bool":
        return c.result("BitwiseNot", [x])
    return c.result(_UNARY[c.name], [x])


@primitive("copy", "copy_p", "optimization_barrier", "reduce_precision", "name", "sharding_constraint")
def same(c: Call) -> Result:
    return c.tensor() if len(c) == 1 else tuple(c.tensor(place) for place in range(len(c)))


@primitive("stop_gradient")
def stopped(c: Call) -> Result:
    c.tracer.note("the gradient is not stopped where the source stops it (stop_gradient)")
    return c.tensor()


def _operands(c: Call) -> tuple[Tensor, Tensor]:
    """Both operands; axes of one before the others are left out, for ONNX adds them by itself."""
    return _lean(c.tensor(0)), _lean(c.tensor(1))


def _lean(x: Tensor) -> Tensor:
    node = x.value.producer()
    axes = constant_of(node.inputs[1]) if node is not None and node.op_type == "Unsqueeze" else None
    if node is None or axes is None or list(axes) != list(range(axes.size)) or axes.size == x.rank:
        return x
    given = node.inputs[0]
    return x if given is None else Tensor(given, x.shape[axes.size :], x.dtype)


@primitive(*_BINARY)
def binary(c: Call) -> Result:
    left, right = _operands(c)
    if c.name == "pow":
        right = c.cast(right, left.dtype)
    if c.dtype == "bool":
        return c.result({"Max": "Or", "Add": "Or", "Min": "And", "Mul": "And"}[_BINARY[c.name]], [left, right])
    if c.name == "max" and _is_zero(c) is not None:
        return c.result("Relu", [c.tensor(1 - int(_is_zero(c) or 0))])
    return c.result(_BINARY[c.name], [left, right])


def _is_zero(c: Call) -> int | None:
    """Which operand of a floating maximum is zero."""
    for place in (0, 1):
        known = c.known(place)
        if known is not None and known.dtype.kind == "f" and known.ndim == 0 and known == 0:
            return place
    return None


@primitive("div")
def division(c: Call) -> Result:
    left, right = _operands(c)
    total, count = c.totals.get(id(left.value)), c.known(1)
    if total is None or count is None:
        return c.result("Div", [left, right])
    if count.size == 1 and float(count.reshape(())) == total.count:
        return total.mean(True)
    counts = total.counts
    if counts is not None and count.shape == counts.shape and (count == counts).all():
        return total.mean(False)
    return c.result("Div", [left, right])


@primitive("rem")
def remainder(c: Call) -> Result:
    return c.result("Mod", list(_operands(c)), fmod=1)


@primitive("atan2")
def atan2(c: Call) -> Result:
    raise Untranslatable("there is no such operator")


@primitive(*_COMPARED, "ne")
def comparison(c: Call) -> Result:
    left, right = _operands(c)
    if c.name == "ne":
        return c.result("Not", [c.node("Equal", [left, right], c.shape, "bool")])
    return c.result(_COMPARED[c.name], [left, right])


@primitive(*_LOGIC)
def logic(c: Call) -> Result:
    left, right = _operands(c)
    name = _LOGIC[c.name]
    return c.result(name if c.dtype == "bool" else f"Bitwise{name}", [left, right])


@primitive("integer_pow")
def integer_power(c: Call) -> Result:
    x, exponent = c.tensor(), int(c["y"])
    if exponent == 2:
        return c.result("Mul", [x, x])
    return c.result("Pow", [x, c.scalar(exponent, x.dtype)])


@primitive("square")
def square(c: Call) -> Result:
    x = c.tensor()
    return c.result("Mul", [x, x])


@primitive("rsqrt")
def reciprocal_root(c: Call) -> Result:
    return c.result("Reciprocal", [c.node("Sqrt", [c.tensor()], c.shape, c.dtype)])


@primitive("cbrt")
def cube_root(c: Call) -> Result:
    x = c.tensor()
    root = c.node("Pow", [c.node("Abs", [x], c.shape), c.scalar(1 / 3, c.dtype)], c.shape)
    return c.result("Mul", [c.node("Sign", [x], c.shape), root])


@primitive("exp2")
def power_of_two(c: Call) -> Result:
    return c.result("Exp", [c.node("Mul", [c.tensor(), c.scalar(math.log(2), c.dtype)], c.shape)])


@primitive("expm1")
def exponential_less_one(c: Call) -> Result:
    return c.result("Sub", [c.node("Exp", [c.tensor()], c.shape), c.scalar(1, c.dtype)])


@primitive("log1p")
def logarithm_of_more(c: Call) -> Result:
    return c.result("Log", [c.node("Add", [c.tensor(), c.scalar(1, c.dtype)], c.shape)])


@primitive("erfc")
def complementary_error(c: Call) -> Result:
    return c.result("Sub", [c.scalar(1, c.dtype), c.node("Erf", [c.tensor()], c.shape)])


@primitive("round")
def rounding(c: Call) -> Result:
    if "EVEN" not in str(c["rounding_method"]):
        raise Untranslatable("halves that are rounded away from zero")
    return c.result("Round", [c.tensor()])


@primitive("is_finite")
def is_finite(c: Call) -> Result:
    x = c.tensor()
    infinite, nan = c.node("IsInf", [x], c.shape, "bool"), c.node("IsNaN", [x], c.shape, "bool")
    return c.result("Not", [c.node("Or", [infinite, nan], c.shape, "bool")])


@primitive("clamp")
def clamp(c: Call) -> Result:
    least, x, most = (c.tensor(place) for place in range(3))
    if least.rank or most.rank:
        return c.result("Min", [c.node("Max", [x, least], c.shape), most])
    return c.result("Clip", [x, least, most])


@primitive("select_n")
def select(c: Call) -> Result:
    """The second case where the condition is true, the first elsewhere."""
    condition = c.tensor(0)
    if len(c) != 3:
        raise Untranslatable("a choice between more than two")
    if condition.dtype != "bool":
        condition = c.cast(condition, "bool")
    return c.result("Where", [condition, c.tensor(2), c.tensor(1)])


@primitive("convert_element_type")
def convert(c: Call) -> Result:
    return c.cast(c.tensor(), c.dtype)

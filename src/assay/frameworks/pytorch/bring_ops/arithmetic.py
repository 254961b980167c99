"""Element by element: arithmetic, comparison, logic, types."""

from __future__ import annotations

import numpy as np

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Translate, Untranslatable, aten, axis_of
from assay.model import DROPS
from assay.nn.tensor import Tensor, broadcast

_ONE = {
    "neg": "Neg",
    "abs": "Abs",
    "exp": "Exp",
    "log": "Log",
    "sqrt": "Sqrt",
    "reciprocal": "Reciprocal",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
    "erf": "Erf",
    "floor": "Floor",
    "ceil": "Ceil",
    "sign": "Sign",
    "round": "Round",
    "isnan": "IsNaN",
    "isinf": "IsInf",
    "logical_not": "Not",
}
_TWO = {
    "mul": "Mul",
    "multiply": "Mul",
    "maximum": "Max",
    "minimum": "Min",
    "logical_and": "And",
    "logical_or": "Or",
    "logical_xor": "Xor",
}
_COMPARED = {
    "eq": "Equal",
    "gt": "Greater",
    "lt": "Less",
    "ge": "GreaterOrEqual",
    "le": "LessOrEqual",
    "greater": "Greater",
    "less": "Less",
}


def _one(op_type: str) -> Translate:
    def translate(c: Call) -> Result:
        if c.get("decimals"):
            raise Untranslatable("rounding to decimals")
        kind = {"Not": "bool", "IsNaN": None, "IsInf": None}.get(op_type, c.dtype)
        return c.result(op_type, [c.operand("self", kind or c.tensor("self").dtype)])

    return translate


def _two(op_type: str) -> Translate:
    return lambda c: c.result(op_type, [c.operand("self"), c.operand("other")])


def _compared(op_type: str) -> Translate:
    return lambda c: c.result(op_type, _common(c))


for _name, _op_type in _ONE.items():
    aten(_name)(_one(_op_type))
for _name, _op_type in _TWO.items():
    aten(_name)(_two(_op_type))
for _name, _op_type in _COMPARED.items():
    aten(_name)(_compared(_op_type))


def _common(c: Call) -> list[Tensor]:
    """Both operands in the type that torch compares them in."""
    kinds = [given.dtype for name in ("self", "other") if (given := _tensor(c, name)) is not None]
    number = next((c[name] for name in ("self", "other") if isinstance(c[name], (int, float))), None)
    kind = str(np.result_type(*kinds))
    if isinstance(number, float) and not np.issubdtype(np.dtype(kind), np.floating):
        kind = "float32"
    if kind == "bool" and isinstance(number, int) and not isinstance(number, bool):
        kind = "int64"
    return [c.operand(name, kind) for name in ("self", "other")]


def _tensor(c: Call, name: str) -> Tensor | None:
    return None if isinstance(c[name], (int, float, str)) else c.tensor(name)


@aten("ne", "not_equal")
def not_equal(c: Call) -> Result:
    return c.result("Not", [c.node("Equal", _common(c), c.shape, "bool")])


@aten("add", "sub", "subtract")
def add(c: Call) -> Result:
    left, right = c.operand("self"), c.operand("other")
    if (alpha := c.get("alpha", 1)) != 1:
        right = c.node("Mul", [right, c.scalar(alpha, c.dtype)], right.shape)
    if c.dtype == "bool":
        raise Untranslatable("a sum of truth values")
    return c.result("Sub" if "sub" in c.target else "Add", [left, right])


@aten("rsub")
def reverse_subtract(c: Call) -> Result:
    left, right = c.operand("self"), c.operand("other")
    if c.get("alpha", 1) != 1:
        left = c.node("Mul", [left, c.scalar(c["alpha"], c.dtype)], left.shape)
    return c.result("Sub", [right, left])


@aten("div", "divide", "true_divide")
def divide(c: Call) -> Result:
    rounding = c.get("rounding_mode")
    if rounding is None:
        return c.result("Div", [c.operand("self"), c.operand("other")])
    return _rounded(c, c.operand("self"), c.operand("other"), rounding)


@aten("floor_divide")
def floor_divide(c: Call) -> Result:
    return _rounded(c, c.operand("self"), c.operand("other"), "floor")


def _rounded(c: Call, left: Tensor, right: Tensor, rounding: str) -> Tensor:
    if np.issubdtype(np.dtype(c.dtype), np.integer):
        quotient = c.node("Div", [left, right], c.shape)  # towards zero
        if rounding == "trunc":
            return quotient
        rest = c.node("Mod", [left, right], c.shape)  # has the sign of the divisor
        return c.result("Div", [c.node("Sub", [left, rest], c.shape), right])
    quotient = c.node("Div", [left, right], c.shape)
    if rounding == "floor":
        return c.result("Floor", [quotient])
    sizes = c.node("Floor", [c.node("Abs", [quotient], c.shape)], c.shape)
    return c.result("Mul", [c.node("Sign", [quotient], c.shape), sizes])


@aten("remainder")
def remainder(c: Call) -> Result:
    left, right = c.operand("self"), c.operand("other")
    if np.issubdtype(np.dtype(c.dtype), np.integer):
        return c.result("Mod", [left, right])
    whole = c.node("Floor", [c.node("Div", [left, right], c.shape)], c.shape)
    return c.result("Sub", [left, c.node("Mul", [whole, right], c.shape)])


@aten("fmod")
def fmod(c: Call) -> Result:
    return c.result("Mod", [c.operand("self"), c.operand("other")], fmod=1)


@aten("diff")
def difference(c: Call) -> Result:
    x = c.tensor("self")
    axis = axis_of(c["dim"], x.rank)
    for _ in range(c["n"]):
        parts = [part for part in (c.optional("prepend"), x, c.optional("append")) if part is not None]
        sizes = [part.shape[axis] for part in parts]
        if any(isinstance(size, str) for size in sizes):
            raise Untranslatable("an axis of unknown size")
        size = sum(int(size) for size in sizes)
        joined = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        whole = x if len(parts) == 1 else c.node("Concat", [c.cast(part, x.dtype) for part in parts], joined, axis=axis)
        later, earlier = c.slice(whole, axis, 1, size, size - 1), c.slice(whole, axis, 0, size - 1, size - 1)
        x = c.node("Xor" if x.dtype == "bool" else "Sub", [later, earlier], later.shape)
    return x


@aten("pow")
def power(c: Call) -> Result:
    if c["exponent"] == 2 and not isinstance(c["exponent"], Tensor):
        x = c.operand("self")
        return c.result("Mul", [x, x])
    if c["exponent"] == 0.5 and not isinstance(c["exponent"], Tensor):
        return c.result("Sqrt", [c.operand("self")])
    return c.result("Pow", [c.operand("self"), c.operand("exponent")])


@aten("square")
def square(c: Call) -> Result:
    x = c.tensor("self")
    return c.result("Mul", [x, x])


@aten("rsqrt")
def rsqrt(c: Call) -> Result:
    return c.result("Reciprocal", [c.node("Sqrt", [c.operand("self")], c.shape)])


@aten("log2", "log10", "log1p", "exp2", "expm1")
def logarithms(c: Call) -> Result:
    x, kind = c.operand("self"), c.dtype
    if "log1p" in c.target:
        return c.result("Log", [c.node("Add", [x, c.scalar(1, kind)], c.shape)])
    if "expm1" in c.target:
        return c.result("Sub", [c.node("Exp", [x], c.shape), c.scalar(1, kind)])
    if "exp2" in c.target:
        return c.result("Pow", [c.scalar(2, kind), x])
    base = float(np.log(2 if "log2" in c.target else 10))
    return c.result("Div", [c.node("Log", [x], c.shape), c.scalar(base, kind)])


@aten("erfc", "special_erfc")
def erfc(c: Call) -> Result:
    return c.result("Sub", [c.scalar(1, c.dtype), c.node("Erf", [c.operand("self")], c.shape)])


@aten("trunc", "fix")
def trunc(c: Call) -> Result:
    x = c.tensor("self")
    return c.result("Mul", [c.node("Sign", [x], c.shape), c.node("Floor", [c.node("Abs", [x], c.shape)], c.shape)])


@aten("lerp")
def lerp(c: Call) -> Result:
    start, end = c.operand("self"), c.operand("end")
    step = c.node("Sub", [end, start], broadcast(start.shape, end.shape))
    return c.result("Add", [start, c.node("Mul", [step, c.operand("weight")], c.shape)])


@aten("addcmul", "addcdiv")
def add_product(c: Call) -> Result:
    first, second = c.operand("tensor1"), c.operand("tensor2")
    y = c.node("Div" if "div" in c.target else "Mul", [first, second], broadcast(first.shape, second.shape))
    if c["value"] != 1:
        y = c.node("Mul", [y, c.scalar(c["value"], c.dtype)], y.shape)
    return c.result("Add", [c.operand("self"), y])


@aten("clamp", "clip", "clamp_min", "clamp_max")
def clamp(c: Call) -> Result:
    x, low, high = c.operand("self"), c.get("min"), c.get("max")
    if all(bound is None or isinstance(bound, (int, float)) for bound in (low, high)):
        bounds = [None if bound is None else c.scalar(bound, c.dtype) for bound in (low, high)]
        return c.result("Clip", [x, *bounds] if high is not None else [x, bounds[0]])
    if low is not None:
        x = c.node("Max", [x, c.operand("min")], c.shape)
    return x if high is None else c.result("Min", [x, c.operand("max")])


@aten("where")
def where(c: Call) -> Result:
    if "other" not in c.arguments:
        raise Untranslatable("places of true elements, whose number is not known beforehand")
    return c.result("Where", [c.operand("condition", "bool"), c.operand("self"), c.operand("other")])


@aten("masked_fill")
def masked_fill(c: Call) -> Result:
    return c.result("Where", [c.operand("mask", "bool"), c.operand("value"), c.operand("self")])


@aten("bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor", "__and__", "__or__", "__xor__")
def bitwise(c: Call) -> Result:
    word = next(word for word in ("not", "and", "xor", "or") if word in c.target.replace("torch", ""))
    name = word.capitalize() if c.dtype == "bool" else f"Bitwise{word.capitalize()}"
    return c.result(name, [c.operand("self")] if word == "not" else [c.operand("self"), c.operand("other")])


@aten("to", "_to_copy", "type_as", "float", "type", "bool")
def to(c: Call) -> Result:
    return c.cast(c.tensor("self"), c.dtype)


@aten(
    *("contiguous", "clone", "detach", "alias", "lift_fresh_copy", "lift_fresh", "positive", "_assert_tensor_metadata"),
    *("resolve_conj", "resolve_neg", "stop_gradient", "requires_grad_", "data", "view_as_real_copy"),
)
def unchanged(c: Call) -> Result:
    return c.tensor("self")


@aten("assay.drop_examples")
def dropped_examples(c: Call) -> Result:
    """Stochastic depth: a dropout whose mask has one number for each example."""
    y = c.result("Dropout", [c.tensor("x"), c.scalar(c["p"], "float32")])
    c.tracer.mark(y, DROPS, "examples")
    return y


@aten("feature_dropout", "alpha_dropout", "feature_alpha_dropout", "dropout")
def dropout(c: Call) -> Result:
    """Kept, with its rate, for the written code to train with."""
    x = c.tensor("input" if "input" in c.arguments else "self")
    if c["train"]:
        raise Untranslatable("dropout that is active in evaluation")
    if c.target.startswith(("aten.dropout.", "aten.dropout_.")):
        return c.result("Dropout", [x, c.scalar(c["p"], "float32")])
    c.tracer.note(f"{c.target.split('.')[1]}({c['p']}) does nothing in evaluation, and is not written for training")
    return x

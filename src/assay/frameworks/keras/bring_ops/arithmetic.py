"""Operations element by element, and products of matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.common import (
    Call,
    Order,
    Value,
    is_floating,
    joint_order,
    layer,
    onnx_type,
    operation,
    plain,
)
from assay.nn.tensor import Dim, Shape, Tensor


def common_type(values: Sequence[Value]) -> str:
    """The type that operands meet in: the widest floating one among tensors, else the widest of all."""
    full = [value for value in values if value.rank] or list(values)
    floating = [value.dtype for value in full if is_floating(value.dtype)]
    floating = floating or [value.dtype for value in values if is_floating(value.dtype)]
    found = floating or [value.dtype for value in full]
    return str(np.result_type(*found))


def broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape of an element-wise operation."""
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result: list[Dim] = []
    for sizes in zip(*padded, strict=True):
        result.append(next((size for size in sizes if size != 1), 1))
    return tuple(result)


def operands_in(c: Call, values: Sequence[Value], order: Order) -> list[Tensor]:
    """Operands of an element-wise operation in an order of the largest one's axes."""
    found = []
    for value in values:
        if value.rank == len(order):
            found.append(c.in_order(value, order))
        elif order == plain(len(order)) or value.rank == 0:
            found.append(c.plain(value))
        else:  # all its sizes are one
            found.append(c.reshape(c.plain(value), (1,) * len(order)))
    return found


def combine(c: Call, op_type: str, *values: Value, dtype: str | None = None, kind: str | None = None) -> Value:
    """An element-wise operation; `dtype` of the result, `kind` that the operands are cast to."""
    wanted = kind or common_type(values)
    given = [c.cast(value, wanted) for value in values]
    order = joint_order(given)
    shape = broadcast([value.shape for value in given])
    tensors = operands_in(c, given, order)
    stored = tuple(shape[axis] for axis in order)
    return Value(shape, dtype or wanted, {order: c.node(op_type, tensors, stored, dtype or wanted)})


def _binary(op_type: str) -> Callable[[Call], Value]:
    def translate(c: Call) -> Value:
        left, right = list(c.arguments.values())[:2]
        return combine(c, op_type, c.value(left), c.value(right), kind=c.dtype)

    return translate


for _name, _op_type in {
    **{"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Power": "Pow", "Maximum": "Max", "Minimum": "Min"},
    **{"Divide": "Div", "TrueDivide": "Div"},
}.items():
    operation(_name)(_binary(_op_type))


def _comparison(op_type: str, negated: bool = False) -> Callable[[Call], Value]:
    def translate(c: Call) -> Value:
        left, right = list(c.arguments.values())[:2]
        found = combine(c, op_type, c.value(left), c.value(right), dtype="bool")
        return unary(c, "Not", found) if negated else found

    return translate


for _name, _op_type in {
    **{"Greater": "Greater", "GreaterEqual": "GreaterOrEqual", "Less": "Less", "LessEqual": "LessOrEqual"},
    **{"Equal": "Equal"},
}.items():
    operation(_name)(_comparison(_op_type))
operation("NotEqual")(_comparison("Equal", True))


def _logical(op_type: str) -> Callable[[Call], Value]:
    def translate(c: Call) -> Value:
        left, right = list(c.arguments.values())[:2]
        return combine(c, op_type, c.value(left), c.value(right), kind="bool")

    return translate


for _name, _op_type in {"LogicalAnd": "And", "LogicalOr": "Or", "LogicalXor": "Xor"}.items():
    operation(_name)(_logical(_op_type))


def unary(c: Call, op_type: str, x: Value, dtype: str | None = None) -> Value:
    """An operation on one tensor, in the order that it has."""
    form = x.forms[x.order]
    return Value(x.shape, dtype or x.dtype, {x.order: c.node(op_type, [form], form.shape, dtype or x.dtype)})


def _unary(op_type: str) -> Callable[[Call], Value]:
    return lambda c: unary(c, op_type, c.cast(c.x, c.dtype))


for _name, _op_type in {
    **{"Absolute": "Abs", "Abs": "Abs", "Negative": "Neg", "Sqrt": "Sqrt", "Log": "Log", "Erf": "Erf", "Sign": "Sign"},
    **{"Floor": "Floor", "Ceil": "Ceil", "Reciprocal": "Reciprocal", "Sin": "Sin", "Cos": "Cos", "Tan": "Tan"},
    **{"Arcsin": "Asin", "Arccos": "Acos", "Arctan": "Atan", "Sinh": "Sinh", "Cosh": "Cosh"},
    **{"Arcsinh": "Asinh", "Arccosh": "Acosh", "Arctanh": "Atanh"},
}.items():
    operation(_name)(_unary(_op_type))


@operation("Round")
def rounded(c: Call) -> Value:
    if c.option("decimals"):
        raise Untranslatable("decimals")
    return unary(c, "Round", c.x)


@operation("LogicalNot")
def logical_not(c: Call) -> Value:
    return unary(c, "Not", c.cast(c.x, "bool"))


@operation("Isnan")
def is_nan(c: Call) -> Value:
    return unary(c, "IsNaN", c.x, "bool")


@operation("Square")
def square(c: Call) -> Value:
    x = c.cast(c.x, c.dtype)
    return combine(c, "Mul", x, x)


@operation("Rsqrt")
def rsqrt(c: Call) -> Value:
    return unary(c, "Reciprocal", unary(c, "Sqrt", c.cast(c.x, c.dtype)))


def _with_number(c: Call, op_type: str, x: Value, number: float) -> Value:
    return combine(c, op_type, x, c.constant_like(number, x))


@operation("Expm1")
def expm1(c: Call) -> Value:
    return _with_number(c, "Sub", unary(c, "Exp", c.cast(c.x, c.dtype)), 1.0)


@operation("Log1p")
def log1p(c: Call) -> Value:
    return unary(c, "Log", _with_number(c, "Add", c.cast(c.x, c.dtype), 1.0))


@operation("Log2", "Log10")
def log_to_base(c: Call) -> Value:
    base = 2.0 if c.name.endswith("Log2") else 10.0
    return _with_number(c, "Mul", unary(c, "Log", c.cast(c.x, c.dtype)), float(1 / np.log(base)))


@operation("Mod")
def modulo(c: Call) -> Value:
    """Of the sign of the divisor, as in Python."""
    left, right = (c.cast(c.value(item), c.dtype) for item in list(c.arguments.values())[:2])
    if not is_floating(c.dtype):
        return combine(c, "Mod", left, right)
    whole = unary(c, "Floor", combine(c, "Div", left, right))
    return combine(c, "Sub", left, combine(c, "Mul", whole, right))


@operation("FloorDivide")
def floor_divide(c: Call) -> Value:
    left, right = (c.cast(c.value(item), c.dtype) for item in list(c.arguments.values())[:2])
    if is_floating(c.dtype):
        return unary(c, "Floor", combine(c, "Div", left, right))
    rest = combine(c, "Mod", left, right)
    return combine(c, "Div", combine(c, "Sub", left, rest), right)


@operation("Clip")
def clip(c: Call) -> Value:
    x = c.cast(c.x, c.dtype)
    form = x.forms[x.order]
    bounds: list[Tensor | None] = []
    for name in ("x_min", "x_max"):
        bound = c.option(name)
        found = None if bound is None else c.cast(c.value(bound), x.dtype)
        if found is not None and found.rank:
            raise Untranslatable("bounds that differ from place to place")
        bounds.append(None if found is None else c.plain(found))
    while bounds and bounds[-1] is None:
        bounds.pop()
    return Value(x.shape, x.dtype, {x.order: c.node("Clip", [form, *bounds], form.shape)})


@operation("Where")
def where(c: Call) -> Value:
    condition = c.cast(c.value(c["condition"]), "bool")
    if not c.given("x1"):
        raise Untranslatable("a size that depends on the data")
    left, right = c.cast(c.value(c["x1"]), c.dtype), c.cast(c.value(c["x2"]), c.dtype)
    values = [condition, left, right]
    order = joint_order(values)
    shape = broadcast([value.shape for value in values])
    stored = tuple(shape[axis] for axis in order)
    return Value(shape, c.dtype, {order: c.node("Where", operands_in(c, values, order), stored, c.dtype)})


@operation("Cast", "SaturateCast")
def cast(c: Call) -> Value:
    x = c.x
    if x.dtype == c.dtype:
        return x
    form = x.forms[x.order]
    return Value(x.shape, c.dtype, {x.order: c.node("Cast", [form], form.shape, c.dtype, to=onnx_type(c.dtype))})


@operation("StopGradient")
def stop_gradient(c: Call) -> Value:
    c.graph.note("a gradient that is stopped in the source (ops.stop_gradient) is not stopped here")
    return c.x


@operation("Copy", "ConvertToTensor")
def copy(c: Call) -> Value:
    return c.x


@layer("Identity")
def identity(c: Call) -> Value:
    return c.x


# Products -------------------------------------------------------------------------------------------------------------


@operation("Matmul")
def matmul(c: Call) -> Value:
    left, right = (c.cast(c.value(item), c.dtype) for item in list(c.arguments.values())[:2])
    return product(c, left, right)


@operation("Dot")
def dot(c: Call) -> Value:
    left, right = (c.cast(c.value(item), c.dtype) for item in list(c.arguments.values())[:2])
    if right.rank > 2:
        raise Untranslatable(f"a product with {right.rank} axes; use ops.matmul")
    return product(c, left, right)


def product(c: Call, left: Value, right: Value) -> Value:
    """A product of matrices, leading axes broadcast."""
    x, y = c.plain(left), c.plain(right)
    rows = x.shape[:-1][-1:] if left.rank > 1 else ()
    columns = y.shape[-1:] if right.rank > 1 else ()
    lead = broadcast([x.shape[:-2], y.shape[:-2], ()])
    return c.wrap(c.node("MatMul", [x, y], (*lead, *rows, *columns)))


@operation("Tensordot")
def tensordot(c: Call) -> Value:
    from assay.frameworks.keras.bring_ops.linear import einsum

    left, right = (c.cast(c.value(item), c.dtype) for item in list(c.arguments.values())[:2])
    axes = c.option("axes")
    if isinstance(axes, int):
        pairs = (list(range(left.rank - axes, left.rank)), list(range(axes)))
    else:
        pairs = tuple([item] if isinstance(item, int) else list(item) for item in axes)  # type: ignore[assignment]
    letters = iter("abcdefghijklmnopqrstuvwxyz")
    first = [next(letters) for _ in range(left.rank)]
    second = [next(letters) for _ in range(right.rank)]
    for one, other in zip(*pairs, strict=True):
        second[other] = first[one]
    summed = {first[axis] for axis in pairs[0]}
    result = [letter for letter in [*first, *second] if letter not in summed]
    return einsum(c, f"{''.join(first)},{''.join(second)}->{''.join(result)}", [left, right])

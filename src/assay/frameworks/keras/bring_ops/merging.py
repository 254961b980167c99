"""Layers that take several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.arithmetic import combine
from assay.frameworks.keras.bring_ops.common import Call, Value, known, layer, operation, plain


def _operands(c: Call) -> list[Value]:
    given = next(iter(c.arguments.values()))
    return [c.value(item) for item in (given if isinstance(given, (list, tuple)) else [given])]


def _folded(op_type: str) -> Callable[[Call], Value]:
    def translate(c: Call) -> Value:
        values = _operands(c)
        result = values[0]
        for other in values[1:]:
            result = combine(c, op_type, result, other)
        return result

    return translate


for _name, _op_type in {
    **{"Add": "Add", "Subtract": "Sub", "Multiply": "Mul", "Maximum": "Max", "Minimum": "Min"},
}.items():
    layer(_name)(_folded(_op_type))


@layer("Average")
def average(c: Call) -> Value:
    total = _folded("Add")(c)
    return combine(c, "Div", total, c.constant_like(len(_operands(c)), total))


@layer("Concatenate")
def concatenate_layer(c: Call) -> Value:
    return concatenate(c, _operands(c), int(c.option("axis")))


@operation("Concatenate")
def concatenate_operation(c: Call) -> Value:
    return concatenate(c, _operands(c), int(c.option("axis")))


def concatenate(c: Call, values: Sequence[Value], axis: int) -> Value:
    """Joined along one of Keras' axes, in the order that the first moved operand has."""
    values = [c.cast(value, c.dtype) for value in values]
    rank = values[0].rank
    place = axis % rank
    moved = [value.order for value in values if value.order != plain(rank)]
    order = moved[0] if moved else plain(rank)
    tensors = [c.in_order(value, order) for value in values]
    shape = c.shape(values[0])
    if all(isinstance(value.shape[place], int) for value in values):
        size = sum(known(value.shape[place], "a concatenation") for value in values)
        shape = (*values[0].shape[:place], size, *values[0].shape[place + 1 :])
    if len(values) == 1:
        return values[0]
    return c.result("Concat", tensors, order, shape, axis=order.index(place))


@operation("Stack")
def stack(c: Call) -> Value:
    values = [c.cast(value, c.dtype) for value in _operands(c)]
    rank = values[0].rank
    place = int(c.option("axis")) % (rank + 1)
    parts = [c.unsqueeze(c.plain(value), [place]) for value in values]
    shape = (*parts[0].shape[:place], len(parts), *parts[0].shape[place + 1 :])
    return c.wrap(c.node("Concat", parts, shape, axis=place) if len(parts) > 1 else parts[0])


@layer("Dot")
def dot(c: Call) -> Value:
    """Σ over one axis of each, for every example."""
    left, right = _operands(c)
    if c.option("normalize"):
        raise Untranslatable("normalize")
    axes = c.option("axes")
    first, second = (axes, axes) if isinstance(axes, int) else axes
    x, y = c.plain(left), c.plain(right)
    first, second = first % left.rank, second % right.rank
    if left.rank == right.rank == 2:
        product = c.node("Mul", [x, y], x.shape)
        return c.wrap(c.node("ReduceSum", [product, c.integers([1])], (x.shape[0], 1), keepdims=1))
    if left.rank != 3 or right.rank != 3:
        raise Untranslatable(f"tensors of {left.rank} and {right.rank} axes")
    x = c.transpose(x, (0, 2, 1)) if first == 1 else x
    y = c.transpose(y, (0, 2, 1)) if second == 2 else y
    return c.wrap(c.node("MatMul", [x, y], (*x.shape[:2], y.shape[2])))

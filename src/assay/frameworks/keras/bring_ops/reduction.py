"""Operations that take axes away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.arithmetic import combine, unary
from assay.frameworks.keras.bring_ops.common import Call, Order, Value, known, operation


def axes_of(axis: Any, rank: int) -> list[int]:
    """Non-negative axes; all of them for None."""
    if axis is None:
        return list(range(rank))
    return sorted({int(item) % rank for item in (axis if isinstance(axis, (list, tuple)) else [axis])})


def reduce(c: Call, op_type: str, x: Value, axes: Sequence[int], keep: bool) -> Value:
    """A reduction over some of Keras' axes, in the order that x has."""
    form = x.forms[x.order]
    places = sorted(x.order.index(axis) for axis in axes)
    if not axes:
        return x
    if keep:
        shape = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        order: Order = x.order
    else:
        left = [axis for axis in range(x.rank) if axis not in axes]
        shape = tuple(x.shape[axis] for axis in left)
        order = tuple(left.index(axis) for axis in x.order if axis in left)
    stored = tuple(shape[axis] for axis in order)
    y = c.node(op_type, [form, c.integers(places)], stored, x.dtype, keepdims=int(keep))
    return Value(shape, x.dtype, {order: y})


def _reduction(op_type: str) -> Callable[[Call], Value]:
    def translate(c: Call) -> Value:
        if c.given("initial"):
            raise Untranslatable("initial")
        x = c.cast(c.x, c.dtype)
        return reduce(c, op_type, x, axes_of(c.option("axis"), x.rank), bool(c.option("keepdims")))

    return translate


for _name, _op_type in {
    **{"Sum": "ReduceSum", "Mean": "ReduceMean", "Max": "ReduceMax", "Amax": "ReduceMax", "Min": "ReduceMin"},
    **{"Amin": "ReduceMin", "Prod": "ReduceProd", "Logsumexp": "ReduceLogSumExp"},
}.items():
    operation(_name)(_reduction(_op_type))


@operation("Any", "All")
def any_or_all(c: Call) -> Value:
    x = c.cast(c.cast(c.x, "bool"), "int32")
    op_type = "ReduceMax" if c.name == "ops.Any" else "ReduceMin"
    return c.cast(reduce(c, op_type, x, axes_of(c.option("axis"), x.rank), bool(c.option("keepdims"))), "bool")


def _moments(c: Call, x: Value, axes: Sequence[int], keep: bool) -> tuple[Value, Value]:
    """Mean and biased variance."""
    mean = reduce(c, "ReduceMean", x, axes, True)
    difference = combine(c, "Sub", x, mean)
    variance = reduce(c, "ReduceMean", combine(c, "Mul", difference, difference), axes, keep)
    return (mean if keep else reduce(c, "ReduceMean", x, axes, False)), variance


@operation("Var", "Std")
def variance(c: Call) -> Value:
    x = c.cast(c.x, c.dtype)
    found = _moments(c, x, axes_of(c.option("axis"), x.rank), bool(c.option("keepdims")))[1]
    return unary(c, "Sqrt", found) if c.name == "ops.Std" else found


@operation("Moments")
def moments(c: Call) -> tuple[Value, Value]:
    x = c.cast(c.x, c.dtype)
    return _moments(c, x, axes_of(c.option("axes"), x.rank), bool(c.option("keepdims")))


@operation("Norm")
def norm(c: Call) -> Value:
    if c.option("ord") not in (None, 1, 2, "fro") or c.option("axis") is None or len(c.option("axis")) != 1:
        raise Untranslatable(f"a norm of order {c.option('ord')} over axes {c.option('axis')}")
    x = c.cast(c.x, c.dtype)
    op_type = "ReduceL1" if c.option("ord") == 1 else "ReduceL2"
    return reduce(c, op_type, x, axes_of(c.option("axis"), x.rank), bool(c.option("keepdims")))


@operation("Argmax", "Argmin")
def arg_extreme(c: Call) -> Value:
    x = c.x
    axis = c.option("axis")
    data = c.plain(x)
    if axis is None:
        data, axis = c.reshape(data, (int(np.prod([known(size, "argmax") for size in x.shape])),)), 0
    place = int(axis) % data.rank
    keep = bool(c.option("keepdims"))
    shape = tuple(1 if at == place else size for at, size in enumerate(data.shape) if keep or at != place)
    op_type = "ArgMax" if c.name == "ops.Argmax" else "ArgMin"
    return c.cast(c.wrap(c.node(op_type, [data], shape, "int64", axis=place, keepdims=int(keep))), c.dtype)


@operation("Cumsum")
def cumsum(c: Call) -> Value:
    x = c.cast(c.x, c.dtype)
    axis = c.option("axis")
    if axis is None:
        raise Untranslatable("a sum over all elements in turn; give an axis")
    data = c.plain(x)
    place = c.graph.constant(np.array(int(axis) % x.rank, dtype=np.int64))
    return c.wrap(c.node("CumSum", [data, place], data.shape))


@operation("TopK")
def top_k(c: Call) -> tuple[Value, Value]:
    x = c.x
    data = c.plain(x)
    k = int(c.option("k"))
    shape = (*data.shape[:-1], k)
    inputs = [data, c.integers([k])]
    values, places = c.graph.node_with_outputs("TopK", inputs, [shape, shape], axis=-1)
    found = Value(shape, "int64", {tuple(range(x.rank)): _typed(c, places)})
    return c.wrap(values), c.cast(found, c.specs[1][1])


def _typed(c: Call, places: Any) -> Any:
    import onnx_ir as ir

    from assay.nn.tensor import Tensor

    places.value.type = ir.TensorType(ir.DataType.INT64)
    return Tensor(places.value, places.shape, "int64")

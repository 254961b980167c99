"""Pools over windows, over everything, and to a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.common import (
    Call,
    Order,
    Value,
    channels,
    known,
    layer,
    operation,
    plain,
    repeated,
)
from assay.frameworks.keras.bring_ops.convolution import padding_of
from assay.nn.tensor import Tensor


@layer(*(f"{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def pool(c: Call) -> Value:
    x = c.x
    rank = x.rank - 2
    return _pool(c, x, repeated(c.option("pool_size"), rank), c.option("strides"), c.option("padding"))


@operation("MaxPool", "AveragePool")
def pool_operation(c: Call) -> Value:
    x = c.x
    return _pool(c, x, repeated(c.option("pool_size"), x.rank - 2), c.option("strides"), c.option("padding"))


def _pool(c: Call, x: Value, window: Sequence[int], strides: Any, padding: str) -> Value:
    rank = x.rank - 2
    order = channels(c, x)
    steps = list(window) if strides is None else repeated(strides, rank)
    average = "Average" in c.name
    data = c.in_order(x, order)
    shape = c.shape(x)
    pads = padding_of(padding, data.shape[2:], window, steps, [1] * rank)
    more: dict[str, Any] = {"count_include_pad": 0} if average else {}
    stored = tuple(shape[axis] for axis in order)
    op_type = "AveragePool" if average else "MaxPool"
    y = c.node(op_type, [data], stored, kernel_shape=list(window), strides=steps, **pads, **more)
    return Value(shape, x.dtype, {order: y})


@layer(*(f"Global{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def global_pool(c: Call) -> Value:
    x = c.x
    average = "Average" in c.name
    last = c.option("data_format") != "channels_first"
    spatial = list(range(1, x.rank - 1)) if last else list(range(2, x.rank))
    if c.given("mask") and average:
        return _masked_mean(c, x)
    keep = bool(c.option("keepdims"))
    data = x.forms[x.order]
    places = sorted(x.order.index(axis) for axis in spatial)
    shape = c.shape(x) if keep else tuple(size for axis, size in enumerate(x.shape) if axis not in spatial)
    if keep:
        stored: Any = tuple(1 if place in places else size for place, size in enumerate(data.shape))
        order: Order = x.order
    else:
        stored = tuple(size for place, size in enumerate(data.shape) if place not in places)
        order = plain(2)
    op_type = "ReduceMean" if average else "ReduceMax"
    y = c.node(op_type, [data, c.integers(places)], stored, keepdims=int(keep))
    return Value(shape, x.dtype, {order: y})


def _masked_mean(c: Call, x: Value) -> Value:
    """The mean over the steps that are not masked."""
    if c.option("data_format") == "channels_first":
        raise Untranslatable("a mask on channels-first data")
    data, mask = c.plain(x), c.plain(c.cast(c.cast(c.value(c["mask"]), "bool"), x.dtype))
    weights = c.unsqueeze(mask, [mask.rank])
    keep = bool(c.option("keepdims"))
    axes = c.integers([1])
    shape = (x.shape[0], 1, x.shape[2]) if keep else (x.shape[0], x.shape[2])
    count = (x.shape[0], 1, 1) if keep else (x.shape[0], 1)
    total = c.node("ReduceSum", [c.node("Mul", [data, weights], data.shape), axes], shape, keepdims=int(keep))
    number = c.node("ReduceSum", [weights, axes], count, keepdims=int(keep))
    return c.wrap(c.node("Div", [total, number], shape))


@layer(*(f"Adaptive{kind}Pooling{rank}D" for kind in ("Max", "Average") for rank in (1, 2, 3)))
def adaptive_pool(c: Call) -> Value:
    x = c.x
    order = channels(c, x)
    average = "Average" in c.name
    y = c.in_order(x, order)
    wanted = repeated(c.option("output_size"), x.rank - 2)
    sizes = [known(size, "an adaptive pool") for size in y.shape[2:]]
    if all(size % target == 0 for size, target in zip(sizes, wanted, strict=True)):
        window = [size // target for size, target in zip(sizes, wanted, strict=True)]
        op_type = "AveragePool" if average else "MaxPool"
        pads = [0] * 2 * len(window)
        y = c.node(op_type, [y], (*y.shape[:2], *wanted), kernel_shape=window, strides=window, pads=pads)
    else:
        for axis, (size, target) in enumerate(zip(sizes, wanted, strict=True), start=2):
            y = _unequal(c, y, axis, size, target, average)
    return Value(c.shape(x), x.dtype, {order: y})


def _unequal(c: Call, x: Tensor, axis: int, size: int, target: int, average: bool) -> Tensor:
    """Windows of unequal size, along one axis."""
    if size == target:
        return x
    parts = []
    for place in range(target):
        start, stop = place * size // target, -(-(place + 1) * size // target)
        part = c.slice(x, axis, start, stop, stop - start)
        shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        reduce = "ReduceMean" if average else "ReduceMax"
        parts.append(c.node(reduce, [part, c.integers([axis])], shape, keepdims=1))
    return c.node("Concat", parts, (*x.shape[:axis], target, *x.shape[axis + 1 :]), axis=axis)

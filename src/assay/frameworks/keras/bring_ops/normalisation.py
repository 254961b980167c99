"""Normalisation: by the batch, a layer, a group, a norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.common import Call, Order, Value, known, layer, operation, plain
from assay.nn.tensor import Tensor


def _axis_second(rank: int, axis: int) -> Order:
    """The order of axes that has this one second, where the graph has its channels."""
    rest = [place for place in range(1, rank) if place != axis]
    return (0, axis, *rest)


@layer("BatchNormalization")
def batch_norm(c: Call) -> Value:
    x = c.x
    axis = int(c.option("axis")) % x.rank
    if axis == 0:
        raise Untranslatable("statistics for each example of a batch")
    if c.given("mask"):
        c.graph.note(f"{c.source.name}: statistics of a batch leave out masked steps in the source, and not here")
    for option in ("renorm", "synchronized"):
        if getattr(c.source, option, False):
            c.graph.note(f"{c.source.name}: {option} changes training in the source, and not here")
    if c.arguments.get("training") is True:
        raise Untranslatable("the statistics of the batch are used in evaluation (training=True)")
    channels = known(x.shape[axis], "batch normalisation")
    operands = [
        _held(c, name, channels, fill)
        for name, fill in (("gamma", 1.0), ("beta", 0.0), ("moving_mean", 0.0), ("moving_variance", 1.0))
    ]
    order = _axis_second(x.rank, axis)
    if c.frozen or not c.source.trainable:
        return _frozen_batch_norm(c, x, axis, operands)
    data = c.in_order(x, order)
    momentum, epsilon = float(c.option("momentum")), float(c.option("epsilon"))
    y = c.node("BatchNormalization", [data, *operands], data.shape, epsilon=epsilon, momentum=momentum)
    return Value(x.shape, x.dtype, {order: y})


def _held(c: Call, name: str, channels: int, fill: float) -> Tensor:
    variable = getattr(c.source, name, None)
    if variable is None:  # scale=False, center=False
        return c.graph.constant(np.full(channels, fill, c.dtype))
    return c.form(variable, (channels,))


def _frozen_batch_norm(c: Call, x: Value, axis: int, operands: Sequence[Tensor]) -> Value:
    """With its running statistics in training too: a scale and an offset for each channel."""
    c.graph.note(
        f"{c.source.name}: batch normalisation that the source keeps in evaluation (training=False, or trainable=False) "
        "is written as a scale and an offset"
    )
    weight, bias, mean, variance = operands
    size = variance.shape
    epsilon = c.number(float(c.option("epsilon")), c.dtype)
    deviation = c.node("Sqrt", [c.node("Add", [variance, epsilon], size)], size)
    scale = c.node("Div", [weight, deviation], size)
    offset = c.node("Sub", [bias, c.node("Mul", [mean, scale], size)], size)
    order = plain(x.rank) if axis == x.rank - 1 and x.order == plain(x.rank) else _axis_second(x.rank, axis)
    trailing = x.rank - 1 - order.index(axis)
    if trailing:
        shape = (*size, *[1] * trailing)
        scale, offset = c.reshape(scale, shape), c.reshape(offset, shape)
    data = c.in_order(x, order)
    y = c.node("Add", [c.node("Mul", [data, scale], data.shape), offset], data.shape)
    return Value(x.shape, x.dtype, {order: y})


@layer("LayerNormalization")
def layer_norm(c: Call) -> Value:
    if c.option("rms_scaling"):
        raise Untranslatable("rms_scaling")
    x = c.x
    axes = _trailing(c.option("axis"), x.rank)
    sizes = tuple(known(size, "layer normalisation") for size in x.shape[x.rank - axes :])
    gamma, beta = c.option("gamma"), c.option("beta")
    weight = c.graph.constant(np.ones(sizes, c.dtype)) if gamma is None else c.form(gamma, sizes)
    given = [c.plain(x), weight, *([] if beta is None else [c.form(beta, sizes)])]
    return c.result("LayerNormalization", given, plain(x.rank), x.shape, axis=-axes, epsilon=float(c.option("epsilon")))


def _trailing(axis: Any, rank: int) -> int:
    """How many of the last axes are meant; an error for any others."""
    axes = sorted(item % rank for item in ([axis] if isinstance(axis, int) else axis))
    if axes != list(range(rank - len(axes), rank)):
        raise Untranslatable(f"axes {axes} of {rank}, which are not the last ones")
    return len(axes)


@layer("RMSNormalization")
def rms_norm(c: Call) -> Value:
    x = c.x
    axes = _trailing(c.option("axis"), x.rank)
    scale = c.option("scale")
    sizes = tuple(known(size, "normalisation") for size in x.shape[x.rank - axes :])
    given = [c.plain(x), c.form(scale, sizes)]
    return c.result("RMSNormalization", given, plain(x.rank), x.shape, axis=-axes, epsilon=float(c.option("epsilon")))


@operation("LayerNorm", "RMSNorm")
def functional_norm(c: Call) -> Value:
    x = c.x
    axes = _trailing(c.option("axis"), x.rank)
    layered = c.name == "ops.LayerNorm"
    sizes = tuple(known(size, "normalisation") for size in x.shape[x.rank - axes :])
    names = ("gamma", "beta") if layered else ("scale",)
    given = [c.plain(c.value(c[name])) if c.given(name) else None for name in names]
    weight = c.graph.constant(np.ones(sizes, c.dtype)) if given[0] is None else given[0]
    operands = [c.plain(x), weight, *[item for item in given[1:] if item is not None]]
    op_type = "LayerNormalization" if layered else "RMSNormalization"
    return c.result(op_type, operands, plain(x.rank), x.shape, axis=-axes, epsilon=float(c.option("epsilon")))


@layer("GroupNormalization")
def group_norm(c: Call) -> Value:
    x = c.x
    axis = int(c.option("axis")) % x.rank
    channels = known(x.shape[axis], "group normalisation")
    order = _axis_second(x.rank, axis)
    groups = int(c.option("groups"))
    operands = [_held(c, name, channels, fill) for name, fill in (("gamma", 1.0), ("beta", 0.0))]
    data = c.in_order(x, order)
    epsilon = float(c.option("epsilon"))
    num_groups = channels if groups == -1 else groups
    y = c.node("GroupNormalization", [data, *operands], data.shape, num_groups=num_groups, epsilon=epsilon)
    return Value(x.shape, x.dtype, {order: y})


@layer("UnitNormalization")
def unit_norm(c: Call) -> Value:
    return _unit(c, c.x, c.option("axis"), 1e-12)


@operation("Normalize")
def normalize(c: Call) -> Value:
    if c.option("order") != 2:
        raise Untranslatable(f"a norm of order {c.option('order')}")
    epsilon = c.option("epsilon")
    return _unit(c, c.x, c.option("axis"), 1e-7 if epsilon is None else float(epsilon))


def _unit(c: Call, x: Value, axis: Any, epsilon: float) -> Value:
    """x / max(‖x‖₂, epsilon)."""
    data = x.forms[x.order]
    places = sorted(x.order.index(item % x.rank) for item in ([axis] if isinstance(axis, int) else axis))
    shape = tuple(1 if place in places else size for place, size in enumerate(data.shape))
    norm = c.node("ReduceL2", [data, c.integers(places)], shape, keepdims=1)
    bounded = c.node("Max", [norm, c.number(epsilon, x.dtype)], shape)
    return Value(x.shape, x.dtype, {x.order: c.node("Div", [data, bounded], data.shape)})

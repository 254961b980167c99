"""Over axes: sums, maxima, positions, order; windows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.frameworks.drafting import Untranslatable, known
from assay.frameworks.jax.bring_ops.common import Call, Result, Total, primitive
from assay.nn.tensor import Shape, Tensor

_REDUCTIONS = {
    "reduce_sum": "ReduceSum",
    "reduce_max": "ReduceMax",
    "reduce_min": "ReduceMin",
    "reduce_prod": "ReduceProd",
}


@primitive(*_REDUCTIONS)
def reduction(c: Call) -> Result:
    x, axes = c.tensor(), tuple(int(axis) for axis in c["axes"])
    if not axes:
        return x
    y = c.result(_REDUCTIONS[c.name], [x, c.integers(axes)], keepdims=0)
    sizes = [x.shape[axis] for axis in axes]
    if c.name == "reduce_sum" and all(isinstance(size, int) for size in sizes) and c.dtype.startswith("float"):
        count = math.prod(int(size) for size in sizes)
        kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        c.totals[id(y.value)] = Total(
            count, lambda _: _mean(c, x, axes, y.shape, 0), axes=axes, kept=lambda _: _mean(c, x, axes, kept, 1)
        )
    return y


def _mean(c: Call, x: Tensor, axes: tuple[int, ...], shape: Shape, keepdims: int) -> Tensor:
    return c.node("ReduceMean", [x, c.integers(axes)], shape, x.dtype, keepdims=keepdims)


@primitive("reduce_and", "reduce_or")
def truth(c: Call) -> Result:
    numbers = c.cast(c.tensor(), "int32")
    op_type = "ReduceMin" if c.name == "reduce_and" else "ReduceMax"
    axes = c.integers([int(axis) for axis in c["axes"]])
    return c.cast(c.node(op_type, [numbers, axes], c.shape, keepdims=0), "bool")


@primitive("argmax", "argmin")
def place(c: Call) -> Result:
    (axis,) = c["axes"]
    op_type = "ArgMax" if c.name == "argmax" else "ArgMin"
    return c.cast(c.node(op_type, [c.tensor()], c.shape, "int64", axis=int(axis), keepdims=0), c.dtype)


@primitive("cumsum", "cumprod")
def cumulated(c: Call) -> Result:
    axis = c.tracer.constant(np.array(int(c["axis"]), np.int64))
    op_type = "CumSum" if c.name == "cumsum" else "CumProd"
    return c.result(op_type, [c.tensor(), axis], reverse=int(bool(c["reverse"])) or None)


@primitive("sort")
def sort(c: Call) -> Result:
    if len(c) != 1:
        raise Untranslatable("several arrays sorted at once")
    axis = int(c["dimension"])
    size = c.integers([known(c.shape[axis], "sorting")])
    x = c.tensor()
    return c.tracer.node_with_outputs("TopK", [x, size], [c.shape] * 2, c.dtype, axis=axis, largest=0, sorted=1)[:1]


@primitive("top_k")
def top(c: Call) -> Result:
    x, axis = c.tensor(), int(c.params.get("axis", -1))
    values, places = c.tracer.node_with_outputs(
        "TopK", [x, c.integers([int(c["k"])])], c.shapes, c.dtypes[0], axis=axis, largest=1, sorted=1
    )
    places.value.type = ir.TensorType(ir.DataType.INT64)
    return values, c.cast(Tensor(places.value, c.shapes[1], "int64"), c.dtypes[1])


# Windows --------------------------------------------------------------------------------------------------------------


def _window(c: Call) -> dict[str, Any]:
    """A window over (batch, …, channels): what it says of the axes between."""
    sizes, strides = tuple(c["window_dimensions"]), tuple(c["window_strides"])
    padding, dilations = tuple(c["padding"]), tuple(c["window_dilation"])
    outer = (0, len(sizes) - 1)
    if any(sizes[axis] != 1 or strides[axis] != 1 or padding[axis] != (0, 0) for axis in outer):
        raise Untranslatable("a window over the batch or the channels")
    if set(c["base_dilation"]) != {1}:
        raise Untranslatable("a window over spread data")
    pads = [int(pair[0]) for pair in padding[1:-1]] + [int(pair[1]) for pair in padding[1:-1]]
    return {
        "kernel_shape": [int(size) for size in sizes[1:-1]],
        "strides": [int(size) for size in strides[1:-1]],
        "pads": pads,
        "dilations": [int(size) for size in dilations[1:-1]],
    }


def _pooled(c: Call, op_type: str, x: Tensor, attributes: dict[str, Any]) -> Tensor:
    first = (c.shape[0], c.shape[-1], *c.shape[1:-1])
    return c.channels_last(c.node(op_type, [c.channels_first(x)], first, c.dtype, **attributes))


@primitive("reduce_window_max")
def max_pool(c: Call) -> Result:
    return _pooled(c, "MaxPool", c.tensor(), _window(c))


@primitive("reduce_window_min")
def min_pool(c: Call) -> Result:
    x = c.tensor()
    return c.result("Neg", [_pooled(c, "MaxPool", c.node("Neg", [x], x.shape), _window(c))])


@primitive("reduce_window_sum")
def sum_pool(c: Call) -> Result:
    x, window = c.tensor(), _window(c)
    size = math.prod(window["kernel_shape"])

    def mean(counted: bool) -> Tensor:
        return _pooled(c, "AveragePool", x, {**window, "count_include_pad": int(counted)})

    y = c.node("Mul", [mean(True), c.scalar(size, c.dtype)], c.shape)
    counts = _counts(window, [known(item, "a window") for item in x.shape[1:-1]])
    c.totals[id(y.value)] = Total(size, mean, counts=counts)
    return y


def _counts(window: dict[str, Any], sizes: list[int]) -> np.ndarray:
    """How many elements of the data each place of a window holds, (1, …, 1)."""
    found = np.ones((1,) * 0)
    rank = len(sizes)
    for axis, size in enumerate(sizes):
        before, after = window["pads"][axis], window["pads"][rank + axis]
        kernel, stride = window["kernel_shape"][axis], window["strides"][axis]
        padded = np.pad(np.ones(size), (before, after))
        places = range(0, len(padded) - kernel + 1, stride)
        found = np.multiply.outer(found, np.array([padded[place : place + kernel].sum() for place in places]))
    return found[None, ..., None]

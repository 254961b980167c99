"""Reductions over axes."""

from __future__ import annotations

import numpy as np

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, axes_of, axis_of, known
from assay.nn.tensor import Shape, Tensor

_NAMES = {
    "mean": "ReduceMean",
    "sum": "ReduceSum",
    "amax": "ReduceMax",
    "amin": "ReduceMin",
    "logsumexp": "ReduceLogSumExp",
}


def _reduce(c: Call, op_type: str, x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return c.node(op_type, [x, c.integers(axes)], _kept(x.shape, axes, keep), keepdims=int(keep))


def _kept(shape: Shape, axes: list[int], keep: bool) -> Shape:
    return tuple(1 if axis in axes else size for axis, size in enumerate(shape) if keep or axis not in axes)


@aten("mean", "sum", "amax", "amin", "logsumexp")
def reduce(c: Call) -> Result:
    x = c.operand("self")
    if x.rank == 0:
        return x
    op_type = _NAMES[c.target.split(".")[1]]
    return _reduce(c, op_type, x, axes_of(c.get("dim"), x.rank), bool(c.get("keepdim", False)))


@aten("max.default", "min.default")
def extreme(c: Call) -> Result:
    x = c.tensor("self")
    return _reduce(c, "ReduceMax" if ".max." in c.target else "ReduceMin", x, list(range(x.rank)), False)


@aten("max.other", "min.other")
def pairwise(c: Call) -> Result:
    return c.result("Max" if ".max." in c.target else "Min", [c.operand("self"), c.operand("other")])


@aten("max.dim", "min.dim")
def extreme_with_place(c: Call) -> Result:
    x, largest = c.tensor("self"), ".max." in c.target
    axis, keep = axis_of(c["dim"], x.rank), bool(c["keepdim"])
    values = _reduce(c, "ReduceMax" if largest else "ReduceMin", x, [axis], keep)
    places = c.node("ArgMax" if largest else "ArgMin", [x], values.shape, "int64", axis=axis, keepdims=int(keep))
    return values, places


@aten("argmax", "argmin")
def place_of_extreme(c: Call) -> Result:
    x = c.tensor("self")
    op_type = "ArgMax" if "argmax" in c.target else "ArgMin"
    if c["dim"] is None:
        flat = c.node("Reshape", [x, c.integers([-1])], (int(np.prod([known(size, op_type) for size in x.shape])),))
        return c.result(op_type, [flat], axis=0, keepdims=0)
    return c.result(op_type, [x], axis=axis_of(c["dim"], x.rank), keepdims=int(c["keepdim"]))


@aten("prod")
def product(c: Call) -> Result:
    x = c.operand("self")
    return _reduce(c, "ReduceProd", x, axes_of(c.get("dim"), x.rank), bool(c.get("keepdim", False)))


@aten("var", "std", "var_mean", "std_mean")
def variance(c: Call) -> Result:
    x = c.tensor("self")
    axes, keep = axes_of(c.get("dim"), x.rank), bool(c.get("keepdim", False))
    correction = c.get("correction", 1 if c.get("unbiased", True) else 0)
    mean = _reduce(c, "ReduceMean", x, axes, True)
    centred = c.node("Sub", [x, mean], x.shape)
    squares = c.node("Mul", [centred, centred], x.shape)
    found = _reduce(c, "ReduceMean", squares, axes, keep)
    if correction:
        count = int(np.prod([known(x.shape[axis], "an unbiased variance") for axis in axes]))
        found = c.node("Mul", [found, c.scalar(count / (count - correction), c.dtype)], found.shape)
    if ".std" in c.target:
        found = c.node("Sqrt", [found], found.shape)
    if "_mean" not in c.target:
        return found
    return found, mean if keep else c.squeeze(mean, axes)


@aten("all", "any")
def truth(c: Call) -> Result:
    x = c.operand("self", "bool")
    axes = axes_of(c.get("dim"), x.rank)
    number = c.cast(x, "int32")
    found = _reduce(c, "ReduceMin" if "all" in c.target else "ReduceMax", number, axes, bool(c.get("keepdim", False)))
    return c.cast(found, "bool")


@aten("cumsum")
def cumulative_sum(c: Call) -> Result:
    x = c.operand("self")
    return c.result("CumSum", [x, c.tracer.constant(np.array(axis_of(c["dim"], x.rank), np.int64))])


@aten("topk")
def top_k(c: Call) -> Result:
    x, count = c.tensor("self"), c["k"]
    axis = axis_of(c["dim"], x.rank)
    return c.tracer.node_with_outputs(
        "TopK", [x, c.integers([count])], c.shapes, axis=axis, largest=int(c["largest"]), sorted=int(c["sorted"])
    )


@aten("sort", "argsort", "median", "mode", "kthvalue")
def sort(c: Call) -> Result:
    raise Untranslatable("sorting")

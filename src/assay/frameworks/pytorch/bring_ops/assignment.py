"""Assignment: tensors that are filled and copied into, as a whole or in part."""

from __future__ import annotations

import numpy as np

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, axis_of, known
from assay.nn.tensor import Tensor

_RESHAPING = ("view", "reshape", "_unsafe_view", "unsqueeze", "squeeze", "flatten", "unflatten")


@aten("fill")
def fill(c: Call) -> Result:
    return _whole(c, c.operand("value"))


@aten("zero")
def zero(c: Call) -> Result:
    return _whole(c, c.scalar(0, c.dtype))


@aten("copy")
def copied(c: Call) -> Result:
    return _whole(c, c.cast(c.tensor("src"), c.dtype))


def _whole(c: Call, x: Tensor) -> Tensor:
    """A tensor of the result's shape that holds x everywhere."""
    number = x.value.const_value
    if x.rank == 0 and number is not None and all(isinstance(size, int) for size in c.shape):
        return c.tracer.constant(np.full([int(size) for size in c.shape], number.numpy(), c.dtype))
    return c.expand(x, c.shape)


def written_back(view: Call, base: Result, part: Result) -> Tensor:
    """The tensor that a view is of, after the view has become `part`."""
    assert isinstance(base, Tensor) and isinstance(part, Tensor)
    operator = view.target.split(".")[1]
    if operator in _RESHAPING:
        return view.reshape(part, base.shape)
    if operator not in ("slice", "select") or view.get("step", 1) != 1:
        raise Untranslatable(f"seen through {operator}")
    if part.shape == base.shape:
        return part
    axis = axis_of(view.get("dim", 0), base.rank)
    size = known(base.shape[axis], "assignment to a part")
    if operator == "select":
        start, part = view["index"] % size, view.unsqueeze(part, axis)
        stop = start + 1
    else:
        start, stop, _ = slice(view.get("start"), view.get("end")).indices(size)
    before = [view.slice(base, axis, 0, start, start)] if start else []
    after = [view.slice(base, axis, stop, size, size - stop)] if stop < size else []
    pieces = [*before, part, *after]
    return view.node("Concat", pieces, base.shape, axis=axis) if len(pieces) > 1 else part

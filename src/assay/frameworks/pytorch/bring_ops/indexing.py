"""Reading by index."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, axis_of
from assay.model import constant_of
from assay.nn.tensor import Dim, Tensor


@aten("embedding")
def embedding(c: Call) -> Result:
    if (padding := c["padding_idx"]) is not None and padding >= 0:
        c.tracer.note(f"row {padding} of an embedding is for padding; the written code trains it like the others")
    return c.result("Gather", [c.tensor("weight"), c.tensor("indices")], axis=0)


@aten("index_select")
def index_select(c: Call) -> Result:
    x = c.tensor("self")
    return c.node("Gather", [x, c.tensor("index")], c.shape, c.dtype, axis=axis_of(c["dim"], x.rank))


@aten("gather", "take_along_dim")
def gather(c: Call) -> Result:
    x, axis = c.tensor("self"), c["dim"]
    if axis is None:
        raise Untranslatable("no axis")
    return c.result(
        "GatherElements",
        [x, c.operand("index" if "index" in c.arguments else "indices", "int64")],
        axis=axis_of(axis, x.rank),
    )


@aten("index")
def index(c: Call) -> Result:
    """x[i, j, :, k]: one index array by itself is a Gather, several that stand together are one GatherND."""
    x = c.tensor("self")
    given = [c.value(item) for item in c["indices"]]
    places = [place for place, item in enumerate(given) if item is not None]
    arrays = [item for item in given if item is not None]
    if any(item.dtype == "bool" for item in arrays):
        raise Untranslatable("a mask as an index: the size of the result is not known beforehand")
    if len(arrays) == 1:
        return c.result("Gather", [x, c.cast(arrays[0], "int64")], axis=places[0])
    if places != list(range(len(places))):
        raise Untranslatable("several index arrays that do not come first")
    common = c.shape[: len(c.shape) - (x.rank - len(places))]
    ramps = [_ramp(item, size, len(common)) for item, size in zip(arrays, x.shape, strict=False)]
    along = [axis for axis in ramps if axis is not None]
    if len(along) == len(arrays) and along == sorted(set(along)):  # x[i[:, None], j] of all i and j is x
        seen = [*(1 if axis not in along else common[axis] for axis in range(len(common))), *x.shape[len(places) :]]
        new = [axis for axis in range(len(common)) if axis not in along]
        y = c.node("Unsqueeze", [x, c.integers(new)], tuple(seen)) if new else x
        return c.expand(y, c.shape)
    parts = [c.unsqueeze(c.expand(c.cast(item, "int64"), common), -1) for item in arrays]
    joined = c.node("Concat", parts, (*common, len(parts)), axis=-1)
    return c.node("GatherND", [x, joined], c.shape, c.dtype)


def _ramp(index: Tensor, size: Dim, rank: int) -> int | None:
    """The axis (of `rank`, to which an index is broadcast) along which it is 0, 1, 2 … for all of an axis of this size."""
    axes = [axis for axis, length in enumerate(index.shape) if length != 1]
    if len(axes) != 1 or index.shape[axes[0]] != size:
        return None
    return axes[0] + rank - index.rank if _counts(index.value) else None


def _counts(value: ir.Value | None) -> bool:
    """Whether a vector, with axes of one around it, is 0, 1, 2 …"""
    array = constant_of(value)
    if array is not None:
        return np.array_equal(array.reshape(-1), np.arange(array.size))
    node = None if value is None else value.producer()
    if node is None:
        return False
    if node.op_type in ("Unsqueeze", "Reshape", "Cast"):
        return _counts(node.inputs[0])
    if node.op_type == "Add":
        zeros = [item for item in node.inputs if (known := constant_of(item)) is not None and not known.any()]
        return len(zeros) == 1 and _counts(next(item for item in node.inputs if item is not zeros[0]))
    if node.op_type != "Range":
        return False
    start, step = constant_of(node.inputs[0]), constant_of(node.inputs[2])
    return start is not None and step is not None and not start.any() and bool((step == 1).all())


@aten("one_hot")
def one_hot(c: Call) -> Result:
    depth = c.tracer.constant(np.array(c["num_classes"], np.int64))
    return c.result("OneHot", [c.tensor("self"), depth, c.integers([0, 1])], axis=-1)

"""Reading by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.jax.bring_ops.common import Call, Result, primitive
from assay.model import constant_of
from assay.nn.tensor import Tensor


@primitive("gather")
def gather(c: Call) -> Result:
    """XLA's gather, where it reads single places or whole parts along some axes."""
    numbers, x = c["dimension_numbers"], c.tensor(0)
    mapped = tuple(int(axis) for axis in numbers.start_index_map)
    gone = tuple(int(axis) for axis in numbers.collapsed_slice_dims)
    batched = tuple(int(axis) for axis in numbers.operand_batching_dims)
    sizes = c["slice_sizes"]
    if batched:
        return _along(c, x, mapped, batched, tuple(int(axis) for axis in numbers.start_indices_batching_dims))
    whole = all(_equal(sizes[axis], x.shape[axis]) for axis in range(x.rank) if axis not in mapped)
    places = c.known(1)
    if whole and places is not None and places.ndim == 1:
        return _fixed(c, x, mapped, gone, [int(item) for item in places])
    if whole and mapped == gone and all(sizes[axis] == 1 for axis in mapped):
        return _taken(c, x, mapped, [int(axis) for axis in numbers.offset_dims])
    raise Untranslatable("reading parts at computed places")


def _equal(first: Any, second: Any) -> bool:
    return str(first) == str(second)


def _fixed(c: Call, x: Tensor, mapped: tuple[int, ...], gone: tuple[int, ...], places: list[int]) -> Tensor:
    """A part at a place that is known: x[:, 2]."""
    for axis, start in zip(mapped, places, strict=True):
        size = int(c["slice_sizes"][axis])
        if x.shape[axis] == size:
            continue
        have = x.shape[axis]
        first = start if isinstance(have, str) else min(max(start + (have if start < 0 else 0), 0), have - size)
        x = c.slice(x, axis, first, first + size, size)
    return c.squeeze(x, gone)


def _taken(c: Call, x: Tensor, mapped: tuple[int, ...], offsets: list[int]) -> Tensor:
    """Single places along one axis, or along several at once."""
    indices = _indices(c, 1)
    batch = indices.shape[:-1]
    if len(mapped) == 1:
        axis = mapped[0]
        flat = c.squeeze(indices, [indices.rank - 1])
        y = c.node("Gather", [x, _unwrapped(flat)], (*x.shape[:axis], *batch, *x.shape[axis + 1 :]), x.dtype, axis=axis)
        before = axis
    elif mapped == tuple(range(len(mapped))):
        y = c.node("GatherND", [x, c.cast(indices, "int64")], (*batch, *x.shape[len(mapped) :]), x.dtype)
        before = 0
    else:
        raise Untranslatable("indices of several axes that do not come first")
    # Where the axes of the indices stand in the result of jax, and in that of ONNX.
    wanted = [axis for axis in range(len(c.shape)) if axis not in offsets]
    have = list(range(before, before + len(batch)))
    rest = iter(axis for axis in range(len(c.shape)) if axis not in have)
    order = [have[wanted.index(axis)] if axis in wanted else next(rest) for axis in range(len(c.shape))]
    return c.transpose(y, order)


def _indices(c: Call, place: int) -> Tensor:
    array = c.known(place)
    return c.constant(array.astype(np.int64)) if array is not None else c.tensor(place)


def _unwrapped(indices: Tensor) -> Tensor:
    """Indices before jax made those below zero count from the end, which ONNX does by itself."""
    found = _skip(indices.value)
    node = found.producer()
    if node is None or node.op_type != "Where":
        return indices
    below, wrapped, plain = (None if value is None else _skip(value) for value in node.inputs)
    test = None if below is None else below.producer()
    added = None if wrapped is None else wrapped.producer()
    if test is None or added is None or test.op_type != "Less" or added.op_type != "Add" or plain is None:
        return indices
    zero = constant_of(test.inputs[1])
    same = all(item is not None and _skip(item) is plain for item in (test.inputs[0], added.inputs[0]))
    if zero is None or zero.any() or not same or plain.shape is None:
        return indices
    return Tensor(
        plain, indices.shape, str(np.dtype(plain.dtype.numpy())) if plain.dtype is not None else indices.dtype
    )


def _skip(value: Any) -> Any:
    """A value before casts and axes of one."""
    node = value.producer()
    while node is not None and node.op_type in ("Cast", "Unsqueeze", "Squeeze") and node.inputs[0] is not None:
        if node.op_type != "Cast" and node.inputs[0].shape is None:
            break
        value = node.inputs[0]
        node = value.producer()
    return value


def _along(c: Call, x: Tensor, mapped: tuple[int, ...], batched: tuple[int, ...], places: tuple[int, ...]) -> Tensor:
    """`take_along_axis`: for every example its own places along one axis."""
    indices = _indices(c, 1)
    if len(mapped) != 1 or places != batched or indices.rank != x.rank + 1 or len(batched) != x.rank - 1:
        raise Untranslatable("reading places that differ between examples")
    flat = c.squeeze(indices, [indices.rank - 1])
    return c.node("GatherElements", [x, c.cast(flat, "int64")], flat.shape, x.dtype, axis=mapped[0])


@primitive("dynamic_update_slice", "scatter", "scatter-add", "scatter_add", "scatter_mul")
def update(c: Call) -> Result:
    raise Untranslatable("an array changed in some places")

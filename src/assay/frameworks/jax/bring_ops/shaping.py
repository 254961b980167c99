"""Axes: reshaping, moving, joining, cutting, padding; new arrays."""

from __future__ import annotations

import numpy as np

from assay.frameworks.drafting import NeedsStaticBatch, Untranslatable, Weight, known
from assay.frameworks.jax.bring_ops.common import Call, Result, Total, graph_dtype, primitive
from assay.nn.tensor import Dim, Shape
from assay.write.weights import transpose as transposing

_END = 2**63 - 1


@primitive("reshape")
def reshape(c: Call) -> Result:
    if c.params.get("dimensions") is not None:
        raise Untranslatable("a reshape in another order")
    x = c.tensor()
    added = _new_axes(x.shape, c.shape)
    if added is not None:
        return c.unsqueeze(x, *added)
    removed = _new_axes(c.shape, x.shape)
    return c.squeeze(x, removed) if removed is not None else c.reshape(x, c.shape)


def _new_axes(old: Shape, new: Shape) -> list[int] | None:
    """The places of axes of size one that are all that is new; None if there is more to it."""
    if len(new) <= len(old):
        return None
    rest, places = list(old), []
    for place, size in enumerate(new):
        if rest and rest[0] == size and not (size == 1 and len(new) - place > len(rest)):
            rest.pop(0)
        elif size == 1:
            places.append(place)
        else:
            return None
    return places if not rest else None


@primitive("squeeze")
def squeeze(c: Call) -> Result:
    return c.squeeze(c.tensor(), [int(axis) for axis in c["dimensions"]])


@primitive("expand_dims")
def expand_dims(c: Call) -> Result:
    return c.unsqueeze(c.tensor(), *(int(axis) for axis in c["dimensions"]))


@primitive("transpose")
def transpose(c: Call) -> Result:
    order = [int(axis) for axis in c["permutation"]]
    held = c.weight(0)
    if held is not None and held.array.ndim == 2:
        return held.form(c.tracer, transposing(1, 0))
    return c.transpose(c.tensor(), order)


@primitive("broadcast_in_dim")
def broadcast(c: Call) -> Result:
    """New axes of one; they are repeated by what the result meets, unless it is asked for by itself."""
    x, places = c.tensor(), [int(axis) for axis in c["broadcast_dimensions"]]
    new = [axis for axis in range(len(c.shape)) if axis not in places]
    spread = c.unsqueeze(x, *new) if new else x
    total = c.totals.get(id(x.value))
    if total is not None and total.kept is not None and tuple(new) == total.axes and spread.shape == c.shape:
        c.totals[id(spread.value)] = Total(total.count, total.kept)
    return c.expand(spread, c.shape)


@primitive("tile")
def tile(c: Call) -> Result:
    x, counts = c.tensor(), list(c["reps"])
    if all(size == 1 or count == 1 for size, count in zip(x.shape, counts, strict=True)):
        return c.expand(x, c.shape)
    return c.result("Tile", [x, c.integers([known(str(n) if not isinstance(n, int) else n, "tile") for n in counts])])


@primitive("concatenate")
def concatenate(c: Call) -> Result:
    parts = [c.tensor(place) for place in range(len(c))]
    return c.result("Concat", [*parts], axis=int(c["dimension"]))


@primitive("split")
def split(c: Call) -> Result:
    x, axis = c.tensor(), int(c["axis"])
    sizes = [int(size) for size in c["sizes"]]
    if len(sizes) == 1:
        return (x,)
    given = [x] if len(set(sizes)) == 1 else [x, c.integers(sizes)]
    count = len(sizes) if len(set(sizes)) == 1 else None
    return c.tracer.node_with_outputs("Split", given, c.shapes, c.dtype, axis=axis, num_outputs=count)


@primitive("slice")
def cut(c: Call) -> Result:
    x = c.tensor()
    strides = c["strides"] or [1] * x.rank
    for axis, (start, stop, step) in enumerate(zip(c["start_indices"], c["limit_indices"], strides, strict=True)):
        size = c.shape[axis]
        if size == x.shape[axis]:
            continue
        if not isinstance(start, int):
            raise NeedsStaticBatch
        x = c.slice(x, axis, int(start), int(stop) if isinstance(stop, int) else _END, size, int(step))
    return x


@primitive("dynamic_slice")
def dynamic_slice(c: Call) -> Result:
    x = c.tensor()
    for axis in range(x.rank):
        size = c.shape[axis]
        if size == x.shape[axis]:
            continue
        start = c.known(1 + axis)
        if start is None:
            raise Untranslatable("a slice that begins at a computed place")
        length = known(size, "a slice")
        first = min(max(int(start), 0), known(x.shape[axis], "a slice") - length)
        x = c.slice(x, axis, first, first + length, length)
    return x


@primitive("part")
def part(c: Call) -> Result:
    """One step of a sequence, along the first axis."""
    place = int(c["place"])
    given = c.inputs[0]
    x = given.plain(c.tracer) if isinstance(given, Weight) else c.tensor()
    return c.squeeze(c.slice(x, 0, place, place + 1, 1), [0])


@primitive("stack")
def stack(c: Call) -> Result:
    """Steps as one sequence, along a new first axis."""
    parts = [c.unsqueeze(c.tensor(place), 0) for place in range(len(c))]
    return c.result("Concat", [*parts], axis=0)


@primitive("rev")
def reverse(c: Call) -> Result:
    return c.reversed(c.tensor(), [int(axis) for axis in c["dimensions"]])


@primitive("pad")
def pad(c: Call) -> Result:
    x, fill = c.tensor(0), c.tensor(1)
    amounts = [tuple(int(item) for item in amount) for amount in c["padding_config"]]
    if any(inside for _, _, inside in amounts):
        raise Untranslatable("padding between elements")
    pads = [before for before, _, _ in amounts] + [after for _, after, _ in amounts]
    return c.result("Pad", [x, c.integers(pads), fill])


@primitive("iota")
def iota(c: Call) -> Result:
    """Only where a size is open: others are known."""
    axis, size = int(c["dimension"]), c.shape[int(c["dimension"])]
    if not isinstance(size, str):
        raise Untranslatable("numbers that count")
    given = [c.scalar(0, "int64"), c.size(size), c.scalar(1, "int64")]
    counted = c.cast(c.node("Range", [*given], (size,), "int64"), graph_dtype(c["dtype"]))
    others = [place for place in range(len(c.shape)) if place != axis]
    return c.expand(c.unsqueeze(counted, *others) if others else counted, c.shape)


@primitive("dim_as_value", "dimension_size")
def dimension(c: Call) -> Result:
    size: Dim = str(c["dim"]) if "dim" in c.params else c.tensor().shape[int(c["dimension"])]
    found = c.size(size) if isinstance(size, str) else c.constant(np.array(size))
    return c.cast(found, c.dtype)

"""Axes: reshaping, moving, joining, cutting, padding; new arrays."""

from __future__ import annotations

import numpy as np

from assay.frameworks.pytorch.bring_ops.common import (
    Call,
    NeedsStaticBatch,
    Result,
    Untranslatable,
    aten,
    axis_of,
    known,
)
from assay.nn.tensor import Tensor

_END = 2**63 - 1


@aten("view", "reshape", "flatten", "unflatten", "_unsafe_view", "view_as", "reshape_as")
def reshape(c: Call) -> Result:
    if "dtype" in c.arguments:
        raise Untranslatable("the same bits read as another type")
    return c.reshape(c.tensor("self"), c.shape)


@aten("squeeze")
def squeeze(c: Call) -> Result:
    x, given = c.tensor("self"), c.get("dim")
    listed = range(x.rank) if given is None else [given] if isinstance(given, int) else given
    return c.squeeze(x, [axis % x.rank for axis in listed if x.shape[axis] == 1])


@aten("unsqueeze")
def unsqueeze(c: Call) -> Result:
    return c.unsqueeze(c.tensor("self"), c["dim"])


@aten("permute")
def permute(c: Call) -> Result:
    x = c.tensor("self")
    return c.transpose(x, [axis % x.rank for axis in c["dims"]])


@aten("transpose", "swapaxes", "t", "numpy_T", "mT")
def transpose(c: Call) -> Result:
    x = c.tensor("self")
    order = list(range(x.rank))
    first = c.get("dim0", c.get("axis0", 0 if x.rank < 3 else -2))
    second = c.get("dim1", c.get("axis1", -1))
    if x.rank > 1:
        order[first], order[second] = order[second], order[first]
    return c.transpose(x, order)


@aten("movedim")
def move_axes(c: Call) -> Result:
    x = c.tensor("self")
    source, target = (
        [item % x.rank for item in ([given] if isinstance(given, int) else given)]
        for given in (c["source"], c["destination"])
    )
    rest = iter(axis for axis in range(x.rank) if axis not in source)
    order = [source[target.index(place)] if place in target else next(rest) for place in range(x.rank)]
    return c.transpose(x, order)


@aten("expand", "expand_as", "broadcast_to")
def expand(c: Call) -> Result:
    return c.expand(c.tensor("self"), c.shape)


@aten("repeat", "tile")
def repeat(c: Call) -> Result:
    x, counts = c.tensor("self"), list(c.get("repeats") or c.get("dims"))
    if any(isinstance(count, str) for count in counts):
        if any(size != 1 and count != 1 for size, count in zip(_padded(x, len(counts)), counts, strict=True)):
            raise NeedsStaticBatch
        return c.expand(c.reshape(x, _padded(x, len(counts))), c.shape)
    x = c.reshape(x, _padded(x, len(counts)))
    counts = [1] * (x.rank - len(counts)) + counts
    return x if set(counts) <= {1} else c.result("Tile", [x, c.integers(counts)])


def _padded(x: Tensor, rank: int) -> tuple[int | str, ...]:
    return (1,) * (rank - x.rank) + x.shape


@aten("repeat_interleave")
def repeat_interleave(c: Call) -> Result:
    x, axis = c.tensor("self"), c.get("dim")
    if axis is None or not isinstance(c["repeats"], int):
        raise Untranslatable("repeats that differ, or without an axis")
    place = axis_of(axis, x.rank) + 1
    spread = c.unsqueeze(x, place)
    shape = (*spread.shape[:place], c["repeats"], *spread.shape[place + 1 :])
    return c.reshape(c.expand(spread, shape), c.shape)


@aten("cat", "concat", "concatenate")
def concatenate(c: Call) -> Result:
    parts = [c.cast(part, c.dtype) for part in c.tensors("tensors") if part.shape != (0,)]
    axis = axis_of(c["dim"], len(c.shape))
    return _before_split(parts, axis) or c.result("Concat", parts, axis=axis)


def _before_split(parts: list[Tensor], axis: int) -> Tensor | None:
    """What was split into just these parts, if they are joined again."""
    split = parts[0].value.producer()
    if split is None or split.op_type != "Split" or len(split.outputs) != len(parts) or split.inputs[0] is None:
        return None
    if any(part.value is not output for part, output in zip(parts, split.outputs, strict=True)):
        return None
    if split.attributes["axis"].value != axis:
        return None
    shape = list(parts[0].shape)
    shape[axis] = sum(known(part.shape[axis], "a part") for part in parts)
    return Tensor(split.inputs[0], tuple(shape), parts[0].dtype)


@aten("stack")
def stack(c: Call) -> Result:
    axis = axis_of(c["dim"], len(c.shape))
    parts = [c.unsqueeze(c.cast(part, c.dtype), axis) for part in c.tensors("tensors")]
    return c.result("Concat", parts, axis=axis)


@aten("split", "chunk", "split_with_sizes", "tensor_split", "unsafe_chunk", "unsafe_split")
def split(c: Call) -> Result:
    x = c.tensor("self")
    axis = axis_of(c["dim"], x.rank)
    sizes = [known(shape[axis], "a part") for shape in c.shapes]
    if len(sizes) == 1:
        return (x,)
    if len(set(sizes)) == 1:
        return c.tracer.node_with_outputs("Split", [x], c.shapes, axis=axis, num_outputs=len(sizes))
    return c.tracer.node_with_outputs("Split", [x, c.integers(sizes)], c.shapes, axis=axis)


@aten("unbind")
def unbind(c: Call) -> Result:
    x = c.tensor("self")
    axis = axis_of(c["dim"], x.rank)
    count = known(x.shape[axis], "unbind")
    if count == 1:
        return (c.squeeze(x, [axis]),)
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    parts = c.tracer.node_with_outputs("Split", [x], [shape] * count, axis=axis, num_outputs=count)
    return tuple(c.squeeze(part, [axis]) for part in parts)


@aten("select")
def select(c: Call) -> Result:
    x = c.tensor("self")
    axis, place = axis_of(c["dim"], x.rank), c["index"]
    if isinstance(place, str):
        raise NeedsStaticBatch
    if axis == 0 and id(x.value) in c.tracer.stacked:
        return c.tracer.stacked[id(x.value)][int(place)]
    if x.rank != 4 and not x.value.is_initializer():  # of what may be an image, a slice can stand in any order of axes
        return c.result("Gather", [x, c.tracer.constant(np.array(place, np.int64))], axis=axis)
    stop = place + 1 if place != -1 else _END
    return c.squeeze(c.slice(x, axis, place, stop, 1), [axis])


@aten("slice")
def part(c: Call) -> Result:
    x = c.tensor("self")
    axis, step = axis_of(c.get("dim", 0), x.rank), c.get("step", 1)
    start, stop = c.get("start", 0), c.get("end", _END)
    if isinstance(start, str) or isinstance(stop, str):
        if stop == x.shape[axis]:
            stop = _END
        else:
            raise NeedsStaticBatch
    if start == 0 and step == 1 and c.shape[axis] == x.shape[axis]:
        return x
    return c.slice(x, axis, start, stop, c.shape[axis], step)


@aten("narrow")
def narrow(c: Call) -> Result:
    x, start, length = c.tensor("self"), c["start"], c["length"]
    axis = axis_of(c["dim"], x.rank)
    return c.slice(x, axis, start, start + known(length, "narrow"), length)


@aten("flip")
def flip(c: Call) -> Result:
    x = c.tensor("self")
    axes = [axis % x.rank for axis in c["dims"]]
    given = [c.integers(item) for item in ([-1] * len(axes), [-(2**63) + 1] * len(axes), axes, [-1] * len(axes))]
    return c.result("Slice", [x, *given])


@aten("roll")
def roll(c: Call) -> Result:
    x, axes = c.tensor("self"), c["dims"]
    if not axes:
        raise Untranslatable("a roll over all elements")
    for shift, axis in zip(c["shifts"], axes, strict=True):
        size = known(x.shape[axis], "roll")
        cut = (size - shift) % size
        if not cut:
            continue
        place = axis % x.rank
        parts = [c.slice(x, place, cut, _END, size - cut), c.slice(x, place, 0, cut, cut)]
        x = c.node("Concat", parts, x.shape, axis=place)
    return x


@aten("pad", "constant_pad_nd")
def pad(c: Call) -> Result:
    x, amounts, mode = c.operand("self"), list(c["pad"]), c.get("mode", "constant")
    before, after = [0] * x.rank, [0] * x.rank
    for place in range(len(amounts) // 2):
        before[-1 - place], after[-1 - place] = amounts[2 * place : 2 * place + 2]
    if not any([*before, *after]):
        return x
    pads = c.integers([*before, *after])
    if mode == "constant":
        return c.result("Pad", [x, pads, c.scalar(c.get("value", 0), c.dtype)])
    modes = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    return c.result("Pad", [x, pads], mode=modes[mode])


@aten("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def pad_by_data(c: Call) -> Result:
    x, amounts = c.tensor("self"), list(c["padding"])
    before, after = [0] * x.rank, [0] * x.rank
    for place in range(len(amounts) // 2):
        before[-1 - place], after[-1 - place] = amounts[2 * place : 2 * place + 2]
    return c.result("Pad", [x, c.integers([*before, *after])], mode="reflect" if "reflection" in c.target else "edge")


@aten("channel_shuffle")
def channel_shuffle(c: Call) -> Result:
    x, groups = c.tensor("self"), c["groups"]
    channels = known(x.shape[1], "channel_shuffle")
    y = c.reshape(x, (x.shape[0], groups, channels // groups, *x.shape[2:]))
    return c.reshape(c.transpose(y, [0, 2, 1, *range(3, y.rank)]), x.shape)


# New arrays -----------------------------------------------------------------------------------------------------------


@aten("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full", "empty")
def filled(c: Call) -> Result:
    fill = c.get("fill_value", 1 if "ones" in c.target else 0)
    if not isinstance(fill, (int, float)):
        raise Untranslatable("a computed value to fill with")
    if all(isinstance(size, int) for size in c.shape):
        return c.tracer.constant(np.full([int(size) for size in c.shape], fill, c.dtype))
    if not c.shape:
        return c.scalar(fill, c.dtype)
    return c.expand(c.tracer.constant(np.full((1,) * len(c.shape), fill, c.dtype)), c.shape)


@aten("scalar_tensor")
def scalar(c: Call) -> Result:
    return c.operand("s")


@aten("arange")
def arange(c: Call) -> Result:
    start, stop, step = c.get("start", 0), c["end"], c.get("step", 1)
    if any(isinstance(item, str) for item in (start, stop, step)):
        given = [c.size(item) if isinstance(item, str) else c.scalar(item, "int64") for item in (start, stop, step)]
        return c.cast(c.node("Range", given, c.shape, "int64"), c.dtype)
    return c.tracer.constant(np.arange(start, stop, step).astype(c.dtype))


@aten("linspace")
def linspace(c: Call) -> Result:
    return c.tracer.constant(np.linspace(c["start"], c["end"], c["steps"]).astype(c.dtype))


@aten("eye")
def eye(c: Call) -> Result:
    return c.tracer.constant(np.eye(known(c.shape[0], "eye"), known(c.shape[1], "eye")).astype(c.dtype))


@aten("tril", "triu")
def triangle(c: Call) -> Result:
    diagonal = c.tracer.constant(np.array(c["diagonal"], np.int64))
    return c.result("Trilu", [c.tensor("self"), diagonal], upper=int("triu" in c.target))


@aten("meshgrid")
def meshgrid(c: Call) -> Result:
    parts = c.tensors("tensors")
    if c.get("indexing", "ij") != "ij":
        raise Untranslatable("the order xy")
    found = []
    for place, axis in enumerate(parts):
        shape = tuple(size if other == place else 1 for other, size in enumerate(c.shape))
        found.append(c.expand(c.reshape(axis, shape), c.shape))
    return tuple(found)

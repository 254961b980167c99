"""Operators that move, join, cut, extend and make arrays, and that ask for their shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from assay.frameworks.pytorch.patterns import packed_heads
from assay.frameworks.pytorch.rules.common import (
    TABLE,
    TYPES,
    arguments_of,
    given,
    is_text,
    number,
    numbers,
    rank_of,
    sizes_known,
    type_of,
)
from assay.graph.calls import Call
from assay.graph.layout import FLATTENED
from assay.model import intended, meant
from assay.write.body import Builder
from assay.write.text import literal_text


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    axis, rank = call.attribute("axis", 1), rank_of(call.x)
    assert FLATTENED not in call.y.meta
    axis = axis + rank if axis < 0 and rank is not None else axis
    x = w.use(call.x)
    if axis == 1:
        w.emit(call.y, f"{x}.flatten(1)" if rank != 1 else f"{x}.unsqueeze(1)", light=True, module="nn.Flatten()")
    elif axis == 0:
        w.emit(call.y, f"{x}.reshape(1, -1)", light=True)
    elif axis == rank:
        w.emit(call.y, f"{x}.reshape(-1, 1)", light=True)
    elif axis < 0:
        w.emit(call.y, f"flatten_before({x}, {axis})", light=True)
    else:
        w.emit(call.y, f"{x}.flatten(0, {axis - 1}).flatten(1)", light=True)


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    wanted, literally = call.constant(1), bool(call.attribute("allowzero", 0))
    x = w.array(call.x)
    if wanted is None:
        sizes_text = numbers(call, w, 1)
        text = f"{x}.reshape({sizes_text})" if literally else f"reshape_like_onnx({x}, {sizes_text})"
        return w.emit(call.y, text, light=True)
    shape = None if call.x.shape is None else call.shape()
    sizes: list[int | str] = []
    for place, size in enumerate(wanted.reshape(-1).tolist()):
        copied = size == 0 and not literally
        sizes.append(int(size) if not copied else "?" if shape is None or place >= len(shape) else shape[place])
    listed = ", ".join(
        f"{x}.shape[{place}]" if isinstance(size, str) else w.size(size) for place, size in enumerate(sizes)
    )
    if 0 in sizes and -1 in sizes and (known := sizes_known(call.y)) is not None:
        listed = ", ".join(map(w.size, known))
    w.emit(call.y, f"{x}.reshape({listed or '()'})", light=sum(isinstance(size, str) for size in sizes) == 0)


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    order = call.attribute("perm")
    x = w.array(call.x)
    if order is None and call.x.shape is None:
        return w.emit(call.y, f"{x}.permute(*reversed(range({x}.ndim)))", light=True)
    order = list(reversed(range(len(call.shape())))) if order is None else order
    w.emit(call.y, f"{x}.permute({', '.join(map(str, order)) or '()'})", light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    axes, rank = call.constant(1), rank_of(call.x)
    x = w.array(call.x)
    if axes is None:
        return w.emit(call.y, f"unsqueeze_axes({x}, {numbers(call, w, 1)})", light=True)
    listed = [int(axis) for axis in axes.reshape(-1)]
    if rank is None and len(listed) > 1 and min(listed) < 0:
        return w.emit(call.y, f"unsqueeze_axes({x}, {listed})", light=True)
    text = x
    for axis in sorted(listed if rank is None else [axis % (rank + len(listed)) for axis in listed]):
        text = f"{text}.unsqueeze({axis})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    axes = call.constant(1)
    x = w.array(call.x)
    if axes is not None:
        listed = tuple(int(axis) for axis in axes.reshape(-1))
        w.emit(call.y, f"{x}.squeeze({listed[0] if len(listed) == 1 else listed})", light=True)
    else:
        computed = numbers(call, w, 1)
        w.emit(call.y, f"{x}.squeeze({'' if computed is None else f'tuple({computed})'})", light=True)


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    listed = ", ".join(w.array(value) for value in call.inputs)
    if is_text(call.y):
        return w.emit(call.y, f"np.concatenate([{listed}], axis={call.attribute('axis')})", light=True)
    w.emit(call.y, f"torch.cat([{listed}], dim={call.attribute('axis')})", light=True)


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    axis, count = call.attribute("axis", 0), call.attribute("num_outputs", len(call.outputs))
    lengths = call.constant(1)
    x, rank = w.use(call.x), rank_of(call.x)
    sizes = [int(length) for length in lengths] if lengths is not None else _known_lengths(call, axis)
    single = "[0]" if len(call.outputs) == 1 else ""
    if call.computed(1) is not None:
        w.emit(call.outputs, f"{x}.split({numbers(call, w, 1)}, dim={axis}){single}")
    elif sizes is None:
        w.emit(call.outputs, f"split_evenly({x}, {count}, dim={axis}){single}")
    elif heads := packed_heads(call.nodes[0]):
        shape = f"({len(sizes)}, {w.literal(heads, 'heads')}, -1)"
        w.emit(call.outputs, f"{x}.unflatten(-1, {shape}).permute(2, 0, 3, 1, 4).unbind(0)")
    elif len(set(sizes)) == 1 and sizes[0]:
        last = rank is not None and axis == rank - 1
        w.emit(call.outputs, f"{x}.chunk({len(sizes)}, dim={axis - (rank or 0) if last else axis}){single}")
    else:
        w.emit(call.outputs, f"{x}.split({sizes}, dim={axis}){single}")


def _known_lengths(call: Call, axis: int) -> list[int] | None:
    found = []
    for value in call.outputs:
        if value is None or value.shape is None or not isinstance(size := value.shape[axis], int):
            return None
        found.append(size)
    return found


@TABLE.rule("Slice")
def slice_rule(call: Call, w: Builder) -> None:
    known = [call.constant(slot) for slot in range(1, 5)]
    starts, ends, axes, steps = ([] if item is None else [int(n) for n in item.reshape(-1)] for item in known)
    rank = rank_of(call.x)
    awkward = any(call.computed(slot) is not None for slot in range(1, 5)) or any(step < 0 for step in steps)
    places = axes if known[2] is not None else list(range(len(starts)))
    if not awkward and rank is None and min(places, default=0) < 0:
        awkward = True
    if awkward:
        more = [numbers(call, w, slot) for slot in range(1, 5)]
        while more and more[-1] is None:
            more.pop()
        return w.emit(call.y, f"slice_axes({', '.join([w.array(call.x), *map(str, more)])})", light=True)
    parts = [":"] * (rank if rank is not None else max(places, default=0) + 1)
    for place, axis in enumerate(places):
        parts[axis] = _part(starts[place], ends[place], steps[place] if steps else 1)
    while parts and parts[-1] == ":":
        parts.pop()
    w.emit(call.y, f"{w.array(call.x, 100)}[{', '.join(parts) or ':'}]", light=True)


def _part(start: int, stop: int, step: int) -> str:
    last = "" if stop >= 2**31 - 1 else str(stop)
    return f"{start or ''}:{last}" + (f":{step}" if step != 1 else "")


@TABLE.rule("Pad")
def pad(call: Call, w: Builder) -> None:
    amounts, fill, axes = call.constant(1), call.constant(2), call.constant(3)
    mode = call.attribute("mode", "constant")
    rank = rank_of(call.x)
    if amounts is None or rank is None or (axes is None and call.computed(3) is not None):
        return _pad_computed(call, w, mode)
    value = number(call, w, 2) if fill is None else _fill(fill)
    pairs = [(0, 0)] * rank
    half = amounts.size // 2
    listed_axes = range(rank) if axes is None else [int(axis) for axis in axes.reshape(-1)]
    for place, axis in enumerate(listed_axes):
        pairs[axis] = (int(amounts[place]), int(amounts[place + half]))
    if mode != "constant" and not _native_mode(pairs):
        return _pad_computed(call, w, mode)
    start = next((place for place, pair in enumerate(pairs) if pair != (0, 0)), rank)
    kept = pairs[start:] if mode == "constant" else pairs[2:]
    listed = ", ".join(str(amount) for pair in reversed(kept) for amount in pair)
    if mode != "constant":
        name = {"edge": "replicate", "wrap": "circular"}.get(mode, mode)
        w.emit(call.y, f'F.pad({w.use(call.x)}, ({listed}), mode="{name}")', light=True)
    else:
        w.emit(call.y, f"F.pad({w.array(call.x)}, ({listed}){f', value={value}' if value else ''})", light=True)


def _fill(array: np.ndarray) -> str:
    item = array.reshape(()).item()
    if array.dtype == np.float32 and np.isfinite(item):
        item = intended(item)
    if isinstance(item, float) and not np.isfinite(item):
        return f'float("{item}")'
    return literal_text(item) if item else ""


def _native_mode(pairs: list[tuple[int, int]]) -> bool:
    """Whether torch's own padding by reflection and the like takes this: along the axes after batch and channels."""
    first = [pair for pair in pairs[:2] if pair != (0, 0)]
    return 3 <= len(pairs) <= 5 and not first and all(min(pair) >= 0 for pair in pairs)


def _pad_computed(call: Call, w: Builder, mode: str) -> None:
    value = number(call, w, 2)
    more = arguments_of(
        w.array(call.x),
        numbers(call, w, 1),
        f"axes={numbers(call, w, 3)}" if given(call, 3) else None,
        f'mode="{mode}"' if mode != "constant" else None,
        f"value={value}" if value not in (None, "0", "0.0") else None,
    )
    w.emit(call.y, f"pad_axes({more})", light=True)


@TABLE.rule("Expand")
def expand(call: Call, w: Builder) -> None:
    wanted = call.constant(1)
    x = w.array(call.x)
    known = sizes_known(call.x)
    if wanted is not None and known is not None:
        shape = np.broadcast_shapes(known, tuple(int(size) for size in wanted.reshape(-1)))
        w.emit(call.y, f"{x}.expand({', '.join(map(str, shape)) or '()'})", light=True)
    else:
        w.emit(call.y, f"{x}.expand(torch.broadcast_shapes({x}.shape, {numbers(call, w, 1)}))", light=True)


@TABLE.rule("ExpandTo")
def expand_to(call: Call, w: Builder) -> None:
    """A value repeated along axes of one, to sizes some of which are another value's."""
    wanted = call.attribute("sizes")
    rank = len(call.shape())
    present: list[int | str | None] = [None] * (len(wanted) - rank) + list(call.shape())
    sizes = []
    for axis, (size, have) in enumerate(zip(wanted, present, strict=True)):
        if size == have or size == (0, axis - len(wanted) + rank):
            sizes.append("-1")
        else:
            sizes.append(str(size) if isinstance(size, int) else f"{w.use(call.inputs[size[0]], 100)}.shape[{size[1]}]")
    w.emit(call.y, f"{w.array(call.x, 100)}.expand({', '.join(sizes)})", light=True)


@TABLE.rule("Tile")
def tile(call: Call, w: Builder) -> None:
    counts = call.constant(1)
    listed = numbers(call, w, 1) if counts is None else ", ".join(str(int(count)) for count in counts.reshape(-1))
    w.emit(call.y, f"{w.array(call.x)}.repeat({listed})", light=True)


@TABLE.rule("Shape")
def shape(call: Call, w: Builder) -> None:
    start, end = call.attribute("start", 0), call.attribute("end")
    part = f"[{start or ''}:{'' if end is None else end}]" if start or end is not None else ""
    w.emit(call.y, f"torch.tensor({w.array(call.x)}.shape{part}, dtype=torch.int64)", light=True)


@TABLE.rule("Size")
def size(call: Call, w: Builder) -> None:
    x = w.array(call.x)
    w.emit(call.y, f"torch.tensor({f'{x}.size' if is_text(call.x) else f'{x}.numel()'})", light=True)


@TABLE.rule("FullLike")
def full_like(call: Call, w: Builder) -> None:
    tensor = call.attribute("value")
    number: Any = meant(tensor.numpy().reshape(())) if tensor is not None else 0.0
    dtype = "" if call.x.dtype == call.y.dtype else f", dtype={type_of(call.y)}"
    x = w.array(call.x)
    text = {0: f"torch.zeros_like({x}{dtype})", 1: f"torch.ones_like({x}{dtype})"}.get(number)
    w.emit(call.y, text or f"torch.full_like({x}, {literal_text(number)}{dtype})", light=True)


@TABLE.rule("ConstantOfShape")
def constant_of_shape(call: Call, w: Builder) -> None:
    tensor = call.attribute("value")
    array = np.zeros(1, np.float32) if tensor is None else tensor.numpy()
    kind = type_of(call.y) if tensor is None else TYPES[ir.DataType(tensor.dtype)]
    sizes = call.constant(0)
    where = numbers(call, w, 0) if sizes is None else str(tuple(int(item) for item in sizes.reshape(-1)))
    w.emit(call.y, f"torch.full({where}, {_fill(array.reshape(-1)) or '0'}, dtype={kind})", light=True)


@TABLE.rule("Range")
def range_rule(call: Call, w: Builder) -> None:
    call.attribute("stash_type")  # the type of sums on the way: nothing is summed here
    start, limit, delta = (number(call, w, slot) for slot in range(3))
    w.emit(call.y, f"torch.arange({start}, {limit}, {delta}, dtype={type_of(call.y)})", light=True)


@TABLE.rule("EyeLike")
def eye_like(call: Call, w: Builder) -> None:
    offset = call.attribute("k", 0)
    call.attribute("dtype")
    w.emit(
        call.y, f"diagonal_of_ones({arguments_of(w.array(call.x), type_of(call.y), str(offset) if offset else None)})"
    )


@TABLE.rule("Trilu")
def triangle(call: Call, w: Builder) -> None:
    name = "triu" if call.attribute("upper", 1) else "tril"
    offset = number(call, w, 1)
    w.emit(call.y, f"{w.array(call.x)}.{name}({'' if offset in (None, '0') else offset})", light=True)


@TABLE.rule("DepthToSpace")
def depth_to_space(call: Call, w: Builder) -> None:
    block, mode = call.attribute("blocksize"), call.attribute("mode", "DCR")
    if mode == "CRD":
        w.emit(call.y, f"F.pixel_shuffle({w.use(call.x)}, {block})", light=True, module=f"nn.PixelShuffle({block})")
    else:
        w.emit(call.y, f"depth_to_space({w.use(call.x)}, {block})", light=True)


@TABLE.rule("SpaceToDepth")
def space_to_depth(call: Call, w: Builder) -> None:
    block, mode = call.attribute("blocksize"), call.attribute("mode", "DCR")
    if mode == "CRD":
        w.emit(call.y, f"F.pixel_unshuffle({w.use(call.x)}, {block})", light=True, module=f"nn.PixelUnshuffle({block})")
    else:
        w.emit(call.y, f"space_to_depth({w.use(call.x)}, {block})", light=True)


@TABLE.rule("ReverseSequence")
def reverse_sequence(call: Call, w: Builder) -> None:
    batch, time = call.attribute("batch_axis", 1), call.attribute("time_axis", 0)
    lengths = w.array(call.inputs[1])
    w.emit(call.y, f"reverse_sequences({w.array(call.x)}, {lengths}, batch_axis={batch}, time_axis={time})", light=True)

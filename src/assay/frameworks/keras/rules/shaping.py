"""Shapes: reshapes, transposes, joins, slices, paddings, and arrays made from shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.frameworks.keras.rules.common import (
    TABLE,
    from_end,
    is_float,
    moved,
    number,
    numbers,
    rank_of,
    tuple_text,
    type_of,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.model import meant, shape_of
from assay.write.body import Builder


@TABLE.rule("Identity")
def identity(call: Call, w: Builder) -> None:
    """A change of layout where the two sides are stored in different orders, nothing otherwise."""
    before, after = order_of(call.x), order_of(call.y)
    text = w.array(call.x) if call.x.is_initializer() else w.use(call.x)
    w.emit(call.y, moved(text, [before.index(axis) for axis in after]), light=True)


@TABLE.rule("Shape")
def shape(call: Call, w: Builder) -> None:
    start, end = call.attribute("start", 0), call.attribute("end")
    part = "" if not start and end is None else f"[{start or ''}:{'' if end is None else end}]"
    w.emit(call.y, f'ops.convert_to_tensor(ops.shape({w.array(call.x)}){part}, "int64")', light=True)


@TABLE.rule("Size")
def size(call: Call, w: Builder) -> None:
    w.emit(call.y, f'ops.cast(ops.size({w.array(call.x)}), "int64")', light=True)


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 1)
    rank = rank_of(call.x)
    x = w.use(call.x)
    if axis == 1 and call.y.shape is not None and isinstance(shape_of(call.y)[1], int) and shape_of(call.y)[1]:
        columns = shape_of(call.y)[1]
        w.emit(call.y, f"ops.reshape({x}, (-1, {columns}))", light=True, module="layers.Flatten()")
    elif rank is not None and axis % max(rank, 1) == 0 and axis != rank:
        w.emit(call.y, f"ops.reshape({x}, (1, -1))", light=True)
    else:
        w.emit(call.y, f"flatten_at({x}, {axis})", light=True)


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    known, zero_is_size = call.constant(1), call.attribute("allowzero", 0)
    x = w.array(call.x)
    if known is None:
        kept = "" if zero_is_size else ", zero_keeps=True"
        w.emit(call.y, f"reshape_to({x}, {numbers(call, w, 1)}{kept})", light=True)
        return
    if call.y.shape is None:
        sizes: list[int] = [int(size) for size in known]
    else:
        sizes = [-1 if isinstance(size, str) else size for size in shape_of(call.y)]
    if sizes.count(-1) > 1 or (0 in sizes and not zero_is_size and call.y.shape is None):
        listed = ", ".join(
            f"ops.shape({x})[{place}]" if int(known[place]) == 0 else w.size(int(known[place]))
            for place in range(len(known))
        )
        w.emit(call.y, f"ops.reshape({x}, ({listed},))" if len(known) == 1 else f"ops.reshape({x}, ({listed}))")
    else:
        listed = ", ".join(map(w.size, sizes))
        w.emit(call.y, f"ops.reshape({x}, ({listed}{',' if len(sizes) == 1 else ''}))", light=True)


@TABLE.rule("Expand")
def expand(call: Call, w: Builder) -> None:
    w.emit(call.y, f"expand_to({w.array(call.x)}, {numbers(call, w, 1)})", light=True)


@TABLE.rule("ExpandTo")
def expand_to(call: Call, w: Builder) -> None:
    """A value repeated along axes of one, to sizes some of which are another value's."""

    def size_of(size: int | tuple[int, int]) -> str:
        if isinstance(size, int):
            return str(size)
        place, axis = size
        return f"ops.shape({w.array(call.inputs[place])})[{call.stored_axis(axis, call.inputs[place])}]"

    sizes = [size_of(size) for size in call.attribute("sizes")]
    listed = ", ".join(sizes[axis] for axis in order_of(call.y)) + ("," if len(sizes) == 1 else "")
    w.emit(call.y, f"ops.broadcast_to({w.array(call.x)}, ({listed}))", light=True)


@TABLE.rule("Tile")
def tile(call: Call, w: Builder) -> None:
    w.emit(call.y, f"ops.tile({w.array(call.x)}, {numbers(call, w, 1)})", light=True)


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    perm = call.attribute("perm")
    rank = rank_of(call.x)
    if rank is None:
        w.emit(call.y, f"ops.transpose({w.array(call.x)}{'' if perm is None else f', {tuple_text(perm)}'})", light=True)
        return
    perm = list(reversed(range(rank))) if perm is None else perm
    before, after = order_of(call.x), order_of(call.y)
    w.emit(call.y, moved(w.array(call.x), [before.index(perm[axis]) for axis in after]), light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    found = call.constant(1)
    rank = rank_of(call.y)
    if found is None or rank is None:
        axes = f"tuple({numbers(call, w, 1)})" if found is None else tuple_text(found.reshape(-1).tolist())
        w.emit(call.y, f"ops.expand_dims({w.array(call.x)}, {axes})", light=True)
        return
    axes_list = [int(axis) % rank for axis in found.reshape(-1)]
    kept = [axis for axis in range(rank) if axis not in axes_list]
    places = sorted(order_of(call.y).index(axis) for axis in axes_list)
    order = [order_of(call.x).index(kept.index(axis)) for axis in order_of(call.y) if axis in kept]
    where = (-1 if places[0] == rank - 1 else places[0]) if len(places) == 1 else tuple(places)
    w.emit(call.y, f"ops.expand_dims({moved(w.array(call.x), order)}, {where})", light=True)


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    found = call.constant(1)
    rank = rank_of(call.x)
    if found is None and call.computed(1) is None:
        sizes = call.shape() if rank is not None else ()
        if sizes and all(isinstance(size, int) for size in sizes):
            found = np.array([axis for axis, size in enumerate(sizes) if size == 1], np.int64)
        if found is None:
            w.emit(call.y, f"ops.squeeze({w.array(call.x)})", light=True)
            return
    if found is None or rank is None:
        axes_text = f"tuple({numbers(call, w, 1)})" if found is None else tuple_text(found.reshape(-1).tolist())
        w.emit(call.y, f"ops.squeeze({w.array(call.x)}, {axes_text})", light=True)
        return
    axes = [int(axis) % rank for axis in found.reshape(-1)]
    kept = [axis for axis in range(rank) if axis not in axes]
    places = sorted(call.stored_axis(axis) for axis in axes)
    remaining = [axis for axis in order_of(call.x) if axis in kept]
    order = [remaining.index(kept[axis]) for axis in order_of(call.y)]
    where = places[0] if len(places) == 1 else tuple(places)
    w.emit(call.y, moved(f"ops.squeeze({w.array(call.x)}, {where})", order), light=True)


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    listed = ", ".join(w.array(value) for value in call.inputs)
    rank = rank_of(call.x)
    axis = call.attribute("axis")
    place = axis if rank is None else from_end(call.stored_axis(axis), rank)
    w.emit(call.y, f"ops.concatenate([{listed}], axis={place})", light=True)


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    call.attribute("num_outputs")
    known = call.constant(1)
    rank = rank_of(call.x)
    place = axis if rank is None else from_end(call.stored_axis(axis), rank)
    count = len(call.outputs)
    shapes = [None if value is None or value.shape is None else shape_of(value)[axis] for value in call.outputs]
    if known is not None:
        sizes: list[object] = known.tolist()
    elif call.computed(1) is None and all(isinstance(item, int) for item in shapes):
        sizes = list(shapes)
    else:
        given = (
            numbers(call, w, 1)
            if call.computed(1) is not None
            else f"equal_shares({w.array(call.x)}.shape[{place}], {count})"
        )
        text = f"split_by({w.array(call.x)}, {given}, axis={place})"
        if count > 1:
            _emit_parts(call, w, text)
        else:
            w.emit(call.outputs, f"{text}[0]")
        return
    ends = [sum(int(str(size)) for size in sizes[: place_ + 1]) for place_ in range(len(sizes) - 1)]
    parts = len(sizes) if len(set(sizes)) == 1 and sizes[0] else ends
    if count == 1:
        w.emit(call.outputs, w.array(call.x), light=True)
    else:
        _emit_parts(call, w, f"ops.split({w.array(call.x)}, {parts}, axis={place})")


def _emit_parts(call: Call, w: Builder, text: str) -> None:
    """Parts are a list, and what a model gives is a tuple."""
    outputs = w.body.outputs
    given = len(outputs) == len(call.outputs) and all(a is b for a, b in zip(outputs, call.outputs, strict=True))
    w.emit(call.outputs, f"tuple({text})" if given else text)


@TABLE.rule("Slice")
def slice_rule(call: Call, w: Builder) -> None:
    starts, ends, axes, steps = (call.constant(slot) for slot in (1, 2, 3, 4))
    rank = rank_of(call.x)
    computed = any(call.computed(slot) is not None for slot in (1, 2, 3, 4))
    if starts is None or ends is None or computed or rank is None or (steps is not None and (steps < 0).any()):
        more = ""
        if axes is not None and rank is not None:
            more = f", axes={[call.stored_axis(int(axis)) for axis in axes]}"
        elif axes is None and call.computed(3) is None and rank is not None and starts is not None:
            more = f", axes={[call.stored_axis(place) for place in range(len(starts))]}"
        elif axes is not None or call.computed(3) is not None:
            more = f", axes={numbers(call, w, 3)}"
        if steps is not None or call.computed(4) is not None:
            more += f", steps={numbers(call, w, 4)}"
        text = f"slice_by({w.array(call.x)}, {numbers(call, w, 1)}, {numbers(call, w, 2)}{more})"
        w.emit(call.y, text, light=True)
        return
    parts = [":"] * rank
    for place in range(len(starts)):
        axis = int(axes[place]) % rank if axes is not None else place
        step = int(steps[place]) if steps is not None else 1
        start, stop = int(starts[place]), int(ends[place])
        text = f"{start or ''}:{'' if stop >= 2**31 - 1 else stop}" + (f":{step}" if step != 1 else "")
        parts[call.stored_axis(axis)] = text
    while parts and parts[-1] == ":":
        parts.pop()
    w.emit(call.y, f"{w.use(call.x, 100)}[{', '.join(parts) or ':'}]", light=True)


@TABLE.rule("Pad")
def pad(call: Call, w: Builder) -> None:
    amounts, fill, axes = call.constant(1), call.constant(2), call.constant(3)
    mode = call.attribute("mode", "constant")
    rank = rank_of(call.x)
    computed = any(call.computed(slot) is not None for slot in (1, 2, 3))
    if amounts is None or computed or rank is None:
        more = "" if axes is None and call.computed(3) is None else f", axes={numbers(call, w, 3)}"
        more += f', mode="{mode}"' if mode != "constant" else ""
        more += f", value={number(call, w, 2, 0)}" if fill is not None or call.computed(2) is not None else ""
        w.emit(call.y, f"pad_by({w.array(call.x)}, {numbers(call, w, 1)}{more})", light=True)
        return
    touched = [int(axis) % rank for axis in axes] if axes is not None else list(range(rank))
    pairs = [(0, 0)] * rank
    for place, axis in enumerate(touched):
        pairs[call.stored_axis(axis)] = (int(amounts[place]), int(amounts[place + len(touched)]))
    value = 0.0 if fill is None or not fill.size else meant(fill.reshape(()))
    if mode == "constant" and min(min(pair) for pair in pairs) >= 0 and is_float(call.x):
        more = f", constant_values={w.literal(float(value), 'fill')}" if value else ""
        w.emit(call.y, f"ops.pad({w.use(call.x)}, {tuple(pairs)}{more})", light=True)
    else:
        listed = [before for before, _ in pairs] + [after for _, after in pairs]
        more = f', mode="{mode}"' if mode != "constant" else f", value={w.literal(value, 'fill')}" if value else ""
        w.emit(call.y, f"pad_by({w.array(call.x)}, {listed}{more})", light=True)


@TABLE.rule("FullLike")
def full_like(call: Call, w: Builder) -> None:
    tensor = call.attribute("value")
    number: Any = 0.0 if tensor is None else meant(tensor.numpy().reshape(()))
    dtype = "" if call.x.dtype == call.y.dtype else f', dtype="{type_of(call.y)}"'
    x = w.array(call.x)
    text = {0: f"ops.zeros_like({x}{dtype})", 1: f"ops.ones_like({x}{dtype})"}.get(number)
    w.emit(call.y, text or f"ops.full_like({x}, {w.literal(number, 'value')}{dtype})", light=True)


@TABLE.rule("ConstantOfShape")
def filled(call: Call, w: Builder) -> None:
    tensor = call.attribute("value")
    value = 0.0 if tensor is None else meant(tensor.numpy().reshape(()))
    kind = type_of(call.y)
    w.emit(call.y, f'ops.full({numbers(call, w, 0)}, {w.literal(value, "value")}, dtype="{kind}")', light=True)


@TABLE.rule("Range")
def arange(call: Call, w: Builder) -> None:
    call.attribute("stash_type")  # the type of sums on the way: nothing is summed here
    kind = type_of(call.y)
    limits = ", ".join(number(call, w, slot, 0) for slot in (0, 1, 2))
    w.emit(call.y, f'number_range({limits}, "{kind}")', light=True)


@TABLE.rule("EyeLike")
def eye(call: Call, w: Builder) -> None:
    k, kind = call.attribute("k", 0), type_of(call.y)
    call.attribute("dtype")
    x = w.array(call.x)
    w.emit(call.y, f'ops.eye(*ops.shape({x}){f", k={k}" if k else ""}, dtype="{kind}")', light=True)


@TABLE.rule("DepthToSpace")
def depth_to_space(call: Call, w: Builder) -> None:
    block, mode = call.attribute("blocksize"), call.attribute("mode", "DCR")
    more = "" if mode == "DCR" else f', mode="{mode}"'
    w.emit(call.y, f"depth_to_space({w.array(call.x)}, {block}{more})", light=True)


@TABLE.rule("ReverseSequence")
def reverse_sequence(call: Call, w: Builder) -> None:
    batch, time = call.attribute("batch_axis", 1), call.attribute("time_axis", 0)
    x, lengths = w.array(call.x), w.array(call.inputs[1])
    w.emit(call.y, f"reverse_sequence({x}, {lengths}, batch_axis={batch}, time_axis={time})", light=True)


@TABLE.rule("Trilu")
def trilu(call: Call, w: Builder) -> None:
    name = "triu" if call.attribute("upper", 1) else "tril"
    k = number(call, w, 1, 0)
    rank = rank_of(call.x)
    sizes = call.shape()[-2:] if rank is not None else ()
    known = call.computed(1) is None and all(isinstance(size, int) and size >= abs(int(k)) for size in sizes)
    if known and sizes:
        w.emit(call.y, f"ops.{name}({w.array(call.x)}{'' if k == '0' else f', {k}'})", light=True)
    else:
        w.emit(call.y, f"{name}_any({w.array(call.x)}, {k})", light=True)

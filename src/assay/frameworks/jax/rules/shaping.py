"""Shapes: reshaping, moving axes, joining, cutting, filling."""

from __future__ import annotations

from typing import Any

from assay.frameworks.jax.rules.common import (
    TABLE,
    as_stored,
    beside,
    dtype_text,
    in_onnx_order,
    module_for,
    number_of,
    number_text,
    numbers,
    one_or_all,
    options,
    rank_of,
    sizes_known,
    transposed,
    tuple_of,
)
from assay.graph.calls import Call
from assay.graph.layout import FLATTENED, order_of
from assay.model import meant, shape_of
from assay.write.body import Builder


@TABLE.rule("Identity")
def identity(call: Call, w: Builder) -> None:
    """A change of layout where the two sides are stored in different orders, nothing otherwise."""
    x = w.array(call.x)
    if rank_of(call.x) is None or rank_of(call.y) is None or order_of(call.x) == order_of(call.y):
        w.emit(call.y, x, light=True, module="nnx.identity")
    else:
        before, after = order_of(call.x), order_of(call.y)
        w.emit(call.y, f"{x}.transpose({', '.join(str(before.index(axis)) for axis in after)})", light=True)


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 1)
    x = w.array(call.x, 100)
    if axis == 1 and (FLATTENED in call.y.meta or rank_of(call.x) not in (None, 0)):
        w.emit(call.y, f"{x}.reshape({x}.shape[0], -1)", light=False)
    elif axis == 0:
        w.emit(call.y, f"{x}.reshape(1, -1)", light=True)
    else:
        w.emit(call.y, f"{x}.reshape(math.prod({x}.shape[:{axis}]), -1)", light=False)


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    wanted = call.constant(1)
    whole = bool(call.attribute("allowzero", 0))
    x = w.array(call.x, 100)
    if wanted is None:
        more = "" if not whole else ", zero_is_size=True"
        w.emit(call.y, f"reshaped({x}, {w.array(call.inputs[1])}{more})", light=True)
        return
    sizes: list[str] = []
    for place, size in enumerate(numbers(wanted)):
        known = call.shape()[place] if size == 0 and not whole and rank_of(call.x) is not None else None
        if size != 0 or whole:
            sizes.append(w.size(size))
        else:
            sizes.append(w.size(known) if isinstance(known, int) else f"{x}.shape[{place}]")
    listed = ", ".join(sizes) or "()"
    w.emit(call.y, f"{x}.reshape({listed})", light=".shape[" not in listed)


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    x, rank = w.array(call.x, 100), rank_of(call.x)
    perm = call.attribute("perm", None if rank is None else list(reversed(range(rank))))
    if rank is None:
        w.emit(call.y, f"{x}.T" if perm is None else f"{x}.transpose({', '.join(map(str, perm))})", light=True)
        return
    before, after = order_of(call.x), order_of(call.y)
    w.emit(call.y, transposed(x, [before.index(perm[axis]) for axis in after]), light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    found = call.constant(1)
    if found is None or rank_of(call.x) is None:
        where = tuple_of(call, w, 1)
        text = f"{module_for(call.y)}.expand_dims({in_onnx_order(w, call.x)}, {where})"
        w.emit(call.y, as_stored(text, call.y), light=True)
        return
    rank = len(call.shape()) + found.size
    axes = [axis % rank for axis in numbers(found)]
    kept = [axis for axis in range(rank) if axis not in axes]
    order = order_of(call.y) if call.y.shape is not None else tuple(range(rank))
    places = sorted(order.index(axis) for axis in axes)
    text = transposed(
        w.array(call.x, 100), [order_of(call.x).index(kept.index(axis)) for axis in order if axis in kept]
    )
    if places == [rank - 1]:
        w.emit(call.y, f"{text}[..., None]", light=True)
    else:
        w.emit(call.y, f"{module_for(call.y)}.expand_dims({text}, {one_or_all(places)})", light=True)


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    found, rank = call.constant(1), rank_of(call.x)
    if found is None or rank is None:
        where = tuple_of(call, w, 1) or ""
        w.emit(call.y, as_stored(f"{in_onnx_order(w, call.x)}.squeeze({where})", call.y), light=True)
        return
    axes = [axis % rank for axis in numbers(found)]
    kept = [axis for axis in range(rank) if axis not in axes]
    places = sorted(call.stored_axis(axis) for axis in axes)
    remaining = [axis for axis in order_of(call.x) if axis in kept]
    order = [remaining.index(kept[axis]) for axis in (order_of(call.y) if call.y.shape else range(len(kept)))]
    w.emit(call.y, transposed(f"{w.array(call.x, 100)}.squeeze({one_or_all(places)})", order), light=True)


@TABLE.rule("Expand")
def expand(call: Call, w: Builder) -> None:
    x = w.array(call.x)
    if call.constant(1) is not None and sizes_known(call.y):
        w.emit(call.y, f"jnp.broadcast_to({x}, {shape_of(call.y)})", light=True)
    else:
        shape = tuple_of(call, w, 1)
        w.emit(call.y, f"jnp.broadcast_to({x}, jnp.broadcast_shapes({x}.shape, {shape}))")


@TABLE.rule("ExpandTo")
def expand_to(call: Call, w: Builder) -> None:
    """A value repeated along axes of one, to sizes some of which are another value's."""

    def size_of(size: int | tuple[int, int]) -> str:
        if isinstance(size, int):
            return str(size)
        place, axis = size
        return f"{w.array(call.inputs[place])}.shape[{call.stored_axis(axis, call.inputs[place])}]"

    sizes = [size_of(size) for size in call.attribute("sizes")]
    listed = ", ".join(sizes[axis] for axis in order_of(call.y)) + ("," if len(sizes) == 1 else "")
    w.emit(call.y, f"jnp.broadcast_to({w.array(call.x)}, ({listed}))", light=True)


@TABLE.rule("Tile")
def tile(call: Call, w: Builder) -> None:
    w.emit(call.y, f"jnp.tile({w.array(call.x)}, {tuple_of(call, w, 1)})", light=True)


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    axis, rank = call.attribute("axis"), rank_of(call.y)
    if rank is not None and rank_of(call.x) is not None:
        place = call.stored_axis(axis, None if not call.x.is_initializer() else call.y)
        axis = -1 if place == rank - 1 else place
    listed = ", ".join(beside(w, value, call.y) for value in call.inputs)
    w.emit(call.y, f"{module_for(call.y)}.concatenate([{listed}], axis={axis})", light=True)


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    axis, rank = call.attribute("axis", 0), rank_of(call.x)
    parts = call.attribute("num_outputs", len(call.outputs))
    found, computed = call.constant(1), call.computed(1)
    place = axis if rank is None else call.stored_axis(axis)
    place = -1 if rank is not None and place == rank - 1 else place
    size = call.shape()[axis] if rank is not None else None
    x = w.array(call.x, 100)
    if computed is not None:
        where = f"np.cumsum({w.array(computed)})[:-1].tolist()"
    elif found is not None or isinstance(size, int):
        sizes = numbers(found) if found is not None else _even_sizes(int(size or 0), parts)
        where = str(parts if len(set(sizes)) == 1 else [sum(sizes[: count + 1]) for count in range(parts - 1)])
    else:
        where = f"[-(-{x}.shape[{place}] // {parts}) * part for part in range(1, {parts})]"
    text = f"jnp.split({x}, {where}, axis={place})"
    if len(call.outputs) == 1:
        w.emit(call.y, f"{text}[0]", light=True)
    elif [id(value) for value in call.outputs] == [id(value) for value in w.body.outputs]:
        w.emit(call.outputs, f"tuple({text})")  # as it is returned
    else:
        w.emit(call.outputs, text)


def _even_sizes(size: int, parts: int) -> list[int]:
    """Equal parts; the last is smaller where they do not come out even."""
    step = -(-size // parts)
    return [step] * (parts - 1) + [size - step * (parts - 1)]


@TABLE.rule("Slice")
def slice_rule(call: Call, w: Builder) -> None:
    starts, ends, axes, steps = (call.constant(slot) for slot in (1, 2, 3, 4))
    rank = rank_of(call.x)
    computed = any(call.computed(slot) is not None for slot in (1, 2, 3, 4))
    if rank is None or starts is None or ends is None or computed:
        listed = [tuple_of(call, w, slot) for slot in (1, 2, 3, 4)]
        more = options(axes=listed[2], steps=listed[3])
        text = f"sliced({in_onnx_order(w, call.x)}, {listed[0]}, {listed[1]}{more})"
        w.emit(call.y, as_stored(text, call.y) if rank is not None else text, light=True)
        return
    parts = [":"] * rank
    for place in range(len(starts)):
        axis = int(axes[place]) % rank if axes is not None else place
        step = int(steps[place]) if steps is not None else 1
        start, stop = int(starts[place]), int(ends[place])
        text = f"{start or ''}:{'' if stop >= 2**31 - 1 else stop}" + (f":{step}" if step != 1 else "")
        parts[call.stored_axis(axis)] = text if step > 0 else f"{start}:{'' if stop <= 1 - 2**31 else stop}:{step}"
    while parts and parts[-1] == ":":
        parts.pop()
    w.emit(call.y, f"{w.array(call.x, 100)}[{', '.join(parts) or '...'}]", light=True)


@TABLE.rule("Pad")
def pad(call: Call, w: Builder) -> None:
    amounts, fill, axes = call.constant(1), call.constant(2), call.constant(3)
    mode, rank = call.attribute("mode", "constant"), rank_of(call.x)
    computed = any(call.computed(slot) is not None for slot in (1, 2, 3))
    if amounts is None or rank is None or computed or (amounts < 0).any():
        value = number_text(meant(fill.reshape(()))) if fill is not None else None
        if call.computed(2) is not None:
            value = w.array(call.computed(2))
        shown = None if mode == "constant" else f'"{mode}"'
        text = f"padded({in_onnx_order(w, call.x)}, {tuple_of(call, w, 1)}"
        text += options(axes=tuple_of(call, w, 3), mode=shown, value=value) + ")"
        w.emit(call.y, as_stored(text, call.y) if rank is not None else text, light=True)
        return
    places = [axis % rank for axis in numbers(axes)] if axes is not None else list(range(rank))
    by_axis = {axis: (int(amounts[i]), int(amounts[i + len(places)])) for i, axis in enumerate(places)}
    pairs = tuple(by_axis.get(axis, (0, 0)) for axis in order_of(call.x))
    if mode == "constant":
        number = meant(fill.reshape(())) if fill is not None and fill.size else 0
        more = f", constant_values={number_text(number)}" if number else ""
    else:
        more = f', mode="{mode}"'
    w.emit(call.y, f"jnp.pad({w.array(call.x)}, {pairs}{more})", light=True)


@TABLE.rule("Shape")
def shape(call: Call, w: Builder) -> None:
    start, end = call.attribute("start", 0), call.attribute("end", None)
    part = "" if not start and end is None else f"[{start or ''}:{'' if end is None else end}]"
    text = f"{module_for(call.y)}.array({w.array(call.x, 100)}.shape{part}, jnp.int64)"
    w.emit(call.y, text, light=True)


@TABLE.rule("Size")
def size(call: Call, w: Builder) -> None:
    w.emit(call.y, f"{module_for(call.y)}.array({w.array(call.x, 100)}.size, jnp.int64)", light=True)


@TABLE.rule("FullLike")
def full_like(call: Call, w: Builder) -> None:
    value = call.attribute("value", None)
    number: Any = 0.0 if value is None else meant(value.numpy().reshape(()))
    kind = call.y.dtype
    dtype = "" if kind is None or kind == call.x.dtype else f", dtype={dtype_text(kind)}"
    x = w.array(call.x)
    text = {0: f"jnp.zeros_like({x}{dtype})", 1: f"jnp.ones_like({x}{dtype})"}.get(number)
    w.emit(call.y, text or f"jnp.full_like({x}, {number_text(number)}{dtype})", light=True)


@TABLE.rule("ConstantOfShape")
def constant_of_shape(call: Call, w: Builder) -> None:
    value = call.attribute("value", None)
    array = None if value is None else value.numpy()
    dtype = "jnp.float32" if value is None else dtype_text(value.dtype)
    number = 0 if array is None else meant(array.reshape(()))
    given = tuple_of(call, w, 0)
    text = f"jnp.zeros({given}, {dtype})" if not number else f"jnp.full({given}, {number_text(number)}, {dtype})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Range")
def arange(call: Call, w: Builder) -> None:
    call.attribute("stash_type")  # the type of sums on the way: nothing is summed here
    given = [number_of(call, w, slot) for slot in (0, 1, 2)]
    dtype = "" if call.y.dtype is None else f", dtype={dtype_text(call.y.dtype)}"
    w.emit(call.y, f"jnp.arange({', '.join(str(item) for item in given)}{dtype})", light=True)


@TABLE.rule("EyeLike")
def eye_like(call: Call, w: Builder) -> None:
    x, kind = w.array(call.x, 100), call.attribute("dtype", None)
    dtype = dtype_text(kind) if kind is not None else f"{x}.dtype"
    w.emit(call.y, f"jnp.eye(*{x}.shape{options(k=call.attribute('k', 0) or None)}, dtype={dtype})")


@TABLE.rule("Trilu")
def triangle(call: Call, w: Builder) -> None:
    name = "triu" if call.attribute("upper", 1) else "tril"
    offset = number_of(call, w, 1)
    w.emit(call.y, f"jnp.{name}({w.array(call.x)}{f', {offset}' if offset not in (None, '0') else ''})", light=True)


@TABLE.rule("DepthToSpace", "SpaceToDepth")
def blocks(call: Call, w: Builder) -> None:
    name = "depth_to_space" if call.kind == "DepthToSpace" else "space_to_depth"
    by_column = call.attribute("mode", "DCR") == "CRD"
    more = ", columns_first=True" if by_column else ""
    w.emit(call.y, f"{name}({w.array(call.x)}, {call.attribute('blocksize')}{more})", light=True)


@TABLE.rule("ReverseSequence")
def reverse_sequence(call: Call, w: Builder) -> None:
    batch, time = call.attribute("batch_axis", 1), call.attribute("time_axis", 0)
    given = f"{w.array(call.x)}, {w.array(call.inputs[1])}, {time}, {batch}"
    w.emit(call.y, f"reverse_sequences({given})", light=True)

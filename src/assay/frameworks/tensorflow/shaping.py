"""TensorFlow's lowering table: the shape of data, and reductions.

Data may be channels-last on one side of these calls and in ONNX's order on the other: axes are looked up in both.
"""

from __future__ import annotations

import math

import numpy as np

from assay.frameworks.tensorflow.common import (
    HEADS,
    TABLE,
    arranged,
    axis_text,
    kept_order,
    one_or_all,
    only_data,
    refuse,
    require,
    stored,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of, stored_shape
from assay.model import attributes_of, scope_of, shape_of
from assay.write.body import Builder


@TABLE.rule("Identity")
def identity(call: Call, w: Builder) -> None:
    """Nothing, or the transpose between ONNX's order and channels-last."""
    text = arranged(w.use(call.x, 100), order_of(call.x), order_of(call.y))
    w.emit(call.y, text, light=True)


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 1) % (len(call.shape()) + 1)
    shape = [_product(call.shape()[:axis]), _product(call.shape()[axis:])]
    w.emit(call.y, f"tf.reshape({w.use(call.x)}, {_shape_text(call, shape)})", light=True)


def _product(sizes: tuple[int | str, ...]) -> int | str:
    """The product of sizes; a name if one of them is not known."""
    unknown = [size for size in sizes if isinstance(size, str)]
    return unknown[0] if unknown else math.prod(int(size) for size in sizes)


def _shape_text(call: Call, shape: list[int | str]) -> str:
    if sum(isinstance(size, str) for size in shape) > 1:
        raise refuse(call, f"the shape {tuple(shape)}, of which two sizes are not known")
    listed = ", ".join("-1" if isinstance(size, str) else str(size) for size in shape)
    return f"({listed},)" if len(shape) == 1 else f"({listed})"


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    if call.constant(1) is None:
        raise refuse(call, "a shape that is computed when the model runs")
    require(call, allowzero=0)
    w.emit(call.y, f"tf.reshape({w.use(call.x)}, {_shape_text(call, list(shape_of(call.y)))})", light=True)


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    order = call.attribute("perm", list(reversed(range(len(call.shape())))))
    wanted = [order[axis] for axis in order_of(call.y)]
    w.emit(call.y, arranged(w.use(call.x, 100), order_of(call.x), wanted), light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    rank = len(shape_of(call.y))
    axes = _axes(call, rank)
    text = arranged(w.use(call.x), order_of(call.x), kept_order(call.y, axes))
    count = len(call.shape())
    for place, axis in enumerate(order_of(call.y)):
        if axis in axes:
            count += 1
            text = f"tf.expand_dims({text}, {axis_text(place, count)})"
    w.emit(call.y, text, light=True)


def _axes(call: Call, rank: int) -> list[int]:
    """The axes that a call names in its second input, counted from the front."""
    axes = call.constant(1)
    if axes is None:
        raise refuse(call, "axes that are computed when the model runs")
    return sorted(int(axis) % rank for axis in np.reshape(axes, -1))


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    only_data(call, 1)
    axes = [axis for axis, size in enumerate(call.shape()) if size == 1]
    if call.constant(1) is not None:
        axes = _axes(call, len(call.shape()))
    places = [axis_text(place, len(call.shape())) for place in stored(call, axes)]
    text = f"tf.squeeze({w.use(call.x)}, {one_or_all(places)})"
    w.emit(call.y, arranged(text, kept_order(call.x, axes), order_of(call.y)), light=True)


@TABLE.rule("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd")
def reduce(call: Call, w: Builder) -> None:
    only_data(call, 1)
    rank = len(call.shape())
    keep = bool(call.attribute("keepdims", 1))
    require(call, noop_with_empty_axes=0)
    axes = list(range(rank)) if call.constant(1) is None else _axes(call, rank)
    places = stored(call, axes)
    name = f"tf.reduce_{call.kind.removeprefix('Reduce').lower()}"
    where = (
        f", axis={axis_text(places[0], rank) if len(places) == 1 else tuple(places)}"
        if len(axes) < rank or keep
        else ""
    )
    text = f"{name}({w.use(call.x)}{where}{', keepdims=True' if keep else ''})"
    present = list(order_of(call.x)) if keep else kept_order(call.x, axes)
    w.emit(call.y, arranged(text, present, order_of(call.y)), light=True)


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    place = call.stored_axis(call.attribute("axis"), call.y)
    listed = ", ".join(w.use(value) for value in call.inputs)
    w.emit(call.y, f"tf.concat([{listed}], {axis_text(place, len(shape_of(call.y)))})", light=True)


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    only_data(call, 1)
    place = call.stored_axis(call.attribute("axis", 0))
    call.attribute("num_outputs")
    call.constant(1)
    sizes = [int(stored_shape(value)[place]) for value in call.outputs if value is not None]
    if (heads := _heads_of_parts(call)) and len(set(sizes)) == 1 and place == len(call.shape()) - 1:
        for value in call.outputs:
            value.meta[HEADS] = True  # type: ignore[union-attr]
        w.emit(
            call.outputs, f"split_packed_heads({w.use(call.x)}, heads={w.literal(heads, 'heads')}, parts={len(sizes)})"
        )
        return
    parts = len(sizes) if len(set(sizes)) == 1 else sizes
    w.emit(call.outputs, f"tf.split({w.use(call.x)}, {parts}, axis={axis_text(place, len(call.shape()))})")


def _heads_of_parts(call: Call) -> int:
    """The number of heads if all parts go to the same attention and nowhere else: one transpose serves them all then."""
    users = [list(value.uses()) for value in call.outputs if value is not None]
    found = {id(uses[0][0]): uses[0][0] for uses in users if uses}
    only = next(iter(found.values()), None)
    if (
        only is None
        or only.op_type != "Attention"
        or scope_of(only) != call.scope
        or len(found) > 1
        or any(len(uses) != 1 for uses in users)
    ):
        return 0
    if any(value is None or value.is_graph_output() for value in call.outputs):
        return 0
    return int(attributes_of(only).get("q_num_heads", 0))


@TABLE.rule("Slice")
def slice_rule(call: Call, w: Builder) -> None:
    only_data(call, 1)
    starts, ends, axes, steps = (call.constant(slot) for slot in range(1, 5))
    if starts is None or ends is None:
        raise refuse(call, "bounds that are computed when the model runs")
    parts = [":"] * len(call.shape())
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = int(axes[number]) % len(parts) if axes is not None else number
        step = int(steps[number]) if steps is not None else 1
        parts[call.stored_axis(axis)] = _part(call, int(start), int(end), step, call.shape()[axis])
    w.emit(call.y, f"{w.use(call.x, 100)}[{_with_ellipsis(parts)}]", light=True)


def _with_ellipsis(parts: list[str]) -> str:
    """`:, :, :, 1:3` as a person writes it, `..., 1:3`; and `:, 1:3, :, :` as `:, 1:3`."""
    cut = [number for number, part in enumerate(parts) if part != ":"] or [0]
    if cut[0] > 1 and cut[-1] == len(parts) - 1:
        return ", ".join(["...", *parts[cut[0] :]])
    return ", ".join(parts[: cut[-1] + 1])


def _part(call: Call, start: int, stop: int, step: int, size: int | str) -> str:
    """One axis of a subscript. ONNX clips bounds beyond the axis; an open end says so in Python."""
    if isinstance(size, str):
        if step < 0 or stop < 2**31 - 1:
            raise refuse(call, f"an end within the axis {size}, whose size is not known")
        first, last = str(start or ""), ""
    else:
        bounds = range(size)[slice(start, stop, step)]
        if step > 0:
            first = str(bounds.start) if bounds.start else ""
            last = str(bounds.stop) if bounds.stop < size else ""
        else:
            first = str(bounds.start) if bounds.start < size - 1 else ""
            last = str(bounds.stop) if bounds.stop >= 0 else ""
    return f"{first}:{last}" + (f":{step}" if step != 1 else "")


@TABLE.rule("Pad")
def pad(call: Call, w: Builder) -> None:
    only_data(call, 1)
    amounts, fill, axes = (call.constant(slot) for slot in range(1, 4))
    mode = call.attribute("mode", "constant")
    if amounts is None or mode not in ("constant", "reflect"):
        raise refuse(call, f"mode={mode!r}" if amounts is not None else "amounts that are computed when the model runs")
    pairs = [(0, 0)] * len(call.shape())
    padded = range(len(pairs)) if axes is None else [int(axis) % len(pairs) for axis in axes]
    for number, axis in enumerate(padded):
        pairs[call.stored_axis(axis)] = (int(amounts[number]), int(amounts[number + len(padded)]))
    if any(amount < 0 for pair in pairs for amount in pair):
        raise refuse(call, f"negative amounts: {amounts.tolist()}")
    value = 0.0 if fill is None else float(np.reshape(fill, ()))
    extra = ', mode="REFLECT"' if mode == "reflect" else f", constant_values={_number(value)}" if value else ""
    w.emit(call.y, f"tf.pad({w.use(call.x)}, {tuple(pairs)}{extra})", light=True)


def _number(value: float) -> str:
    return f"{'-' if value < 0 else ''}math.inf" if math.isinf(value) else repr(float(str(np.float32(value))))

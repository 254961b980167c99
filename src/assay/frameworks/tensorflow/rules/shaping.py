"""TensorFlow's lowering table: the shape of data.

Data may be channels-last on one side of these calls and in ONNX's order on the other: axes are looked up in both.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    HEADS,
    TABLE,
    arranged,
    axis_of,
    axis_text,
    carrier,
    given,
    in_order,
    integers,
    is_text,
    kept_order,
    kind_of,
    one_or_all,
    rank_of,
    stored,
    written,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.model import attributes_of, constant_of, meant, scope_of, shape_of
from assay.write.body import Builder


@TABLE.rule("Identity")
def identity(call: Call, w: Builder) -> None:
    """Nothing, or the transpose between ONNX's order and channels-last."""
    if constant_of(call.x) is not None:
        w.emit(call.y, w.array(call.x), light=False)
        return
    text = arranged(w.use(call.x, 100), order_of(call.x), order_of(call.y))
    w.emit(call.y, text, light=True)


@TABLE.rule("Flatten")
def flatten(call: Call, w: Builder) -> None:
    rank, axis = rank_of(call.x), call.attribute("axis", 1)
    if rank is None or sum(isinstance(size, str) for size in call.shape()) > 1 or 0 in call.shape():
        w.emit(call.y, f"flatten_to_matrix({w.use(call.x)}, {axis})", light=True)
        return
    axis = axis % rank if axis < rank and rank else rank
    shape = [_product(call.shape()[:axis]), _product(call.shape()[axis:])]
    w.emit(call.y, f"tf.reshape({w.use(call.x)}, {_shape_text(w, shape)})", light=True)


def _product(sizes: tuple[int | str, ...]) -> int | str:
    """The product of sizes; a name if one of them is not known."""
    unknown = [size for size in sizes if isinstance(size, str)]
    return unknown[0] if unknown else math.prod(int(size) for size in sizes)


def _shape_text(w: Builder, shape: list[int | str]) -> str:
    listed = ", ".join("-1" if isinstance(size, str) else w.size(size) for size in shape)
    return f"({listed},)" if len(shape) == 1 else f"({listed})"


@TABLE.rule("Reshape")
def reshape_rule(call: Call, w: Builder) -> None:
    wanted, keeps_zero = integers(call, 1), bool(call.attribute("allowzero", 0))
    if is_text(call.x):
        w.emit(call.y, f"np.reshape({w.use(call.x)}, {given(call, 1, w)})", light=True)
        return
    if wanted is None:
        text = w.use(call.computed(1))
        if keeps_zero:
            w.emit(call.y, f"tf.reshape({w.use(call.x)}, {text})", light=True)
        else:
            w.emit(call.y, f"reshape_keeping({w.use(call.x)}, {text})", light=True)
        return
    result = call.y.shape
    if result is not None and sum(not isinstance(size, int) for size in result) <= (-1 in wanted or len(result) > 0):
        sizes = list(shape_of(call.y))
        unknown = sum(isinstance(size, str) for size in sizes)
        if unknown == 0 or (unknown == 1 and 0 not in sizes):
            w.emit(call.y, f"tf.reshape({w.use(call.x)}, {_shape_text(w, sizes)})", light=True)
            return
    x = w.use(call.x)
    if keeps_zero or 0 not in wanted:
        w.emit(call.y, f"tf.reshape({x}, {_shape_text(w, list(wanted))})", light=True)
    else:
        w.emit(call.y, f"reshape_keeping({x}, tf.constant({wanted}))", light=True)


@TABLE.rule("Transpose")
def transpose_rule(call: Call, w: Builder) -> None:
    rank, order = rank_of(call.x), call.attribute("perm")
    if rank is None:
        w.emit(call.y, written("tf.transpose", w.use(call.x), None if order is None else str(tuple(order))), light=True)
        return
    order = list(reversed(range(rank))) if order is None else order
    wanted = [order[axis] for axis in order_of(call.y)] if call.y.shape is not None else order
    w.emit(call.y, arranged(w.use(call.x, 100), order_of(call.x), wanted), light=True)


@TABLE.rule("Unsqueeze")
def unsqueeze(call: Call, w: Builder) -> None:
    axes = integers(call, 1)
    rank = rank_of(call.x)
    if axes is None or rank is None:
        text = given(call, 1, w) if axes is None else str(axes)
        w.emit(call.y, f"expand_axes({w.use(call.x)}, {text})", light=True)
        return
    full = rank + len(axes)
    places = sorted(axis % full for axis in axes)
    if call.y.shape is None:  # nothing is stored in another order then
        text, order = w.use(call.x), tuple(range(full))
    else:
        text, order = arranged(w.use(call.x), order_of(call.x), kept_order(call.y, places)), order_of(call.y)
    if is_text(call.x):
        w.emit(call.y, f"np.expand_dims({text}, {tuple(places)})", light=True)
        return
    count = rank
    for place, axis in enumerate(order):
        if axis in places:
            count += 1
            text = f"tf.expand_dims({text}, {axis_text(place, count)})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Squeeze")
def squeeze(call: Call, w: Builder) -> None:
    axes, rank = integers(call, 1), rank_of(call.x)
    if call.computed(1) is not None:
        w.emit(call.y, f"squeeze_axes({w.use(call.x)}, {w.use(call.computed(1))})", light=True)
        return
    if rank is None or (axes is None and any(isinstance(size, str) for size in call.shape())):
        w.emit(call.y, written("tf.squeeze", w.use(call.x), None if axes is None else str(axes)), light=True)
        return
    axes = [axis for axis, size in enumerate(call.shape()) if size == 1] if axes is None else axes
    axes = sorted(axis % rank for axis in axes)
    if not axes:
        w.emit(call.y, w.use(call.x), light=True)
        return
    places = [axis_text(place, rank) for place in stored(call, axes)]
    text = f"{'np' if is_text(call.x) else 'tf'}.squeeze({w.use(call.x)}, {one_or_all(places)})"
    order = order_of(call.y) if call.y.shape is not None else kept_order(call.x, axes)
    w.emit(call.y, arranged(text, kept_order(call.x, axes), order), light=True)


@TABLE.rule("Concat")
def concat(call: Call, w: Builder) -> None:
    place = axis_of(call, call.attribute("axis"), call.y)
    listed = ", ".join(w.array(value) for value in call.inputs)
    name = "np.concatenate" if is_text(call.x) else "tf.concat"
    w.emit(call.y, f"{name}([{listed}], {place})", light=True)


@TABLE.rule("Split")
def split(call: Call, w: Builder) -> None:
    axis, rank = call.attribute("axis", 0), rank_of(call.x)
    place = axis_of(call, axis)
    call.attribute("num_outputs")
    wanted, count = integers(call, 1), len(call.outputs)
    if call.computed(1) is not None:
        text = f"tf.split({w.use(call.x)}, {w.use(call.computed(1))}, axis={place}, num={count})"
        _emit_parts(call, w, text if count > 1 else f"{text}[0]")
        return
    size = None if rank is None else call.shape()[axis]
    if wanted is not None:
        sizes = wanted
    elif isinstance(size, int):
        step = -(-size // count)
        sizes = [max(min(step, size - number * step), 0) for number in range(count)]
    else:
        _emit_parts(call, w, f"split_evenly({w.use(call.x)}, {count}, axis={place})")
        return
    if count == 1:
        w.emit(call.y, w.use(call.x), light=True)
        return
    last = rank is not None and place in (-1, rank - 1)
    if (heads := _heads_of_parts(call)) and len(set(sizes)) == 1 and last:
        for value in call.outputs:
            value.meta[HEADS] = True  # type: ignore[union-attr]
        w.emit(
            call.outputs, f"split_packed_heads({w.use(call.x)}, heads={w.literal(heads, 'heads')}, parts={len(sizes)})"
        )
        return
    parts = len(sizes) if len(set(sizes)) == 1 and isinstance(size, int) else sizes
    _emit_parts(call, w, f"tf.split({w.use(call.x)}, {parts}, axis={place})")


def _emit_parts(call: Call, w: Builder, text: str) -> None:
    """The parts as TensorFlow lists them; a model returns a tuple."""
    returned = len(call.outputs) > 1 and all(value is not None and value.is_graph_output() for value in call.outputs)
    w.emit(call.outputs, f"tuple({text})" if returned else text)


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
    starts, ends, axes, steps = (integers(call, slot) for slot in range(1, 5))
    rank = rank_of(call.x)
    computed = any(call.computed(slot) is not None for slot in range(1, 5))
    if computed or starts is None or ends is None or rank is None:
        w.emit(call.y, written("slice_axes", w.array(call.x), *(_vector(call, slot, w) for slot in range(1, 5))))
        return
    parts = [":"] * rank
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = axes[number] % rank if axes is not None else number
        parts[call.stored_axis(axis)] = _part(start, end, steps[number] if steps is not None else 1, call.shape()[axis])
    w.emit(call.y, f"{w.use(call.x, 100)}[{_with_ellipsis(parts)}]", light=True)


def _vector(call: Call, slot: int, w: Builder) -> str | None:
    """The numbers of an input, as a list or a value; None where it is left out."""
    text = given(call, slot, w)
    return None if text == "None" else text


def _with_ellipsis(parts: list[str]) -> str:
    """`:, :, :, 1:3` as a person writes it, `..., 1:3`; and `:, 1:3, :, :` as `:, 1:3`."""
    cut = [number for number, part in enumerate(parts) if part != ":"] or [0]
    if cut[0] > 1 and cut[-1] == len(parts) - 1:
        return ", ".join(["...", *parts[cut[0] :]])
    return ", ".join(parts[: cut[-1] + 1])


def _part(start: int, stop: int, step: int, size: int | str) -> str:
    """One axis of a subscript. ONNX clips bounds beyond the axis; an open end says so in Python."""
    if isinstance(size, str):  # Python clips as ONNX does, except that -1 has no meaning as an end of going backwards
        first, last = str(start or ""), str(stop) if abs(stop) < 2**31 - 1 else ""
        if step < 0 and start >= 2**31 - 1:
            first = ""
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
    mode = call.attribute("mode", "constant")
    amounts, axes, rank = integers(call, 1), integers(call, 3), rank_of(call.x)
    fill, computed_fill = call.constant(2), call.computed(2)
    simple = amounts is not None and call.computed(3) is None and rank is not None
    if not simple or mode in ("edge", "wrap") or any(amount < 0 for amount in amounts or []):
        value = None if fill is None or not np.reshape(fill, ()) else _number(fill)
        value = in_order(computed_fill, w) if computed_fill is not None else value
        text = written("pad_axes", in_order(call.x, w), given(call, 1, w), _vector(call, 3, w), mode=mode)
        text = f"{text[:-1]}, value={value})" if value is not None else text
        w.emit(call.y, arranged(text, range(rank or 0), order_of(call.y)) if call.y.shape is not None else text)
        return
    assert amounts is not None and rank is not None
    pairs = [(0, 0)] * rank
    padded = range(rank) if axes is None else [axis % rank for axis in axes]
    for number, axis in enumerate(padded):
        pairs[call.stored_axis(axis)] = (amounts[number], amounts[number + len(padded)])
    extra = ', mode="REFLECT"' if mode == "reflect" else ""
    if computed_fill is not None:
        extra = f", constant_values=tf.reshape({w.use(computed_fill)}, [])"
    elif mode == "constant" and fill is not None and np.reshape(fill, ()):
        extra = f", constant_values={_number(fill)}"
    w.emit(call.y, f"tf.pad({w.use(call.x)}, {tuple(pairs)}{extra})", light=True)


def _number(array: np.ndarray) -> str:
    value = np.reshape(array, ()).item()
    if isinstance(value, float) and math.isinf(value):
        return f"{'-' if value < 0 else ''}math.inf"
    return repr(float(str(np.float32(value)))) if isinstance(value, float) else repr(value)


@TABLE.rule("Shape")
def shape_rule(call: Call, w: Builder) -> None:
    start, end = call.attribute("start", 0), call.attribute("end")
    part = f"[{start or ''}:{'' if end is None else end}]" if start or end is not None else ""
    if is_text(call.x):
        w.emit(call.y, f"tf.constant(np.shape({w.use(call.x)}){part}, tf.int64)", light=True)
        return
    w.emit(call.y, f"tf.shape({in_order(call.x, w)}, tf.int64){part}", light=True)


@TABLE.rule("Size")
def size_rule(call: Call, w: Builder) -> None:
    if is_text(call.x):
        w.emit(call.y, f"tf.constant(np.size({w.use(call.x)}), tf.int64)", light=True)
        return
    w.emit(call.y, f"tf.size({w.array(call.x)}, tf.int64)", light=True)


@TABLE.rule("FullLike")
def full_like(call: Call, w: Builder) -> None:
    value = call.attribute("value")
    number: Any = 0.0 if value is None else meant(value.numpy().reshape(()))
    dtype = "" if call.x.dtype == call.y.dtype else f", {carrier(kind_of(call.y))}"
    x = w.array(call.x, stored=False)
    text = {0: f"tf.zeros_like({x}{dtype})", 1: f"tf.ones_like({x}{dtype})"}.get(number)
    shown = f"math.{number}".replace("math.-", "-math.") if not math.isfinite(number) else repr(number)
    filled = f"tf.fill(tf.shape({x}), tf.constant({shown}, {carrier(kind_of(call.y))}))"
    w.emit(call.y, text or filled, light=True)


@TABLE.rule("ConstantOfShape")
def constant_of_shape(call: Call, w: Builder) -> None:
    value = call.attribute("value")
    array = np.zeros(1, np.float32) if value is None else np.asarray(value.numpy())
    kind = ir.DataType.FLOAT if value is None else value.dtype
    number = meant(np.reshape(array, ()))
    text = f"math.{number}" if isinstance(number, float) and not math.isfinite(number) else repr(number)
    w.emit(
        call.y,
        f"tf.fill({given(call, 0, w)}, tf.constant({text.replace('math.-', '-math.')}, {carrier(kind)}))",
        light=True,
    )


@TABLE.rule("Expand")
def expand(call: Call, w: Builder) -> None:
    wanted, present = integers(call, 1), call.x.shape
    result = call.y.shape
    if is_text(call.x):
        w.emit(call.y, f"np.broadcast_to({w.use(call.x)}, {given(call, 1, w)})", light=True)
    elif (
        wanted is not None
        and present is not None
        and result is not None
        and all(isinstance(size, int) for size in result)
    ):
        w.emit(call.y, f"tf.broadcast_to({w.array(call.x)}, {_shape_text(w, list(shape_of(call.y)))})", light=True)
    else:
        w.emit(call.y, f"broadcast_both({w.array(call.x)}, {given(call, 1, w)})", light=True)


@TABLE.rule("ExpandTo")
def expand_to(call: Call, w: Builder) -> None:
    """A value repeated along axes of one, to sizes some of which are another value's."""

    def size_of(size: int | tuple[int, int]) -> str:
        if isinstance(size, int):
            return str(size)
        place, axis = size
        return f"tf.shape({w.array(call.inputs[place])})[{call.stored_axis(axis, call.inputs[place])}]"

    sizes = [size_of(size) for size in call.attribute("sizes")]
    listed = ", ".join(sizes[axis] for axis in order_of(call.y))
    w.emit(call.y, f"tf.broadcast_to({w.array(call.x)}, [{listed}])", light=True)


@TABLE.rule("Tile")
def tile(call: Call, w: Builder) -> None:
    x, counts = w.array(call.x), given(call, 1, w)
    if is_text(call.x):
        w.emit(call.y, f"np.tile({x}, {counts})", light=True)
    elif call.x.dtype == ir.DataType.UINT16:  # of which tf.tile has no kernel
        w.emit(call.y, f"tf.cast(tf.tile(tf.cast({x}, tf.int32), {counts}), tf.uint16)", light=True)
    else:
        w.emit(call.y, f"tf.tile({x}, {counts})", light=True)


@TABLE.rule("Range")
def range_rule(call: Call, w: Builder) -> None:
    call.attribute("stash_type")  # the type of sums on the way: nothing is summed here
    kind = kind_of(call.y)
    parts = [given(call, slot, w) for slot in range(3)]
    dtype = carrier(kind)
    if kind == ir.DataType.INT16:
        parts = [f"tf.cast({part}, tf.int32)" for part in parts]
        w.emit(call.y, f"tf.cast(tf.range({', '.join(parts)}), tf.int16)", light=True)
        return
    known = all(call.computed(slot) is None for slot in range(3))
    w.emit(call.y, f"tf.range({', '.join(parts)}{f', dtype={dtype}' if known else ''})", light=True)


@TABLE.rule("EyeLike")
def eye(call: Call, w: Builder) -> None:
    kind = ir.DataType(call.attribute("dtype", int(call.x.dtype or ir.DataType.FLOAT)))
    offset = call.attribute("k", 0)
    w.emit(call.y, written("eye_like", w.array(call.x), carrier(kind), offset=offset or None), light=True)


@TABLE.rule("Trilu")
def triangle(call: Call, w: Builder) -> None:
    upper = bool(call.attribute("upper", 1))
    offset = call.constant(1)
    text = str(int(np.reshape(offset, ()))) if offset is not None else given(call, 1, w)
    text = "0" if text == "None" else text
    w.emit(call.y, f"{'upper' if upper else 'lower'}_triangle({w.array(call.x)}, {text})", light=True)


@TABLE.rule("DepthToSpace", "SpaceToDepth")
def blocks_of_space(call: Call, w: Builder) -> None:
    size, mode = call.attribute("blocksize"), call.attribute("mode", "DCR")
    name = "depth_to_space" if call.kind == "DepthToSpace" else "space_to_depth"
    w.emit(call.y, written(name, in_order(call.x, w), str(size), mode=None if mode == "DCR" else mode), light=True)


@TABLE.rule("CenterCropPad")
def center_crop_pad(call: Call, w: Builder) -> None:
    axes = call.attribute("axes")
    w.emit(call.y, written("crop_or_pad", w.array(call.x), given(call, 1, w), axes=axes), light=True)


@TABLE.rule("ReverseSequence")
def reverse_sequence(call: Call, w: Builder) -> None:
    batch, time = call.attribute("batch_axis", 1), call.attribute("time_axis", 0)
    x, lengths = (w.array(value) for value in call.inputs[:2])
    w.emit(call.y, f"tf.reverse_sequence({x}, {lengths}, seq_axis={time}, batch_axis={batch})", light=True)

"""Gathering, scattering, sorting, finding."""

from __future__ import annotations

from assay.frameworks.jax.rules.common import (
    TABLE,
    beside,
    call_layer,
    is_one_number,
    is_string,
    module_for,
    number_of,
    options,
    rank_of,
    sizes_known,
)
from assay.graph.calls import Call
from assay.model import constant_of, shape_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, positional


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    entries, features = shape_of(call.weights["weight"])
    arguments = [positional(entries, "entries"), positional(features, "features")]
    call_layer(call, w, "nnx.Embed", arguments, [NativeWeight("embedding", call.weights["weight"])])


@TABLE.rule("Gather")
def gather(call: Call, w: Builder) -> None:
    axis, indices = call.attribute("axis", 0), call.inputs[1]
    x = w.array(call.x, 100)
    array = constant_of(indices) if is_one_number(indices) else None
    if array is not None and axis >= 0:
        w.emit(call.y, f"{x}[{', '.join([':'] * axis + [str(array.item())])}]", light=True)
    elif is_string(call.x):
        w.emit(call.y, f"np.take({x}, np.asarray({w.array(indices)}), axis={axis})", light=True)
    else:
        text = f"{module_for(call.y)}.take({beside(w, call.x, call.y)}, {beside(w, indices, call.y)}, axis={axis})"
        w.emit(call.y, text, light=True)


@TABLE.rule("GatherElements")
def gather_elements(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    x, indices = w.array(call.x), w.array(call.inputs[1])
    whole = sizes_known(call.x) and sizes_known(call.inputs[1]) and _covers(call, axis)
    name = "jnp.take_along_axis" if whole else "gather_elements"
    w.emit(call.y, f"{name}({x}, {indices}, axis={axis})", light=True)


def _covers(call: Call, axis: int) -> bool:
    """Whether the indices reach along the whole of every other axis."""
    data, indices = call.shape(0), call.shape(1)
    return all(
        first == second
        for place, (first, second) in enumerate(zip(data, indices, strict=True))
        if place != axis % len(data)
    )


@TABLE.rule("GatherND")
def gather_nd(call: Call, w: Builder) -> None:
    more = options(batch_dims=call.attribute("batch_dims", 0) or None)
    w.emit(call.y, f"gather_nd({w.array(call.x)}, {w.array(call.inputs[1])}{more})", light=True)


_AT = {"none": "set", "add": "add", "mul": "multiply", "min": "min", "max": "max"}


@TABLE.rule("ScatterElements", "Scatter")
def scatter_elements(call: Call, w: Builder) -> None:
    axis, how = call.attribute("axis", 0), _AT[call.attribute("reduction", "none")]
    x, indices, updates = (w.array(value, 100) for value in call.inputs)
    w.emit(call.y, f"{x}.at[along({indices}, {axis})].{how}({updates})")


@TABLE.rule("ScatterND")
def scatter_nd(call: Call, w: Builder) -> None:
    how = _AT[call.attribute("reduction", "none")]
    x, indices, updates = (w.array(value, 100) for value in call.inputs)
    w.emit(call.y, f"{x}.at[tuple(jnp.moveaxis({indices}, -1, 0))].{how}({updates})")


@TABLE.rule("TensorScatter")
def tensor_scatter(call: Call, w: Builder) -> None:
    axis, circular = call.attribute("axis", -2), call.attribute("mode", "linear") == "circular"
    given = ", ".join("None" if value is None else w.array(value) for value in call.inputs)
    more = options(axis=axis if axis != -2 else None, circular=circular or None)
    w.emit(call.y, f"write_to_cache({given}{more})")


@TABLE.rule("TopK")
def top_k(call: Call, w: Builder) -> None:
    call.attribute("sorted", 1)  # in order is as good where none is asked for
    axis, largest = call.attribute("axis", -1), call.attribute("largest", 1)
    count = number_of(call, w, 1)
    more = options(axis=axis if axis != -1 else None, largest=None if largest else False)
    w.emit(call.outputs, f"top_k({w.array(call.x)}, {count}{more})")


@TABLE.rule("ArgMax", "ArgMin")
def argument_of_extreme(call: Call, w: Builder) -> None:
    axis, keep = call.attribute("axis", 0), bool(call.attribute("keepdims", 1))
    name = "argmax" if call.kind == "ArgMax" else "argmin"
    x = w.array(call.x, 100)
    more = f"axis={axis}{', keepdims=True' if keep else ''}"
    if call.attribute("select_last_index", 0):
        text = f"{x}.shape[{axis}] - 1 - jnp.{name}(jnp.flip({x}, {axis}), {more})"
        w.emit(call.y, text, precedence=10)
    else:
        w.emit(call.y, f"jnp.{name}({x}, {more})", light=True)


@TABLE.rule("Hardmax")
def hardmax(call: Call, w: Builder) -> None:
    axis, x = call.attribute("axis", -1), w.array(call.x, 100)
    w.emit(call.y, f"jax.nn.one_hot(jnp.argmax({x}, {axis}), {x}.shape[{axis}], dtype={x}.dtype, axis={axis})")


@TABLE.rule("OneHot")
def one_hot(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", -1)
    more = options(axis=axis if axis != -1 else None)
    w.emit(call.y, f"one_hot_of({w.array(call.x)}, {number_of(call, w, 1)}, {w.array(call.inputs[2])}{more})")


@TABLE.rule("NonZero")
def non_zero(call: Call, w: Builder) -> None:
    x = w.array(call.x)
    x = f"jnp.atleast_1d({x})" if rank_of(call.x) in (None, 0) else x
    w.emit(call.y, f"jnp.stack(jnp.nonzero({x}))", light=True)


@TABLE.rule("Compress")
def compress(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", None)
    w.emit(call.y, f"jnp.compress({w.array(call.inputs[1])}, {w.array(call.x)}{options(axis=axis)})", light=True)


@TABLE.rule("Unique")
def unique(call: Call, w: Builder) -> None:
    axis, in_order = call.attribute("axis", None), call.attribute("sorted", 1)
    text = f"distinct({w.array(call.x)}{options(axis=axis, in_order=None if in_order else False)})"
    if len(call.outputs) == 1:
        w.emit(call.y, f"{text}[0]", light=True)
    else:
        w.emit([*call.outputs, *[None] * (4 - len(call.outputs))], text)


@TABLE.rule("CumSum", "CumProd")
def cumulative(call: Call, w: Builder) -> None:
    name = "cumsum" if call.kind == "CumSum" else "cumprod"
    exclusive, reverse = call.attribute("exclusive", 0), call.attribute("reverse", 0)
    axis, x = number_of(call, w, 1), w.array(call.x)
    if not exclusive and not reverse:
        w.emit(call.y, f"jnp.{name}({x}, axis={axis}, dtype={w.array(call.x, 100)}.dtype)", light=True)
    else:
        more = options(exclusive=bool(exclusive) or None, reverse=bool(reverse) or None)
        w.emit(call.y, f"cumulated(jnp.{name}, {x}, {axis}{more})", light=True)


@TABLE.rule("NonMaxSuppression")
def non_max_suppression(call: Call, w: Builder) -> None:
    boxes, scores = (f"np.asarray({w.array(value)})" for value in call.inputs[:2])
    names = ("max_output_boxes_per_class", "iou_threshold", "score_threshold")
    given = {name: number_of(call, w, slot) for slot, name in enumerate(names, 2)}
    centred = "True" if call.attribute("center_point_box", 0) else None
    text = f"non_max_suppression({boxes}, {scores}{options(**given, center_point_box=centred)})"
    w.emit(call.y, f"jnp.asarray({text})")

"""TensorFlow's lowering table: taking, scattering, sorting and finding elements."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    TABLE,
    axis_of,
    carrier,
    given,
    in_order,
    is_text,
    kind_of,
    optional,
    rank_of,
    written,
)
from assay.graph.calls import Call
from assay.model import constant_of
from assay.write.body import Builder


@TABLE.rule("Gather")
def gather(call: Call, w: Builder) -> None:
    axis, rank = call.attribute("axis", 0), rank_of(call.x)
    data, indices = (value for value in call.inputs if value is not None)
    if is_text(data):
        w.emit(call.y, f"np.take({w.array(data)}, {w.array(indices)}, {axis})", light=True)
        return
    known = constant_of(indices)
    if known is not None and known.ndim == 0 and rank is not None:
        parts = [":"] * rank
        parts[axis] = str(int(known))
        place = axis % rank
        text = f"..., {int(known)}" if place == rank - 1 and rank > 2 else ", ".join(parts[: place + 1])
        w.emit(call.y, f"{w.array(data, 100)}[{text}]", light=True)
        return
    where = "" if axis == 0 else f", axis={axis}"
    name = "tf.gather" if known is not None and (known >= 0).all() else "take"
    w.emit(call.y, f"{name}({w.array(data)}, {w.array(indices)}{where})", light=True)


@TABLE.rule("GatherElements")
def gather_elements(call: Call, w: Builder) -> None:
    data, indices = (w.array(value) for value in call.inputs)
    w.emit(call.y, f"gather_elements({data}, {indices}, axis={call.attribute('axis', 0)})", light=True)


@TABLE.rule("GatherND")
def gather_nd(call: Call, w: Builder) -> None:
    data, indices = (w.array(value) for value in call.inputs)
    batch = call.attribute("batch_dims", 0) or None
    w.emit(call.y, written("gather_nd", data, indices, batch_dims=batch), light=True)


@TABLE.rule("ScatterElements", "Scatter", "ScatterND")
def scatter(call: Call, w: Builder) -> None:
    data, indices, updates = (w.array(value) for value in call.inputs)
    reduction = call.attribute("reduction", "none")
    how = None if reduction == "none" else reduction
    if call.kind == "ScatterND":
        text = written("scatter_nd", data, indices, updates, reduction=how)
    else:
        text = written("scatter_elements", data, indices, updates, axis=call.attribute("axis", 0), reduction=how)
    w.emit(call.y, text, light=True)


@TABLE.rule("TensorScatter")
def tensor_scatter(call: Call, w: Builder) -> None:
    data, update = (w.array(value) for value in call.inputs[:2])
    mode = call.attribute("mode", "linear")
    text = written(
        "write_at",
        data,
        update,
        optional(call, 2, w),
        axis=call.attribute("axis", -2),
        circular=True if mode == "circular" else None,
    )
    w.emit(call.y, text, light=True)


@TABLE.rule("Compress")
def compress(call: Call, w: Builder) -> None:
    data, condition = (w.array(value) for value in call.inputs)
    axis = call.attribute("axis")
    w.emit(call.y, written("compress", data, condition, axis=axis), light=True)


@TABLE.rule("NonZero")
def nonzero(call: Call, w: Builder) -> None:
    x = w.array(call.x)
    w.emit(call.y, f"tf.transpose(tf.where({x}{'' if call.x.dtype == ir.DataType.BOOL else ' != 0'}))", light=True)


@TABLE.rule("OneHot")
def one_hot(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", -1)
    indices, values = (in_order(call.inputs[slot], w) for slot in (0, 2))  # type: ignore[arg-type]
    depth = call.constant(1)
    count = str(int(np.reshape(depth, ()))) if depth is not None else given(call, 1, w)
    w.emit(call.y, f"one_hot({indices}, {count}, {values}, axis={axis})", light=True)


@TABLE.rule("TopK")
def top_k(call: Call, w: Builder) -> None:
    axis, largest = call.attribute("axis", -1), call.attribute("largest", 1)
    call.attribute("sorted", 1)
    count = call.constant(1)
    k = str(int(np.reshape(count, ()))) if count is not None else given(call, 1, w)
    axis = axis_of(call, axis)
    text = written("top_k", w.array(call.x), k, axis=None if axis == -1 else axis, largest=None if largest else False)
    w.emit(call.outputs if len(call.outputs) == 2 else [*call.outputs, None], text)


@TABLE.rule("Unique")
def unique(call: Call, w: Builder) -> None:
    axis, in_sequence = call.attribute("axis"), call.attribute("sorted", 1)
    text = written("unique_elements", w.array(call.x), axis=axis, ascending=None if in_sequence else False)
    w.emit([call.wanted(place) for place in range(4)], text)


@TABLE.rule("CumSum", "CumProd")
def cumulative(call: Call, w: Builder) -> None:
    name = "tf.cumsum" if call.kind == "CumSum" else "tf.math.cumprod"
    axis = call.constant(1)
    place = str(int(np.reshape(axis, ()))) if axis is not None else f"tf.reshape({given(call, 1, w)}, [])"
    options = {name: True if call.attribute(name, 0) else None for name in ("exclusive", "reverse")}
    w.emit(call.y, written(name, w.array(call.x), place, **options), light=True)


@TABLE.rule("NonMaxSuppression")
def non_max_suppression(call: Call, w: Builder) -> None:
    boxes, scores = (in_order(value, w) for value in call.inputs[:2] if value is not None)
    defaults = ("0", "0.0", "None")
    options = [given(call, slot, w) for slot in (2, 3, 4)]
    options = [default if text == "None" else text for text, default in zip(options, defaults, strict=True)]
    center = True if call.attribute("center_point_box", 0) else None
    w.emit(call.y, written("suppress_boxes", boxes, scores, *options, center=center))


@TABLE.rule("ai.onnx.ml:ArrayFeatureExtractor")
def extract_features(call: Call, w: Builder) -> None:
    data, places = (w.array(value) for value in call.inputs)
    w.emit(call.y, f"tf.gather({data}, tf.reshape({places}, [-1]), axis=-1)", light=True)


@TABLE.rule("ai.onnx.ml:Binarizer")
def binarize(call: Call, w: Builder) -> None:
    edge = w.literal(call.attribute("threshold", 0.0), "threshold")
    w.emit(call.y, f"tf.cast({w.array(call.x, 6)} > {edge}, {carrier(kind_of(call.x))})", light=True)

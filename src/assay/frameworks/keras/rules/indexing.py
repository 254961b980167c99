"""Gathering, scattering, selecting, sorting."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE, number, rank_of, type_of
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, positional


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    rows, columns = (int(size) for size in shape_of(call.weights["weight"]))
    arguments = [positional(rows, "vocabulary"), positional(columns, "features")]
    layer = w.layer("layers.Embedding", arguments, [NativeWeight("embeddings", call.weights["weight"])])
    w.emit(call.y, f"{layer}({w.use(call.x)})", light=True)


@TABLE.rule("Gather")
def gather(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    indices = call.inputs[1]
    assert indices is not None
    constant = indices.const_value.numpy() if indices.is_initializer() and indices.const_value is not None else None
    place = str(constant.tolist()) if constant is not None and constant.size <= 1 else w.array(indices)
    w.emit(call.y, f"ops.take({w.array(call.x)}, {place}, axis={axis})", light=True)


@TABLE.rule("GatherElements")
def gather_elements(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    w.emit(call.y, f"gather_elements({w.array(call.x)}, {w.array(call.inputs[1])}, axis={axis})", light=True)


@TABLE.rule("GatherND")
def gather_nd(call: Call, w: Builder) -> None:
    batch = call.attribute("batch_dims", 0)
    more = f", batch_dims={batch}" if batch else ""
    w.emit(call.y, f"gather_nd({w.array(call.x)}, {w.array(call.inputs[1])}{more})", light=True)


_REDUCTIONS = {
    "none": "",
    "add": ', reduction="add"',
    "mul": ', reduction="mul"',
    "max": ', reduction="max"',
    "min": ', reduction="min"',
}


@TABLE.rule("ScatterElements", "Scatter")
def scatter_elements(call: Call, w: Builder) -> None:
    axis, reduction = call.attribute("axis", 0), _REDUCTIONS[call.attribute("reduction", "none")]
    operands = ", ".join(w.array(value) for value in call.inputs)
    w.emit(call.y, f"scatter_elements({operands}, axis={axis}{reduction})", light=True)


@TABLE.rule("ScatterND")
def scatter_nd(call: Call, w: Builder) -> None:
    reduction = _REDUCTIONS[call.attribute("reduction", "none")]
    operands = ", ".join(w.array(value) for value in call.inputs)
    w.emit(call.y, f"scatter_nd({operands}{reduction})", light=True)


@TABLE.rule("TensorScatter")
def tensor_scatter(call: Call, w: Builder) -> None:
    axis, mode = call.attribute("axis", -2), call.attribute("mode", "linear")
    operands = ", ".join(w.array(value) for value in call.inputs if value is not None)
    w.emit(
        call.y,
        f"write_into({operands}{f', axis={axis}' if axis != -2 else ''}{', circular=True' if mode == 'circular' else ''})",
    )


@TABLE.rule("NonZero")
def non_zero(call: Call, w: Builder) -> None:
    w.emit(call.y, f'ops.cast(ops.stack(ops.nonzero({w.array(call.x)})), "int64")', light=True)


@TABLE.rule("Compress")
def compress(call: Call, w: Builder) -> None:
    axis = call.attribute("axis")
    places = f"ops.nonzero({w.array(call.inputs[1])})[0]"
    x = w.array(call.x)
    x = f"ops.reshape({x}, (-1,))" if axis is None else x
    w.emit(call.y, f"ops.take({x}, {places}, axis={axis or 0})", light=True)


@TABLE.rule("TopK")
def top_k(call: Call, w: Builder) -> None:
    axis, largest = call.attribute("axis", -1), call.attribute("largest", 1)
    call.attribute("sorted")
    rank = rank_of(call.x)
    last = axis == -1 or (rank is not None and axis == rank - 1)
    more = f"{'' if last else f', axis={axis}'}{'' if largest else ', largest=False'}"
    w.emit(
        call.outputs if len(call.outputs) > 1 else [call.y, None],
        f"top_k({w.array(call.x)}, {number(call, w, 1, 1)}{more})",
    )


@TABLE.rule("OneHot")
def one_hot(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", -1)
    indices, values = w.array(call.x), w.array(call.inputs[2])
    more = f", axis={axis}" if axis != -1 else ""
    w.emit(call.y, f"one_hot_of({indices}, {number(call, w, 1, 0)}, {values}{more})", light=True)


@TABLE.rule("Unique")
def unique(call: Call, w: Builder) -> None:
    axis, rising = call.attribute("axis"), bool(call.attribute("sorted", 1))
    more = f"{'' if axis is None else f', axis={axis}'}{'' if rising else ', sorted=False'}"
    outputs = [*call.outputs, None, None, None][:4]
    w.emit(outputs, f"on_host(unique_elements, {w.array(call.x)}{more})")


@TABLE.rule("NonMaxSuppression")
def non_max_suppression(call: Call, w: Builder) -> None:
    centre = bool(call.attribute("center_point_box", 0))
    more = ", center_point_box=True" if centre else ""
    for slot, name in ((2, "max_output_boxes_per_class"), (3, "iou_threshold"), (4, "score_threshold")):
        if call.constant(slot) is not None or call.computed(slot) is not None:
            more += f", {name}={number(call, w, slot, 0)}"
    operands = f"{w.array(call.x)}, {w.array(call.inputs[1])}"
    w.emit(call.y, f"on_host(non_max_suppression, {operands}{more})", light=True)


@TABLE.rule("Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial")
def random(call: Call, w: Builder) -> None:
    seed = call.attribute("seed")
    call.attribute("dtype")
    kind = type_of(call.y)
    given = "" if seed is None else f", seed={int(seed)}"
    if call.kind == "Bernoulli":
        x = w.array(call.x)
        text = f"ops.cast(keras.random.uniform(ops.shape({x}){given}) < ops.cast({x}, 'float32'), \"{kind}\")"
        w.emit(call.y, text.replace("'", '"'), light=True)
        return
    if call.kind == "Multinomial":
        count = call.attribute("sample_size", 1)
        w.emit(call.y, f'ops.cast(keras.random.categorical({w.array(call.x)}, {count}{given}), "{kind}")', light=True)
        return
    shape = f"ops.shape({w.array(call.x)})" if call.kind.endswith("Like") else str(tuple(call.attribute("shape")))
    if "Normal" in call.kind:
        a, b, name = call.attribute("mean", 0.0), call.attribute("scale", 1.0), "normal"
    else:
        a, b, name = call.attribute("low", 0.0), call.attribute("high", 1.0), "uniform"
    w.emit(call.y, f'ops.cast(keras.random.{name}({shape}, {a}, {b}{given}), "{kind}")', light=True)

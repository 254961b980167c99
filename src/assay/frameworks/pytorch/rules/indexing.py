"""Operators that gather, scatter, sort and search."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.pytorch.rules.common import (
    TABLE,
    UNSIGNED,
    arguments_of,
    emit_wanted,
    is_text,
    number,
    rank_of,
    targets,
)
from assay.graph.calls import Call
from assay.model import constant_of, shape_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, positional

_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@TABLE.rule("Embedding")
def embedding(call: Call, w: Builder) -> None:
    weight = call.weights["weight"]
    entries, features = shape_of(weight)
    known = constant_of(call.x) is not None
    if (known and w.attribute_name is None) or call.x.dtype is None:
        return w.emit(call.y, f"{w.array(weight)}[{w.array(call.x)}]", light=True)
    if w.holds(weight):  # a subclass of nn.Embedding, which is the table itself
        return w.emit(call.y, f"F.embedding({w.array(call.x)}, {w.parameter(weight)})", light=True)
    layer = w.layer(
        "nn.Embedding",
        [positional(entries, "entries"), positional(features, "features")],
        [NativeWeight("weight", weight)],
    )
    w.emit(call.y, f"{layer}({w.array(call.x)})", light=True)


@TABLE.rule("Gather")
def gather(call: Call, w: Builder) -> None:
    axis, rank = call.attribute("axis", 0), rank_of(call.x)
    data, indices = call.inputs[0], call.inputs[1]
    assert data is not None and indices is not None
    if axis < 0 and rank is not None:
        axis += rank
    before = [":"] * axis if axis >= 0 else ["..."]
    after = [":"] * (-1 - axis) if axis < 0 else []
    known = constant_of(indices)
    if known is not None and known.ndim < 2 and known.size <= 8:
        chosen = str(known.tolist())
    else:
        chosen = w.array(indices) + (".numpy(force=True)" if is_text(data) else "")
    if is_text(data):
        return w.emit(call.y, f"np.take({w.array(data)}, {chosen}, axis={axis})")
    w.emit(call.y, f"{w.array(data, 100)}[{', '.join([*before, chosen, *after])}]", light=True)


@TABLE.rule("GatherElements")
def gather_elements(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", 0)
    x = w.array(call.x)
    w.emit(call.y, f"{x}.gather({axis}, {_wrapped(call, w, x, axis)})", light=True)


def _wrapped(call: Call, w: Builder, x: str, axis: int) -> str:
    """Indices, of which negative ones count from the end."""
    indices = call.inputs[1]
    known = constant_of(indices)
    if known is not None and known.size and known.min() >= 0:
        return w.array(indices)
    return f"{w.array(indices, 20)} % {x}.shape[{axis}]"


@TABLE.rule("GatherND")
def gather_nd(call: Call, w: Builder) -> None:
    batch = call.attribute("batch_dims", 0)
    more = f"batch_axes={batch}" if batch else None
    w.emit(call.y, f"gather_nd({arguments_of(w.array(call.x), w.array(call.inputs[1]), more)})", light=True)


@TABLE.rule("ScatterElements", "Scatter")
def scatter_elements(call: Call, w: Builder) -> None:
    axis, reduction = call.attribute("axis", 0), call.attribute("reduction", "none")
    x, updates = w.array(call.x), w.array(call.inputs[2])
    where = _wrapped(call, w, x, axis)
    if reduction == "none":
        w.emit(call.y, f"{x}.scatter({axis}, {where}, {updates})", light=True)
    else:
        name = _REDUCTIONS[reduction]
        w.emit(call.y, f'{x}.scatter_reduce({axis}, {where}, {updates}, "{name}")', light=True)


@TABLE.rule("ScatterND")
def scatter_nd(call: Call, w: Builder) -> None:
    reduction = call.attribute("reduction", "none")
    operands = [w.array(value) for value in call.inputs]
    more = f'"{_REDUCTIONS[reduction]}"' if reduction != "none" else None
    w.emit(call.y, f"scatter_nd({arguments_of(*operands, more)})", light=True)


@TABLE.rule("TensorScatter")
def tensor_scatter(call: Call, w: Builder) -> None:
    axis, mode = call.attribute("axis", -2), call.attribute("mode", "linear")
    operands = [w.array(value) for value in call.inputs if value is not None]
    more = [f"axis={axis}" if axis != -2 else None, "circular=True" if mode == "circular" else None]
    w.emit(call.y, f"write_into_cache({arguments_of(*operands, *more)})", light=True)


@TABLE.rule("OneHot")
def one_hot(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", -1)
    depth = number(call, w, 1)
    depth = depth if call.constant(1) is None else str(int(float(depth or 0)))
    depth = f"int({depth})" if call.constant(1) is None else depth
    w.emit(call.y, f"one_hot_of({w.array(call.x)}, {depth}, {w.array(call.inputs[2])}, axis={axis})", light=True)


@TABLE.rule("NonZero")
def non_zero(call: Call, w: Builder) -> None:
    x = w.array(call.x)
    w.emit(call.y, f"{f'({x} != 0)' if call.x.dtype in UNSIGNED else x}.nonzero().T", light=True)


@TABLE.rule("TopK")
def top_k(call: Call, w: Builder) -> None:
    axis, largest, _ = call.attribute("axis", -1), call.attribute("largest", 1), call.attribute("sorted", 1)
    count = number(call, w, 1)
    outputs = targets(call)
    if (
        outputs[1:] in ([None], []) and call.x.dtype not in UNSIGNED
    ):  # without places nobody sees which of two equals came first
        more = arguments_of(count, f"dim={axis}" if axis != -1 else None, None if largest else "largest=False")
        return w.emit(call.y, f"{w.array(call.x)}.topk({more}).values", light=True)
    more = arguments_of(
        w.array(call.x), count, f"dim={axis}" if axis != -1 else None, None if largest else "largest=False"
    )
    w.emit(outputs, f"first_of_sorted({more})")


@TABLE.rule("ArgMax", "ArgMin")
def arg_extreme(call: Call, w: Builder) -> None:
    axis, keep = call.attribute("axis", 0), call.attribute("keepdims", 1)
    last = call.attribute("select_last_index", 0)
    x, name = w.array(call.x), call.kind.lower()
    kept = ", keepdim=True" if keep else ""
    if call.x.dtype == ir.DataType.UINT64:  # as int64 in the same order
        x = f"({x}.view(torch.int64) ^ {-(2**63)})"
    elif call.x.dtype in UNSIGNED:
        x = f"{x}.long()"
    if last:
        w.emit(call.y, f"{x}.shape[{axis}] - 1 - {x}.flip({axis}).{name}({axis}{kept})", precedence=10)
    else:
        w.emit(call.y, f"{x}.{name}({axis}{kept})", light=True)


@TABLE.rule("CumSum", "CumProd")
def cumulative(call: Call, w: Builder) -> None:
    exclusive, reverse = bool(call.attribute("exclusive", 0)), bool(call.attribute("reverse", 0))
    x, axis, name = w.array(call.x), number(call, w, 1), call.kind.lower()
    options = [f"{key}=True" for key, value in (("exclusive", exclusive), ("reverse", reverse)) if value]
    if options:
        w.emit(
            call.y, f"{'cumulate_sum' if name == 'cumsum' else 'cumulate_product'}({arguments_of(x, axis, *options)})"
        )
    else:
        w.emit(call.y, f"{x}.{name}({axis}, dtype={x}.dtype)", light=True)


@TABLE.rule("Compress")
def compress(call: Call, w: Builder) -> None:
    axis = call.attribute("axis")
    x, chosen = w.array(call.x), f"{w.array(call.inputs[1])}.nonzero().squeeze(1)"
    w.emit(call.y, f"{x if axis is not None else f'{x}.flatten()'}.index_select({axis or 0}, {chosen})")


@TABLE.rule("Unique")
def unique(call: Call, w: Builder) -> None:
    axis, ordered = call.attribute("axis"), call.attribute("sorted", 1)
    options = [f"axis={axis}" if axis is not None else None, None if ordered else "ordered=False"]
    emit_wanted(w, targets(call), f"unique_of({arguments_of(w.array(call.x), *options)})", 4)


@TABLE.rule("NonMaxSuppression")
def non_max_suppression(call: Call, w: Builder) -> None:
    centred = bool(call.attribute("center_point_box", 0))
    count, overlap, score = (number(call, w, slot) for slot in (2, 3, 4))
    options = [
        f"limit={count}" if count is not None else "limit=0",
        f"overlap={overlap}" if overlap is not None else None,
        f"lowest={score}" if score is not None else None,
        "centred=True" if centred else None,
    ]
    boxes, scores = w.array(call.inputs[0]), w.array(call.inputs[1])
    w.emit(call.y, f"suppress_overlapping({arguments_of(boxes, scores, *options)})")

"""TensorFlow's lowering table: reductions."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    TABLE,
    arranged,
    axis_of,
    axis_text,
    given,
    in_order,
    integers,
    kept_order,
    rank_of,
    stored,
    written,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.write.body import Builder

_REDUCTIONS = {
    "ReduceMean": "tf.reduce_mean({0})",
    "ReduceSum": "tf.reduce_sum({0})",
    "ReduceMax": "tf.reduce_max({0})",
    "ReduceMin": "tf.reduce_min({0})",
    "ReduceProd": "tf.reduce_prod({0})",
    "ReduceL1": "tf.reduce_sum(tf.abs({0}){1})",
    "ReduceL2": "tf.sqrt(tf.reduce_sum(tf.square({0}){1}))",
    "ReduceLogSum": "tf.math.log(tf.reduce_sum({0}))",
    "ReduceLogSumExp": "tf.reduce_logsumexp({0})",
    "ReduceSumSquare": "tf.reduce_sum(tf.square({0}){1})",
}


@TABLE.rule(*_REDUCTIONS)
def reduce(call: Call, w: Builder) -> None:
    rank, axes = rank_of(call.x), integers(call, 1)
    keep, idle = bool(call.attribute("keepdims", 1)), bool(call.attribute("noop_with_empty_axes", 0))
    template = _REDUCTIONS[call.kind]
    if call.x.dtype == ir.DataType.BOOL:
        template = {"ReduceMax": "tf.reduce_any({0})", "ReduceMin": "tf.reduce_all({0})"}[call.kind]
    end = ", keepdims=True" if keep else ""
    if call.computed(1) is not None or rank is None:
        where = given(call, 1, w) if axes is None or axes else "None"
        if call.computed(1) is not None:
            where = written("axes_or_all", where, in_order(call.x, w)) if not idle else where
        elif idle and not axes:
            where = "[]"
        where = "" if where == "None" else f", axis={where}"
        w.emit(call.y, _filled(template, in_order(call.x, w), f"{where}{end}"), light=True)
        return
    if not axes:
        axes = [] if idle else list(range(rank))
    axes = sorted(axis % rank for axis in axes) if rank else []
    places = stored(call, axes)
    if rank == 0 or (len(axes) == rank and not keep):
        where = ""
    else:
        where = f", axis={axis_text(places[0], rank) if len(places) == 1 else tuple(places)}"
    text = _filled(template, w.array(call.x), f"{where}{end}")
    if call.y.shape is not None:
        present = list(order_of(call.x)) if keep else kept_order(call.x, axes)
        text = arranged(text, present, order_of(call.y))
    w.emit(call.y, text, light=True)


def _filled(template: str, x: str, options: str) -> str:
    """The template with x and the options of the reduction in their places."""
    return template.format(x, options) if "{1}" in template else template.format(f"{x}{options}")


@TABLE.rule("ArgMax", "ArgMin")
def position(call: Call, w: Builder) -> None:
    axis, keep = axis_of(call, call.attribute("axis", 0)), bool(call.attribute("keepdims", 1))
    last = bool(call.attribute("select_last_index", 0))
    name = f"tf.arg{call.kind[3:].lower()}"
    x = w.array(call.x)
    if last:
        flipped = f"tf.reverse({x}, [{axis}])"
        text = f"tf.shape({x}, tf.int64)[{axis}] - 1 - {name}({flipped}, {axis})"
    else:
        text = f"{name}({x}, {axis})"
    w.emit(call.y, f"tf.expand_dims({text}, {axis})" if keep else text, precedence=10 if last and not keep else 100)

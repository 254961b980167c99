"""Reductions, and softmax."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.jax.rules.common import (
    TABLE,
    as_stored,
    dtype_text,
    in_onnx_order,
    is_integer,
    one_or_all,
    rank_of,
    transposed,
)
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.write.body import Builder

_METHODS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min", "ReduceProd": "prod"}
# `{x}` is the data, `{how}` the axes, whether to keep them, and more.
_FORMS = {
    **{kind: f"{{x}}.{name}({{how}})" for kind, name in _METHODS.items()},
    "ReduceL1": "jnp.abs({x}).sum({how})",
    "ReduceL2": "jnp.sqrt(jnp.square({x}).sum({how}))",
    "ReduceLogSum": "jnp.log({x}.sum({how}))",
    "ReduceLogSumExp": "nnx.logsumexp({x}, {how})",
    "ReduceSumSquare": "jnp.square({x}).sum({how})",
}
# The gradient of a square root at 0 is infinite, and what is not chosen afterwards is 0 times that in JAX: not a number.
# As in the other frameworks, the gradient of a norm is 0 there.
_NORM = "optax.safe_norm({x}, 0.0, {how})"


@TABLE.rule(*_FORMS)
def reduce(call: Call, w: Builder) -> None:
    rank, found, computed = rank_of(call.x), call.constant(1), call.computed(1)
    keep = ", keepdims=True" if call.attribute("keepdims", 1) else ""
    nothing = bool(call.attribute("noop_with_empty_axes", 0))
    more = keep + _of_its_type(call, w)
    if computed is not None or rank is None:
        if computed is not None:
            where = f"tuple({w.array(computed, 100)}.tolist())" + ("" if nothing else " or None")
        elif found is not None and found.size:
            where = str(tuple(int(axis) for axis in found))
        else:
            where = "()" if nothing else "None"
        text = _FORMS[call.kind].format(x=in_onnx_order(w, call.x), how=f"axis={where}{more}")
        w.emit(call.y, as_stored(text, call.y) if rank_of(call.y) is not None else text, light=True)
        return
    listed = [] if found is None else [int(axis) % rank for axis in found]
    axes = listed if listed or nothing else list(range(rank))
    places = sorted(call.stored_axis(axis) for axis in axes)
    how = f"axis={one_or_all(places) if len(places) == 1 else tuple(places)}{more}"
    if len(axes) == rank:
        how = more.removeprefix(", ") if call.kind != "ReduceLogSumExp" else f"axis=None{more}"
    form = _NORM if call.kind == "ReduceL2" and len(axes) in (1, 2, rank) and _is_floating(call) else _FORMS[call.kind]
    text = form.format(x=w.array(call.x, 100), how=how).replace(", )", ")")
    left = [axis for axis in order_of(call.x) if keep or axis not in axes]
    names = [axis for axis in range(rank) if keep or axis not in axes]
    stored = order_of(call.y) if rank_of(call.y) is not None else range(len(names))
    w.emit(call.y, transposed(text, [left.index(names[axis]) for axis in stored]), light=True)


def _is_floating(call: Call) -> bool:
    return call.x.dtype is not None and call.x.dtype.is_floating_point()


def _of_its_type(call: Call, w: Builder) -> str:
    """What keeps the type of whole numbers, which JAX sums as int64; and the extreme of nothing."""
    if call.kind in ("ReduceMax", "ReduceMin"):
        shape = call.x.shape
        if shape is None or 0 not in tuple(shape):
            return ""
        kind, end = call.x.dtype, "min" if call.kind == "ReduceMax" else "max"
        if kind == ir.DataType.BOOL:
            return f", initial={end == 'max'}"
        if kind is not None and kind.is_integer():
            return f", initial=jnp.iinfo({dtype_text(kind)}).{end}"
        return f", initial={'-' if end == 'min' else ''}jnp.inf"
    if is_integer(call.x) and call.kind not in ("ReduceLogSumExp",):
        return f", dtype={w.array(call.x, 100)}.dtype"
    return ""


@TABLE.rule("Softmax", "LogSoftmax")
def softmax(call: Call, w: Builder) -> None:
    name = "nnx.softmax" if call.kind == "Softmax" else "nnx.log_softmax"
    if call.kind == "Softmax" and call.x.dtype == ir.DataType.BFLOAT16:
        name = "softmax_in_own_precision"
    axis, rank = call.attribute("axis", -1), rank_of(call.x)
    place = axis if rank is None else call.stored_axis(axis)
    where = "" if place == -1 or (rank is not None and place == rank - 1) else f", axis={place}"
    w.emit(call.y, f"{name}({w.array(call.x)}{where})", light=True)

"""Reductions and what runs along an axis: sums, means, extremes, their places, softmax, cumulative sums."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE, is_float, moved, number, numbers, rank_of, type_of
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.write.body import Builder

_NAMES = {
    "ReduceMean": "mean",
    "ReduceSum": "sum",
    "ReduceMax": "max",
    "ReduceMin": "min",
    "ReduceProd": "prod",
    "ReduceLogSumExp": "logsumexp",
}


@TABLE.rule(*_NAMES)
def reduce(call: Call, w: Builder) -> None:
    rank = rank_of(call.x)
    found, computed = call.constant(1), call.computed(1)
    keep = bool(call.attribute("keepdims", 1))
    nothing = bool(call.attribute("noop_with_empty_axes", 0))
    if found is not None and not found.size:
        found = None
    name = _NAMES[call.kind]
    if computed is None and found is None and nothing:
        w.emit(call.y, w.array(call.x), light=True)
        return
    kept = ", keepdims=True" if keep else ""
    empty = name in ("max", "min") and rank is not None and 0 in call.shape()
    if empty and computed is not None:
        text = f"extreme_of_any({_source(call, w)}, {numbers(call, w, 1)}, {keep}, largest={name == 'max'})"
        w.emit(call.y, _typed(call, text, name), light=True)
        return
    if computed is not None or rank is None:
        axes = f"tuple({numbers(call, w, 1)})" if computed is not None or found is not None else "None"
        every = (
            "None" if rank is None else str(tuple(range(rank)))
        )  # on PyTorch None would drop the axes that are to be kept
        where = axes if nothing else f"{axes} or {every}" if axes != "None" else axes
        w.emit(call.y, _typed(call, f"ops.{name}({_source(call, w)}, axis={where}{kept})", name), light=True)
        return
    axes_list = list(range(rank)) if found is None else [int(axis) % rank for axis in found.reshape(-1)]
    places = tuple(sorted(call.stored_axis(axis) for axis in axes_list))
    where = str(places[0] if len(places) == 1 else places) if found is not None or rank > 1 else "0" if rank else "()"
    if empty:
        text = f"extreme_of_any({_source(call, w)}, {places}, {keep}, largest={name == 'max'})"
    else:
        text = f"ops.{name}({_source(call, w)}, axis={where}{kept})"
    left = [axis for axis in order_of(call.x) if keep or axis not in axes_list]
    names = [axis for axis in range(rank) if keep or axis not in axes_list]
    order = [left.index(names[axis]) for axis in order_of(call.y)]
    w.emit(call.y, moved(_typed(call, text, name), order), light=True)


def _source(call: Call, w: Builder) -> str:
    text = w.array(call.x)
    return f'ops.cast({text}, "uint8")' if type_of(call.x) == "bool" else text


def _typed(call: Call, text: str, name: str) -> str:
    """Keras sums small integers in wider ones, and takes means of integers as floats."""
    if type_of(call.x) == "bool" or (not is_float(call.x) and name in ("mean", "sum", "prod", "logsumexp")):
        return f'ops.cast({text}, "{type_of(call.x)}")'
    return text


@TABLE.rule("ArgMax", "ArgMin")
def arg_extreme(call: Call, w: Builder) -> None:
    name = call.kind.lower()
    axis, keep = call.attribute("axis", 0), bool(call.attribute("keepdims", 1))
    last = bool(call.attribute("select_last_index", 0))
    more = f", axis={axis}{', keepdims=True' if keep else ''}"
    x = w.array(call.x)
    text = f"last_{name}({x}{more})" if last else f"ops.{name}({x}{more})"
    w.emit(call.y, f'ops.cast({text}, "int64")', light=True)


@TABLE.rule("Softmax", "LogSoftmax")
def softmax(call: Call, w: Builder) -> None:
    name = "softmax" if call.kind == "Softmax" else "log_softmax"
    rank = rank_of(call.x)
    axis = call.attribute("axis", -1)
    axis = axis if rank is None else call.stored_axis(axis)
    where = "" if axis == -1 or (rank is not None and axis == rank - 1) else f", axis={axis}"
    w.emit(call.y, f"ops.{name}({w.use(call.x)}{where})", light=True)


@TABLE.rule("Hardmax")
def hardmax(call: Call, w: Builder) -> None:
    axis = call.attribute("axis", -1)
    rank = rank_of(call.x)
    axis = axis if rank is None else axis % rank
    x = w.array(call.x)
    text = f"ops.one_hot(ops.argmax({x}, axis={axis}), {x}.shape[{axis}], axis={axis}, dtype={x}.dtype)"
    w.emit(call.y, text, light=True)


@TABLE.rule("CumSum", "CumProd")
def cumulative(call: Call, w: Builder) -> None:
    exclusive, reverse = bool(call.attribute("exclusive", 0)), bool(call.attribute("reverse", 0))
    name = "cumsum" if call.kind == "CumSum" else "cumprod"
    axis = number(call, w, 1, 0)
    more = f"{', exclusive=True' if exclusive else ''}{', reverse=True' if reverse else ''}"
    x = w.array(call.x)
    text = f"{name}({x}, {axis}{more})" if more else f"ops.{name}({x}, axis={axis})"
    w.emit(call.y, text if more or is_float(call.x) else f'ops.cast({text}, "{type_of(call.x)}")', light=True)


@TABLE.rule("LpNormalization")
def lp_normalization(call: Call, w: Builder) -> None:
    axis, p = call.attribute("axis", -1), call.attribute("p", 2)
    w.emit(call.y, f"lp_normalize({w.array(call.x)}, axis={axis}, p={p})", light=True)

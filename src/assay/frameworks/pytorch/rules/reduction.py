"""Operators that reduce along axes."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.pytorch.rules.common import TABLE, is_integer, numbers, rank_of, type_of
from assay.graph.calls import Call
from assay.write.body import Builder

# amax and amin share the gradient between equal elements, as the other frameworks do; max and min do not.
_NAMES = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin"}


@TABLE.rule(*_NAMES, *(f"Reduce{name}" for name in ("Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")))
def reduce(call: Call, w: Builder) -> None:
    axes = call.constant(1)
    keep, skips = bool(call.attribute("keepdims", 1)), bool(call.attribute("noop_with_empty_axes", 0))
    x = w.array(call.x)
    rank = rank_of(call.x)
    none = (axes is None and call.computed(1) is None) or (axes is not None and axes.size == 0)
    if none and skips:
        return w.emit(call.y, _reduced(call, w, x, ()), light=True)
    if none:
        where = None if not keep else str(tuple(range(rank))) if rank is not None else f"tuple(range({x}.ndim))"
    elif axes is not None:
        listed = tuple(int(axis) for axis in axes.reshape(-1))
        where = str(listed[0] if len(listed) == 1 else listed)
    else:
        where = f"tuple({numbers(call, w, 1)})"
    option = ", keepdim=True" if keep and rank != 0 else ""
    text = _reduced(call, w, x, (where, option))
    if skips and call.computed(1) is not None:
        text = f"{text} if {w.array(call.computed(1))}.numel() else {_reduced(call, w, x, ())}"
        w.emit(call.y, text, precedence=0)
    else:
        w.emit(call.y, text, light=True)


def _reduced(call: Call, w: Builder, x: str, how: tuple[str | None, ...]) -> str:
    """The reduction as an expression; without axes and options, what it does to each element."""
    where, option = (how[0], str(how[1])) if how else (None, "")
    dim = "" if where is None else f"dim={where}{option}"
    exact = is_integer(call.x) and call.x.dtype != ir.DataType.INT64
    typed = f"dtype={type_of(call.x)}" if exact else ""
    sums = ", ".join(part for part in (dim, typed) if part)
    operand = w.array(call.x, 100)
    empty = call.x.shape is not None and 0 in call.x.shape
    match call.kind:
        case "ReduceSum":
            return f"{operand}.sum({sums})" if how else x
        case "ReduceMean":
            return f"{operand}.mean({dim})" if how else x
        case "ReduceMax" | "ReduceMin":
            name = _NAMES[call.kind]
            if how and empty:
                return f"{name}_or_bound({x}, {where or 'None'}{option})"
            return f"{operand}.{name}({dim})" if how else x
        case "ReduceProd":
            if not how:
                return x
            return f"{operand}.prod({typed})" if where is None else f"product_along({x}, {where}{option})"
        case "ReduceL1":
            return f"{operand}.abs().sum({sums})" if how else f"{operand}.abs()"
        case "ReduceL2":
            inner = f", {dim}" if dim else ""
            if is_integer(call.x):
                inner = f"{inner}, dtype=torch.float64).to({type_of(call.x)}"
            return f"torch.linalg.vector_norm({x}{inner})" if how else f"{operand}.abs()"
        case "ReduceLogSum":
            return f"{operand}.sum({dim}).log()" if how else f"{operand}.log()"
        case "ReduceLogSumExp":
            if not how:
                return x
            every = where if where is not None else f"tuple(range({x}.ndim))"
            return f"torch.logsumexp({x}, dim={every}{option})"
        case _:
            return f"{operand}.square().sum({sums})" if how else f"{operand}.square()"

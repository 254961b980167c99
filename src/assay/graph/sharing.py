"""Weights that several modules use: which of them holds each.

A weight has one holder. A module elsewhere that uses it too is given it as an argument, as a person would write
`self.decoder(x, self.embed.table)`.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import onnx_ir as ir

from assay.graph.calls import Call
from assay.model import Model


@dataclass(frozen=True)
class Shared:
    """A weight that is used outside the module that holds it, and that module's path."""

    value: ir.Value
    holder: str


def holders_of(model: Model, calls: Sequence[Call]) -> dict[int, Shared]:
    """Every weight that is used outside the module that holds it, by its id.

    The holder is the module of the layer that owns the weight, else the innermost one that its name lies in.
    """
    users: dict[int, list[tuple[str, ...]]] = {}
    values: dict[int, ir.Value] = {}
    owned: dict[int, str] = {}
    paths = {path for call in calls for path, _ in call.scope if path}
    for call in calls:
        where = tuple(path for path, _ in call.scope if path)
        for value in call.weights.values():
            owned.setdefault(id(value), where[-1] if where else "")
            users.setdefault(id(value), []).append(where)
        for used in (*call.inputs, *call.captured):
            if used is not None and _is_weight(model, used):
                values[id(used)] = used
                users.setdefault(id(used), []).append(where)
    found: dict[int, Shared] = {}
    for key, value in values.items():
        holder = owned.get(key, _place_of(value, users[key], paths))
        if any((where[-1] if where else "") != holder for where in users[key]):
            found[key] = Shared(value, holder)
    return found


def _place_of(value: ir.Value, users: Sequence[tuple[str, ...]], paths: Set[str]) -> str:
    """The innermost written module whose name the weight's begins with; one user keeps what is its own."""
    if len(set(users)) == 1:
        return users[0][-1] if users[0] else ""
    around = [path for path in paths if path and (value.name or "").startswith(f"{path}.")]
    return max(around, key=len, default="")


def _is_weight(model: Model, value: ir.Value) -> bool:
    return value.is_initializer() and not value.is_graph_input() and model.role(value) != "constant"

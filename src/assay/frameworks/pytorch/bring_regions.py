"""Regions of an exported program (`torch.no_grad`, an autocast that is off) put back in line with what is around them.

torch.export wraps such a region into a call of a graph of its own. What is computed there is computed all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_NO_GRAD, _AUTOCAST = "wrap_with_set_grad_enabled", "wrap_with_autocast"


def nodes_in_line(program: Any, refused: Callable[[str, Any], None]) -> list[Any]:
    """The nodes of a program, those of its regions among them; the program stays as it is.

    `refused(what, node)` is told of regions that mean more than what is computed in them.
    """
    if not any(_kind(node) for node in program.graph.nodes):
        return list(program.graph.nodes)
    graph = type(program.graph)()
    result = graph.graph_copy(program.graph, {})
    graph.output(result)
    held: dict[str, Any] = dict(program.graph_module.named_children())
    while regions := [node for node in graph.nodes if _kind(node)]:
        for node in regions:
            _check(node, refused)
            held.update(_open(graph, node, held))
    copied = {node.name: node for node in graph.nodes}
    for node in program.graph.nodes:
        if node.name in copied:
            copied[node.name].meta.update(node.meta)
    return list(graph.nodes)


def _kind(node: Any) -> str:
    name = getattr(node.target, "__name__", "") if node.op == "call_function" else ""
    return name if name in (_NO_GRAD, _AUTOCAST) else ""


def _check(node: Any, refused: Callable[[str, Any], None]) -> None:
    if _kind(node) == _AUTOCAST:
        if node.args[2]:
            refused("torch.autocast, which computes in another type", node)
    elif not node.args[0] and any(_carries_gradients(item) for item in node.args[2:]):
        refused("torch.no_grad around values that gradients reach", node)


def _carries_gradients(value: Any) -> bool:
    """Whether a value depends on a parameter, or on an input of floating numbers."""
    pending, seen = [value], set()
    while pending:
        node = pending.pop()
        if not hasattr(node, "op") or node.name in seen:
            continue
        seen.add(node.name)
        found = node.meta.get("val")
        if hasattr(found, "shape") and not found.is_floating_point():
            continue  # no gradient passes an integer
        if node.op == "placeholder":
            held = node.name.startswith(("p_", "b_", "c_"))
            if not held or getattr(found, "requires_grad", False):
                return True
            continue
        pending.extend(node.all_input_nodes)
    return False


def _open(graph: Any, node: Any, held: dict[str, Any]) -> dict[str, Any]:
    """Puts the nodes of a region where its call stands; gives the regions that are inside it, by their new names."""
    first = 2 if _kind(node) == _NO_GRAD else 5
    place, given = node.args[first - 1], node.args[first:]
    inner = held[str(place.target)]
    nested = {f"{place.target}.{name}": part for name, part in inner.named_children()}
    values: dict[Any, Any] = {}
    arguments = iter(given)
    result: Any = None
    with graph.inserting_before(node):
        for item in inner.graph.nodes:
            if item.op == "placeholder":
                values[item] = next(arguments)
            elif item.op == "output":
                result = item.args[0]
            else:
                values[item] = graph.node_copy(item, lambda old: values[old])
                if item.op == "get_attr":
                    values[item].target = f"{place.target}.{item.target}"
    listed = result if isinstance(result, (list, tuple)) else [result]
    for user in list(node.users):
        user.replace_all_uses_with(values[listed[user.args[1]]])
        graph.erase_node(user)
    graph.erase_node(node)
    return nested


__all__ = ["nodes_in_line"]

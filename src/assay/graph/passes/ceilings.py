"""Max pools that round sizes up, as pools with the padding that this amounts to: where sizes are known, most frameworks
then have a pool for them."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir


def spell_out_ceilings(graph: ir.Graph) -> None:
    """Replaces `ceil_mode` by padding at the end. Average pools keep it where a window hangs over: they count its elements."""
    for node in graph.all_nodes():
        if node.op_type not in ("MaxPool", "AveragePool") or not _given(node, "ceil_mode", 0):
            continue
        further = _overhang(node)
        if further is None or (node.op_type == "AveragePool" and any(further)):
            continue
        rank = len(further)
        pads = list(_given(node, "pads", [0] * 2 * rank))
        pads[rank:] = [pad + more for pad, more in zip(pads[rank:], further, strict=True)]
        node.attributes["pads"] = ir.AttrInt64s("pads", pads)
        del node.attributes["ceil_mode"]


def _given(node: ir.Node, name: str, default: Any) -> Any:
    return node.attributes[name].value if name in node.attributes else default


def _overhang(node: ir.Node) -> list[int] | None:
    """By how much the last window of each axis goes beyond the padding; None where a size is not known."""
    x, kernel = node.inputs[0], node.attributes["kernel_shape"].as_ints()
    automatic = _given(node, "auto_pad", "NOTSET")
    if x is None or x.shape is None or automatic not in ("NOTSET", "") or len(node.outputs) > 1:
        return None
    rank = len(kernel)
    ones = [1] * rank
    strides, dilations, pads = (
        node.attributes[name].as_ints() if name in node.attributes else usual
        for name, usual in (("strides", ones), ("dilations", ones), ("pads", [0] * 2 * rank))
    )
    found = []
    for axis, size in enumerate(x.shape[2:]):
        if not isinstance(size, int):
            return None
        before, after = pads[axis], pads[rank + axis]
        left = size + before + after - dilations[axis] * (kernel[axis] - 1) - 1
        steps = -(-left // strides[axis])
        if steps * strides[axis] >= size + before:  # no window begins beyond the data
            steps -= 1
        found.append(max(steps * strides[axis] - left, 0))
    return found

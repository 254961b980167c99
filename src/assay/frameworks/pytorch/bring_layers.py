"""Layers of torch that an exported graph shows opened, found again by the module that their calls were made in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.frameworks.pytorch.bring_ops.common import Call, Weight
from assay.nn.tensor import Tensor

_ATTENTION = "torch.nn.modules.activation.MultiheadAttention"


@dataclass(frozen=True)
class SelfAttention:
    """A call of `nn.MultiheadAttention` on one tensor, without a mask."""

    x: Any  # the node that is attended to
    result: Any  # the node of the call that is used outside
    heads: int
    batch_first: bool
    causal: bool
    projections: tuple[Weight, Weight | None, Weight, Weight | None]  # in and out, each with its bias

    def translate(self, c: Call, x: Tensor) -> Tensor:
        """One linear map for queries, keys and values, the attention, one linear map."""
        weight, bias, out_weight, out_bias = self.projections
        if not self.batch_first:
            x = c.transpose(x, (1, 0, 2))
        packed = _linear(c, x, weight, bias)
        parts = c.tracer.node_with_outputs("Split", [packed], [x.shape] * 3, axis=-1, num_outputs=3)
        mixed = c.node(
            "Attention",
            parts,
            x.shape,
            q_num_heads=self.heads,
            kv_num_heads=self.heads,
            is_causal=int(self.causal),
        )
        y = _linear(c, mixed, out_weight, out_bias)
        return y if self.batch_first else c.transpose(y, (1, 0, 2))


def _linear(c: Call, x: Tensor, weight: Weight, bias: Weight | None) -> Tensor:
    held = weight.transposed(c.tracer)
    shape = (*x.shape[:-1], weight.array.shape[0])
    y = c.node("MatMul", [x, held], shape)
    return y if bias is None else c.node("Add", [y, bias.plain(c.tracer)], shape)


def self_attentions(
    nodes: Sequence[Any],
    weights: Mapping[str, Weight],
    layers: Mapping[str, tuple[int, bool]],
    name_of: Callable[[Any], str],
) -> dict[str, tuple[SelfAttention, frozenset[str]]]:
    """The node that gives the result of each such call → the call, and the names of all nodes that are inside it."""
    groups: dict[str, list[Any]] = {}
    for node in nodes:
        for key, (path, kind) in (node.meta.get("nn_module_stack") or {}).items():
            if str(kind) == _ATTENTION and path.partition("@")[0] in layers and node.op == "call_function":
                groups.setdefault(key, []).append(node)
    found = {}
    for members in groups.values():
        path = next(p for p, kind in members[0].meta["nn_module_stack"].values() if str(kind) == _ATTENTION)
        attention = _recognised(members, weights, layers[path.partition("@")[0]], name_of)
        if attention is not None:
            found[attention.result.name] = (attention, frozenset(node.name for node in members))
    return found


def _recognised(
    members: Sequence[Any], weights: Mapping[str, Weight], layer: tuple[int, bool], name_of: Callable[[Any], str]
) -> SelfAttention | None:
    names = [name_of(node.target).split(".")[1] if "." in name_of(node.target) else "" for node in members]
    inside = {node.name for node in members}
    given = {item for node in members for item in node.all_input_nodes if item.name not in inside}
    outside = [item for item in given if item.name not in weights and hasattr(item.meta.get("val"), "shape")]
    results = [node for node in members if any(user.name not in inside for user in node.users)]
    results = [node for node in results if hasattr(node.meta.get("val"), "shape")]
    kernels = [node for node, name in zip(members, names, strict=True) if name == "scaled_dot_product_attention"]
    opened = names.count("softmax") == 1 and names.count("bmm") + names.count("baddbmm") == 2
    products = [node for node, name in zip(members, names, strict=True) if name == "linear"]
    if len(outside) != 1 or len(results) != 1 or len(products) != 2 or not (len(kernels) == 1 or opened):
        return None
    if len(outside[0].meta["val"].shape) != 3 or results[0].meta["val"].shape != outside[0].meta["val"].shape:
        return None
    causal = bool(kernels) and (True in kernels[0].args[5:6] or bool(kernels[0].kwargs.get("is_causal", False)))
    held = [weights.get(item.name) if item is not None else None for node in products for item in _projection(node)]
    first, first_bias, second, second_bias = held
    if first is None or second is None or first.users != 1 or second.users != 1:
        return None
    if first.array.shape[0] != 3 * first.array.shape[1] or (second.array.shape[0] != first.array.shape[1]):
        return None
    heads, batch_first = layer
    return SelfAttention(outside[0], results[0], heads, batch_first, causal, (first, first_bias, second, second_bias))


def _projection(node: Any) -> tuple[Any, Any]:
    return node.args[1], node.args[2] if len(node.args) > 2 else None

"""Attention: one operator where its heads are packed in the last axis, its parts otherwise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from assay.frameworks.pytorch.bring_ops.common import Call, Result, Untranslatable, aten, known
from assay.model import intended
from assay.nn.tensor import Tensor, broadcast


@aten("scaled_dot_product_attention")
def attention(c: Call) -> Result:
    query, key, value = (c.tensor(name) for name in ("query", "key", "value"))
    mask, causal = c.optional("attn_mask"), bool(c["is_causal"])
    if c["dropout_p"]:
        raise Untranslatable("dropout that is active in evaluation")
    size = known(query.shape[-1], "attention")
    scale = c.get("scale", 1 / math.sqrt(size))
    usual = math.isclose(scale, 1 / math.sqrt(size), rel_tol=1e-12)
    heads = [_packed(item) for item in (query, key, value)]
    if mask is None and all(heads) and usual and query.rank == 4:
        return _packed_attention(c, [item for item in heads if item is not None], causal)
    if query.rank != 4 or not (usual or intended(scale) == scale):  # ONNX keeps a scale in float32
        return _opened(c, (query, key, value), mask, causal, scale)
    given = [query, key, value, *([] if mask is None else [mask])]
    options: dict[str, Any] = {} if usual else {"scale": float(scale)}
    return c.result("Attention", given, is_causal=int(causal), **options)


def _opened(
    c: Call, operands: tuple[Tensor, Tensor, Tensor], mask: Tensor | None, causal: bool, scale: float
) -> Tensor:
    """Attention without an axis of heads, or with more than one before the steps, by its parts."""
    query, key, value = operands
    scores = _scores(c, query, key, scale)
    if causal:
        steps = [known(item, "a causal mask") for item in scores.shape[-2:]]
        above = np.triu(np.full(steps, -np.inf, c.dtype), 1)
        scores = c.node("Add", [scores, c.tracer.constant(above)], scores.shape)
    if mask is not None:
        if mask.dtype == "bool":
            scores = c.node("Where", [mask, scores, c.scalar(-math.inf, c.dtype)], broadcast(mask.shape, scores.shape))
        else:
            scores = c.node("Add", [scores, mask], broadcast(scores.shape, mask.shape))
    weights = c.node("Softmax", [scores], scores.shape, axis=-1)
    return c.result("MatMul", [weights, value])


def _scores(c: Call, query: Tensor, key: Tensor, scale: float) -> Tensor:
    order = [*range(key.rank - 2), key.rank - 1, key.rank - 2]
    turned = c.transpose(key, order)
    shape = (*broadcast(query.shape[:-2], key.shape[:-2]), query.shape[-2], key.shape[-2])
    scores = c.node("MatMul", [query, turned], shape)
    return c.node("Mul", [scores, c.scalar(scale, c.dtype)], shape)


def _packed(x: Tensor) -> tuple[Tensor, int] | None:
    """What x (batch, heads, steps, size) was made from, if it is (batch, steps, heads · size) seen as heads; their number."""
    transpose = x.value.producer()
    if (
        transpose is None
        or transpose.op_type != "Transpose"
        or list(transpose.attributes["perm"].value) != [0, 2, 1, 3]
    ):
        return None
    middle = transpose.inputs[0]
    reshape = None if middle is None else middle.producer()
    if reshape is None or reshape.op_type != "Reshape" or reshape.inputs[0] is None:
        return None
    source = reshape.inputs[0]
    shape = tuple(size if isinstance(size, int) else str(size.value) for size in source.shape or ())
    batch, heads, steps, size = x.shape
    if len(shape) != 3 or shape[:2] != (batch, steps) or not isinstance(heads, int) or not isinstance(size, int):
        return None
    return (Tensor(source, shape, x.dtype), heads) if shape[2] == heads * size else None


def _packed_attention(c: Call, packed: list[tuple[Tensor, int]], causal: bool) -> Tensor:
    """Attention on packed heads, seen as heads again: what follows usually undoes that."""
    query, heads = packed[0]
    value = packed[2][0]
    mixed = c.node(
        "Attention",
        [item for item, _ in packed],
        (*query.shape[:2], value.shape[2]),
        c.dtype,
        q_num_heads=heads,
        kv_num_heads=packed[1][1],
        is_causal=int(causal),
    )
    batch, _, steps, size = c.shape
    seen = c.reshape(mixed, (batch, steps, heads, size))
    return c.transpose(seen, (0, 2, 1, 3))

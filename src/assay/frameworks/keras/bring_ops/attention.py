"""Attention: linear maps around ONNX's own operator, opened where there is a mask, or dropout on the weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.arithmetic import combine
from assay.frameworks.keras.bring_ops.common import Call, Value, known, layer, operation
from assay.frameworks.keras.bring_ops.regularisation import dropped
from assay.nn.tensor import Tensor
from assay.write.weights import reshape


@contextlib.contextmanager
def _part(c: Call, name: str) -> Iterator[None]:
    """Inside the linear map of this name."""
    path, number = c.scope[-1]
    if not path:
        with c.outside():
            yield
        return
    inner = f"{path}.{name}"
    c.graph.modules.setdefault(inner, {"class": "Dense", "arguments": ["x"]})
    with c.graph.within((*c.scope, (inner, number))):
        yield


def _projected(c: Call, name: str, dense: Any, x: Value) -> Tensor:
    """(batch, steps, features) → (batch, steps, heads · size)."""
    kernel, bias = dense._kernel, dense.bias
    sizes = tuple(int(size) for size in kernel.shape)
    rows = sizes[0] if name != "output" else math.prod(sizes[:2])
    columns = math.prod(sizes[1:]) if name != "output" else math.prod(sizes[2:])
    data = c.plain(x)
    with _part(c, dense.name):
        weight = c.form(kernel, (rows, columns), reshape((rows, columns), sizes))
        y = c.node("MatMul", [data, weight], (*data.shape[:-1], columns))
        if bias is not None:
            shape = tuple(int(size) for size in bias.shape)
            held = c.form(bias, (columns,), *([] if len(shape) == 1 else [reshape((columns,), shape)]))
            y = c.node("Add", [y, held], y.shape)
    return y


@layer("MultiHeadAttention", "GroupedQueryAttention", "GroupQueryAttention")
def multi_head_attention(c: Call) -> Any:
    source = c.source
    query, value = c.value(c["query"]), c.value(c["value"])
    key = c.value(c["key"]) if c.given("key") else value
    if query.rank != 3 or value.rank != 3:
        raise Untranslatable("attention over other axes than the second")
    for option in ("_use_gate", "use_gate"):
        if getattr(source, option, False):
            raise Untranslatable("a gate")
    if getattr(source, "_sliding_window", None) or getattr(source, "sliding_window", None):
        raise Untranslatable("a sliding window")
    path = c.scope[-1][0]
    if path:
        names = [name for name in ("query", "value", "key") if c.given(name)]
        c.graph.modules[path] = {"class": type(source).__name__, "arguments": names}
    heads = int(getattr(source, "_num_heads", 0) or source.num_query_heads)
    groups = int(getattr(source, "num_key_value_heads", 0) or heads)
    packed = [
        _projected(c, name, getattr(source, f"_{name}_dense"), item)
        for name, item in (("query", query), ("key", key), ("value", value))
    ]
    rate = float(getattr(source, "_dropout", None) or getattr(source, "dropout", 0.0) or 0.0)
    mask = _mask(c, query, value)
    causal = bool(c.arguments.get("use_causal_mask", False))
    scores = None
    if mask is None and not rate and not c.arguments.get("return_attention_scores"):
        shape = (*query.shape[:2], packed[2].shape[-1])
        if groups != heads:
            shape = (*query.shape[:2], known(packed[2].shape[-1], "attention") // groups * heads)
        mixed = c.node("Attention", packed, shape, q_num_heads=heads, kv_num_heads=groups, is_causal=int(causal))
    else:
        mixed, scores = _opened(c, packed, heads, groups, mask, causal, rate)
    result = c.wrap(_projected(c, "output", source._output_dense, c.wrap(mixed)))
    return (result, scores) if c.arguments.get("return_attention_scores") else result


def _mask(c: Call, query: Value, value: Value) -> Value | None:
    """(batch or 1, steps, other steps): which places may be attended to, from all masks that are given."""
    parts = []
    for name, axis in (("query_mask", 2), ("value_mask", 1), ("key_mask", 1)):
        if c.given(name):
            held = c.cast(c.value(c[name]), "bool")
            parts.append(c.wrap(c.unsqueeze(c.plain(held), [axis])))
    if c.given("attention_mask"):
        parts.append(c.cast(c.value(c["attention_mask"]), "bool"))
    found = None
    for part in parts:
        found = part if found is None else combine(c, "And", found, part, kind="bool")
    return found


def _opened(
    c: Call, packed: list[Tensor], heads: int, groups: int, mask: Value | None, causal: bool, rate: float
) -> tuple[Tensor, Value]:
    """Attention as products of matrices: where its weights are masked, dropped or given too."""
    query, key, value = (
        _split_heads(c, item, count) for item, count in zip(packed, (heads, groups, groups), strict=True)
    )
    if groups != heads:
        key, value = (_repeated(c, item, heads // groups) for item in (key, value))
    size = known(query.shape[-1], "attention")
    scale = 1 / math.sqrt(size)
    turned = c.transpose(key, (0, 1, 3, 2))
    shape = (*query.shape[:3], key.shape[2])
    scaled = c.node("Mul", [query, c.number(scale, query.dtype)], query.shape)
    logits = c.node("MatMul", [scaled, turned], shape)
    if causal:
        rows, columns = known(shape[2], "a causal mask"), known(shape[3], "a causal mask")
        before = c.constant(np.tril(np.ones((1, rows, columns), dtype=bool)))
        mask = before if mask is None else combine(c, "And", mask, before, kind="bool")
    if mask is not None:
        given = c.plain(mask)
        given = c.unsqueeze(given, [1]) if given.rank == 3 else given
        lowest = c.number(-1e30, query.dtype)
        logits = c.node("Where", [given, logits, lowest], shape)
    weights = c.node("Softmax", [logits], shape, axis=-1)
    used = weights
    if rate:
        used = c.plain(dropped(c, c.wrap(weights), rate))
    mixed = c.node("MatMul", [used, value], (*shape[:3], value.shape[-1]))
    joined = c.transpose(mixed, (0, 2, 1, 3))
    features = heads * known(value.shape[-1], "attention")
    return c.reshape(joined, (*joined.shape[:2], features)), c.wrap(weights)


def _split_heads(c: Call, x: Tensor, heads: int) -> Tensor:
    size = known(x.shape[-1], "attention") // heads
    return c.transpose(c.reshape(x, (*x.shape[:2], heads, size)), (0, 2, 1, 3))


def _repeated(c: Call, x: Tensor, times: int) -> Tensor:
    """Each head several times, one after the other."""
    batch, heads, steps, size = x.shape
    count = known(heads, "attention")
    wide = c.node("Tile", [c.unsqueeze(x, [2]), c.integers([1, 1, times, 1, 1])], (batch, count, times, steps, size))
    return c.reshape(wide, (batch, count * times, steps, size))


@operation("DotProductAttention")
def dot_product_attention(c: Call) -> Value:
    """(batch, steps, heads, size) each."""
    if c.given("bias") or c.option("attn_logits_soft_cap") is not None:
        raise Untranslatable("a bias or a cap on the logits")
    items = [c.value(c[name]) for name in ("query", "key", "value")]
    turned = [c.transpose(c.plain(item), (0, 2, 1, 3)) for item in items]
    heads, groups = (known(item.shape[1], "attention") for item in turned[:2])
    scale = c.arguments.get("scale")
    mask = c.plain(c.cast(c.value(c["mask"]), "bool")) if c.given("mask") else None
    query, key, value = turned
    shape = (*query.shape[:3], value.shape[-1])
    if groups != heads:
        key, value = (_repeated(c, item, heads // groups) for item in (key, value))
    attributes: dict[str, Any] = {} if scale is None else {"scale": float(scale)}
    inputs = [query, key, value, *([] if mask is None else [mask])]
    y = c.node("Attention", inputs, shape, is_causal=int(bool(c.option("is_causal"))), **attributes)
    return c.wrap(c.transpose(y, (0, 2, 1, 3)))


@layer("Attention", "AdditiveAttention")
def attention(c: Call) -> Any:
    """Luong's (a product) or Bahdanau's (a sum) attention of query, value and key."""
    given = [c.value(item) for item in c["inputs"]]
    query, value = given[:2]
    key = given[2] if len(given) > 2 else value
    mask = c.arguments.get("mask")
    if mask is not None and any(item is not None for item in mask):
        raise Untranslatable("a mask")
    if c.arguments.get("use_causal_mask"):
        raise Untranslatable("a causal mask; use MultiHeadAttention")
    q, k = c.plain(query), c.plain(key)
    shape = (query.shape[0], query.shape[1], key.shape[1])
    if c.name == "layers.AdditiveAttention" or c.option("score_mode") == "concat":
        scores = _additive_scores(c, query, key)
    else:
        scores = c.node("MatMul", [q, c.transpose(k, (0, 2, 1))], shape)
        if getattr(c.source, "scale", None) is not None:
            scores = c.node("Mul", [scores, c.plain(c.held(c.weights(c.option("scale"))))], shape)
    weights = c.wrap(c.node("Softmax", [scores], shape, axis=-1))
    used = dropped(c, weights, float(c.option("dropout"))) if c.option("dropout") else weights
    result = c.node("MatMul", [c.plain(used), c.plain(value)], (*shape[:2], value.shape[-1]))
    return (c.wrap(result), weights) if c.arguments.get("return_attention_scores") else c.wrap(result)


def _additive_scores(c: Call, query: Value, key: Value) -> Tensor:
    if c.name == "layers.Attention":
        raise Untranslatable("score_mode='concat'")
    one = c.wrap(c.unsqueeze(c.plain(query), [2]))
    other = c.wrap(c.unsqueeze(c.plain(key), [1]))
    mixed = combine(c, "Add", one, other)
    data = c.node("Tanh", [c.plain(mixed)], mixed.shape)
    if getattr(c.source, "scale", None) is not None:
        data = c.node("Mul", [data, c.plain(c.held(c.weights(c.option("scale"))))], mixed.shape)
    return c.node("ReduceSum", [data, c.integers([3])], mixed.shape[:3], keepdims=0)

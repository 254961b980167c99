"""Attention."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.jax.rules.common import TABLE, dtype_text, options
from assay.graph.calls import Call
from assay.write.body import Builder

_KNOWN = {"q_num_heads", "kv_num_heads", "is_causal"}


def _is_plain(call: Call) -> bool:
    """Whether heads lie side by side in the features, without masks, caches and other options."""
    heads = call.attributes.get("q_num_heads"), call.attributes.get("kv_num_heads")
    return (
        set(call.attributes) <= _KNOWN
        and heads[0] is not None
        and heads[0] == heads[1]
        and len(call.inputs) == 3
        and len(call.outputs) == 1
        and call.x.dtype != ir.DataType.BFLOAT16  # whose sums ONNX rounds
    )


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    if not _is_plain(call):
        attention_with_options(call, w)
        return
    heads = w.literal(call.attribute("q_num_heads"), "heads")
    call.attribute("kv_num_heads")
    causal = ", causal=True" if call.attribute("is_causal", 0) else ""
    query, key, value = (w.use(item) for item in call.inputs[:3])
    w.emit(call.y, f"attention({query}, {key}, {value}, {heads}{causal})", light=True)


_STAGES = (None, '"softcap"', '"mask"', '"softmax"')


def attention_with_options(call: Call, w: Builder) -> None:
    """Attention with masks, caches, shared heads, and whatever else ONNX has."""
    names = ("mask", "past_key", "past_value", "lengths")
    given = {name: call.computed(slot) for slot, name in enumerate(names, 3)}
    window = (call.attribute("left_window_size", -1), call.attribute("right_window_size", -1))
    precision = call.attribute("softmax_precision", None)
    more = options(
        **{name: None if value is None else w.array(value) for name, value in given.items()},
        heads=call.attribute("q_num_heads", None),
        kv_heads=call.attribute("kv_num_heads", None),
        scale=call.attribute("scale", None),
        causal=True if call.attribute("is_causal", 0) else None,
        softcap=call.attribute("softcap", 0.0) or None,
        window=None if window == (-1, -1) else window,
        precision=None if precision is None else dtype_text(precision),
        scores_after=_STAGES[call.attribute("qk_matmul_output_mode", 0)],
    )
    text = f"attention_with_options({', '.join(w.array(value) for value in call.inputs[:3])}{more})"
    if len(call.outputs) == 1:
        w.emit(call.y, f"{text}[0]")
    else:
        w.emit([*call.outputs, *[None] * (4 - len(call.outputs))], text)


@TABLE.rule("RotaryEmbedding")
def rotary_embedding(call: Call, w: Builder) -> None:
    positions = call.computed(3)
    more = options(
        positions=None if positions is None else w.array(positions),
        heads=call.attribute("num_heads", 0) or None,
        size=call.attribute("rotary_embedding_dim", 0) or None,
        interleaved=True if call.attribute("interleaved", 0) else None,
    )
    w.emit(call.y, f"rotary({', '.join(w.array(value) for value in call.inputs[:3])}{more})")

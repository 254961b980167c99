"""TensorFlow's lowering table: attention."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.tensorflow.common import (
    HEADS,
    NARROW_FLOATS,
    TABLE,
    carrier,
    in_order,
    optional,
    written,
)
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.parts import Temporary
from assay.write.table import Raw


def _is_plain(call: Call) -> bool:
    """Self- or cross-attention over (batch, time, features), all heads alike; other forms are written out."""
    plain = {"qk_matmul_output_mode": 0, "softcap": 0.0, "q_num_heads": None, "kv_num_heads": None, "is_causal": 0}
    heads = call.attributes.get("q_num_heads")
    usual = all(
        name in ("q_num_heads", "kv_num_heads", "is_causal") or value == plain.get(name)
        for name, value in call.attributes.items()
    )
    shapes = [value.shape for value in call.inputs[:3] if value is not None and value.shape is not None]
    ranks = len(shapes) == 3 and all(len(shape) == 3 for shape in shapes)
    same = heads is not None and heads == call.attributes.get("kv_num_heads")
    more = any(value is not None for value in (*call.inputs[3:], *call.outputs[1:]))
    sizes = (
        ranks
        and len({shape[2] for shape in shapes}) == 1
        and all(isinstance(size, int) for shape in shapes for size in tuple(shape)[1:])
    )
    return usual and same and sizes and not more and call.x.dtype not in NARROW_FLOATS


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    if not _is_plain(call):
        _attention_with_options(call, w)
        return
    heads = call.attribute("q_num_heads")
    call.attribute("kv_num_heads")
    call.attribute("qk_matmul_output_mode")
    call.attribute("softcap")
    operands = []
    for value in call.inputs[:3]:
        assert value is not None
        operand: ir.Value | Temporary = value
        if HEADS not in value.meta:
            operand = w.temporary(value.meta.get("assay.hint", "x"))
            w.emit(operand, f"split_heads({w.use(value)}, heads={w.literal(heads, 'heads')})", light=True)
        operands.append(w.use(operand))
    causal = ", causal=True" if call.attribute("is_causal", 0) else ""
    w.emit(call.y, f"attention({', '.join(operands)}{causal})", light=True)


_STAGES = (None, "softcap", "mask", "softmax")


def _attention_with_options(call: Call, w: Builder) -> None:
    """Attention with masks, caches, shared heads, and whatever else ONNX has."""
    operands = [in_order(value, w) for value in call.inputs[:3] if value is not None]
    names = ("mask", "past_key", "past_value", "lengths")
    given = [(name, optional(call, slot, w)) for slot, name in enumerate(names, 3)]
    operands += [f"{name}={text}" for name, text in given if text is not None]
    window = (call.attribute("left_window_size", -1), call.attribute("right_window_size", -1))
    precision = call.attribute("softmax_precision")
    text = written(
        "attention_with_options",
        *operands,
        heads=call.attribute("q_num_heads"),
        kv_heads=call.attribute("kv_num_heads"),
        scale=call.attribute("scale"),
        causal=True if call.attribute("is_causal", 0) else None,
        softcap=call.attribute("softcap", 0.0) or None,
        window=None if window == (-1, -1) else window,
        precision=None if not precision else Raw(carrier(precision)),
        scores_after=_STAGES[call.attribute("qk_matmul_output_mode", 0)],
    )
    if len(call.outputs) == 1:
        w.emit(call.y, f"{text}[0]")
    else:
        w.emit([call.wanted(place) for place in range(4)], text)


@TABLE.rule("RotaryEmbedding")
def rotary_embedding(call: Call, w: Builder) -> None:
    operands = [in_order(value, w) for value in call.inputs[:3] if value is not None]
    text = written(
        "turn_pairs",
        *operands,
        optional(call, 3, w),
        heads=call.attribute("num_heads", 0) or None,
        size=call.attribute("rotary_embedding_dim", 0) or None,
        interleaved=True if call.attribute("interleaved", 0) else None,
    )
    w.emit(call.y, text)

"""Attention: Keras' own where it has the form, a local function with all of ONNX's options elsewhere."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.keras.rules.common import TABLE, rank_of, type_name
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder


def _plain(call: Call) -> bool:
    """Self- or cross-attention of packed heads, causal or not, without masks, caches and further outputs."""
    given = [value for value in call.inputs if value is not None]
    attributes = call.attributes
    heads = attributes.get("q_num_heads", 0)
    return (
        len(call.inputs) == len(given) == 3
        and all(rank_of(value) == 3 for value in given)
        and set(attributes) <= {"q_num_heads", "kv_num_heads", "is_causal"}
        and heads == attributes.get("kv_num_heads", 0)
        and all(value is None for value in call.outputs[1:])
        and all(isinstance(size, int) for value in given for size in shape_of(value)[1:])
        and len({shape_of(value)[2] for value in given}) == 1
        and str(call.x.dtype) in ("FLOAT", "DOUBLE")
    )


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    if not _plain(call):
        _attention_with_options(call, w)
        return
    heads = w.literal(call.attribute("q_num_heads"), "heads")
    call.attribute("kv_num_heads")
    causal = ", is_causal=True" if call.attribute("is_causal", 0) else ""
    split = []
    for value in call.inputs[:3]:
        assert value is not None
        _, steps, features = shape_of(value)
        part = w.temporary(value.meta.get("assay.hint", "x"))
        size = int(features) // int(call.attribute("q_num_heads"))
        w.emit(part, f"ops.reshape({w.use(value)}, (-1, {steps}, {heads}, {w.literal(size, 'size')}))")
        split.append(part)
    query, key, value_part = (w.use(part) for part in split)
    mixed = w.temporary("mixed")
    w.emit(mixed, f"attention({query}, {key}, {value_part}{causal})")
    _, steps, features = shape_of(call.y)
    w.emit(call.y, f"ops.reshape({w.use(mixed)}, (-1, {steps}, {w.literal(features, 'features')}))", light=True)


_STAGES = ("product", "softcap", "mask", "softmax")


def _attention_with_options(call: Call, w: Builder) -> None:
    """Attention with masks, caches, shared heads, and whatever else ONNX has."""
    more = ""
    for slot, name in enumerate(("mask", "past_key", "past_value", "lengths"), 3):
        value = call.computed(slot)
        more += f", {name}={w.array(value)}" if value is not None else ""
    attributes = {
        "heads": call.attribute("q_num_heads"),
        "kv_heads": call.attribute("kv_num_heads"),
        "scale": call.attribute("scale"),
        "causal": bool(call.attribute("is_causal", 0)) or None,
        "softcap": call.attribute("softcap", 0.0) or None,
    }
    more += "".join(f", {name}={value!r}" for name, value in attributes.items() if value is not None)
    window = (call.attribute("left_window_size", -1), call.attribute("right_window_size", -1))
    more += f", window={window}" if window != (-1, -1) else ""
    precision = call.attribute("softmax_precision")
    more += f', precision="{type_name(ir.DataType(precision))}"' if precision else ""
    stage = _STAGES[call.attribute("qk_matmul_output_mode", 0)]
    more += f', scores_after="{stage}"' if stage != "product" else ""
    text = f"attention_with_options({', '.join(w.array(value) for value in call.inputs[:3])}{more})"
    if all(value is None for value in call.outputs[1:]):
        w.emit(call.y, f"{text}[0]")
    else:
        w.emit([*call.outputs, *[None] * (4 - len(call.outputs))], text)


@TABLE.rule("RotaryEmbedding")
def rotary_embedding(call: Call, w: Builder) -> None:
    positions = call.computed(3)
    more = f", positions={w.array(positions)}" if positions is not None else ""
    for name, argument in (("num_heads", "heads"), ("rotary_embedding_dim", "size")):
        value = call.attribute(name, 0)
        more += f", {argument}={value}" if value else ""
    more += ", interleaved=True" if call.attribute("interleaved", 0) else ""
    w.emit(call.y, f"rotary({', '.join(w.array(value) for value in call.inputs[:3])}{more})")

"""Attention where Keras has it; ONNX's other forms are written by what ONNX defines them with."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE, rank_of
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


@TABLE.rule("Attention", when=_plain)
def attention(call: Call, w: Builder) -> None:
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

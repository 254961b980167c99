"""Attention."""

from __future__ import annotations

from assay.frameworks.pytorch.patterns import packed_heads
from assay.frameworks.pytorch.rules.common import TABLE
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.parts import Value


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    heads = call.attribute("q_num_heads")
    call.attribute("kv_num_heads")
    causal = bool(call.attribute("is_causal", 0))
    split: list[Value | None] = []
    packed = call.x.producer()
    for given in call.inputs[:3]:
        if packed is not None and packed_heads(packed):
            split.append(given)
            continue
        part = w.temporary("x" if given is None else given.meta.get("assay.hint", "x"))
        w.emit(part, f"{w.use(given)}.unflatten(-1, ({w.literal(heads, 'heads')}, -1)).transpose(1, 2)")
        split.append(part)
    query, key, value = (w.use(part) for part in split)
    mixed = w.temporary("mixed")
    w.emit(mixed, f"F.scaled_dot_product_attention({query}, {key}, {value}{', is_causal=True' if causal else ''})")
    w.emit(call.y, f"{w.use(mixed)}.transpose(1, 2).flatten(2)", light=True)

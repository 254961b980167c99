"""Attention."""

from __future__ import annotations

from assay.frameworks.jax.rules.common import TABLE
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
    )


@TABLE.rule("Attention", when=_is_plain)
def attention(call: Call, w: Builder) -> None:
    heads = w.literal(call.attribute("q_num_heads"), "heads")
    call.attribute("kv_num_heads")
    causal = ", causal=True" if call.attribute("is_causal", 0) else ""
    query, key, value = (w.use(item) for item in call.inputs[:3])
    w.emit(call.y, f"attention({query}, {key}, {value}, {heads}{causal})", light=True)

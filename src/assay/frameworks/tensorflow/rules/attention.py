"""TensorFlow's lowering table: attention."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.tensorflow.common import HEADS, NARROW_FLOATS, TABLE
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.parts import Temporary


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


@TABLE.rule("Attention", when=_is_plain)
def attention(call: Call, w: Builder) -> None:
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

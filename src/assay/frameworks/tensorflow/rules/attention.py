"""TensorFlow's lowering table: attention."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.tensorflow.common import HEADS, TABLE
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
    shapes = [value.shape if value is not None else None for value in call.inputs[:3]]
    ranks = all(shape is not None and len(shape) == 3 for shape in shapes)
    same = heads is not None and heads == call.attributes.get("kv_num_heads")
    narrow = call.x.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    more = any(value is not None for value in call.inputs[3:]) or any(value is not None for value in call.outputs[1:])
    sizes = (
        len({shape[2] for shape in shapes}) == 1
        and all(  # type: ignore[index]
            isinstance(size, int)
            for shape in shapes
            for size in shape[1:]  # type: ignore[index]
        )
        if ranks
        else False
    )
    return usual and ranks and same and sizes and not more and not narrow


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

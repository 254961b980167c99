"""Attention, and what goes with it."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.pytorch.patterns import packed_heads
from assay.frameworks.pytorch.rules.common import TABLE, TYPES, arguments_of, emit_wanted, rank_of, targets
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.parts import Value


@TABLE.rule("Attention")
def attention(call: Call, w: Builder) -> None:
    heads = (call.attribute("q_num_heads"), *[call.attribute("kv_num_heads")] * 2)
    joined = heads[0] is not None and rank_of(call.x) != 4  # heads lie side by side in the last axis
    packed = call.x.producer()
    split: list[Value | None] = []
    for given, count in zip(call.inputs[:3], heads, strict=True):
        if not joined or (packed is not None and packed_heads(packed)):
            split.append(given)
            continue
        part = w.temporary("x" if given is None else given.meta.get("assay.hint", "x"))
        w.emit(part, f"{w.array(given)}.unflatten(-1, ({w.literal(count, 'heads')}, -1)).transpose(1, 2)")
        split.append(part)
    mixed: Value = w.temporary("mixed") if joined else call.y
    if native := _native(call, w, split):
        w.emit(mixed, native)
    else:
        emit_wanted(w, [mixed, *targets(call)[1:]], _local(call, w, split), 4)
    if joined:
        w.emit(call.y, f"{w.use(mixed)}.transpose(1, 2).flatten(2)", light=True)


def _native(call: Call, w: Builder, split: list[Value | None]) -> str | None:
    """torch's own attention, where it has all that is asked for."""
    causal, scale = bool(call.attribute("is_causal", 0)), call.attribute("scale")
    mask = call.computed(3)
    special = any(call.attribute(name, 0) for name in ("softcap", "softmax_precision"))
    windows = [call.attribute(name, -1) for name in ("left_window_size", "right_window_size")]
    call.attribute("qk_matmul_output_mode", 0)
    further = any(value is not None for value in [*targets(call)[1:], *call.inputs[4:]])
    if special or further or max(windows) >= 0 or (mask is not None and (causal or not _fits(call, mask))):
        return None
    grouped = call.attribute("q_num_heads") != call.attribute("kv_num_heads") or _grouped(call)
    options = arguments_of(
        None if mask is None else f"attn_mask={w.array(mask)}",
        "is_causal=True" if causal else None,
        None if scale is None else f"scale={scale}",
        "enable_gqa=True" if grouped else None,
    )
    operands = [w.array(part) if isinstance(part, ir.Value) else w.use(part) for part in split]
    return f"F.scaled_dot_product_attention({arguments_of(*operands, options)})"


def _grouped(call: Call) -> bool:
    """Whether several heads of the query share one of the key, as shapes (batch, heads, …) tell."""
    if call.attribute("q_num_heads") is not None:
        return False
    if any(value is None or value.shape is None for value in call.inputs[:2]):
        return True  # perhaps
    return call.shape(0)[1] != call.shape(1)[1]


def _fits(call: Call, mask: ir.Value) -> bool:
    """Whether a mask is as long as the key, as torch's own wants it."""
    key = call.inputs[1]
    if mask.shape is None or len(mask.shape) < 2 or key is None or key.shape is None:
        return False
    return isinstance(mask.shape[-1], int) and mask.shape[-1] == key.shape[-2 if rank_of(key) == 4 else 1]


def _local(call: Call, w: Builder, split: list[Value | None]) -> str:
    operands = [w.array(part) if isinstance(part, ir.Value) else w.use(part) for part in split]
    names = ("mask", "past_key", "past_value", "lengths")
    given = [(name, call.computed(slot)) for slot, name in enumerate(names, 3)]
    precision = call.attribute("softmax_precision")
    mode = call.attribute("qk_matmul_output_mode", 0)
    scale, cap = call.attribute("scale"), call.attribute("softcap", 0.0)
    left, right = call.attribute("left_window_size", -1), call.attribute("right_window_size", -1)
    return "attend_to_keys({})".format(
        arguments_of(
            *operands,
            *(f"{name}={w.array(value)}" for name, value in given if value is not None),
            None if scale is None else f"scale={scale}",
            "causal=True" if call.attribute("is_causal", 0) else None,
            f"softcap={cap}" if cap else None,
            f"left={left}" if left >= 0 else None,
            f"right={right}" if right >= 0 else None,
            f"precision={TYPES[ir.DataType(precision)]}" if precision else None,
            f"shown={mode}" if mode else None,
        )
    )


@TABLE.rule("RotaryEmbedding")
def rotary_embedding(call: Call, w: Builder) -> None:
    interleaved, partial = bool(call.attribute("interleaved", 0)), call.attribute("rotary_embedding_dim", 0)
    heads = call.attribute("num_heads", 0)
    operands = [w.array(value) for value in call.inputs if value is not None]
    options = [
        f"heads={heads}" if heads and rank_of(call.x) != 4 else None,
        f"size={partial}" if partial else None,
        "interleaved=True" if interleaved else None,
    ]
    w.emit(call.y, f"rotate_by_position({arguments_of(*operands, *options)})")

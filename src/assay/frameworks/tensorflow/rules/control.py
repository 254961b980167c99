"""TensorFlow's lowering table: control flow, sequences, optional values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from assay.frameworks.tensorflow.common import TABLE, given, in_order, written
from assay.graph.calls import Call
from assay.write.body import Builder


@TABLE.rule("If")
def condition(call: Call, w: Builder) -> None:
    """AutoGraph makes tf.cond of it where the condition is a tensor of a traced function."""
    texts = []
    for name in ("then_branch", "else_branch"):
        method = w.method(call.attribute(name), name)
        texts.append(method.call(*[in_order(value, w) for value in method.captured]))
    w.emit(call.outputs, f"{texts[0]} if {w.array(call.x)} else {texts[1]}", precedence=0)


def _body(call: Call, w: Builder, name: str) -> str:
    """A subgraph as a function of its own inputs: the method itself, or one with the values from outside added."""
    method = w.method(call.attribute("body"), name)
    outer = [in_order(value, w) for value in method.captured]
    return f"lambda *inputs: {method.call('*inputs', *outer)}" if outer else f"self.{method.name}"


@TABLE.rule("Loop")
def loop(call: Call, w: Builder) -> None:
    body = _body(call, w, "body")
    inputs = [None if value is None else in_order(value, w) for value in call.inputs]
    inputs += [None] * (2 - len(inputs))
    trips, start = (text or "None" for text in inputs[:2])
    graph: ir.Graph = call.attribute("body")
    scanned = len(graph.outputs) - 1 - len(inputs[2:])
    text = written("loop", body, trips, start, *inputs[2:], scanned=scanned or None)
    w.emit(
        call.outputs if len(call.outputs) > 1 else [*call.outputs], f"{text}{'' if len(call.outputs) > 1 else '[0]'}"
    )


@TABLE.rule("Scan")
def scan_rule(call: Call, w: Builder) -> None:
    count = call.attribute("num_scan_inputs")
    body = _body(call, w, "step")
    inputs = [in_order(value, w) for value in call.inputs if value is not None]
    states = len(inputs) - count
    options = {
        "axes": call.attribute("scan_input_axes"),
        "reverse": call.attribute("scan_input_directions"),
        "output_axes": call.attribute("scan_output_axes"),
        "output_reverse": call.attribute("scan_output_directions"),
    }
    options = {name: value if value and any(value) else None for name, value in options.items()}
    listed = f"[{', '.join(inputs[:states])}], [{', '.join(inputs[states:])}]"
    text = written("scan_over", body, listed, **options)
    w.emit(call.outputs, f"{text}{'' if len(call.outputs) > 1 else '[0]'}")


@TABLE.rule("SequenceMap")
def sequence_map(call: Call, w: Builder) -> None:
    body = _body(call, w, "body")
    inputs = [w.use(value) for value in call.inputs if value is not None]
    kinds = [isinstance(value.type, ir.SequenceType) for value in call.inputs if value is not None]
    text = written("map_sequences", body, f"[{', '.join(inputs)}]", str(kinds))
    w.emit(call.outputs, f"{text}{'' if len(call.outputs) > 1 else '[0]'}")


@TABLE.rule("SequenceConstruct")
def sequence(call: Call, w: Builder) -> None:
    w.emit(call.y, f"[{', '.join(in_order(value, w) for value in call.inputs if value is not None)}]", light=True)


@TABLE.rule("SequenceEmpty")
def empty_sequence(call: Call, w: Builder) -> None:
    call.attribute("dtype")
    w.emit(call.y, "[]", light=True)


@TABLE.rule("SequenceLength")
def sequence_length(call: Call, w: Builder) -> None:
    w.emit(call.y, f"tf.constant(len({w.use(call.x)}), tf.int64)", light=True)


def _place(call: Call, slot: int, w: Builder) -> str | None:
    """A place in a sequence: a number, or a value as a Python number."""
    known = call.constant(slot)
    if known is not None:
        return str(int(np.reshape(known, ())))
    text = given(call, slot, w)
    return None if text == "None" else f"int(tf.reshape({text}, []))"


@TABLE.rule("SequenceAt")
def sequence_at(call: Call, w: Builder) -> None:
    w.emit(call.y, f"{w.use(call.x, 100)}[{_place(call, 1, w)}]", light=True)


@TABLE.rule("SequenceInsert")
def sequence_insert(call: Call, w: Builder) -> None:
    values, item, place = w.use(call.x, 100), in_order(call.inputs[1], w), _place(call, 2, w)  # type: ignore[arg-type]
    if place is None:
        w.emit(call.y, f"[*{values}, {item}]", light=True)
    else:
        w.emit(call.y, f"insert_item({values}, {item}, {place})", light=True)


@TABLE.rule("SequenceErase")
def sequence_erase(call: Call, w: Builder) -> None:
    place = _place(call, 1, w) or "-1"
    w.emit(call.y, f"erase_item({w.use(call.x)}, {place})", light=True)


@TABLE.rule("ConcatFromSequence")
def concat_sequence(call: Call, w: Builder) -> None:
    name = "tf.stack" if call.attribute("new_axis", 0) else "tf.concat"
    w.emit(call.y, f"{name}({w.use(call.x)}, {call.attribute('axis')})", light=True)


@TABLE.rule("SplitToSequence")
def split_to_sequence(call: Call, w: Builder) -> None:
    axis, keep = call.attribute("axis", 0), call.attribute("keepdims", 1)
    sizes = given(call, 1, w)
    if sizes == "None":
        text = f"tf.unstack({w.array(call.x)}, axis={axis})"
        if keep:
            text = f"[tf.expand_dims(part, {axis}) for part in {text}]"
        w.emit(call.y, text)
    else:
        w.emit(call.y, f"split_by({w.array(call.x)}, {sizes}, axis={axis})")


@TABLE.rule("Optional")
def optional_value(call: Call, w: Builder) -> None:
    call.attribute("type")
    w.emit(call.y, w.use(call.x) if call.inputs and call.inputs[0] is not None else "None", light=True)


@TABLE.rule("OptionalHasElement")
def has_element(call: Call, w: Builder) -> None:
    if not call.inputs or call.inputs[0] is None:
        w.emit(call.y, "tf.constant(False)", light=True)
    else:
        w.emit(call.y, f"tf.constant({w.use(call.x)} is not None)", light=True)


@TABLE.rule("OptionalGetElement")
def get_element(call: Call, w: Builder) -> None:
    w.emit(call.y, w.use(call.x), light=True)

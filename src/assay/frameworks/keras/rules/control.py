"""Control flow, sequences and optionals, in Python: written Keras code with them runs eagerly."""

from __future__ import annotations

from typing import Any

from assay.frameworks.keras.rules.common import TABLE, number, present
from assay.graph.calls import Call
from assay.write.body import Builder, is_constant


@TABLE.rule("If")
def branch(call: Call, w: Builder) -> None:
    known = call.x.const_value.numpy() if is_constant(call.x) and call.x.const_value is not None else None
    if known is not None:  # only the branch that is taken
        name = "then_branch" if known.item() else "else_branch"
        call.attribute("else_branch" if known.item() else "then_branch")
        method = w.method(call.attribute(name), name)
        w.emit(call.outputs, method.call(*[w.use(value) for value in method.captured]))
        return
    texts = []
    for name in ("then_branch", "else_branch"):
        method = w.method(call.attribute(name), name)
        texts.append(method.call(*[w.use(value) for value in method.captured]))
    w.emit(call.outputs, f"{texts[0]} if {w.array(call.x)} else {texts[1]}")


def _body(call: Call, w: Builder) -> tuple[str, Any]:
    """The body of a loop as a function of its own arguments."""
    graph = call.attribute("body")
    method = w.method(graph, "body")
    if not method.captured:
        return f"self.{method.name}", graph
    captured = ", ".join(w.use(value) for value in method.captured)
    return f"lambda *state: self.{method.name}(*state, {captured})", graph


@TABLE.rule("Loop")
def loop(call: Call, w: Builder) -> None:
    body, graph = _body(call, w)
    trips, condition, *states = [*call.inputs, None, None] if len(call.inputs) < 2 else call.inputs
    listed = ", ".join(w.array(value) if value is not None else "None" for value in states[: len(graph.inputs) - 2])
    count = len(graph.outputs) - 1 - (len(graph.inputs) - 2)
    first = "None" if trips is None else w.array(trips)
    second = "None" if condition is None else w.array(condition)
    text = f"run_loop({body}, {first}, {second}, [{listed}], {count})"
    outputs = [*call.outputs, *[None] * (len(graph.outputs) - 1 - len(call.outputs))]
    w.emit(outputs if len(outputs) > 1 else [outputs[0]], text if len(outputs) > 1 else f"{text}[0]")


@TABLE.rule("Scan")
def scan(call: Call, w: Builder) -> None:
    body, graph = _body(call, w)
    count = call.attribute("num_scan_inputs")
    states, inputs = len(call.inputs) - count, call.inputs[len(call.inputs) - count :]
    rows = len(graph.outputs) - states
    axes = list(call.attribute("scan_input_axes") or [0] * count)
    backwards = [bool(item) for item in call.attribute("scan_input_directions") or [0] * count]
    output_axes = list(call.attribute("scan_output_axes") or [0] * rows)
    output_backwards = [bool(item) for item in call.attribute("scan_output_directions") or [0] * rows]
    given = ", ".join(w.array(value) for value in call.inputs[:states])
    sliced = ", ".join(w.array(value) for value in inputs)
    text = f"run_scan({body}, [{given}], [{sliced}], {axes}, {backwards}, {output_axes}, {output_backwards})"
    w.emit(call.outputs if len(call.outputs) > 1 else [call.y], text if len(call.outputs) > 1 else f"{text}[0]")


@TABLE.rule("SequenceConstruct")
def sequence(call: Call, w: Builder) -> None:
    w.emit(call.y, f"[{', '.join(w.array(value) for value in call.inputs)}]", light=True)


@TABLE.rule("SequenceEmpty")
def empty_sequence(call: Call, w: Builder) -> None:
    call.attribute("dtype")
    w.emit(call.y, "[]", light=True)


@TABLE.rule("SequenceAt")
def item(call: Call, w: Builder) -> None:
    w.emit(call.y, f"{w.use(call.x, 100)}[{number(call, w, 1, 0)}]", light=True)


@TABLE.rule("SequenceInsert")
def insert(call: Call, w: Builder) -> None:
    place = f", {number(call, w, 2, None)}" if present(call, 2) else ""
    w.emit(call.y, f"insert_at({w.use(call.x)}, {w.array(call.inputs[1])}{place})", light=True)


@TABLE.rule("SequenceErase")
def erase(call: Call, w: Builder) -> None:
    place = f", {number(call, w, 1, None)}" if present(call, 1) else ""
    w.emit(call.y, f"erase_at({w.use(call.x)}{place})", light=True)


@TABLE.rule("SequenceLength")
def length(call: Call, w: Builder) -> None:
    w.emit(call.y, f'ops.convert_to_tensor(len({w.use(call.x)}), dtype="int64")', light=True)


@TABLE.rule("ConcatFromSequence")
def join(call: Call, w: Builder) -> None:
    axis = call.attribute("axis")
    name = "stack" if call.attribute("new_axis", 0) else "concatenate"
    w.emit(call.y, f"ops.{name}({w.use(call.x)}, axis={axis})", light=True)


@TABLE.rule("SplitToSequence")
def split(call: Call, w: Builder) -> None:
    axis, keep = call.attribute("axis", 0), call.attribute("keepdims", 1)
    known, computed = call.constant(1), call.computed(1)
    lengths = ""
    if computed is not None:
        lengths = f", {w.array(computed)}"
    elif known is not None:
        lengths = f', ops.convert_to_tensor({known.tolist()}, dtype="int64")'
    more = (f", axis={axis}" if axis else "") + ("" if keep else ", keepdims=False")
    w.emit(call.y, f"split_to_sequence({w.array(call.x)}{lengths}{more})", light=True)


@TABLE.rule("Optional")
def optional(call: Call, w: Builder) -> None:
    call.attribute("type")
    w.emit(call.y, w.use(call.inputs[0]) if call.inputs and call.inputs[0] is not None else "None", light=True)


@TABLE.rule("OptionalHasElement")
def has_element(call: Call, w: Builder) -> None:
    found = f"{w.use(call.inputs[0])} is not None" if call.inputs and call.inputs[0] is not None else "False"
    w.emit(call.y, f"ops.convert_to_tensor({found})", light=True)


@TABLE.rule("OptionalGetElement")
def get_element(call: Call, w: Builder) -> None:
    w.emit(call.y, w.use(call.x), light=True)

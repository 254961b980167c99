"""Control flow, sequences (Python lists) and optionals (None or the value)."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.pytorch.rules.common import TABLE, arguments_of, number, numbers
from assay.graph.calls import Call
from assay.write.body import Builder
from assay.write.parts import Method

TABLE.row("OptionalGetElement", "{0}")
TABLE.row("SequenceConstruct", "[{all}]")
TABLE.row("SequenceLength", "torch.tensor(len({0}))")


def _branch(w: Builder, method: Method) -> str:
    """A method called with nothing but what it uses from outside."""
    return method.call(*(w.array(value) for value in method.captured))


@TABLE.rule("If")
def if_rule(call: Call, w: Builder) -> None:
    then = w.method(call.attribute("then_branch"), "then_branch")
    other = w.method(call.attribute("else_branch"), "else_branch")
    condition = w.array(call.inputs[0], 3)
    w.emit(call.outputs, f"{_branch(w, then)} if {condition} else {_branch(w, other)}", precedence=0)


def _function(w: Builder, method: Method) -> str:
    """A method as a function of the graph's own inputs."""
    if not method.captured:
        return f"self.{method.name}"
    outer = [w.array(value) for value in method.captured]
    return f"lambda *values: self.{method.name}({', '.join(['*values', *outer])})"


@TABLE.rule("Loop")
def loop(call: Call, w: Builder) -> None:
    body: ir.Graph = call.attribute("body")
    method = w.method(body, "body")
    state = [w.array(value) for value in call.inputs[2:]]
    trips, going = call.computed(0), call.computed(1)
    collected = len(body.outputs) - 1 - len(state)
    text = arguments_of(
        _function(w, method),
        "None" if trips is None else w.array(trips),
        "None" if going is None else w.array(going),
        *state,
        f"collected={collected}" if collected else None,
    )
    single = "[0]" if len(call.outputs) == 1 else ""
    w.emit(call.outputs, f"repeat_body({text}){single}", precedence=100)


@TABLE.rule("Scan")
def scan(call: Call, w: Builder) -> None:
    body: ir.Graph = call.attribute("body")
    count = call.attribute("num_scan_inputs")
    states = len(call.inputs) - count
    method = w.method(body, "body")
    state = ", ".join(w.array(value) for value in call.inputs[:states])
    items = ", ".join(w.array(value) for value in call.inputs[states:])
    options = [
        f"{name}={found}"
        for name, key in (
            ("input_axes", "scan_input_axes"),
            ("output_axes", "scan_output_axes"),
            ("input_reversed", "scan_input_directions"),
            ("output_reversed", "scan_output_directions"),
        )
        if any(found := list(call.attribute(key) or []))
    ]
    text = arguments_of(_function(w, method), f"[{state}]", f"[{items}]", *options)
    single = "[0]" if len(call.outputs) == 1 else ""
    w.emit(call.outputs, f"scan_items({text}){single}")


@TABLE.rule("SequenceEmpty")
def sequence_empty(call: Call, w: Builder) -> None:
    call.attribute("dtype")
    w.emit(call.y, "[]", light=True)


@TABLE.rule("SequenceAt")
def sequence_at(call: Call, w: Builder) -> None:
    w.emit(call.y, f"{w.use(call.x, 100)}[{number(call, w, 1)}]", light=True)


@TABLE.rule("SequenceInsert")
def sequence_insert(call: Call, w: Builder) -> None:
    items, item, place = w.use(call.x), w.array(call.inputs[1]), number(call, w, 2)
    if place is None:
        w.emit(call.y, f"[*{items}, {item}]", light=True)
    else:
        w.emit(call.y, f"[*{items}[:{place}], {item}, *{items}[{place}:]]", light=True)


@TABLE.rule("SequenceErase")
def sequence_erase(call: Call, w: Builder) -> None:
    w.emit(call.y, f"erase_item({arguments_of(w.use(call.x), number(call, w, 1))})", light=True)


@TABLE.rule("ConcatFromSequence")
def concat_from_sequence(call: Call, w: Builder) -> None:
    axis, new = call.attribute("axis"), call.attribute("new_axis", 0)
    w.emit(call.y, f"torch.{'stack' if new else 'cat'}({w.use(call.x)}, dim={axis})", light=True)


@TABLE.rule("SplitToSequence")
def split_to_sequence(call: Call, w: Builder) -> None:
    axis, keep = call.attribute("axis", 0), call.attribute("keepdims", 1)
    x, sizes = w.array(call.x), call.constant(1)
    computed = call.computed(1)
    if sizes is None and computed is None:
        w.emit(call.y, f"list({x}.{f'split(1, dim={axis})' if keep else f'unbind({axis})'})", light=True)
    elif sizes is not None:
        lengths = str(int(sizes)) if sizes.ndim == 0 else numbers(call, w, 1)
        w.emit(call.y, f"list({x}.split({lengths}, dim={axis}))", light=True)
    else:
        w.emit(call.y, f"list({x}.split({w.array(computed)}.tolist(), dim={axis}))", light=True)


@TABLE.rule("Optional")
def optional(call: Call, w: Builder) -> None:
    call.attribute("type")
    value = call.computed(0)
    w.emit(call.y, "None" if value is None else w.array(value), light=True)


@TABLE.rule("OptionalHasElement")
def has_element(call: Call, w: Builder) -> None:
    value = call.computed(0)
    w.emit(call.y, "torch.tensor(False)" if value is None else f"torch.tensor({w.use(value)} is not None)")


@TABLE.rule("SequenceMap")
def sequence_map(call: Call, w: Builder) -> None:
    method = w.method(call.attribute("body"), "body")
    types = [isinstance(value.type, ir.SequenceType) if value is not None else False for value in call.inputs]
    given = [w.use(value) for value in call.inputs]
    items = [
        f"item{place}" if isinstance(kind, bool) and kind else text
        for place, (kind, text) in enumerate(zip(types, given, strict=True))
    ]
    names = [name for name, kind in zip(items, types, strict=True) if kind]
    sources = [text for text, kind in zip(given, types, strict=True) if kind]
    outer = [w.array(value) for value in method.captured]
    each = f"self.{method.name}({', '.join([*items, *outer])})"
    loop = f"for {', '.join(names)} in " + (
        sources[0] if len(sources) == 1 else f"zip({', '.join(sources)}, strict=True)"
    )
    if len(call.outputs) == 1:
        w.emit(call.y, f"[{each} {loop}]")
    else:
        w.emit(call.outputs, f"tuple(map(list, zip(*[{each} {loop}], strict=True)))")

"""Branches, loops, sequences (Python lists) and optionals (a value or None)."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.jax.rules.common import TABLE, is_string, number_of, numbers, options, sizes_known
from assay.graph.calls import Call
from assay.model import constant_of, shape_of
from assay.write.body import Builder
from assay.write.parts import Method


def _is_fixed(value: ir.Value) -> bool:
    """Whether a value is an array whose type and shape are known."""
    return isinstance(value.type, ir.TensorType) and sizes_known(value) and value.dtype != ir.DataType.STRING


@TABLE.rule("If")
def branch(call: Call, w: Builder) -> None:
    """`lax.cond` where both branches give the same shapes; else Python's, which needs the condition at once."""
    graphs = [call.attribute("then_branch"), call.attribute("else_branch")]
    known = constant_of(call.x) if call.x.is_initializer() else None
    if known is not None:
        method = w.method(graphs[0 if known.all() else 1], "branch")
        w.emit(call.outputs, method.call(*(w.array(value) for value in method.captured)))
        return
    methods = [w.method(graph, name) for graph, name in zip(graphs, ("then_branch", "else_branch"), strict=True)]
    first, second = (method.call(*(w.array(value) for value in method.captured)) for method in methods)
    condition = w.array(call.x, 100)
    alike = all(
        _is_fixed(one) and _is_fixed(other) and one.dtype == other.dtype and shape_of(one) == shape_of(other)
        for one, other in zip(*(graph.outputs for graph in graphs), strict=True)
    )
    if alike:
        w.emit(call.outputs, f"lax.cond({condition}.all(), lambda: {first}, lambda: {second})")
    else:
        w.emit(call.outputs, f"{first} if {condition} else {second}", precedence=2)


def _function(method: Method, w: Builder) -> str:
    """A subgraph's method as a function of its own inputs; what it uses from outside is bound."""
    if not method.captured:
        return f"self.{method.name}"
    return f"lambda *given: {method.call('*given', *(w.array(value) for value in method.captured))}"


@TABLE.rule("Loop")
def loop(call: Call, w: Builder) -> None:
    graph = call.attribute("body")
    method = w.method(graph, "body")
    trips, going = call.computed(0), call.computed(1)
    state = [w.array(value) for value in call.inputs[2:]]
    given = ["None" if value is None else w.array(value) for value in (trips, going)]
    text = f"repeated({', '.join([_function(method, w), *given, *state])})"
    if len(graph.outputs) == 2 and len(call.outputs) == 1:
        w.emit(call.y, f"{text}[0]")
    else:
        count = len(graph.outputs) - 1
        w.emit([*call.outputs, *[None] * (count - len(call.outputs))], text)


@TABLE.rule("Scan")
def scan(call: Call, w: Builder) -> None:
    graph = call.attribute("body")
    method = w.method(graph, "body")
    count = call.attribute("num_scan_inputs")
    states = len(call.inputs) - count
    names = {
        "axes": "scan_input_axes",
        "reverse": "scan_input_directions",
        "output_axes": "scan_output_axes",
        "output_reverse": "scan_output_directions",
    }
    given = {name: call.attribute(attribute, None) for name, attribute in names.items()}
    more = options(**{name: tuple(item) for name, item in given.items() if item and any(item)})
    values = [w.array(value) for value in call.inputs]
    first, second = f"[{', '.join(values[:states])}]", f"[{', '.join(values[states:])}]"
    text = f"scanned({_function(method, w)}, {first}, {second}{more})"
    w.emit(call.outputs if len(call.outputs) > 1 else call.y, text if len(call.outputs) > 1 else f"{text}[0]")


@TABLE.rule("SequenceConstruct")
def sequence(call: Call, w: Builder) -> None:
    w.emit(call.y, f"[{', '.join(w.array(value) for value in call.inputs)}]", light=True)


@TABLE.rule("SequenceEmpty")
def empty_sequence(call: Call, w: Builder) -> None:
    call.attribute("dtype")
    w.emit(call.y, "[]", light=True)


@TABLE.rule("SequenceLength")
def sequence_length(call: Call, w: Builder) -> None:
    w.emit(call.y, f"jnp.array(len({w.use(call.x)}), jnp.int64)", light=True)


@TABLE.rule("SequenceAt")
def sequence_at(call: Call, w: Builder) -> None:
    w.emit(call.y, f"{w.use(call.x, 100)}[{number_of(call, w, 1)}]", light=True)


@TABLE.rule("SequenceErase")
def sequence_erase(call: Call, w: Builder) -> None:
    place = number_of(call, w, 1)
    w.emit(call.y, f"without_item({w.use(call.x)}{', ' + place if place is not None else ''})", light=True)


@TABLE.rule("SequenceInsert")
def sequence_insert(call: Call, w: Builder) -> None:
    place, item = number_of(call, w, 2), w.array(call.inputs[1])
    if place is None:
        w.emit(call.y, f"[*{w.use(call.x)}, {item}]", light=True)
    else:
        w.emit(call.y, f"with_item({w.use(call.x)}, {item}, {place})", light=True)


@TABLE.rule("ConcatFromSequence")
def concat_from_sequence(call: Call, w: Builder) -> None:
    name = "stack" if call.attribute("new_axis", 0) else "concatenate"
    module = "np" if is_string(call.y) else "jnp"
    w.emit(call.y, f"{module}.{name}({w.use(call.x)}, axis={call.attribute('axis')})", light=True)


@TABLE.rule("SplitToSequence")
def split_to_sequence(call: Call, w: Builder) -> None:
    axis, keep = call.attribute("axis", 0), call.attribute("keepdims", 1)
    found, computed = call.constant(1), call.computed(1)
    sizes: str | None
    if found is not None:
        sizes = str(int(found) if found.ndim == 0 else numbers(found))
    else:
        sizes = None if computed is None else f"{w.array(computed, 100)}.tolist()"
    squeezed = True if sizes is None and not keep else None
    text = f"split_to_list({w.array(call.x)}{options(sizes=sizes, axis=axis or None, squeeze=squeezed)})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Optional")
def optional(call: Call, w: Builder) -> None:
    call.attribute("type")
    w.emit(call.y, w.array(call.x) if call.inputs else "None", light=True)


@TABLE.rule("OptionalHasElement")
def has_element(call: Call, w: Builder) -> None:
    if not call.inputs or call.inputs[0] is None:
        w.emit(call.y, "jnp.array(False)", light=True)
    else:
        w.emit(call.y, f"jnp.array({w.array(call.x)} is not None)", light=True)


@TABLE.rule("OptionalGetElement")
def get_element(call: Call, w: Builder) -> None:
    w.emit(call.y, w.array(call.x), light=True)

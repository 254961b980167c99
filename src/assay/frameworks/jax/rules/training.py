"""Dropout, random numbers, and the optimizers that are operators."""

from __future__ import annotations

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.frameworks.jax.rules.common import TABLE, call_layer, dtype_text, number_of, options
from assay.graph.calls import Call, drops_examples
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import keyword, positional


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    """As a layer where ratio and mode are the model's; where they are given when it runs, by what they say."""
    ratio = call.constant(1)
    call.attribute("seed")
    mode, computed, mask = call.constant(2), call.computed(2), call.wanted(1)
    if computed is None and call.computed(1) is None and mask is None and (mode is None or not mode.any()):
        rate = 0.5 if ratio is None else float(str(ratio.reshape(()).astype("float32")))
        w.in_training()
        arguments = [positional(rate, "rate")]
        if drops_examples(call):
            arguments.append(keyword("broadcast_dims", tuple(range(1, len(shape_of(call.x))))))
        call_layer(call, w, "nnx.Dropout", arguments, [])
        return
    if computed is None and (mode is None or not mode.any()):
        number_of(call, w, 1)
        w.emit(call.y, w.array(call.x), light=True)
        if mask is not None:
            w.emit(mask, f"jnp.ones_like({w.array(call.x)}, bool)", light=True)
        return
    training = "True" if computed is None else w.array(computed)
    key = w.layer("rngs.dropout.fork", [], hint="random")
    text = f"dropped_out({w.array(call.x)}, {number_of(call, w, 1) or 0.5}, {training}, {key}())"
    w.emit([*call.outputs, *[None] * (2 - len(call.outputs))], text)


_DRAWS = {
    "RandomUniform": "jax.random.uniform({key}, {shape}, {dtype}, {0}, {1})",
    "RandomNormal": "{0} + {1} * jax.random.normal({key}, {shape}, {dtype})",
}


@TABLE.rule("RandomUniform", "RandomUniformLike", "RandomNormal", "RandomNormalLike")
def random_numbers(call: Call, w: Builder) -> None:
    call.attribute("seed")  # the stream of a model is one for all
    kind = call.attribute("dtype", None)
    kind = kind or (call.x.dtype if call.inputs and call.x.dtype is not None else 1)
    uniform = call.kind.startswith("RandomUniform")
    low, high = ("low", "high") if uniform else ("mean", "scale")
    numbers = call.attribute(low, 0.0), call.attribute(high, 1.0)
    shape = f"{w.array(call.x, 100)}.shape" if call.inputs else str(tuple(call.attribute("shape")))
    key = w.layer("rngs.dropout.fork", [], hint="random")
    template = _DRAWS[call.kind.removesuffix("Like")]
    text = template.format(*numbers, key=f"{key}()", shape=shape, dtype=dtype_text(kind))
    w.emit(call.y, text, precedence=100 if uniform else 10)


def _optimizer(call: Call, w: Builder, name: str, states: int, more: str) -> None:
    """One step for several parameters at once: all parameters, then all gradients, then all of each state."""
    count = (len(call.inputs) - 2) // (2 + states)
    given = [w.array(value) for value in call.inputs]
    targets = list(call.outputs)
    for place in range(count):
        own = ", ".join(given[2 + place + part * count] for part in range(2 + states))
        wanted = [targets[place + part * count] for part in range(1 + states)]
        w.emit(wanted, f"{name}({given[0]}, {given[1]}, {own}{more})")


@TABLE.rule("ai.onnx.preview.training:Adagrad")
def adagrad(call: Call, w: Builder) -> None:
    more = options(
        norm=call.attribute("norm_coefficient", 0.0),
        decay=call.attribute("decay_factor", 0.0),
        epsilon=call.attribute("epsilon", 0.0),
    )
    _optimizer(call, w, "adagrad_step", 1, more)


@TABLE.rule("ai.onnx.preview.training:Adam")
def adam(call: Call, w: Builder) -> None:
    more = options(
        alpha=call.attribute("alpha", 0.9),
        beta=call.attribute("beta", 0.999),
        norm=call.attribute("norm_coefficient", 0.0),
        norm_after=call.attribute("norm_coefficient_post", 0.0),
        epsilon=call.attribute("epsilon", 0.0),
    )
    _optimizer(call, w, "adam_step", 2, more)


@TABLE.rule("ai.onnx.preview.training:Momentum")
def momentum(call: Call, w: Builder) -> None:
    nesterov = call.attribute("mode") == "nesterov"
    more = options(
        alpha=call.attribute("alpha"),
        beta=call.attribute("beta"),
        norm=call.attribute("norm_coefficient"),
        nesterov=True if nesterov else None,
    )
    _optimizer(call, w, "momentum_step", 1, more)


@TABLE.rule("ai.onnx.preview.training:Gradient")
def gradient(call: Call, w: Builder) -> None:
    """What leads from the inputs to the value becomes a method, which jax.grad differentiates."""
    call.attribute("xs")
    call.attribute("zs")
    inputs = [value for value in call.inputs if value is not None]
    path = _path(call.nodes[0], inputs, call.attribute("y"))
    method = w.method(path, "path")
    captured = [w.array(value) for value in method.captured]
    places = "0" if len(call.outputs) == 1 else str(tuple(range(len(call.outputs))))
    function = f"lambda *given: {method.call('*given', *captured)}.sum()"
    w.emit(call.outputs, f"jax.grad({function}, {places})({', '.join(w.array(value) for value in inputs)})")


def _path(node: ir.Node, inputs: list[ir.Value], name: str) -> ir.Graph:
    """The nodes between values and another one before this node, as a graph of their own."""
    assert node.graph is not None
    renewed = {value: ir.Value(name=value.name, shape=value.shape, type=value.type) for value in inputs}
    given, nodes = list(renewed.values()), []
    for before in node.graph:
        if before is node:
            break
        if any(value in renewed for value in before.inputs if value is not None):
            used = [None if value is None else renewed.get(value, value) for value in before.inputs]
            copied = ir.Node(
                before.domain, before.op_type, used, list(before.attributes.values()), num_outputs=len(before.outputs)
            )
            nodes.append(copied)
            for old, new in zip(before.outputs, copied.outputs, strict=True):
                new.name, new.shape, new.type = old.name, old.shape, old.type
                renewed[old] = new
    found = [new for old, new in renewed.items() if old.name == name]
    if not found:
        raise UnsupportedError(f"Gradient of {name!r}, which does not depend on its inputs", ["Gradient"])
    return ir.Graph(given, found[:1], nodes=nodes, name="path")

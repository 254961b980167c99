"""Dropout, random numbers, and the steps of optimizers."""

from __future__ import annotations

import onnx_ir as ir

from assay.frameworks.pytorch.rules.common import TABLE, TYPES, call_layer, emit_wanted, targets, type_of
from assay.graph.between import objective_of
from assay.graph.calls import Call, drops_examples
from assay.model import intended
from assay.write.body import Builder
from assay.write.table import positional

# Random numbers come from torch's own generator: an ONNX seed would not give the same ones anywhere.


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio, training = call.constant(1), call.constant(2)
    call.attribute("seed")
    rate = 0.5 if ratio is None else intended(float(ratio.reshape(())))
    outputs = targets(call)
    masked = len(outputs) > 1 and outputs[1] is not None
    asked = call.computed(2) is not None or (training is not None and bool(training))
    if not (masked or asked or call.computed(1) is not None):
        w.in_training()
        callee = "StochasticDepth" if drops_examples(call) else "nn.Dropout"
        return call_layer(call, w, callee, [positional(rate, "rate")], [])
    share = str(rate) if call.computed(1) is None else f"{w.array(call.computed(1))}.item()"
    if call.computed(2) is not None:
        mode = f"{w.array(call.computed(2))}.item()"
    elif training is not None:
        mode = str(bool(training))
    else:
        w.in_training()
        mode = "self.training"
    text = f"dropout_with_mask({w.array(call.x)}, {share}, {mode})"
    emit_wanted(w, outputs, text, 2)


def _shape(call: Call) -> str:
    return str(tuple(call.attribute("shape")))


@TABLE.rule("RandomUniform", "RandomUniformLike")
def random_uniform(call: Call, w: Builder) -> None:
    call.attribute("seed")
    call.attribute("dtype")
    low, high = call.attribute("low", 0.0), call.attribute("high", 1.0)
    kind = type_of(call.y)
    like = call.kind.endswith("Like")
    text = f"torch.rand_like({w.array(call.x)}, dtype={kind})" if like else f"torch.rand({_shape(call)}, dtype={kind})"
    if (low, high) != (0.0, 1.0):
        return w.emit(call.y, f"{low} + {high - low} * {text}", precedence=10)
    w.emit(call.y, text, light=True)


@TABLE.rule("RandomNormal", "RandomNormalLike")
def random_normal(call: Call, w: Builder) -> None:
    call.attribute("seed")
    call.attribute("dtype")
    mean, scale = call.attribute("mean", 0.0), call.attribute("scale", 1.0)
    kind = type_of(call.y)
    like = call.kind.endswith("Like")
    text = (
        f"torch.randn_like({w.array(call.x)}, dtype={kind})" if like else f"torch.randn({_shape(call)}, dtype={kind})"
    )
    if (mean, scale) != (0.0, 1.0):
        return w.emit(call.y, f"{mean} + {scale} * {text}", precedence=10)
    w.emit(call.y, text, light=True)


@TABLE.rule("Multinomial")
def multinomial(call: Call, w: Builder) -> None:
    call.attribute("seed")
    count, kind = call.attribute("sample_size", 1), TYPES[ir.DataType(call.attribute("dtype", 6))]
    text = f"torch.multinomial({w.array(call.x)}.exp(), {count}, replacement=True).to({kind})"
    w.emit(call.y, text, light=True)


@TABLE.rule("Bernoulli")
def bernoulli(call: Call, w: Builder) -> None:
    call.attribute("seed")
    call.attribute("dtype")
    w.emit(call.y, f"torch.bernoulli({w.array(call.x)}).to({type_of(call.y)})", light=True)


# Optimizer → its local function, the attributes that it takes with their defaults, and how many states it has.
_STEPS: dict[str, tuple[str, dict[str, float | None], int]] = {
    "Adam": (
        "adam_step",
        {"alpha": 0.9, "beta": 0.999, "epsilon": 0.0, "norm_coefficient": 0.0, "norm_coefficient_post": 0.0},
        2,
    ),
    "Adagrad": ("adagrad_step", {"decay_factor": 0.0, "epsilon": 0.0, "norm_coefficient": 0.0}, 1),
    "Momentum": ("momentum_step", {"alpha": None, "beta": None, "norm_coefficient": None}, 1),
}


@TABLE.rule(*(f"ai.onnx.preview.training:{name}" for name in _STEPS))
def optimizer_step(call: Call, w: Builder) -> None:
    """One call for each tensor; inputs and outputs come as all tensors, then all their first states …"""
    function, defaults, states = _STEPS[call.kind.rpartition(":")[2]]
    options = "".join(f", {name}={call.attribute(name, default)}" for name, default in defaults.items())
    if call.kind.endswith("Momentum") and call.attribute("mode") == "nesterov":
        options += ", nesterov=True"
    rate, count = (w.array(value) for value in call.inputs[:2])
    groups = 2 + states
    tensors = (len(call.inputs) - 2) // groups
    for place in range(tensors):
        operands = [w.array(call.inputs[2 + group * tensors + place]) for group in range(groups)]
        outputs = [call.outputs[group * tensors + place] for group in range(1 + states)]
        w.emit(outputs, f"{function}({', '.join([rate, count, *operands])}{options})")


@TABLE.rule("ai.onnx.preview.training:Gradient")
def gradient(call: Call, w: Builder) -> None:
    """What lies between the inputs and y becomes a method, which torch differentiates."""
    sources, objective = objective_of(call)
    method = w.method(objective, "objective")
    outer = [w.array(value) for value in method.captured]
    function = f"self.{method.name}"
    if outer:
        function = f"lambda *values: self.{method.name}({', '.join(['*values', *outer])})"
    results = w.temporary("gradients")
    operands = ", ".join(w.array(value) for value in sources)
    w.emit(results, f"gradients_of({function}, {operands})")
    for place, value in enumerate(call.outputs):
        if value is not None:
            w.emit(value, f"{w.use(results)}[{place}]", light=True)

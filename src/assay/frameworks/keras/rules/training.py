"""The training operators of ai.onnx.preview.training: one step of an optimizer for every tensor given."""

from __future__ import annotations

from assay.frameworks.keras.rules.common import TABLE
from assay.graph.between import objective_of
from assay.graph.calls import Call
from assay.write.body import Builder


def _steps(call: Call, w: Builder, function: str, states: int, more: str) -> None:
    rate, step, *rest = call.inputs
    count = len(rest) // (2 + states)
    for number in range(count):
        own = [w.array(rest[number + count * part]) for part in range(2 + states)]
        targets = [call.outputs[number + count * part] for part in range(1 + states)]
        w.emit(targets, f"{function}({w.array(rate)}, {w.array(step)}, {', '.join(own)}{more})")


@TABLE.rule("ai.onnx.preview.training:Adagrad")
def adagrad(call: Call, w: Builder) -> None:
    decay, epsilon = call.attribute("decay_factor", 0.0), call.attribute("epsilon", 0.0)
    norm = call.attribute("norm_coefficient", 0.0)
    _steps(call, w, "adagrad_step", 1, f", decay={decay!r}, epsilon={epsilon!r}, norm={norm!r}")


@TABLE.rule("ai.onnx.preview.training:Adam")
def adam(call: Call, w: Builder) -> None:
    names = {"alpha": 0.9, "beta": 0.999, "epsilon": 0.0}
    more = "".join(f", {name}={call.attribute(name, usual)!r}" for name, usual in names.items())
    more += f", norm={call.attribute('norm_coefficient', 0.0)!r}"
    _steps(call, w, "adam_step", 2, more + f", norm_post={call.attribute('norm_coefficient_post', 0.0)!r}")


@TABLE.rule("ai.onnx.preview.training:Momentum")
def momentum(call: Call, w: Builder) -> None:
    more = "".join(f", {call.attribute(name)!r}" for name in ("alpha", "beta", "norm_coefficient"))
    nesterov = ", nesterov=True" if call.attribute("mode") == "nesterov" else ""
    _steps(call, w, "momentum_step", 1, more + nesterov)


@TABLE.rule("ai.onnx.preview.training:Gradient")
def gradient(call: Call, w: Builder) -> None:
    """What lies between the inputs and y becomes a method, which the backend differentiates."""
    sources, objective = objective_of(call)
    method = w.method(objective, "objective")
    function = f"self.{method.name}"
    if method.captured:
        outer = ", ".join(w.array(value) for value in method.captured)
        function = f"lambda *values: self.{method.name}(*values, {outer})"
    operands = ", ".join(w.array(value) for value in sources)
    results = w.temporary("gradients")
    w.emit(results, f"gradients_of({function}, {operands})")
    for place, value in enumerate(call.outputs):
        if value is not None:
            w.emit(value, f"{w.use(results)}[{place}]", light=True)

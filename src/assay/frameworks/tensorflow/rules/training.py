"""TensorFlow's lowering table: dropout and random numbers; steps of optimizers."""

from __future__ import annotations

from typing import Any

import numpy as np

from assay.frameworks.tensorflow.common import TABLE, call_layer, carrier, given, in_order, kind_of, written
from assay.graph.between import objective_of
from assay.graph.calls import Call, drops_examples
from assay.write.body import Builder
from assay.write.table import positional


@TABLE.rule("Dropout")
def dropout(call: Call, w: Builder) -> None:
    ratio, training, seed = call.constant(1), call.constant(2), call.attribute("seed")
    rate = 0.5 if ratio is None else float(str(np.float32(ratio.reshape(()))))
    runs = call.computed(2) is not None or (training is not None and bool(training.reshape(())))
    if not runs and call.wanted(1) is None and call.computed(1) is None:
        w.in_training()
        callee = "StochasticDepth" if drops_examples(call) else "Dropout"
        call_layer(call, w, callee, [positional(rate, "rate")], [])
        return
    share = repr(rate) if call.computed(1) is None else given(call, 1, w)
    text = written(
        "drop_elements",
        w.array(call.x),
        share,
        given(call, 2, w) if call.computed(2) is not None else str(runs),
        seed=None if seed is None else int(seed),
    )
    w.emit([call.wanted(0), call.wanted(1)], text)


@TABLE.rule("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike")
def random(call: Call, w: Builder) -> None:
    kind = call.kind.removeprefix("Random").removesuffix("Like").lower()
    dtype, call_seed = carrier(kind_of(call.y)), call.attribute("seed")
    call.attribute("dtype")
    if kind == "normal":
        numbers = [call.attribute("mean", 0.0), call.attribute("scale", 1.0)]
    else:
        numbers = [call.attribute("low", 0.0), call.attribute("high", 1.0)]
    shape = str(tuple(call.attribute("shape"))) if call.kind[-4:] != "Like" else f"tf.shape({in_order(call.x, w)})"
    seed = "" if call_seed is None else f", seed={int(call_seed)}"
    w.emit(call.y, f"tf.random.{kind}({shape}, {numbers[0]}, {numbers[1]}, {dtype}{seed})", light=True)


@TABLE.rule("Bernoulli")
def bernoulli(call: Call, w: Builder) -> None:
    call.attribute("dtype")
    call_seed = call.attribute("seed")
    seed = "" if call_seed is None else f", seed={int(call_seed)}"
    x = w.array(call.x, 6)
    sample = f"tf.random.uniform(tf.shape({x}), dtype={x}.dtype{seed})"
    w.emit(call.y, f"tf.cast({sample} < {x}, {carrier(kind_of(call.y))})")


@TABLE.rule("Multinomial")
def multinomial(call: Call, w: Builder) -> None:
    call.attribute("dtype")
    call.attribute("seed")
    count = call.attribute("sample_size", 1)
    w.emit(call.y, f"tf.random.categorical({w.array(call.x)}, {count}, {carrier(kind_of(call.y))})")


_STEPS = {"Adagrad": 1, "Adam": 2, "Momentum": 1}  # how many states each weight has


@TABLE.rule(*(f"ai.onnx.preview.training:{name}" for name in _STEPS))
def optimizer_step(call: Call, w: Builder) -> None:
    name = call.kind.partition(":")[2]
    rate, count, *values = (in_order(value, w) for value in call.inputs if value is not None)
    states = _STEPS[name]
    number = len(values) // (2 + states)
    known: dict[str, dict[str, Any]] = {
        "Adagrad": {"decay_factor": 0.0, "epsilon": 1e-6, "norm_coefficient": 0.0},
        "Adam": {"alpha": 0.9, "beta": 0.999, "epsilon": 1e-6, "norm_coefficient": 0.0, "norm_coefficient_post": 0.0},
        "Momentum": {"alpha": None, "beta": None, "norm_coefficient": 0.0},
    }
    options = {key: call.attribute(key, default) for key, default in known[name].items()}
    if name == "Momentum":
        options["nesterov"] = True if call.attribute("mode") == "nesterov" else None
    results = []
    for place in range(number):
        parts = [w.temporary(hint) for hint in ("weight", "state", "state2")[: 1 + states]]
        operands = values[place::number]
        w.emit(parts, written(f"step_{name.lower()}", rate, count, *operands, **options))
        results.append(parts)
    ordered = [results[place][part] for part in range(1 + states) for place in range(number)]
    for output, part in zip(call.outputs, ordered, strict=True):
        if output is not None:
            w.emit(output, w.use(part))


@TABLE.rule("ai.onnx.preview.training:Gradient")
def gradient(call: Call, w: Builder) -> None:
    """What lies between the inputs and y becomes a method, which a tape differentiates."""
    sources, objective = objective_of(call)
    method = w.method(objective, "objective")
    outer = [w.array(value) for value in method.captured]
    function = f"self.{method.name}"
    if outer:
        function = f"lambda *values: self.{method.name}({', '.join(['*values', *outer])})"
    results = w.temporary("gradients")
    operands = ", ".join(w.array(value) for value in sources)
    w.emit(results, f"gradients_of({function}, [{operands}])")
    for place, value in enumerate(call.outputs):
        if value is not None:
            w.emit(value, f"{w.use(results)}[{place}]", light=True)

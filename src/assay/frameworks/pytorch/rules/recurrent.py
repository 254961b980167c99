"""Recurrent layers."""

from __future__ import annotations

from assay.errors import UnsupportedError
from assay.frameworks.pytorch.rules.common import TABLE, arguments_of, emit_wanted, targets
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, keyword, positional
from assay.write.weights import Step, blocks, reshape


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    lstm = call.kind == "RecurrentLSTM"
    hidden = call.attribute("hidden_size")
    direction = call.attribute("direction", "forward")
    two, reverse = direction == "bidirectional", direction == "reverse"
    single_bias = call.attribute("single_bias")
    call.attribute("linear_before_reset")
    order = (0, 2, 3, 1) if lstm else (1, 0, 2)  # ONNX's gates i, o, f, c and z, r, h → torch's i, f, g, o and r, z, n
    weights = _recurrent_weights(call, 2 if two else 1, hidden, order)
    arguments = [
        positional(call.shape()[-1], "input_size"),
        positional(hidden, "hidden_size"),
        keyword("batch_first", True),
        keyword("bidirectional", two, False),
    ]
    layer = w.layer("LSTM" if single_bias else f"nn.{'LSTM' if lstm else 'GRU'}", arguments, weights)
    sequence, final = call.outputs
    state = w.temporary("state")
    result = f"{layer}({w.use(call.x)}{'.flip(1)' if reverse else ''})"
    steps = w.temporary("steps") if reverse and sequence is not None else sequence
    w.emit((steps, state if final is not None else None), result)
    if reverse and sequence is not None:
        w.emit(sequence, f"{w.use(steps)}.flip(1)", light=True)
    if final is not None:
        hidden_state = f"{w.use(state)}[0]" if lstm else w.use(state)
        w.emit(final, f"{hidden_state}.transpose(0, 1).flatten(1)", light=True)


def _recurrent_weights(call: Call, directions: int, hidden: int, order: tuple[int, ...]) -> list[NativeWeight]:
    weights = []
    rows = len(order) * hidden
    for direction in range(directions):
        suffix = "_reverse" if direction else ""
        part = (direction, direction + 1)
        for role, leaf in (("input_weight", "weight_ih_l0"), ("hidden_weight", "weight_hh_l0")):
            columns = int(shape_of(call.weights[role])[2])
            steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order))
            weights.append(NativeWeight(f"{leaf}{suffix}", call.weights[role], steps, (part,)))
        # One trained bias comes with a second one that is a constant zero; otherwise both lie in one array.
        second = call.weights.get("second_bias", call.weights["bias"])
        offset = 0 if "second_bias" in call.weights else rows
        for leaf, bias, start in (("bias_ih_l0", call.weights["bias"], 0), ("bias_hh_l0", second, offset)):
            steps = (reshape((1, rows), (rows,)), blocks(0, order))
            weights.append(NativeWeight(f"{leaf}{suffix}", bias, steps, (part, (start, start + rows))))
    return weights


@TABLE.rule("FunctionalLSTM", "FunctionalGRU", "FunctionalRNN")
def functional_recurrent(call: Call, w: Builder) -> None:
    """All the options of ONNX's recurrent operators, one step after another."""
    name = call.kind.removeprefix("Functional")
    call.attribute("hidden_size")
    direction, layout = call.attribute("direction", "forward"), call.attribute("layout", 0)
    slots = ("bias", "lengths", "hidden", *(("cell", "peepholes") if name == "LSTM" else ()))
    given = [(slot, call.computed(place)) for place, slot in enumerate(slots, 3)]
    activations = [item.lower() for item in call.attribute("activations") or []]
    usual = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}[name]
    directions = 2 if direction == "bidirectional" else 1
    alpha, beta = call.attribute("activation_alpha"), call.attribute("activation_beta")
    clip = call.attribute("clip")
    options = [
        f'direction="{direction}"' if direction != "forward" else None,
        "batch_first=True" if layout else None,
        f"activations={_names(activations)}" if activations and activations != usual * directions else None,
        f"alphas={alpha}" if alpha else None,
        f"betas={beta}" if beta else None,
        f"clip={clip}" if clip else None,
    ]
    if name == "LSTM":
        options.append("input_forget=True" if call.attribute("input_forget", 0) else None)
    elif name == "GRU":
        options.append("reset_after=True" if call.attribute("linear_before_reset", 0) else None)
    weights = [w.array(value) for value in call.inputs[:3]]
    text = arguments_of(*weights, *(f"{slot}={w.array(value)}" for slot, value in given if value is not None), *options)
    emit_wanted(w, targets(call), f"recurrent_{name.lower()}({text})", 3 if name == "LSTM" else 2)


_ACTIVATIONS = {
    *("relu", "tanh", "sigmoid", "softsign", "softplus", "elu"),
    *("affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid"),
}


def _names(activations: list[str]) -> str:
    if not set(activations) <= _ACTIVATIONS:
        raise UnsupportedError(f"activations {activations} are not known", ["activations"])
    return "[" + ", ".join(f'"{name}"' for name in activations) + "]"

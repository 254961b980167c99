"""TensorFlow's lowering table: recurrent layers, and recurrent operators as functions."""

from __future__ import annotations

from assay.frameworks.tensorflow.common import TABLE, only_data, optional, refuse, require
from assay.graph.calls import Call
from assay.model import sizes_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, Raw, keyword, positional
from assay.write.weights import Step, blocks, reshape, transpose


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    only_data(call, 1)
    lstm = call.kind == "RecurrentLSTM"
    units = call.attribute("hidden_size")
    direction = call.attribute("direction", "forward")
    single_bias = call.attribute("single_bias")
    if not lstm:
        if single_bias or "second_bias" in call.weights:
            raise refuse(call, "one bias for each gate")
        require(call, linear_before_reset=1)
    inputs = call.shape()[-1]
    name = "GRU" if not lstm else "LSTM" if single_bias else "TwoBiasLSTM"
    if direction == "bidirectional":
        arguments = [positional(Raw(name), "layer"), positional(inputs, "inputs"), positional(units, "units")]
        weights = [weight for number in (0, 1) for weight in _recurrent_weights(call, units, number)]
        layer = w.layer("Bidirectional", arguments, weights)
    else:
        arguments = [
            positional(inputs, "inputs"),
            positional(units, "units"),
            keyword("reverse", direction == "reverse", False),
        ]
        layer = w.layer(name, arguments, _recurrent_weights(call, units, None))
    w.emit(call.outputs, f"{layer}({w.use(call.x)})")


def _recurrent_weights(call: Call, units: int, direction: int | None) -> list[NativeWeight]:
    """The parameters of one direction; `direction` is None where there is only one."""
    # ONNX's gates i, o, f, c and z, r, h → input, cell, forget, output and update, reset, content.
    order = (0, 3, 2, 1) if call.kind == "RecurrentLSTM" else (0, 1, 2)
    rows = len(order) * units
    prefix = "" if direction is None else ("forward.", "backward.")[direction]
    part = (direction or 0, (direction or 0) + 1)
    lstm = call.kind == "RecurrentLSTM"
    inputs, weights = sizes_of(call.weights["input_weight"])[2], []
    for role, leaf, own in (
        ("input_weight", "kernel", (0, inputs)),
        ("hidden_weight", "kernel" if lstm else "recurrent_kernel", (inputs, inputs + units)),
    ):
        columns = own[1] - own[0]
        steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order), transpose(1, 0))
        weights.append(NativeWeight(f"{prefix}{leaf}", call.weights[role], steps, (part,), own if lstm else None))
    for number, leaf in enumerate(("bias",) if call.attribute("single_bias") else ("bias", "recurrent_bias")):
        steps = (reshape((1, rows), (rows,)), blocks(0, order))
        index = (part, (number * rows, (number + 1) * rows))
        weights.append(NativeWeight(f"{prefix}{leaf}", call.weights["bias"], steps, index))
    return weights


def _activations(call: Call, default: tuple[str, ...]) -> str | None:
    """What the attributes say of activations, as an argument; None for ONNX's own for every direction."""
    names = call.attribute("activations")
    alphas, betas = list(call.attribute("activation_alpha") or []), list(call.attribute("activation_beta") or [])
    if names is None or list(names) == list(default) * (len(names) // len(default)):
        if not alphas and not betas:
            return None
        names = names or default
    found = []
    for name in names:  # numbers are given for those activations only that have any
        alpha = alphas.pop(0) if alphas and name not in ("Tanh", "Sigmoid", "Relu", "Softsign", "Softplus") else None
        beta = betas.pop(0) if betas and name in ("Affine", "ScaledTanh", "HardSigmoid") else None
        found.append(f'("{name}", {alpha!r}, {beta!r})')
    return f"[{', '.join(found)}]"


_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}


@TABLE.rule("FunctionalLSTM", "FunctionalGRU", "FunctionalRNN")
def recurrent_function(call: Call, w: Builder) -> None:
    """A recurrent operator with all its options, its weights being values like others."""
    name = call.kind.removeprefix("Functional")
    call.attribute("hidden_size")
    operands = {
        slot: optional(call, slot, w) for slot in range(8) if slot < len(call.inputs) and call.inputs[slot] is not None
    }
    roles = {3: "bias", 4: "lengths", 5: "hidden", 6: "cell", 7: "peepholes"}
    options = {roles[slot]: text for slot, text in operands.items() if slot > 2}
    direction = call.attribute("direction", "forward")
    options["direction"] = None if direction == "forward" else f'"{direction}"'
    options["activations"] = _activations(call, _DEFAULTS[name])
    clip = call.attribute("clip", 0.0)
    options["clip"] = repr(clip) if clip else None
    options["batch_first"] = "True" if call.attribute("layout", 0) else None
    if name == "LSTM":
        options["coupled"] = "True" if call.attribute("input_forget", 0) else None
    if name == "GRU":
        options["reset_after"] = "True" if call.attribute("linear_before_reset", 0) else None
    listed = [operands[slot] or "" for slot in range(3)]
    listed += [f"{key}={value}" for key, value in options.items() if value is not None]
    outputs = [call.wanted(place) for place in range(3 if name == "LSTM" else 2)]
    w.emit(outputs, f"run_{name.lower()}({', '.join(listed)})")

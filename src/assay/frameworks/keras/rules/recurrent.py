"""Recurrent layers, and recurrent operators with all options."""

from __future__ import annotations

from assay.errors import UnsupportedError
from assay.frameworks.keras.rules.common import TABLE
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.table import NativeWeight, Raw, keyword, positional
from assay.write.weights import Step, blocks, reshape, transpose


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    lstm = call.kind == "RecurrentLSTM"
    hidden, direction = call.attribute("hidden_size"), call.attribute("direction", "forward")
    call.attribute("single_bias")
    call.attribute("linear_before_reset")
    both = direction == "bidirectional"
    sequence, final = call.outputs
    callee, name = ("LSTM", "lstm") if lstm else ("GRU", "gru")
    options = [keyword("return_sequences", sequence is not None, False)]
    options.append(keyword("return_state", sequence is not None and final is not None, False))
    twofold = lstm and _is_twofold(call, 4 * hidden)
    cell = f'TwoBiasLSTMCell({hidden}, name="lstm_cell")'  # Keras' own has one bias
    if both:
        shown = "".join(f", {item.name}=True" for item in options if item.value)
        made = f"layers.RNN({cell}" if twofold else f"layers.{callee}({hidden}"
        inner = Raw(f'{made}{shown}, name="{name}")')
        layer = w.layer(
            "layers.Bidirectional", [positional(inner, "layer")], _recurrent_weights(call, hidden, name, True)
        )
    else:
        first = positional(Raw(cell), "cell") if twofold else positional(hidden, "units")
        arguments = [first, *options, keyword("go_backwards", direction == "reverse", False)]
        kind = "layers.RNN" if twofold else f"layers.{callee}"
        layer = w.layer(kind, arguments, _recurrent_weights(call, hidden, name, False), w.attribute_name or name)
    result = f"{layer}({w.use(call.x)})"
    if direction == "reverse" and sequence is not None and final is None:  # Keras gives steps in the order it ran them
        w.emit(sequence, f"ops.flip({result}, axis=1)", light=True)
        return
    if sequence is None or final is None:
        w.emit([final if sequence is None else sequence], result, light=True)
        return
    if direction == "reverse":
        raise UnsupportedError("a reversed layer that gives its steps and its state cannot be written", [call.kind])
    states = [w.temporary("final")] if not both else [w.temporary("forward"), w.temporary("backward")]
    targets = [item for state in states for item in ((state, None) if lstm else (state,))]
    w.emit([sequence, *targets], result)
    joined = f"ops.concatenate([{', '.join(w.use(state) for state in states)}], axis=-1)" if both else w.use(states[0])
    w.emit(final, joined, light=True)


def _recurrent_weights(call: Call, hidden: int, name: str, both: bool) -> list[NativeWeight]:
    order = (0, 2, 3, 1) if name == "lstm" else (0, 1, 2)  # i, o, f, c → i, f, c, o; z, r, h stays
    rows = len(order) * hidden
    prefixes = [f"forward_{name}/{name}_cell/", f"backward_{name}/{name}_cell/"] if both else [f"{name}_cell/"]
    weights = []
    for direction, prefix in enumerate(prefixes):
        part = (direction, direction + 1)
        for role, leaf in (("input_weight", "kernel"), ("hidden_weight", "recurrent_kernel")):
            columns = int(shape_of(call.weights[role])[2])
            steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order), transpose(1, 0))
            weights.append(NativeWeight(f"{prefix}{leaf}", call.weights[role], steps, (part,)))
        bias, twofold = call.weights["bias"], _is_twofold(call, rows)
        if twofold and name == "lstm":
            steps = (reshape((1, rows), (rows,)), blocks(0, order))
            for start, leaf in ((0, "bias"), (rows, "recurrent_bias")):
                weights.append(NativeWeight(f"{prefix}{leaf}", bias, steps, (part, (start, start + rows))))
            continue
        shape = (2, rows) if twofold else (rows,)
        steps = (reshape((1, 2 * rows if twofold else rows), shape), blocks(len(shape) - 1, order))
        weights.append(NativeWeight(f"{prefix}bias", bias, steps, (part,)))
    return weights


def _is_twofold(call: Call, rows: int) -> bool:
    """Whether a layer has a trained bias on the side of its inputs and another on that of its state."""
    return int(shape_of(call.weights["bias"])[1]) == 2 * rows


_DEFAULTS = {"RNN": ("Tanh",), "GRU": ("Sigmoid", "Tanh"), "LSTM": ("Sigmoid", "Tanh", "Tanh")}
_TAKES_ALPHA = {"affine", "leakyrelu", "thresholdedrelu", "scaledtanh", "hardsigmoid", "elu"}
_TAKES_BETA = {"affine", "scaledtanh", "hardsigmoid"}


@TABLE.rule("FunctionalRNN", "FunctionalLSTM", "FunctionalGRU")
def functional_recurrent(call: Call, w: Builder) -> None:
    name = call.kind.removeprefix("Functional")
    direction = call.attribute("direction", "forward")
    call.attribute("hidden_size")
    inputs = [*call.inputs, *[None] * 8][:8]
    texts = [None if value is None else w.array(value) for value in inputs]
    more = f", bias={texts[3]}" if texts[3] else ""
    more += f", lengths={texts[4]}" if texts[4] else ""
    states = [texts[5], texts[6]] if name == "LSTM" else [texts[5]]
    if any(states) or name == "LSTM":
        listed = ", ".join(state or "None" for state in states)
        more += f", states=({listed}{',' if len(states) == 1 else ''})"
    if texts[7] and name == "LSTM":
        more += f", peepholes={texts[7]}"
    more += f", activations={_activations(call, name, 2 if direction == 'bidirectional' else 1)}"
    more += f', direction="{direction}"' if direction != "forward" else ""
    clip = call.attribute("clip")
    more += f", clip={clip!r}" if clip is not None else ""
    more += ", batch_first=True" if call.attribute("layout", 0) else ""
    for option in ("linear_before_reset", "input_forget"):
        more += f", {option}=True" if call.attribute(option, 0) else ""
    outputs = [*call.outputs, None, None, None][: 3 if name == "LSTM" else 2]
    w.emit(outputs, f"run_recurrent({name.lower()}_step, {texts[0]}, {texts[1]}, {texts[2]}{more})")


def _activations(call: Call, name: str, directions: int) -> str:
    """The activations as (name, alpha, beta), for each direction."""
    names = [item.lower() for item in call.attribute("activations") or _DEFAULTS[name] * directions]
    alphas, betas = list(call.attribute("activation_alpha") or []), list(call.attribute("activation_beta") or [])
    found: list[tuple[object, ...]] = []
    for item in names:
        alpha = alphas.pop(0) if alphas and item in _TAKES_ALPHA else None
        beta = betas.pop(0) if betas and item in _TAKES_BETA else None
        found.append((item,) if alpha is None and beta is None else (item, alpha, beta))
    return repr(tuple(found)).replace("'", '"')

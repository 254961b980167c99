"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay.errors import UnsupportedError
from assay.frameworks.jax.rules.common import TABLE, options
from assay.graph.calls import Call
from assay.model import shape_of
from assay.write.body import Builder
from assay.write.parts import Value
from assay.write.table import NativeWeight, Raw, keyword, positional
from assay.write.weights import Step, blocks, reshape, transpose


def _is_plain(call: Call) -> bool:
    """Whether a layer says all of a recurrent call: zeros to begin with, no lengths, the usual activations."""
    further = any(value is not None for value in call.inputs[1:])
    usual = call.kind == "RecurrentLSTM" or call.attributes.get("linear_before_reset", 0) == 1
    special = {"activations", "activation_alpha", "activation_beta", "clip", "input_forget"} & set(call.attributes)
    return not further and not special and usual and "bias" in call.weights


@TABLE.rule("RecurrentLSTM", "RecurrentGRU")
def recurrent(call: Call, w: Builder) -> None:
    if not _is_plain(call):
        _with_options(call, w)
        return
    lstm = call.kind == "RecurrentLSTM"
    hidden = call.attribute("hidden_size")
    direction = call.attribute("direction", "forward")
    call.attribute("linear_before_reset")
    size = int(call.shape()[-1])
    single_bias = call.attribute("single_bias")
    callee = "GRU" if not lstm else "LSTM" if single_bias else "TwoBiasLSTM"
    weights = _recurrent_weights(call, hidden, ["forward.", "backward."] if direction == "bidirectional" else [""])
    if direction == "bidirectional":
        arguments = [
            positional(Raw(f"{callee}({size}, {hidden}, rngs=rngs)"), "forward"),
            positional(Raw(f"{callee}({size}, {hidden}, reverse=True, rngs=rngs)"), "backward"),
        ]
        layer = w.layer("Bidirectional", arguments, weights)
    else:
        arguments = [positional(size, "in_features"), positional(hidden, "hidden_features")]
        layer = w.layer(callee, [*arguments, keyword("reverse", direction == "reverse", False)], weights)
    w.emit(call.outputs, f"{layer}({w.use(call.x)})")


def _with_options(call: Call, w: Builder) -> None:
    """A layer that begins with given states, or has options: as a function, whose directions are joined after it."""
    node = next(node for node in call.nodes if node.op_type in ("LSTM", "GRU"))
    if call.attribute("single_bias"):
        reason = "one bias for both sides and options that no layer has"
        raise UnsupportedError(f"{node.op_type} cannot be written with {reason}", [f"{node.op_type}: {reason}"])
    kept = {name: value for name, value in call.attributes.items() if name != "single_bias"}
    results = [None if value is None else w.temporary("states") for value in call.outputs]
    functional = replace(
        call,
        kind=f"Functional{node.op_type}",
        inputs=tuple(node.inputs),
        attributes={**kept, "layout": 1},
    )
    _emit_functional(functional, w, results)
    for value, result in zip(call.outputs, results, strict=True):
        if value is not None and result is not None:
            rank = len(value.shape) if value.shape is not None else 3
            sizes = ", ".join(f"{w.use(result)}.shape[{axis}]" for axis in range(rank - 1))
            w.emit(value, f"{w.use(result)}.reshape({sizes}, -1)")


def _recurrent_weights(call: Call, hidden: int, prefixes: list[str]) -> list[NativeWeight]:
    order = (0, 2, 3, 1) if call.kind == "RecurrentLSTM" else (1, 0, 2)  # i, o, f, c → i, f, g, o; z, r, h → r, z, n
    rows = len(order) * hidden
    weights = []
    for direction, prefix in enumerate(prefixes):
        part = (direction, direction + 1)
        for role, leaf in (("input_weight", "kernel"), ("hidden_weight", "recurrent_kernel")):
            columns = int(shape_of(call.weights[role])[2])
            steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order), transpose(1, 0))
            weights.append(NativeWeight(f"{prefix}{leaf}", call.weights[role], steps, (part,)))
        for half, leaf in enumerate(("bias", "recurrent_bias")):
            if half * rows < int(shape_of(call.weights["bias"])[1]):
                steps = (reshape((1, rows), (rows,)), blocks(0, order))
                index = (part, (half * rows, (half + 1) * rows))
                weights.append(NativeWeight(f"{prefix}{leaf}", call.weights["bias"], steps, index))
    return weights


_USUAL = {
    "FunctionalRNN": ["Tanh"],
    "FunctionalGRU": ["Sigmoid", "Tanh"],
    "FunctionalLSTM": ["Sigmoid", "Tanh", "Tanh"],
}
_NAMES = {
    **{"relu": "nnx.relu", "tanh": "jnp.tanh", "sigmoid": "nnx.sigmoid", "softsign": "nnx.soft_sign"},
    "softplus": "nnx.softplus",
}
_SLOPED = {
    "affine": ("partial(affine, alpha={0}, beta={1})", 1.0, 0.0),
    "leakyrelu": ("partial(nnx.leaky_relu, negative_slope={0})", 0.01, 0.0),
    "thresholdedrelu": ("partial(thresholded_relu, alpha={0})", 1.0, 0.0),
    "scaledtanh": ("partial(scaled_tanh, alpha={0}, beta={1})", 1.0, 1.0),
    "hardsigmoid": ("partial(affine_sigmoid, alpha={0}, beta={1})", 0.2, 0.5),
    "elu": ("partial(nnx.elu, alpha={0})", 1.0, 0.0),
}


@TABLE.rule("FunctionalRNN", "FunctionalLSTM", "FunctionalGRU")
def functional_recurrent(call: Call, w: Builder) -> None:
    """Every option of ONNX's recurrent operators, over weights as ONNX has them."""
    _emit_functional(call, w, list(call.outputs))


def _emit_functional(call: Call, w: Builder, results: Sequence[Value | None]) -> None:
    usual = _USUAL[call.kind]
    name = {"FunctionalRNN": "rnn_over", "FunctionalGRU": "gru_over", "FunctionalLSTM": "lstm_over"}[call.kind]
    call.attribute("hidden_size")
    direction = call.attribute("direction", "forward")
    slots = ["bias", "lengths", "hidden"] + (["cell", "peepholes"] if "LSTM" in call.kind else [])
    given = {}
    for slot, role in enumerate(slots, 3):
        value = call.computed(slot)
        given[role] = None if value is None else w.array(value)
    text = ", ".join(w.array(value) for value in call.inputs[:3])
    text += options(**given)
    text += options(
        direction=None if direction == "forward" else f'"{direction}"',
        batch_major=True if call.attribute("layout", 0) else None,
        clip=call.attribute("clip", 0.0) or None,
        activations=_activations(call, usual, 2 if direction == "bidirectional" else 1),
    )
    if "GRU" in call.kind:
        text += options(reset_after=True if call.attribute("linear_before_reset", 0) else None)
    if "LSTM" in call.kind:
        text += options(coupled=True if call.attribute("input_forget", 0) else None)
    count = 3 if "LSTM" in call.kind else 2
    w.emit([*results, *[None] * (count - len(results))], f"{name}({text})")


def _activations(call: Call, usual: list[str], directions: int) -> str | None:
    listed = call.attribute("activations", usual * directions)
    alphas, betas = list(call.attribute("activation_alpha", [])), list(call.attribute("activation_beta", []))
    if [item.lower() for item in listed] == [item.lower() for item in usual * directions]:
        return None
    found = []
    for item in (item.lower() for item in listed):
        if item in _NAMES:
            found.append(_NAMES[item])
        elif item in _SLOPED:
            template, alpha, beta = _SLOPED[item]
            alpha = alphas.pop(0) if alphas else alpha
            takes_beta = item in ("affine", "scaledtanh", "hardsigmoid")
            found.append(template.format(alpha, betas.pop(0) if betas and takes_beta else beta))
        else:
            raise UnsupportedError(f"{call.kind} has no activation {item!r}", [f"{call.kind}: {item}"])
    return f"({', '.join(found)},)" if len(found) == 1 else f"({', '.join(found)})"

"""Recurrent layers: one ONNX operator each, batch first, as `assay.nn` builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable
from assay.frameworks.keras.bring_ops.activations import name_of
from assay.frameworks.keras.bring_ops.common import WHEN, Call, Part, Value, layer
from assay.nn.tensor import Tensor
from assay.write.weights import Step, blocks, reshape, transpose

# Keras' gates i, f, c, o are ONNX's i, o, f, c; its z, r, h are ONNX's. As blocks of ONNX's for each of Keras'.
_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (0, 1, 2), "RNN": (0,)}
_OPERATORS = {
    "LSTM": "LSTM",
    "GRU": "GRU",
    "SimpleRNN": "RNN",
    "LSTMCell": "LSTM",
    "GRUCell": "GRU",
    "SimpleRNNCell": "RNN",
}
_ACTIVATIONS = {
    **{"tanh": ("Tanh", None, None), "sigmoid": ("Sigmoid", None, None), "relu": ("Relu", None, None)},
    **{"hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5), "softplus": ("Softplus", None, None)},
    **{"softsign": ("Softsign", None, None), "elu": ("Elu", 1.0, None), "linear": ("Affine", 1.0, 0.0)},
}


def _plain_pair(source: Any) -> bool:
    """Whether two directions are one bidirectional operator: alike, and joined side by side."""
    first, second = source.forward_layer, source.backward_layer
    names = ("units", "activation", "recurrent_activation", "use_bias", "reset_after", "return_state")
    return (
        source.merge_mode == "concat"
        and type(first) is type(second)
        and type(first).__name__ in ("LSTM", "GRU", "SimpleRNN")
        and all(getattr(first, name, None) == getattr(second, name, None) for name in names)
        and not first.go_backwards
    )


WHEN["layers.Bidirectional"] = _plain_pair


@layer("LSTM", "GRU", "SimpleRNN", "RNN")
def recurrent(c: Call) -> Any:
    source = c.source
    steps, _, finals = _run(c, [source])
    result = steps if source.return_sequences else finals[0][0]
    return (result, *[state[0] for state in finals]) if source.return_state else result


@layer("Bidirectional")
def bidirectional(c: Call) -> Any:
    forward, backward = c.source.forward_layer, c.source.backward_layer
    steps, joined, finals = _run(c, [forward, backward])
    result = steps if forward.return_sequences else joined
    if not c.source.return_state:
        return result
    return (result, *[state[0] for state in finals], *[state[1] for state in finals])


def _run(c: Call, layers: Sequence[Any]) -> tuple[Value, Value, list[list[Value]]]:
    """Every step's output, the last one of all directions side by side, and each state's last value by direction."""
    cells = [item.cell for item in layers]
    kind = type(cells[0]).__name__
    if kind not in _OPERATORS:
        raise Untranslatable(f"the cell {kind}")
    op_type = _OPERATORS[kind]
    _say_what_is_lost(c, layers, cells)
    x = c.x
    data = c.plain(x)
    if layers[0].go_backwards:  # the outputs come in the order in which the steps were run
        with c.outside():
            data = _reversed(c, data)
    units, directions = int(cells[0].units), len(cells)
    states = _states(c, op_type)
    inputs = [data, *_weights(c, cells, op_type, units, int(cells[0].kernel.shape[0]))]
    attributes = _attributes(cells[0], op_type, directions)
    if states:
        inputs += [None] * (5 - len(inputs)) + states
    batch, length, _ = x.shape
    shapes: list[Any] = [(batch, length, directions, units), (batch, directions, units)]
    if op_type == "LSTM":
        shapes.append(shapes[1])
    direction = "bidirectional" if directions == 2 else "forward"
    results = c.graph.node_with_outputs(
        op_type, inputs, shapes, hidden_size=units, direction=direction, layout=1, **attributes
    )
    y = c.node("Reshape", [results[0], c.integers([0, 0, -1])], (batch, length, directions * units))
    last = c.node("Reshape", [results[1], c.integers([0, -1])], (batch, directions * units))
    finals = [_by_direction(c, last, directions, units)]
    if op_type == "LSTM":
        cell = c.node("Reshape", [results[2], c.integers([0, -1])], (batch, directions * units))
        finals.append(_by_direction(c, cell, directions, units))
    return c.wrap(y), c.wrap(last), finals


def _by_direction(c: Call, last: Tensor, directions: int, units: int) -> list[Value]:
    """The last state of each direction, from both joined."""
    if directions == 1:
        return [c.wrap(last)]
    parts = c.graph.node_with_outputs("Split", [last], [(last.shape[0], units)] * 2, axis=1, num_outputs=2)
    return [c.wrap(part) for part in parts]


def _weights(c: Call, cells: Sequence[Any], op_type: str, units: int, features: int) -> list[Tensor | None]:
    order, gates = _GATES[op_type], len(_GATES[op_type])
    rows, directions = gates * units, len(cells)
    stem = c.weights(cells[0].kernel).path.rpartition(".")[0] if directions == 1 else c.scope[-1][0]
    found: list[Tensor | None] = []
    for attribute, name, columns in (
        ("kernel", "input_weight", features),
        ("recurrent_kernel", "hidden_weight", units),
    ):
        steps: tuple[Step, ...] = (reshape((1, rows, columns), (rows, columns)), blocks(0, order), transpose(1, 0))
        parts = [
            Part(c.weights(getattr(cell, attribute)), ((place, place + 1),), steps) for place, cell in enumerate(cells)
        ]
        found.append(_once(c, f"{stem}.{name}".lstrip("."), (directions, rows, columns), parts))
    if cells[0].bias is None:
        return found
    twofold = len(cells[0].bias.shape) == 2
    size = 2 * rows if twofold else rows
    shape = (2, rows) if twofold else (rows,)
    steps = (reshape((1, size), shape), blocks(len(shape) - 1, order))
    parts = [Part(c.weights(cell.bias), ((place, place + 1),), steps) for place, cell in enumerate(cells)]
    bias = _once(c, f"{stem}.bias".lstrip("."), (directions, size), parts)
    if not twofold:  # ONNX has a second bias on the hidden side
        zeros = c.graph.constant(np.zeros((directions, rows), dtype=bias.dtype))
        bias = c.node("Concat", [bias, zeros], (directions, 2 * rows), axis=1)
    return [*found, bias]


def _once(c: Call, name: str, shape: Sequence[int], parts: Sequence[Part]) -> Tensor:
    """The weight of a layer that may be called again."""
    lead = parts[0].weight
    if lead.tensor is None:
        lead.tensor, lead.steps = c.graph.weight(name, shape, parts), parts[0].steps
        for part in parts[1:]:
            part.weight.tensor, part.weight.steps = lead.tensor, (Step("part", ()),)
    return lead.tensor


def _attributes(cell: Any, op_type: str, directions: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if op_type == "GRU":
        found["linear_before_reset"] = int(bool(cell.reset_after))
    main = name_of(cell.activation)
    names = [main] if op_type == "RNN" else [name_of(cell.recurrent_activation), main]
    if op_type == "LSTM":
        names.append(main)
    usual = {"LSTM": ["sigmoid", "tanh", "tanh"], "GRU": ["sigmoid", "tanh"], "RNN": ["tanh"]}[op_type]
    if names == usual:
        return found
    if unknown := [name for name in names if name not in _ACTIVATIONS]:
        raise Untranslatable(f"the activation {unknown[0]}")
    chosen = [_ACTIVATIONS[name] for name in names] * directions
    found["activations"] = [name for name, _, _ in chosen]
    alphas, betas = [a for _, a, _ in chosen if a is not None], [b for _, _, b in chosen if b is not None]
    return found | ({"activation_alpha": alphas} if alphas else {}) | ({"activation_beta": betas} if betas else {})


def _states(c: Call, op_type: str) -> list[Tensor | None]:
    """First states that are given, as (batch, directions, units)."""
    given = c.arguments.get("initial_state")
    if given is None:
        return []
    values = [c.value(item) for item in (given if isinstance(given, (list, tuple)) else [given])]
    number = 2 if op_type == "LSTM" else 1
    directions = len(values) // number
    with c.outside():
        found: list[Tensor | None] = []
        for place in range(number):
            parts = [c.unsqueeze(c.plain(values[place + number * way]), [1]) for way in range(directions)]
            shape = (parts[0].shape[0], directions, parts[0].shape[2])
            found.append(parts[0] if directions == 1 else c.node("Concat", parts, shape, axis=1))
    return found


def _reversed(c: Call, x: Tensor) -> Tensor:
    return c.slice(x, 1, -1, -(1 << 31), x.shape[1], -1)


def _say_what_is_lost(c: Call, layers: Sequence[Any], cells: Sequence[Any]) -> None:
    name = c.source.name
    if c.given("mask"):
        c.graph.note(
            f"{name}: masked steps (Masking, or Embedding with mask_zero) are skipped in the source, and not here"
        )
    for item, cell in zip(layers, cells, strict=True):
        for option in ("dropout", "recurrent_dropout"):
            if getattr(cell, option, 0):
                c.graph.note(
                    f"{name}: {option} of {getattr(cell, option)} inside the layer is not written for training"
                )
        if item.stateful:
            c.graph.note(f"{name}: the state that the source keeps from batch to batch (stateful) starts at zero here")

"""Recurrent layers: one ONNX operator for each layer of the stack, batch first, as `assay.nn` builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.pytorch.bring_ops.common import (
    Call,
    Result,
    Untranslatable,
    Weight,
    aten,
    known,
    record_origin,
)
from assay.nn.tensor import Tensor
from assay.write.weights import WeightMap, blocks, reshape

# torch's gates i, f, g, o and r, z, n → ONNX's i, o, f, c and z, r, h.
_ORDER = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


@aten("lstm.input")
def lstm(c: Call) -> Result:
    return _stack(c, "LSTM", c["hx"])


@aten("gru.input")
def gru(c: Call) -> Result:
    return _stack(c, "GRU", [c["hx"]], linear_before_reset=1)


@aten("rnn_tanh.input", "rnn_relu.input")
def rnn(c: Call) -> Result:
    raise Untranslatable("a plain recurrent layer")


def _stack(c: Call, op_type: str, states: Sequence[object], **attributes: Any) -> Result:
    if c["train"] and c["dropout"]:
        raise Untranslatable("dropout that is active in evaluation")
    if not all(_is_zero(state) for state in states):
        raise Untranslatable("a first state that is given")
    x = c.tensor("input") if c["batch_first"] else c.transpose(c.tensor("input"), (1, 0, 2))
    layers, directions = c["num_layers"], 2 if c["bidirectional"] else 1
    if c["dropout"] and layers > 1:
        c.tracer.note(f"dropout of {c['dropout']} between the layers of a {op_type} is not written for training")
    weights = list(c["params"])
    each = len(weights) // (layers * directions)
    finals: list[list[Tensor]] = [[] for _ in states]
    for layer in range(layers):
        own = weights[layer * directions * each : (layer + 1) * directions * each]
        parts = [own[place * each : (place + 1) * each] for place in range(directions)]
        x, of_layer = _layer(c, op_type, x, parts, attributes)
        for found, new in zip(finals, of_layer, strict=True):
            found.extend(new)
    y = x if c["batch_first"] else c.transpose(x, (1, 0, 2))
    return (y, *[_final(c, found) for found in finals])


def _is_zero(state: object) -> bool:
    """Whether a first state is a constant zero, whatever the size of its batch."""
    if not isinstance(state, Tensor):
        return False
    producer = state.value.producer()
    given = producer.inputs[0] if producer is not None and producer.op_type == "Expand" else state.value
    return given is not None and given.const_value is not None and not given.const_value.numpy().any()


def _layer(
    c: Call, op_type: str, x: Tensor, parts: Sequence[Sequence[object]], attributes: dict[str, Any]
) -> tuple[Tensor, list[list[Tensor]]]:
    held = [[_weight(item) for item in part] for part in parts]
    hidden = held[0][1].array.shape[1]
    order = _ORDER[op_type]
    inputs = [
        _joined(c, [part[place] for part in held], name, order)
        for place, name in ((0, "input_weight"), (1, "hidden_weight"))
    ]
    if len(held[0]) != 4:
        raise Untranslatable("no bias, or a projection")
    inputs.append(_bias(c, held, order))
    batch, steps, _ = x.shape
    directions = len(parts)
    shapes = [(batch, steps, directions, hidden), (batch, directions, hidden)]
    if op_type == "LSTM":
        shapes.append(shapes[1])
    results = c.tracer.node_with_outputs(
        op_type,
        [x, *inputs],
        shapes,
        hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
        layout=1,
        **attributes,
    )
    y = c.node("Reshape", [results[0], c.integers([0, 0, -1])], (batch, steps, directions * hidden))
    last = c.node("Reshape", [results[1], c.integers([0, -1])], (batch, directions * hidden))
    finals = [_by_direction(c, last, directions)]
    if op_type == "LSTM":
        cell = c.transpose(results[2], (1, 0, 2))
        finals.append([c.squeeze(c.slice(cell, 0, place, place + 1, 1), [0]) for place in range(directions)])
    return y, finals


def _by_direction(c: Call, last: Tensor, directions: int) -> list[Tensor]:
    """The last state of each direction, from both joined."""
    if directions == 1:
        return [last]
    batch, size = last.shape
    shapes = [(batch, known(size, "a recurrent layer") // 2)] * 2
    return list(c.tracer.node_with_outputs("Split", [last], shapes, axis=1, num_outputs=2))


def _weight(item: object) -> Weight:
    if not isinstance(item, Weight):
        raise Untranslatable("weights that are computed")
    if item.users != 1:
        raise Untranslatable(f"{item.name} is shared")
    return item


def _blocks(array: np.ndarray, order: Sequence[int]) -> np.ndarray:
    parts = np.split(array, len(order))
    return np.concatenate([parts[place] for place in order])


def _joined(c: Call, weights: Sequence[Weight], name: str, order: Sequence[int]) -> Tensor:
    """One initializer for both directions, named after the layer of the stack that it belongs to."""
    stem, _, leaf = weights[0].name.rpartition(".")
    place = leaf.rpartition("_l")[2]
    array = np.stack([_blocks(weight.array, order) for weight in weights])
    number = f"_{place}" if c["num_layers"] > 1 else ""
    made = c.tracer.initializer(f"{stem}.{name}{number}".lstrip("."), array, weights[0].role)
    record_origin(made, [_part(made, weight, ((at, at + 1),), order) for at, weight in enumerate(weights)])
    return made


def _part(joined: Tensor, weight: Weight, index: tuple[tuple[int, int] | None, ...], order: Sequence[int]) -> WeightMap:
    """How one of torch's weights is found in what it became a part of."""
    shape = weight.array.shape
    back = tuple(int(place) for place in np.argsort(order))
    steps = (reshape((1, *shape), shape), blocks(0, back))
    return WeightMap(weight.name, str(joined.value.name), weight.role, index, steps)


def _bias(c: Call, held: Sequence[Sequence[Weight]], order: Sequence[int]) -> Tensor:
    stem, _, leaf = held[0][2].name.rpartition(".")
    array = np.stack([np.concatenate([_blocks(part[place].array, order) for place in (2, 3)]) for part in held])
    number = f"_{leaf.rpartition('_l')[2]}" if c["num_layers"] > 1 else ""
    made = c.tracer.initializer(f"{stem}.bias{number}".lstrip("."), array, held[0][2].role)
    size = len(held[0][2].array)
    record_origin(
        made,
        [
            _part(made, part[place], ((at, at + 1), (start, start + size)), order)
            for at, part in enumerate(held)
            for place, start in ((2, 0), (3, size))
        ],
    )
    return made


def _final(c: Call, states: list[Tensor]) -> Tensor:
    """The last states of all layers, (layers · directions, batch, hidden), as torch gives them."""
    parts = [c.unsqueeze(state, 0) for state in states]
    joined = c.node("Concat", parts, (len(parts), *states[0].shape), axis=0) if len(parts) > 1 else parts[0]
    c.tracer.stacked[id(joined.value)] = states
    return joined

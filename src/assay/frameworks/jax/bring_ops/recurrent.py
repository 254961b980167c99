"""Recurrent layers: one ONNX operator with both directions, batch first, as `assay.nn` builds them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from assay.frameworks.drafting import Untranslatable, Weight, record_origin
from assay.frameworks.jax.bring_ops.common import Call, Result, primitive
from assay.nn.tensor import Tensor
from assay.write.weights import WeightMap, blocks, reshape, transpose

# Flax's gates i, f, g, o and r, z, n → ONNX's i, o, f, c and z, r, h.
_ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}


@primitive("layer:lstm", "layer:gru")
def recurrent(c: Call) -> Result:
    kind = c.name.partition(":")[2]
    hidden, directions = int(c["hidden"]), len(c["cells"])
    x = c.transpose(c.tensor(0), (1, 0, 2)) if c["time_major"] else c.tensor(0)
    place, parts = 1, []
    for count in c["cells"]:
        parts.append([_own(item) for item in c.inputs[place : place + count]])
        place += count
    states = [c.unsqueeze(c.tensor(place + number), 1) for number in range(c["states"])]
    batch, steps, _ = x.shape
    shapes: list[Any] = [(batch, steps, directions, hidden), (batch, directions, hidden), (batch, directions, hidden)]
    weights = _weights(c, kind, hidden, parts)
    results = c.tracer.node_with_outputs(
        kind.upper(),
        [x, *weights, *([None, *states] if states else [])],
        shapes[: 3 if kind == "lstm" else 2],
        c.dtype,
        hidden_size=hidden,
        direction=c["direction"],
        layout=1,
        linear_before_reset=1 if kind == "gru" else None,
    )
    y = c.node("Reshape", [results[0], c.integers([0, 0, -1])], (batch, steps, directions * hidden))
    if c["backwards"]:
        y = c.reversed(y, [1])
    y = c.transpose(y, (1, 0, 2)) if c["time_major"] else y
    return (y, *_finals(c, results, directions, hidden))


def _finals(c: Call, results: Sequence[Tensor], directions: int, hidden: int) -> list[Tensor]:
    """The last h of each direction, then the last c of each."""
    found = []
    for number, state in enumerate(results[1:]):
        batch = state.shape[0]
        if number == 0:
            joined = c.node("Reshape", [state, c.integers([0, -1])], (batch, directions * hidden))
            if directions == 1:
                found.append(joined)
            else:
                shapes = [(batch, hidden)] * 2
                found.extend(c.tracer.node_with_outputs("Split", [joined], shapes, axis=1, num_outputs=2))
        else:
            found.extend(c.squeeze(c.slice(state, 1, place, place + 1, 1), [1]) for place in range(directions))
    return found


def _own(item: object) -> Weight:
    if not isinstance(item, Weight) or item.users != 1:
        raise Untranslatable("a recurrent layer whose weights are computed or shared")
    return item


def _weights(c: Call, kind: str, hidden: int, parts: list[list[Weight]]) -> list[Tensor]:
    """Kernels and biases of both directions, each as one initializer that says where its parts come from."""
    stem = _stem(parts)
    gates = len(_ORDER[kind])
    kernels = gates if len(parts[0]) > 3 else 1
    slots = {
        "input_weight": slice(0, kernels),
        "hidden_weight": slice(kernels, 2 * kernels),
        "bias": slice(2 * kernels, None),
    }
    made = []
    for name, slot in slots.items():
        arrays, maps = [], []
        for direction, part in enumerate(parts):
            array, own = _joined(part[slot], kind, hidden, f"{stem}.{name}".lstrip("."), direction)
            arrays.append(array)
            maps.extend(own)
        tensor = c.tracer.initializer(f"{stem}.{name}".lstrip("."), np.ascontiguousarray(np.stack(arrays)), "parameter")
        record_origin(tensor, maps)
        made.append(tensor)
    zeros = c.tracer.constant(np.zeros((len(parts), gates * hidden), c.dtype))
    bias = c.node("Concat", [made[2], zeros], (len(parts), 2 * gates * hidden), axis=1)
    return [made[0], made[1], bias]


def _stem(parts: list[list[Weight]]) -> str:
    """The path of the layer: what the names of its weights have in common, without `cell`."""
    names = [weight.name.split(".") for part in parts for weight in part]
    shared = 0
    while all(len(name) > shared + 1 and name[shared] == names[0][shared] for name in names):
        shared += 1
    parts_of = names[0][:shared]
    while parts_of and parts_of[-1] in ("cell", "dense_i", "dense_h"):
        parts_of = parts_of[:-1]
    return ".".join(parts_of)


def _joined(
    weights: list[Weight], kind: str, hidden: int, source: str, direction: int
) -> tuple[np.ndarray, list[WeightMap]]:
    """The gates of one direction in ONNX's order, and where each comes from."""
    order = _ORDER[kind]
    arrays, maps = [], []
    for gate in order:
        apart = len(weights) > 1
        weight = weights[gate] if apart else weights[0]
        array = weight.array if apart else np.split(weight.array, len(order), axis=-1)[gate]
        arrays.append(array.T)
    rows_all = np.concatenate(arrays)
    if len(weights) > 1:
        for place, gate in enumerate(order):
            shape = weights[gate].array.shape
            maps.append(_map(weights[gate], source, direction, (place * hidden, (place + 1) * hidden), shape, None))
    else:
        maps.append(_map(weights[0], source, direction, None, weights[0].array.shape, order))
    return rows_all, maps


def _map(
    weight: Weight,
    source: str,
    direction: int,
    rows: tuple[int, int] | None,
    shape: tuple[int, ...],
    order: tuple[int, ...] | None,
) -> WeightMap:
    turned = shape[::-1]
    steps = [reshape((1, *turned), turned)]
    if order is not None:
        steps.append(blocks(0, tuple(int(place) for place in np.argsort(order))))
    if len(shape) == 2:
        steps.append(transpose(1, 0))
    index: tuple[tuple[int, int] | None, ...] = ((direction, direction + 1),) + ((rows,) if rows is not None else ())
    return WeightMap(weight.native or weight.name, source, weight.role, index, tuple(steps))

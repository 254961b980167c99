"""What TensorFlow's rules share: the table itself, axes in channels-last data, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.graph.calls import Call
from assay.graph.layout import order_of
from assay.model import shape_of
from assay.write.table import Table

TABLE = Table("tensorflow")

ABSORBED = "tensorflow.absorbed"  # in `value.meta`: the layer before the activation that makes it applies that too
HEADS = "tensorflow.heads"  # in `value.meta`: written code holds the value as (batch, heads, time, size)


def refuse(call: Call, what: str) -> UnsupportedError:
    """The error for a call that TensorFlow's table cannot express: `raise refuse(call, "a dynamic shape")`."""
    return UnsupportedError(f"tensorflow cannot write {call.kind} with {what}", [f"{call.kind}: {what}"])


def require(call: Call, **expected: Any) -> None:
    """Accepts attributes only where they are absent or say what the written code does anyway."""
    for name, value in expected.items():
        found = call.attribute(name, value)
        if found != value:
            raise refuse(call, f"{name}={found!r}")


def only_data(call: Call, count: int) -> None:
    """Refuses inputs beyond the first `count`: optional ones, or shapes that are computed when the model runs."""
    if any(value is not None for value in call.inputs[count:]):
        raise refuse(call, f"more than {count} computed input{'s' if count > 1 else ''}")


def one_or_all(values: Sequence[int]) -> int | tuple[int, ...]:
    """One number where all are equal."""
    return values[0] if len(set(values)) == 1 else tuple(values)


def axis_text(place: int, rank: int) -> int:
    """An axis as a person writes it: the last one is -1."""
    return -1 if place == rank - 1 else place


def stored(call: Call, axes: Sequence[int]) -> list[int]:
    """Where axes of the first input are stored, in ascending order."""
    return sorted(call.stored_axis(axis) for axis in axes)


def arranged(text: str, present: Sequence[int], wanted: Sequence[int]) -> str:
    """`text`, whose stored axes are `present`, with its axes in the order `wanted`."""
    if list(present) == list(wanted):
        return text
    return f"tf.transpose({text}, ({', '.join(str(list(present).index(axis)) for axis in wanted)}))"


def kept_order(value: ir.Value, removed: Sequence[int]) -> list[int]:
    """The stored order of a value without some of its axes, in the numbers of the axes that are left."""
    left = [axis for axis in range(len(shape_of(value))) if axis not in removed]
    return [left.index(axis) for axis in order_of(value) if axis in left]

"""What bringers share: the graph that a framework's model is drafted into, its weights, and the usual nodes.

A bringer follows a model of its framework and writes one operator after another. `Draft` writes nodes whose shapes are
known; `tidy` takes away what led nowhere, and the transposes between channels-last sources and ONNX's order.
"""

from __future__ import annotations

import json
import linecache
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import onnx_ir as ir

from assay.model import KEPT, ORIGIN, STRUCTURE
from assay.nn.tensor import OPSET, Dim, Shape, Tensor, Tracer
from assay.structure import structure_of
from assay.write.weights import Step, WeightMap

Entry = TypeVar("Entry", bound=Callable[..., Any])


class Untranslatable(Exception):
    """One call cannot be expressed; the message says what about it. All of a model's are gathered into one error."""


class NeedsStaticBatch(Exception):
    """A call whose shape cannot be written while the size of the batch is open."""


def registered(table: dict[str, Entry], names: Iterable[str]) -> Callable[[Entry], Entry]:
    """Enters a function into a table under these names, each of which has one."""
    wanted = list(names)

    def register(function: Entry) -> Entry:
        for name in wanted:
            if name in table:
                raise ValueError(f"{name} is registered twice")
            table[name] = function
        return function

    return register


def example_arguments(example: Any, convert: Callable[[Any], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments from whatever form an example has, each converted to what the framework takes."""
    if isinstance(example, Mapping):
        return (), {str(name): convert(value) for name, value in example.items()}
    if isinstance(example, (tuple, list)):
        return tuple(convert(value) for value in example), {}
    return (convert(example),), {}


def line_of_code(place: str) -> str:
    """`/home/me/net.py:14` with what is written there: `net.py:14: x = torch.tanh(x)`; nothing for a place that is no
    line of a file."""
    path, _, number = place.rpartition(":")
    text = linecache.getline(path, int(number)).strip() if path and number.isdigit() else ""
    return f"{Path(path).name}:{number}: {text}" if text else ""


class Graph(Tracer):
    """The graph being built, and what is to be said about it."""

    notes: list[str]

    @classmethod
    def empty(cls, name: str) -> Self:
        found = cls(ir.Graph([], [], nodes=[], name=name, opset_imports={"": OPSET}))
        found.notes = []
        return found

    def note(self, text: str) -> None:
        """Says what is not as in the source; once."""
        where = self.where
        self.remark(text if where == "the model" else f"{where}: {text}")

    def remark(self, text: str) -> None:
        """Says something of the model as a whole; once."""
        if text not in self.notes:
            self.notes.append(text)


def record_structure(draft: Graph, nest: Any) -> None:
    """Notes how the outputs of the graph lie in one another: `nest` is what the source gives, with their places in it."""
    found, left = structure_of(nest)
    count = len(draft.graph.outputs)
    if found is None or sorted(found.places()) != list(range(count)):
        draft.remark(f"the outputs are given as {'a tuple' if count > 1 else 'one'}: {', '.join(left)} is not opened")
        return
    if left:
        draft.remark(f"no array, and not among the outputs of written code: {', '.join(left)}")
    if not found.is_flat:
        draft.graph.metadata_props[STRUCTURE] = json.dumps(found.to_data())


def record_origin(weight: Tensor, maps: Sequence[WeightMap]) -> None:
    """Says which parameters of the source a weight is made of, and how."""
    weight.value.metadata_props[ORIGIN] = json.dumps([item.to_json() for item in maps])


@dataclass
class Weight:
    """A parameter, statistic or constant of the source. It enters the graph in the form of the first call that uses it."""

    name: str
    array: np.ndarray
    role: str
    users: int  # how many calls use it
    kept: bool = False  # a constant that is part of the source's state
    native: str = ""  # its name in the source, where the graph calls it otherwise
    forms: dict[tuple[Step, ...], Tensor] = field(default_factory=dict)

    def plain(self, tracer: Tracer) -> Tensor:
        """The array as the source holds it."""
        return self.form(tracer)

    def form(self, tracer: Tracer, *steps: Step) -> Tensor:
        """The array as a layer of the graph wants it, which these steps make of the source's."""
        if steps not in self.forms:
            if self.forms:
                raise Untranslatable(f"{self.name} is used by layers that store it differently")
            array = self.array
            for step in steps:
                array = step.forward(array)
            made = tracer.initializer(self.name, np.ascontiguousarray(array).reshape(array.shape), self.role)
            if steps or self.native:
                record_origin(made, [WeightMap(self.native or self.name, self.name, self.role, (), inverse(steps))])
            if self.kept:
                made.value.metadata_props[KEPT] = "1"
            self.forms[steps] = made
        return self.forms[steps]


def inverse(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps that undo others."""
    return tuple(_inverse(step) for step in reversed(steps))


def _inverse(step: Step) -> Step:
    match step.kind:
        case "transpose":
            return Step("transpose", tuple(int(axis) for axis in np.argsort(step.arguments)))
        case "reshape":
            return Step("reshape", step.arguments[::-1])
        case "blocks":
            axis, order = step.arguments
            return Step("blocks", (axis, tuple(int(place) for place in np.argsort(order))))
    return step


class Draft:
    """Writes nodes: what the calls of every framework need of ONNX."""

    tracer: Graph
    sizes: Mapping[str, tuple[Tensor, int]]  # symbolic size → the graph input and axis that it can be read from

    def node(
        self, op_type: str, inputs: Sequence[Tensor | None], shape: Shape, dtype: str | None = None, **attributes: Any
    ) -> Tensor:
        """Adds a node with one output."""
        return self.tracer.node(op_type, inputs, shape, dtype, **attributes)

    def scalar(self, number: float, dtype: str) -> Tensor:
        """A number as a constant."""
        return self.tracer.number(number, dtype)

    def integers(self, values: Sequence[int]) -> Tensor:
        return self.tracer.constant(np.array(values, dtype=np.int64))

    def size(self, name: str) -> Tensor:
        """A symbolic size as a tensor without axes."""
        return self.squeeze(self._size(name), [0])

    def _size(self, name: str) -> Tensor:
        if name not in self.sizes:
            raise NeedsStaticBatch
        source, axis = self.sizes[name]
        return self.node("Shape", [source], (1,), "int64", start=axis, end=axis + 1)

    def vector(self, shape: Sequence[Dim]) -> Tensor:
        """A list of sizes as a tensor, those that are symbolic read from an input when the model runs."""
        if all(isinstance(size, int) for size in shape):
            return self.integers([int(size) for size in shape])
        parts: list[Tensor] = []
        for is_name, sizes in groupby(shape, key=lambda size: isinstance(size, str)):
            if is_name:
                parts.extend(self._size(str(size)) for size in sizes)
            else:
                parts.append(self.integers([int(size) for size in sizes]))
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, (len(shape),), "int64", axis=0)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """x in another type; itself if it has it."""
        return x if x.dtype == dtype else self.node("Cast", [x], x.shape, dtype, to=onnx_type(dtype))

    def reshape(self, x: Tensor, shape: Shape) -> Tensor:
        """x with other axes. Sizes that stay in place are kept, one that is symbolic is worked out."""
        if x.shape == shape:
            return x
        producer = x.value.producer()
        if producer is not None and producer.op_type in ("Reshape", "Flatten") and producer.inputs[0] is not None:
            before = producer.inputs[0]
            if dims_of(before) == shape:
                return Tensor(before, shape, x.dtype)
        wanted = [
            size if isinstance(size, int) else 0 if axis < x.rank and x.shape[axis] == size else -1
            for axis, size in enumerate(shape)
        ]
        if wanted.count(-1) > 1:
            raise NeedsStaticBatch
        if len(shape) == 2 and x.rank > 2 and shape[0] == x.shape[0]:
            return self.node("Flatten", [x], shape, axis=1)
        return self.node("Reshape", [x, self.integers(wanted)], shape)

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """The axes in a new order."""
        if list(order) == list(range(x.rank)):
            return x
        return self.node("Transpose", [x], tuple(x.shape[axis] for axis in order), perm=list(order))

    def unsqueeze(self, x: Tensor, *axes: int) -> Tensor:
        """New axes of one, at these places of the result."""
        if not axes:
            return x
        rank = x.rank + len(axes)
        places = sorted(axis % rank for axis in axes)
        sizes = iter(x.shape)
        shape = tuple(1 if axis in places else next(sizes) for axis in range(rank))
        return self.node("Unsqueeze", [x, self.integers(places)], shape)

    def squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return self.node("Squeeze", [x, self.integers(axes)], kept) if axes else x

    def slice(self, x: Tensor, axis: int, start: int, stop: int, size: Dim, step: int = 1) -> Tensor:
        """Part of one axis."""
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        given = [self.integers([item]) for item in (start, stop, axis)]
        return self.node("Slice", [x, *given, *([self.integers([step])] if step != 1 else [])], shape)

    def reversed(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """x read backwards along these axes."""
        least = -(2**63) + 1
        listed = ([-1] * len(axes), [least] * len(axes), list(axes), [-1] * len(axes))
        return self.node("Slice", [x, *(self.integers(item) for item in listed)], x.shape)

    def expand(self, x: Tensor, shape: Shape) -> Tensor:
        """x repeated along axes of size one."""
        if x.shape == shape:
            return x
        padded = (1,) * (len(shape) - x.rank) + x.shape
        # ONNX's Expand broadcasts: 1 keeps an axis as it is.
        wanted = [1 if have == want else want for have, want in zip(padded, shape, strict=True)]
        return self.node("Expand", [x, self.vector(wanted)], shape)

    def channels_first(self, x: Tensor) -> Tensor:
        """(batch, …, channels) → (batch, channels, …)."""
        return self.transpose(x, [0, x.rank - 1, *range(1, x.rank - 1)])

    def channels_last(self, x: Tensor) -> Tensor:
        """(batch, channels, …) → (batch, …, channels)."""
        return self.transpose(x, [0, *range(2, x.rank), 1])


def dims_of(value: ir.Value) -> Shape | None:
    """The shape of a value of the graph, as tensors have it."""
    if value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else str(size.value) for size in value.shape)


def onnx_type(dtype: str) -> int:
    """ONNX's number for a NumPy type."""
    return int(ir.DataType.from_numpy(np.dtype(dtype)))


def known(size: Dim, what: str) -> int:
    """A size that a translation needs the number of."""
    if isinstance(size, str):
        raise Untranslatable(f"{what} needs a known size, it has {size}")
    return size


def volume(sizes: Sequence[Dim]) -> int:
    """The number of elements, where every size is known."""
    return math.prod(known(size, "an array") for size in sizes)


_BROADCASTING = {"Add", "Sub", "Mul", "Div", "Pow", "Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"}


def drop_expands(graph: ir.Graph) -> None:
    """Without the `Expand` of a value for operators that spread it over their other operand themselves."""
    for node in list(graph):
        if node.op_type != "Expand" or node.outputs[0].is_graph_output():
            continue
        spread, value = node.outputs[0], node.inputs[0]
        for user, place in list(spread.uses()):
            other = user.inputs[1 - place] if user.op_type in _BROADCASTING else None
            if other is not None and other is not spread and other.shape is not None and other.shape == spread.shape:
                user.replace_input_with(place, value)


def remove_unused(graph: ir.Graph) -> None:
    """Nodes and initializers that lead to no output."""
    for node in reversed(list(graph)):
        if not any(list(value.uses()) or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
    for name, value in list(graph.initializers.items()):
        if not list(value.uses()) and not value.is_graph_output():
            del graph.initializers[name]

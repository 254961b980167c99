"""What translations share: the arguments of an ATen call, the graph they write into, the table they register in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from assay.frameworks.drafting import (
    Draft,
    NeedsStaticBatch,
    Untranslatable,
    known,
    onnx_type,
    record_origin,
    registered,
)
from assay.frameworks.drafting import Graph as Drafted
from assay.model import EXACT, KEPT
from assay.nn.tensor import Shape, Tensor, Tracer
from assay.write.weights import Step, WeightMap, transpose

Result = Tensor | tuple[Tensor | None, ...]
Translate = Callable[["Call"], Result]

TABLE: dict[str, Translate] = {}


def aten(*names: str) -> Callable[[Translate], Translate]:
    """Registers the translation of these ATen operators, all overloads (`add`) or one of them (`max.dim`)."""
    return registered(TABLE, names)


def find(name: str) -> Translate | None:
    """The translation of `aten.relu_.default`: that of the overload, of the operator, or of what it does not do in place."""
    plain = name.removeprefix("aten.")
    base, _, overload = plain.rpartition(".")
    unplaced = base.removesuffix("_")
    for wanted in (plain, base, f"{unplaced}.{overload}", unplaced):
        if wanted in TABLE:
            return TABLE[wanted]
    return None


class Graph(Drafted):
    """The graph being built, with the layers that torch unrolls into several."""

    stacked: dict[int, list[Tensor]]

    @classmethod
    def empty(cls, name: str) -> Graph:
        found = super().empty(name)
        assert isinstance(found, Graph)
        found.stacked = {}
        return found

    def mark(self, value: Tensor, key: str, text: str) -> None:
        """Records a fact about the node that makes a value."""
        node = value.value.producer()
        if node is not None:
            node.metadata_props[key] = text


@dataclass
class Weight:
    """A parameter, buffer or constant of the source. It enters the graph in the form of the first call that uses it."""

    name: str
    array: np.ndarray
    role: str
    users: int  # how many calls use it
    kept: bool = False  # a buffer that the source saves
    forms: dict[str, Tensor] = field(default_factory=dict)

    def plain(self, tracer: Tracer) -> Tensor:
        """The array as the source holds it."""
        return self.form(tracer, "plain", self.array)

    def transposed(self, tracer: Tracer) -> Tensor:
        """A matrix as a layer of the graph wants it: (in_features, out_features)."""
        return self.form(tracer, "transposed", self.array.T, (transpose(1, 0),))

    def form(self, tracer: Tracer, form: str, array: np.ndarray, steps: tuple[Step, ...] = ()) -> Tensor:
        """The array in another order of its elements. `steps` lead back from it to the source's."""
        if form not in self.forms:
            if self.forms:
                raise Untranslatable(f"{self.name} is used by layers that store it differently")
            made = tracer.initializer(self.name, np.ascontiguousarray(array).reshape(array.shape), self.role)
            if steps:
                record_origin(made, [WeightMap(self.name, self.name, self.role, (), steps)])
            if self.role == "constant" and array.size == 1 and array.dtype == np.float32:
                made.value.metadata_props[EXACT] = repr(float(array.reshape(())))  # not the decimal it may be short for
            if self.kept:
                made.value.metadata_props[KEPT] = "1"
            self.forms[form] = made
        return self.forms[form]


@dataclass
class Call(Draft):
    """One ATen call: its arguments by name, the shapes and types of its results, and the graph to write into."""

    target: str
    arguments: Mapping[str, Any]
    tracer: Graph
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    sizes: Mapping[str, tuple[Tensor, int]]  # symbolic size → the graph input and axis that it can be read from

    def __getitem__(self, name: str) -> Any:
        """An argument that is no tensor: a number, a list, a name."""
        return self.arguments[name]

    def get(self, name: str, default: Any = None) -> Any:
        """An argument that some overloads of the operator lack."""
        found = self.arguments.get(name)
        return default if found is None else found

    @property
    def shape(self) -> Shape:
        return self.shapes[0]

    @property
    def dtype(self) -> str:
        return self.dtypes[0]

    # Operands -----------------------------------------------------------------------------------------------------

    def tensor(self, name: str) -> Tensor:
        """A tensor argument; a weight in its own form."""
        found = self.optional(name)
        if found is None:
            raise Untranslatable(f"its argument {name} is missing")
        return found

    def optional(self, name: str) -> Tensor | None:
        return self.value(self.arguments.get(name))

    def tensors(self, name: str) -> list[Tensor]:
        """A list of tensors."""
        found = [self.value(item) for item in self.arguments[name]]
        return [item for item in found if item is not None]

    def value(self, given: Any) -> Tensor | None:
        if isinstance(given, Weight):
            return given.plain(self.tracer)
        if given is None or isinstance(given, Tensor):
            return given
        raise Untranslatable(f"{given!r} stands where a tensor is expected")

    def weight(self, name: str) -> Weight | None:
        """An argument that is a weight of this call alone; None if it is computed or shared."""
        found = self.arguments.get(name)
        return found if isinstance(found, Weight) and found.users == 1 else None

    def operand(self, name: str, dtype: str | None = None) -> Tensor:
        """A tensor, or a number as a tensor, in the type of the result or the one given."""
        kind = dtype or self.dtype
        given = self.arguments[name]
        if isinstance(given, (int, float, bool)):
            return self.scalar(given, kind)
        if isinstance(given, str):
            return self.cast(self.size(given), kind)
        return self.cast(self.tensor(name), kind)

    def size(self, name: str) -> Tensor:
        """A symbolic size as a tensor without axes."""
        return self.reshape(self._size(name), ())

    # Nodes --------------------------------------------------------------------------------------------------------

    def result(self, op_type: str, inputs: Sequence[Tensor | None], **attributes: Any) -> Tensor:
        """Adds the node whose output is the call's result."""
        return self.node(op_type, inputs, self.shape, self.dtype, **attributes)

    def reshape(self, x: Tensor, shape: Shape) -> Tensor:
        """x with other axes. Sizes that stay in place are kept, one that is symbolic is worked out."""
        if x.shape == shape:
            return x
        wanted = [
            size if isinstance(size, int) else 0 if axis < x.rank and x.shape[axis] == size else -1
            for axis, size in enumerate(shape)
        ]
        if wanted.count(-1) > 1:
            raise NeedsStaticBatch
        if len(shape) == 2 and x.rank > 2 and shape[0] == x.shape[0]:
            return self.node("Flatten", [x], shape, axis=1)
        return self.node("Reshape", [x, self.integers(wanted)], shape)


def axis_of(axis: int, rank: int) -> int:
    """A non-negative axis."""
    return axis % rank if rank else 0


def axes_of(given: int | Sequence[int] | None, rank: int) -> list[int]:
    """Non-negative axes in order; all of them for None or an empty list."""
    listed = [given] if isinstance(given, int) else list(given or [])
    return sorted(axis_of(axis, rank) for axis in listed) or list(range(rank))


def repeated(values: int | Sequence[int], rank: int) -> list[int]:
    """One number for each of so many axes."""
    listed = [values] if isinstance(values, int) else list(values)
    return listed * rank if len(listed) == 1 else listed


__all__ = [
    "TABLE",
    "Call",
    "Graph",
    "NeedsStaticBatch",
    "Result",
    "Translate",
    "Untranslatable",
    "Weight",
    "aten",
    "axes_of",
    "axis_of",
    "find",
    "known",
    "onnx_type",
    "record_origin",
    "repeated",
]

"""What translations share: the arguments of an ATen call, the graph they write into, the table they register in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.model import EXACT, KEPT, ORIGIN
from assay.nn.tensor import OPSET, Dim, Shape, Tensor, Tracer
from assay.write.weights import Step, WeightMap, transpose

Result = Tensor | tuple[Tensor | None, ...]
Translate = Callable[["Call"], Result]

TABLE: dict[str, Translate] = {}


class Untranslatable(Exception):
    """One call cannot be expressed; the message says what about it. All of a model's are gathered into one error."""


class NeedsStaticBatch(Exception):
    """A call whose shape cannot be written while the size of the batch is open."""


def aten(*names: str) -> Callable[[Translate], Translate]:
    """Registers the translation of these ATen operators, all overloads (`add`) or one of them (`max.dim`)."""

    def register(function: Translate) -> Translate:
        for name in names:
            if name in TABLE:
                raise ValueError(f"aten.{name} is registered twice")
            TABLE[name] = function
        return function

    return register


def find(name: str) -> Translate | None:
    """The translation of `aten.relu_.default`: that of the overload, of the operator, or of what it does not do in place."""
    plain = name.removeprefix("aten.")
    base, _, overload = plain.rpartition(".")
    unplaced = base.removesuffix("_")
    for wanted in (plain, base, f"{unplaced}.{overload}", unplaced):
        if wanted in TABLE:
            return TABLE[wanted]
    return None


class Graph(Tracer):
    """The graph being built, and what is to be said about it."""

    notes: list[str]
    stacked: dict[int, list[Tensor]]

    @classmethod
    def empty(cls, name: str) -> Graph:
        found = cls(ir.Graph([], [], nodes=[], name=name, opset_imports={"": OPSET}))
        found.notes, found.stacked = [], {}
        return found

    def note(self, text: str) -> None:
        """Says what is not as in the source; once."""
        where = self.where
        self.remark(text if where == "the model" else f"{where}: {text}")

    def remark(self, text: str) -> None:
        """Says something of the model as a whole; once."""
        if text not in self.notes:
            self.notes.append(text)

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
            made = tracer.initializer(self.name, np.ascontiguousarray(array), self.role)
            if steps:
                record_origin(made, [WeightMap(self.name, self.name, self.role, (), steps)])
            if self.role == "constant" and array.size == 1 and array.dtype == np.float32:
                made.value.metadata_props[EXACT] = repr(float(array.reshape(())))  # not the decimal it may be short for
            if self.kept:
                made.value.metadata_props[KEPT] = "1"
            self.forms[form] = made
        return self.forms[form]


def record_origin(weight: Tensor, maps: Sequence[WeightMap]) -> None:
    """Says which parameters of the source a weight is made of, and how."""
    weight.value.metadata_props[ORIGIN] = json.dumps([item.to_json() for item in maps])


@dataclass
class Call:
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

    def scalar(self, number: float, dtype: str) -> Tensor:
        """A number as a constant."""
        return self.tracer.number(number, dtype)

    def integers(self, values: Sequence[int]) -> Tensor:
        return self.tracer.constant(np.array(values, dtype=np.int64))

    def size(self, name: str) -> Tensor:
        """A symbolic size as a tensor without axes."""
        return self.reshape(self._size(name), ())

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

    # Nodes --------------------------------------------------------------------------------------------------------

    def node(
        self, op_type: str, inputs: Sequence[Tensor | None], shape: Shape, dtype: str | None = None, **attributes: Any
    ) -> Tensor:
        """Adds a node with one output."""
        return self.tracer.node(op_type, inputs, shape, dtype, **attributes)

    def result(self, op_type: str, inputs: Sequence[Tensor | None], **attributes: Any) -> Tensor:
        """Adds the node whose output is the call's result."""
        return self.node(op_type, inputs, self.shape, self.dtype, **attributes)

    def cast(self, x: Tensor, dtype: str) -> Tensor:
        """x in another type; itself if it has it."""
        return x if x.dtype == dtype else self.node("Cast", [x], x.shape, dtype, to=onnx_type(dtype))

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

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """The axes in a new order."""
        if list(order) == list(range(x.rank)):
            return x
        return self.node("Transpose", [x], tuple(x.shape[axis] for axis in order), perm=list(order))

    def unsqueeze(self, x: Tensor, axis: int) -> Tensor:
        place = axis % (x.rank + 1)
        return self.node("Unsqueeze", [x, self.integers([place])], (*x.shape[:place], 1, *x.shape[place:]))

    def squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return self.node("Squeeze", [x, self.integers(axes)], kept) if axes else x

    def slice(self, x: Tensor, axis: int, start: int, stop: int, size: Dim, step: int = 1) -> Tensor:
        """Part of one axis."""
        shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
        given = [self.integers([item]) for item in (start, stop, axis)]
        return self.node("Slice", [x, *given, *([self.integers([step])] if step != 1 else [])], shape)

    def expand(self, x: Tensor, shape: Shape) -> Tensor:
        """x repeated along axes of size one."""
        if x.shape == shape:
            return x
        padded = (1,) * (len(shape) - x.rank) + x.shape
        # ONNX's Expand broadcasts: 1 keeps an axis as it is.
        wanted = [1 if have == want else want for have, want in zip(padded, shape, strict=True)]
        return self.node("Expand", [x, self.vector(wanted)], shape)


def onnx_type(dtype: str) -> int:
    """ONNX's number for a NumPy type."""
    return int(ir.DataType.from_numpy(np.dtype(dtype)))


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


def known(size: Dim, what: str) -> int:
    """A size that a translation needs the number of."""
    if isinstance(size, str):
        raise Untranslatable(f"{what} needs a known size, it has {size}")
    return size

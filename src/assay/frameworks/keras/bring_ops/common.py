"""What translations share: values in any order of their axes, the arguments of a call, the table they register in.

Keras keeps channels last and the graph keeps them first. A value is therefore held in one or more *orders*: graph axis `i`
of a form is the Keras axis `order[i]`. A convolution asks for its input channels first; what follows works on whatever
form there is, with its axes mapped; only what needs Keras' own order (a reshape, a product with a matrix) asks for that.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.frameworks import drafting
from assay.frameworks.drafting import Untranslatable, record_origin, registered
from assay.model import KEPT, SCOPE
from assay.nn.tensor import Dim, Shape, Tensor
from assay.write.weights import Step, WeightMap

Order = tuple[int, ...]
Scope = tuple[tuple[str, int], ...]
Result = "Value | Sequence[Value]"
Translate = Callable[["Call"], Any]

TABLE: dict[str, Translate] = {}
WHEN: dict[
    str, Callable[[Any], bool]
] = {}  # name → whether a layer is translated whole; if not, its `call` is followed


def layer(*names: str) -> Callable[[Translate], Translate]:
    """Registers the translation of these layers of Keras."""
    return registered(TABLE, (f"layers.{name}" for name in names))


def operation(*names: str) -> Callable[[Translate], Translate]:
    """Registers the translation of these operations, by the names of their classes in `keras.ops`."""
    return registered(TABLE, (f"ops.{name}" for name in names))


# Values ---------------------------------------------------------------------------------------------------------------


def plain(rank: int) -> Order:
    """Keras' own order of axes."""
    return tuple(range(rank))


def first(rank: int) -> Order:
    """Channels first, where Keras has them last."""
    return (0, rank - 1, *range(1, rank - 1)) if rank > 2 else tuple(range(rank))


@dataclass(eq=False)
class Value:
    """What a KerasTensor is in the graph: a shape in Keras' order, and tensors in one or more orders."""

    shape: Shape
    dtype: str
    forms: dict[Order, Tensor] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def order(self) -> Order:
        """The order in which it was made."""
        return next(iter(self.forms))

    def stored(self, order: Order) -> Shape:
        return tuple(self.shape[axis] for axis in order)


@dataclass(eq=False)
class Weight:
    """A variable of the source. It enters the graph in the form of the first call that uses it."""

    path: str  # blocks.0.dense.kernel
    array: np.ndarray
    role: str
    frozen: bool = False
    tensor: Tensor | None = None
    steps: tuple[Step, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> str:
        return str(self.array.dtype)

    @property
    def source(self) -> str:
        """What the map of weights calls it."""
        return self.path.replace(".", "/")


@dataclass(frozen=True)
class Part:
    """One variable as a part of a graph weight: `index` of the weight, then `steps`, give the variable."""

    weight: Weight
    index: tuple[tuple[int, int] | None, ...] = ()
    steps: tuple[Step, ...] = ()


class Graph(drafting.Graph):
    """The graph being built, the map of its weights, and what is to be said about it."""

    def note(self, text: str) -> None:
        """Says what is not as in the source; once. The texts name the layer themselves."""
        self.remark(text)

    def weight(self, name: str, shape: Sequence[int], parts: Sequence[Part], fill: float = 0.0) -> Tensor:
        """An initializer put together from variables; what no variable gives is `fill`."""
        lead = parts[0].weight
        array = np.full(tuple(shape), fill, dtype=lead.dtype)
        maps = [WeightMap(part.weight.source, name, part.weight.role, part.index, part.steps) for part in parts]
        for item, part in zip(maps, parts, strict=True):
            item.to_source(part.weight.array, array)
        tensor = self.initializer(name, array, lead.role)
        record_origin(tensor, maps)
        if lead.role == "constant":
            tensor.value.metadata_props[KEPT] = "1"
        return tensor

    @contextlib.contextmanager
    def within(self, scope: Scope) -> Iterator[None]:
        """Nodes made here are recorded under these calls of modules."""
        before, self.scopes = self.scopes, list(scope)
        try:
            yield
        finally:
            self.scopes = before

    def transposed(self, value: Value, order: Order) -> Tensor:
        """A value in another order: once, where it is made, between its maker and whatever uses it."""
        source = value.forms[value.order]
        perm = [value.order.index(axis) for axis in order]
        producer = source.value.producer()
        made = [] if producer is None else json.loads(producer.metadata_props[SCOPE])
        shared = 0
        while shared < min(len(made), len(self.scopes)) and list(self.scopes[shared]) == made[shared]:
            shared += 1
        nodes = list(self.graph)
        with self.within(tuple((path, number) for path, number in made[:shared])):
            result = self.node("Transpose", [source], value.stored(order), perm=perm)
        node = result.value.producer()
        assert node is not None
        if producer is None and nodes:  # of an input: the first thing that the model does
            self.graph.remove(node)
            self.graph.insert_before(nodes[0], node)
        elif producer is not None:
            scopes = [json.loads(item.metadata_props[SCOPE])[: shared + 1] for item in nodes]
            inside = [item for item, scope in zip(nodes, scopes, strict=True) if scope == made[: shared + 1]]
            after = producer if len(made) == shared else inside[-1]
            if after is not nodes[-1]:
                self.graph.remove(node)
                self.graph.insert_after(after, node)
        return result


# Calls ----------------------------------------------------------------------------------------------------------------


@dataclass
class Call:
    """One call of a layer or operation: its arguments by name, the specs of its results, the graph to write into."""

    source: Any  # the keras Layer or Operation
    name: str  # "layers.Conv2D"
    arguments: Mapping[str, Any]
    graph: Graph
    specs: tuple[tuple[tuple[int | None, ...], str], ...]  # shape and type of each result
    find: Callable[[Any], Value | Weight | None]  # what stands for an argument; None for what is no tensor
    weights: Callable[[Any], Weight]  # variable → weight
    sizes: dict[str, tuple[Tensor, int]]  # symbolic size → the graph input and axis that it can be read from
    scope: Scope  # the layers around it, and itself if it is a layer
    frozen: bool = False  # whether it is called as in evaluation, always
    fresh: list[int] = field(default_factory=lambda: [0])

    # Arguments ----------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """An argument of the call."""
        return self.arguments[name]

    def option(self, name: str) -> Any:
        """An attribute of the layer or operation."""
        return getattr(self.source, name)

    def given(self, name: str) -> bool:
        return self.arguments.get(name) is not None

    @property
    def x(self) -> Value:
        """The first argument."""
        return self.value(next(iter(self.arguments.values())))

    def value(self, given: Any) -> Value:
        """A tensor argument, a number or an array as a value."""
        found = self.find(given)
        if isinstance(found, Weight):
            return self.held(found)
        if found is not None:
            return found
        if type(given) is float:
            return Value((), "float32", {(): self.number(given, "float32")})
        if isinstance(given, (bool, int, float, np.generic)):
            kind = "bool" if isinstance(given, bool) else "int64" if isinstance(given, int) else "float32"
            kind = str(given.dtype) if isinstance(given, np.generic) else kind
            return self.constant(np.asarray(given, dtype=kind))
        try:
            array = np.asarray(given)
        except Exception as error:
            raise Untranslatable(f"{given!r:.60} stands where a tensor is expected") from error
        if array.dtype == object:
            raise Untranslatable(f"{given!r:.60} stands where a tensor is expected")
        return self.constant(array)

    def held(self, weight: Weight) -> Value:
        """A variable as the source holds it."""
        if weight.tensor is None:
            weight.tensor = self.graph.weight(weight.path, weight.shape, [Part(weight)])
        tensor = weight.tensor
        for step in weight.steps:  # a layer has it in another form
            tensor = self._step(tensor, step)
        return Value(weight.shape, weight.dtype, {plain(len(weight.shape)): tensor})

    def _step(self, x: Tensor, step: Step) -> Tensor:
        if step.kind == "transpose":
            return self.node(
                "Transpose", [x], tuple(x.shape[axis] for axis in step.arguments), perm=list(step.arguments)
            )
        if step.kind == "reshape":
            return self.node("Reshape", [x, self.integers(step.arguments[1])], tuple(step.arguments[1]))
        raise Untranslatable("a variable is used by layers that store it differently")

    def form(self, variable: Any, shape: Sequence[int], *steps: Step) -> Tensor:
        """A variable as a layer of the graph stores it; the steps lead from there back to the variable's own form."""
        weight = self.weights(variable)
        if weight.tensor is None:
            weight.steps = steps
            weight.tensor = self.graph.weight(weight.path, shape, [Part(weight, (), steps)])
        elif weight.steps != steps:
            raise Untranslatable(f"{weight.path} is used by layers that store it differently")
        return weight.tensor

    def constant(self, array: np.ndarray) -> Value:
        array = np.asarray(array)
        tensor = self.graph.number(array.item(), str(array.dtype)) if array.ndim == 0 else self.graph.constant(array)
        return Value(tuple(array.shape), str(array.dtype), {plain(array.ndim): tensor})

    def constant_like(self, number: float, value: Value) -> Value:
        """A number in the type of a value."""
        return Value((), value.dtype, {(): self.number(number, value.dtype)})

    def in_order(self, value: Value, order: Order) -> Tensor:
        """The tensor of a value in an order of its axes."""
        if order not in value.forms:
            value.forms[order] = self.graph.transposed(value, order)
        return value.forms[order]

    def plain(self, value: Value) -> Tensor:
        """In Keras' own order."""
        return self.in_order(value, plain(value.rank))

    def cast(self, value: Value, dtype: str) -> Value:
        """In another type, in the order in which it was made."""
        if value.dtype == dtype:
            return value
        source = value.forms[value.order]
        constant = source.value.const_value if source.value.is_initializer() else None
        if constant is not None and value.rank == 0:
            return self.constant(np.asarray(self._number(value), dtype=dtype))
        y = self.graph.node("Cast", [source], source.shape, dtype, to=onnx_type(dtype))
        return Value(value.shape, dtype, {value.order: y})

    def _number(self, value: Value) -> Any:
        from assay.model import exact_of

        source = value.forms[value.order].value
        exact = exact_of(source)
        assert source.const_value is not None
        return source.const_value.numpy().item() if exact is None else exact

    # Results ------------------------------------------------------------------------------------------------------

    @property
    def dtype(self) -> str:
        return self.specs[0][1]

    def shape(self, *alike: Value, place: int = 0) -> Shape:
        """The shape of a result; sizes that are open are called as in the values that are alike."""
        found: list[Dim] = []
        for axis, size in enumerate(self.specs[place][0]):
            if size is not None:
                found.append(int(size))
                continue
            known = [item.shape[axis] for item in alike if item.rank == len(self.specs[place][0])]
            names = [item for item in known if isinstance(item, str)]
            found.append(names[0] if names else "batch" if axis == 0 and "batch" in self.sizes else self._open())
        return tuple(found)

    def _open(self) -> str:
        self.fresh[0] += 1
        return f"size_{self.fresh[0]}"

    def result(
        self, op_type: str, inputs: Sequence[Tensor | None], order: Order, shape: Shape, **attributes: Any
    ) -> Value:
        """Adds the node whose output is the call's result, in this order of Keras' shape."""
        stored = tuple(shape[axis] for axis in order)
        return Value(shape, self.dtype, {order: self.graph.node(op_type, inputs, stored, self.dtype, **attributes)})

    def wrap(self, tensor: Tensor, order: Order | None = None) -> Value:
        """A tensor as a value."""
        order = plain(tensor.rank) if order is None else order
        shape: list[Dim] = [1] * tensor.rank
        for place, axis in enumerate(order):
            shape[axis] = tensor.shape[place]
        return Value(tuple(shape), tensor.dtype, {order: tensor})

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """Nodes that stand beside the layer, not in it: an activation, a mask."""
        with self.graph.within(self.scope[:-1]):
            yield

    # Nodes --------------------------------------------------------------------------------------------------------

    def node(
        self, op_type: str, inputs: Sequence[Tensor | None], shape: Shape, dtype: str | None = None, **attributes: Any
    ) -> Tensor:
        if op_type == "Where" and dtype is None:
            dtype = next(item.dtype for item in inputs[1:] if item is not None)
        return self.graph.node(op_type, inputs, shape, dtype, **attributes)

    def integers(self, values: Sequence[int]) -> Tensor:
        return self.graph.constant(np.array(values, dtype=np.int64))

    def number(self, number: float, dtype: str) -> Tensor:
        return self.graph.number(number, dtype)

    def reshape(self, x: Tensor, shape: Shape) -> Tensor:
        """x with other axes. Sizes that stay in place are kept, one that is symbolic is worked out."""
        if x.shape == shape:
            return x
        wanted = [
            size if isinstance(size, int) else 0 if axis < x.rank and x.shape[axis] == size else -1
            for axis, size in enumerate(shape)
        ]
        if wanted.count(-1) > 1:
            return self.node("Reshape", [x, self.vector(shape)], shape)
        if len(shape) == 2 and x.rank > 2 and shape[0] == x.shape[0] and wanted[0] == 0:
            return self.node("Flatten", [x], shape, axis=1)
        return self.node("Reshape", [x, self.integers(wanted)], shape)

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        if list(order) == list(range(x.rank)):
            return x
        return self.node("Transpose", [x], tuple(x.shape[axis] for axis in order), perm=list(order))

    def unsqueeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """New axes of size one at these places of the result."""
        shape = list(x.shape)
        for axis in sorted(axes):
            shape.insert(axis, 1)
        return self.node("Unsqueeze", [x, self.integers(sorted(axes))], tuple(shape))

    def squeeze(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        kept = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        return self.node("Squeeze", [x, self.integers(sorted(axes))], kept) if axes else x

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
        wanted: list[Dim] = [1 if have == want else want for have, want in zip(padded, shape, strict=True)]
        return self.node("Expand", [x, self.vector(wanted)], shape)

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

    def _size(self, name: str) -> Tensor:
        if name not in self.sizes:
            raise Untranslatable(f"the size {name} is needed, and not known before the model runs")
        source, axis = self.sizes[name]
        return self.node("Shape", [source], (1,), "int64", start=axis, end=axis + 1)


def onnx_type(dtype: str) -> int:
    """ONNX's number for a NumPy type."""
    return int(ir.DataType.from_numpy(np.dtype(dtype)))


def is_floating(dtype: str) -> bool:
    return dtype.startswith(("float", "bfloat"))


def repeated(values: int | Sequence[int], rank: int) -> list[int]:
    """One number for each of so many axes."""
    return [int(values)] * rank if isinstance(values, int) else [int(item) for item in values]


def known(size: Dim, what: str) -> int:
    """A size that a translation needs the number of."""
    if isinstance(size, str):
        raise Untranslatable(f"{what} needs a known size, it has {size}")
    return size


def channels(c: Call, value: Value) -> Order:
    """The order in which the graph wants images: channels first, wherever Keras keeps them."""
    last = getattr(c.source, "data_format", "channels_last") != "channels_first"
    return first(value.rank) if last else plain(value.rank)


def joint_order(values: Sequence[Value]) -> Order:
    """The order for values that meet element by element: that of images if one of them is an image, else Keras'."""
    rank = max((value.rank for value in values), default=0)
    full = [
        value for value in values if (value.rank == rank and math.prod(_fixed(value.shape)) != 1) or len(values) == 1
    ]
    moved = [value.order for value in full if value.order != plain(rank)]
    mixed = any(value.rank not in (0, rank) and math.prod(_fixed(value.shape)) != 1 for value in values)
    held = any(next(iter(value.forms.values())).value.is_initializer() and value.rank for value in full)
    return moved[0] if moved and not mixed and not held else plain(rank)


def _fixed(shape: Shape) -> list[int]:
    return [size if isinstance(size, int) else 2 for size in shape]

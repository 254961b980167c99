"""Tracing: `Tensor` stands for a value of the graph being built, `Tracer` holds the graph."""

from __future__ import annotations

import contextlib
import contextvars
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.errors import ModelError, ShapeError
from assay.model import EXACT, LINE, MODULES, ROLE, SCOPE

OPSET = 24
Dim = int | str  # a known size, or the name of a symbolic one
Shape = tuple[Dim, ...]

_active: contextvars.ContextVar[Tracer | None] = contextvars.ContextVar("tracer", default=None)


def tracer() -> Tracer:
    """The tracer of the model being built; an error outside `nn.build`."""
    current = _active.get()
    if current is None:
        raise ModelError("layers can only be called while a model is built: call nn.build(module, inputs) instead")
    return current


class Tensor:
    """A value in the graph being built: a shape and a type, no numbers."""

    def __init__(self, value: ir.Value, shape: Shape, dtype: str) -> None:
        self._value, self._shape, self._dtype = value, shape, dtype

    @property
    def value(self) -> ir.Value:
        """What stands for it in the graph."""
        return self._value

    @property
    def shape(self) -> Shape:
        return self._shape

    @property
    def dtype(self) -> str:
        return self._dtype

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __add__(self, other: Operand) -> Tensor:
        return binary("Add", self, other)

    def __radd__(self, other: Operand) -> Tensor:
        return binary("Add", other, self)

    def __sub__(self, other: Operand) -> Tensor:
        return binary("Sub", self, other)

    def __rsub__(self, other: Operand) -> Tensor:
        return binary("Sub", other, self)

    def __mul__(self, other: Operand) -> Tensor:
        return binary("Mul", self, other)

    def __rmul__(self, other: Operand) -> Tensor:
        return binary("Mul", other, self)

    def __truediv__(self, other: Operand) -> Tensor:
        return binary("Div", self, other)

    def __rtruediv__(self, other: Operand) -> Tensor:
        return binary("Div", other, self)

    def __pow__(self, other: Operand) -> Tensor:
        return binary("Pow", self, other)

    def __neg__(self) -> Tensor:
        return tracer().node("Neg", [self], self.shape)

    def __matmul__(self, other: Tensor) -> Tensor:
        return matmul(self, other)


Operand = Tensor | float | int


@dataclass
class Tracer:
    """The graph being built, and the stack of module calls that each new node is recorded under."""

    graph: ir.Graph
    scopes: list[tuple[str, int]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    modules: dict[str, dict[str, Any]] = field(default_factory=dict)
    parameters: dict[Tensor, ir.Value] = field(default_factory=dict)
    counter: dict[str, int] = field(default_factory=dict)
    line: str = ""  # of the source's code that is being followed, where that is known

    @property
    def where(self) -> str:
        """The module being called, for messages: `encoder.layers.0 (Block)`."""
        path = self.scopes[-1][0] if self.scopes else ""
        return f"{path or 'the model'} ({self.modules[path]['class']})" if path in self.modules else "the model"

    @contextlib.contextmanager
    def call(self, path: str, class_name: str, arguments: Sequence[str]) -> Iterator[None]:
        """Records everything inside as one call of the module at `path`."""
        number = self.calls.get(path, 0)
        self.calls[path] = number + 1
        self.modules[path] = {"class": class_name, "arguments": list(arguments)}
        self.scopes.append((path, number))
        try:
            yield
        finally:
            self.scopes.pop()

    def name(self, stem: str) -> str:
        number = self.counter.get(stem, 0)
        self.counter[stem] = number + 1
        return f"{stem}_{number}"

    def node(
        self, op_type: str, inputs: Sequence[Tensor | None], shape: Shape, dtype: str | None = None, **attributes: Any
    ) -> Tensor:
        """Adds a node with one output of this shape; the type is the first input's unless given."""
        return self.node_with_outputs(op_type, inputs, [shape], dtype, **attributes)[0]

    def node_with_outputs(
        self,
        op_type: str,
        inputs: Sequence[Tensor | None],
        shapes: Sequence[Shape],
        dtype: str | None = None,
        **attributes: Any,
    ) -> tuple[Tensor, ...]:
        """Adds a node; one output for each shape."""
        kind = dtype or next(item.dtype for item in inputs if item is not None)
        stem = ".".join(filter(None, [self.scopes[-1][0] if self.scopes else "", op_type.lower()]))
        name = self.name(stem)
        node = ir.node(
            op_type,
            [None if item is None else item.value for item in inputs],
            attributes={key: item for key, item in attributes.items() if item is not None},
            num_outputs=len(shapes),
            name=name,
            metadata_props={SCOPE: json.dumps(self.scopes), **({LINE: self.line} if self.line else {})},
        )
        results = []
        for index, (output, shape) in enumerate(zip(node.outputs, shapes, strict=True)):
            output.name = f"{name}:{index}" if index else name
            results.append(_typed(output, shape, kind))
        self.graph.append(node)
        return tuple(results)

    def initializer(self, name: str, array: np.ndarray, role: str) -> Tensor:
        """Adds a named array: a `parameter`, a `statistic` or a `constant`."""
        tensor = ir.tensor(array, name=name)
        value = ir.Value(name=name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype), const_value=tensor)
        value.metadata_props[ROLE] = role
        self.graph.register_initializer(value)
        return Tensor(value, tuple(array.shape), str(array.dtype))

    def constant(self, array: np.ndarray) -> Tensor:
        """A constant the graph needs (a shape, a scale): an unnamed initializer."""
        return self.initializer(self.name("constant"), np.asarray(array), "constant")

    def number(self, number: float, dtype: str) -> Tensor:
        """One number as a constant, with all its digits for proofs in a wider type than the model's."""
        result = self.constant(np.array(number, dtype=dtype))
        if np.issubdtype(np.dtype(dtype), np.floating) and float(np.dtype(dtype).type(number)) != number:
            result.value.metadata_props[EXACT] = repr(float(number))
        return result

    def finish(self) -> None:
        self.graph.metadata_props[MODULES] = json.dumps(self.modules)


def _typed(value: ir.Value, shape: Shape, dtype: str) -> Tensor:
    value.shape = ir.Shape(shape)
    value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype)))
    return Tensor(value, shape, dtype)


def activate(current: Tracer) -> contextvars.Token[Tracer | None]:
    """Makes `current` the tracer that layers record into; undo with `deactivate`."""
    return _active.set(current)


def deactivate(token: contextvars.Token[Tracer | None]) -> None:
    _active.reset(token)


def graph_input(graph: ir.Graph, name: str, shape: Shape, dtype: str) -> Tensor:
    """Adds an input to the graph."""
    value = ir.Value(name=name)
    result = _typed(value, shape, dtype)
    graph.inputs.append(value)
    return result


def broadcast(left: Shape, right: Shape) -> Shape:
    """The shape of an element-wise operation on two shapes; an error that names the layer if they do not fit."""
    padded_left = (1,) * (len(right) - len(left)) + left
    padded_right = (1,) * (len(left) - len(right)) + right
    result: list[Dim] = []
    for first, second in zip(padded_left, padded_right, strict=True):
        if first != second and 1 not in (first, second):
            raise ShapeError(f"{tracer().where}: shapes {left} and {right} cannot be combined element by element")
        result.append(second if first == 1 else first)
    return tuple(result)


def binary(op_type: str, left: Operand, right: Operand) -> Tensor:
    """An element-wise operation; a Python number takes the other operand's type."""
    dtype = next(item.dtype for item in (left, right) if isinstance(item, Tensor))
    first, second = (item if isinstance(item, Tensor) else tracer().number(item, dtype) for item in (left, right))
    if first.dtype != second.dtype:
        raise ShapeError(f"{tracer().where}: {op_type} of {first.dtype} and {second.dtype}; cast one of them first")
    return tracer().node(op_type, [first, second], broadcast(first.shape, second.shape))


def matmul(left: Tensor, right: Tensor) -> Tensor:
    """(…, n, k) @ (…, k, m) → (…, n, m); leading axes broadcast."""
    if left.rank < 2 or right.rank < 2 or left.shape[-1] != right.shape[-2]:
        raise ShapeError(f"{tracer().where}: cannot multiply matrices of shapes {left.shape} and {right.shape}")
    leading = broadcast(left.shape[:-2], right.shape[:-2])
    return tracer().node("MatMul", [left, right], (*leading, left.shape[-2], right.shape[-1]))

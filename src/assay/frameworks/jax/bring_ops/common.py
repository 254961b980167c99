"""What translations share: the operands and parameters of an operation, the graph they write into, their table."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from assay.frameworks.drafting import Draft, Graph, Untranslatable, Weight, registered
from assay.model import intended
from assay.nn.tensor import Shape, Tensor

Operand = Tensor | Weight | np.ndarray
Result = Tensor | tuple[Tensor, ...]
Translate = Callable[["Call"], Result]

TABLE: dict[str, Translate] = {}


def primitive(*names: str) -> Callable[[Translate], Translate]:
    """Registers the translation of these operations."""
    return registered(TABLE, names)


@dataclass
class Total:
    """What is known of a sum: divided by the number of its terms it is a mean."""

    count: int
    mean: Callable[[bool], Tensor]  # writes the mean; given whether terms outside of the data are counted
    counts: np.ndarray | None = None  # the number of terms inside of the data, of each result
    axes: tuple[int, ...] = ()
    kept: Callable[[bool], Tensor] | None = None  # the mean where the summed axes are kept with size one


@dataclass
class Call(Draft):
    """One operation: its operands, its parameters, the shapes and types of its results."""

    name: str
    params: Mapping[str, Any]
    inputs: tuple[Operand, ...]
    tracer: Graph
    shapes: tuple[Shape, ...]
    dtypes: tuple[str, ...]
    sizes: Mapping[str, tuple[Tensor, int]]
    totals: dict[int, Total]  # by the value that is the sum

    def __getitem__(self, name: str) -> Any:
        """A parameter."""
        return self.params[name]

    @property
    def shape(self) -> Shape:
        return self.shapes[0]

    @property
    def dtype(self) -> str:
        return self.dtypes[0]

    def __len__(self) -> int:
        return len(self.inputs)

    def tensor(self, place: int = 0) -> Tensor:
        """An operand as a value of the graph."""
        return self.value(self.inputs[place])

    def value(self, given: Operand) -> Tensor:
        if isinstance(given, Weight):
            return given.plain(self.tracer)
        return given if isinstance(given, Tensor) else self.constant(given)

    def constant(self, array: np.ndarray) -> Tensor:
        """A known array; one number keeps all its digits."""
        array = np.asarray(array)
        if array.dtype.kind not in "fiub":
            raise Untranslatable(f"numbers of type {array.dtype}")
        if array.ndim == 0:
            return self.scalar(array.item(), graph_dtype(array.dtype))
        single = array.astype(graph_dtype(array.dtype))
        if array.dtype != np.float64 or np.array_equal(single, array, equal_nan=True):
            return self.tracer.constant(single)
        return self.cast(self.tracer.constant(array), "float32")  # for proofs in float64, with all its digits

    def known(self, place: int) -> np.ndarray | None:
        """An operand that is known when the model is brought."""
        given = self.inputs[place]
        return given if isinstance(given, np.ndarray) else None

    def weight(self, place: int) -> Weight | None:
        """An operand that is a weight of this operation alone; None if it is computed or shared."""
        given = self.inputs[place] if place < len(self.inputs) else None
        return given if isinstance(given, Weight) and given.users == 1 else None

    @contextlib.contextmanager
    def outside(self) -> Iterator[None]:
        """What is written inside belongs to the caller of the module that this operation is."""
        scopes = self.tracer.scopes
        self.tracer.scopes = scopes[:-1] if len(scopes) > 1 else scopes
        try:
            yield
        finally:
            self.tracer.scopes = scopes

    def result(self, op_type: str, inputs: list[Tensor | None], **attributes: Any) -> Tensor:
        """Adds the node whose output is the operation's result."""
        return self.node(op_type, inputs, self.shape, self.dtype, **attributes)


def graph_dtype(dtype: Any) -> str:
    """The type that a value of the followed module has in the graph: modules are followed in float64, which is float32."""
    name = str(np.dtype(dtype)) if not str(dtype).startswith("key") else str(dtype)
    if name == "float64":
        return "float32"
    if name in ("float16", "bfloat16") or name.startswith(("float8", "complex", "key")):
        raise Untranslatable(f"numbers of type {name}: bring the model in float32")
    return name


def shortest(number: float) -> float:
    """A number as it was meant, where it went through float32."""
    return intended(number) if float(np.float32(number)) == number else number

"""`Module`, `Parameter`, containers, and `build`, which turns a module into a `Model`."""

from __future__ import annotations

import inspect
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar

import numpy as np
import onnx_ir as ir

from assay.errors import ModelError, ShapeError
from assay.model import STRUCTURE, Model
from assay.nn.optimizers import Training
from assay.nn.tensor import (
    OPSET,
    Dim,
    Tensor,
    Tracer,
    activate,
    deactivate,
    graph_input,
    tracer,
)
from assay.structure import structure_of, with_named_tuples

Initializer = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def zeros(_: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All zeros."""
    return np.zeros(shape)


def ones(_: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """All ones."""
    return np.ones(shape)


def constant(value: float) -> Initializer:
    """All equal to `value`."""
    return lambda _, shape: np.full(shape, value)


def normal(std: float) -> Initializer:
    """Normal with mean 0 and this standard deviation."""
    return lambda generator, shape: generator.normal(0.0, std, shape)


def uniform(bound: float) -> Initializer:
    """Uniform on [−bound, bound]."""
    return lambda generator, shape: generator.uniform(-bound, bound, shape)


def he(fan_in: int) -> Initializer:
    """He initialisation, normal with variance 2 / fan_in (He et al., 2015): for layers before a ReLU."""
    return normal(math.sqrt(2.0 / fan_in))


def glorot(fan_in: int, fan_out: int) -> Initializer:
    """Glorot initialisation, uniform with variance 2 / (fan_in + fan_out) (Glorot & Bengio, 2010)."""
    return uniform(math.sqrt(6.0 / (fan_in + fan_out)))


class Parameter(Tensor):
    """An array that the model owns: trained, or (`trained=False`) a running statistic.

    A tensor whose value in the graph is known once its module is part of a model being built.
    """

    _shape: tuple[int, ...]

    def __init__(self, shape: tuple[int, ...], initializer: Initializer = zeros, trained: bool = True) -> None:
        self._shape, self._dtype = shape, "float32"
        self.initializer, self.trained = initializer, trained

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def value(self) -> ir.Value:
        current = tracer()
        if self not in current.parameters:
            raise ModelError(
                f"{current.where} uses a parameter of shape {self.shape} whose module is not part of the model being "
                "built: assign the module to an attribute in __init__ or put it in an nn.ModuleList"
            )
        return current.parameters[self]


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result", covariant=True)


class _Callable(Protocol[Arguments, Result]):
    """A module as seen by a call of it, which takes and returns what its `forward` does."""

    _path: str | None

    @property
    def class_name(self) -> str: ...

    def forward(self, *inputs: Arguments.args, **named: Arguments.kwargs) -> Result: ...


class Module:
    """A part of a model. Subclasses assign parameters and modules to attributes and define `forward`.

    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(4, 16)
    ...         self.output = nn.Linear(16, 3)
    ...     def forward(self, x):
    ...         return self.output(nn.relu(self.hidden(x)))
    """

    _path: str | None = None

    def forward(self, *inputs: Any) -> Any:
        """What the module computes; written by the subclass."""
        raise ModelError(f"{type(self).__name__} has no forward method: define forward(self, x)")

    @property
    def class_name(self) -> str:
        """What written code calls this module's class."""
        return type(self).__name__

    def __call__(self: _Callable[Arguments, Result], *inputs: Arguments.args, **named: Arguments.kwargs) -> Result:
        current = tracer()
        if self._path is None:
            raise ModelError(
                f"a {type(self).__name__} is called that no module owns: "
                "assign it to an attribute in __init__ or put it in an nn.ModuleList"
            )
        names = [name for name in inspect.signature(self.forward).parameters]
        with current.call(self._path, self.class_name, names):
            return self.forward(*inputs, **named)

    def children(self) -> Iterator[tuple[str, Module]]:
        """The modules held directly, with their attribute names, in the order of assignment."""
        for name, item in vars(self).items():
            if isinstance(item, Module):
                yield name, item

    def modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """Every module under this one with its path; this one first, shared ones once."""
        seen: set[int] = set()

        def walk(path: str, module: Module) -> Iterator[tuple[str, Module]]:
            if id(module) in seen:
                return
            seen.add(id(module))
            yield path, module
            for name, child in module.children():
                yield from walk(f"{path}.{name}" if path else name, child)

        yield from walk(prefix, self)

    def own_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """The parameters held directly, with their attribute names."""
        for name, item in vars(self).items():
            if isinstance(item, Parameter):
                yield name, item


class ModuleList(Module):
    """Modules in a list; index it or loop over it in `forward`."""

    def __init__(self, modules: Sequence[Module] = ()) -> None:
        self.items = list(modules)

    def children(self) -> Iterator[tuple[str, Module]]:
        return ((str(index), module) for index, module in enumerate(self.items))

    def __iter__(self) -> Iterator[Module]:
        return iter(self.items)

    def __getitem__(self, index: int) -> Module:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


class Sequential(ModuleList):
    """Modules called one after another."""

    def __init__(self, *modules: Module) -> None:
        super().__init__(modules)

    def forward(self, x: Tensor) -> Any:
        for module in self.items:
            x = module(x)
        return x


@dataclass(frozen=True)
class Input:
    """An input of a model: `shape` without the batch axis, which is symbolic and comes first."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


def build(
    module: Module,
    inputs: Sequence[Input],
    *,
    name: str = "model",
    training: Training | None = None,
    target: str = "targets",
    seed: int = 0,
) -> Model:
    """Traces `module` on `inputs` into a `Model`.

    Parameters are initialised from `seed` and their own path, so adding a layer does not change another's weights.
    Raises `ShapeError`, naming the layer, where shapes do not fit.
    """
    graph = ir.Graph([], [], nodes=[], name=name, opset_imports={"": OPSET})
    current = Tracer(graph)
    handles = [graph_input(graph, item.name, ("batch", *item.shape), item.dtype) for item in inputs]
    for path, child in module.modules():
        child._path = path
        for attribute, parameter in child.own_parameters():
            full = f"{path}.{attribute}" if path else attribute
            role = "parameter" if parameter.trained else "statistic"
            current.parameters[parameter] = current.initializer(full, _initial(parameter, full, seed), role).value
    token = activate(current)
    try:
        _give(graph, module, module(*handles))
    finally:
        deactivate(token)
    current.finish()
    return Model(name, ir.Model(graph, ir_version=11, producer_name="assay"), training, target=target)


def _give(graph: ir.Graph, module: Module, result: Any) -> None:
    """Makes what a module returns the outputs: a tensor, or a nest of tensors in tuples, lists, dicts and dataclasses."""
    values: list[ir.Value] = []

    def place(item: Any) -> int:
        if not isinstance(item, Tensor):
            name = type(module).__name__
            raise ModelError(f"{name}.forward must return tensors, it returned {type(item).__name__}")
        values.append(item.value)
        return len(values) - 1

    structure, _ = structure_of(with_named_tuples(result, place))
    graph.outputs.extend(values)
    if structure is not None and not structure.is_flat:
        graph.metadata_props[STRUCTURE] = json.dumps(structure.to_data())


def _initial(parameter: Parameter, path: str, seed: int) -> np.ndarray:
    generator = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(path.encode())]))
    return parameter.initializer(generator, parameter.shape).astype(parameter.dtype)


def require_size(actual: Dim, expected: int, what: str) -> None:
    """Raises `ShapeError`, naming the layer being called, unless the size is the expected one."""
    if actual != expected:
        raise ShapeError(f"{tracer().where} expects {what} {expected}, its input has {actual}")


def require_rank(x: Tensor, rank: int, axes: str) -> None:
    """Raises `ShapeError`, naming the layer being called, unless the input has this many axes."""
    if x.rank != rank:
        raise ShapeError(f"{tracer().where} expects an input with axes {axes}, it got shape {x.shape}")

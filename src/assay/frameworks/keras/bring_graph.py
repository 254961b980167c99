"""From the calls that a Keras model makes to an ONNX graph with module scopes, parameter names and roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from assay.errors import ModelError, UnsupportedError
from assay.frameworks.drafting import NeedsStaticBatch, Untranslatable, remove_unused
from assay.frameworks.keras.bring_ops import (  # noqa: F401  they register themselves
    activations,
    arithmetic,
    attention,
    convolution,
    indexing,
    linear,
    merging,
    normalisation,
    pooling,
    preprocessing,
    recurrent,
    reduction,
    regularisation,
    shaping,
)
from assay.frameworks.keras.bring_ops.common import TABLE, WHEN, Call, Graph, Scope, Translate, Value, Weight, plain
from assay.nn.tensor import Shape, Tensor, graph_input

__all__ = ["NeedsStaticBatch", "Source", "Translation", "find", "layer_names"]

_MEANING = ("call", "build", "__call__")  # the methods that say what a layer computes


def find(source: Any) -> tuple[str, Translate | None]:
    """The name and translation of a layer or operation of Keras; of a subclass too that does not change what is computed."""
    family = "layers" if hasattr(source, "trainable_variables") else "ops"
    for kind in type(source).__mro__:
        name = f"{family}.{kind.__name__}"
        if kind.__module__.startswith("keras.src.") and name in TABLE:
            own = all(getattr(type(source), item, None) is getattr(kind, item, None) for item in _MEANING)
            return name, TABLE[name] if own and WHEN.get(name, lambda _: True)(source) else None
    return f"{family}.{type(source).__name__}", None


def layer_names() -> set[str]:
    """The layers of Keras that have a translation."""
    return {name.removeprefix("layers.") for name in TABLE if name.startswith("layers.")}


@dataclass
class Source:
    """A model in plain terms: what it calls, its variables, its modules."""

    events: list[Any]
    inputs: list[tuple[str, Any]]  # name and KerasTensor of each input
    outputs: list[tuple[str, Any]]  # name (or "") and KerasTensor of each output
    weights: Mapping[int, Weight]  # id of a variable → its weight
    frames: Mapping[str, tuple[str, tuple[str, ...]]]  # path of a module → its class, the names of its arguments
    constants: Mapping[int, np.ndarray]  # id of a KerasTensor → what it stands for
    batch: int | None  # the number that stands for the open size of the batch, if one does


@dataclass
class Translation:
    """The ONNX graph in the making."""

    source: Source
    graph: Graph
    values: dict[int, Value] = field(default_factory=dict)  # id of a KerasTensor → its value
    missing: dict[str, list[str]] = field(default_factory=dict)  # what cannot be translated → where it is used
    sizes: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    fresh: list[int] = field(default_factory=lambda: [0])
    open_paths: set[str] = field(default_factory=set)

    def run(self) -> Graph:
        """Translates every call; raises one error that names all that cannot be."""
        self.open_paths = self._written_modules()
        for name, tensor in self.source.inputs:
            self._input(name, tensor)
        for event in self.source.events:
            self._event(event)
        self.graph.scopes = []
        if self.missing:
            self._refuse()
        self._outputs()
        remove_unused(self.graph.graph)
        self.graph.finish()
        return self.graph

    # Inputs and shapes --------------------------------------------------------------------------------------------

    def _input(self, name: str, tensor: Any) -> None:
        shape: list[int | str] = []
        for axis, size in enumerate(tensor.shape):
            is_open = size is None or (axis == 0 and size == self.source.batch)
            shape.append(("batch" if axis == 0 else f"{name}_{axis}") if is_open else int(size))
        made = graph_input(self.graph.graph, name, tuple(shape), numpy_type(tensor.dtype))
        self.values[id(tensor)] = Value(tuple(shape), made.dtype, {plain(len(shape)): made})
        for axis, item in enumerate(shape):
            if isinstance(item, str):
                self.sizes.setdefault(item, (made, axis))

    def _spec(self, tensor: Any) -> tuple[tuple[int | None, ...], str]:
        """The shape and type of a result; what is as large as the stand-in for the batch is open."""
        batch = self.source.batch
        shape = tuple(None if size == batch and batch is not None else size for size in tensor.shape)
        if batch is not None and any(size is not None and size and size % batch == 0 for size in shape):
            raise NeedsStaticBatch
        return shape, numpy_type(tensor.dtype)

    # Modules ------------------------------------------------------------------------------------------------------

    def _written_modules(self) -> set[str]:
        """The modules that become scopes: not those without weights that are called again and again, such as one ReLU."""
        calls: dict[str, set[int]] = {}
        for event in self.source.events:
            for path, number in event.scope:
                calls.setdefault(path, set()).add(number)
        held = [weight.path for weight in self.source.weights.values()]
        return {
            path
            for path, numbers in calls.items()
            if len(numbers) == 1 or any(name.startswith(f"{path}.") for name in held)
        }

    def _scope(self, event: Any) -> Scope:
        found = tuple(entry for entry in event.scope if entry[0] in self.open_paths or entry[0] == "")
        for path, _ in found:
            class_name, arguments = self.source.frames.get(path, (type(event.operation).__name__, ()))
            self.graph.modules.setdefault(path, {"class": class_name, "arguments": list(arguments)})
        return found

    # Calls --------------------------------------------------------------------------------------------------------

    def _event(self, event: Any) -> None:
        name, translate = find(event.operation)
        scope = self._scope(event)
        is_layer = bool(event.scope) and name.startswith("layers.")
        own = is_layer and len(scope) == len([entry for entry in scope]) and scope[-1:] == event.scope[-1:]
        self.graph.scopes = list(scope)
        call = Call(
            event.operation,
            name,
            event.arguments,
            self.graph,
            tuple(self._spec(item) for item in event.outputs),
            self._find,
            self._weight,
            self.sizes,
            scope if own else (*scope, ("", 0)),
            event.arguments.get("training") is False,
            self.fresh,
        )
        try:
            if translate is None:
                raise Untranslatable("there is no translation")
            found = translate(call)
        except Untranslatable as error:
            reason = "" if translate is None else f" ({error})"
            self.missing.setdefault(f"{_title(event)}{reason}", []).append(_place(event))
            found = [self._stand_in(spec) for spec in call.specs]
        results = [found] if isinstance(found, Value) else list(found)
        for tensor, value in zip(event.outputs, results, strict=False):
            self.values[id(tensor)] = value

    def _find(self, given: Any) -> Value | Weight | None:
        variable = getattr(given, "variable", None)
        if variable is not None:
            return self._weight(variable)
        if id(variable if variable is not None else given) in self.source.weights:
            return self._weight(given)
        if id(given) in self.source.constants:
            array = self.source.constants[id(given)]
            return Value(tuple(array.shape), str(array.dtype), {plain(array.ndim): self.graph.constant(array)})
        return self.values.get(id(given))

    def _weight(self, variable: Any) -> Weight:
        found = self.source.weights.get(id(variable))
        if found is None:
            raise Untranslatable(f"the variable {getattr(variable, 'path', variable)} is held by no layer of the model")
        return found

    def _stand_in(self, spec: tuple[tuple[int | None, ...], str]) -> Value:
        shape: Shape = tuple("batch" if size is None else size for size in spec[0])
        tensor = Tensor(ir.Value(name=self.graph.name("missing")), shape, spec[1])
        return Value(shape, spec[1], {plain(len(shape)): tensor})

    def _refuse(self) -> None:
        listed = [f"{what} at {', '.join(dict.fromkeys(places))}" for what, places in self.missing.items()]
        raise UnsupportedError(f"this model uses operators that assay cannot bring yet: {'; '.join(listed)}", listed)

    # Outputs ------------------------------------------------------------------------------------------------------

    def _outputs(self) -> None:
        graph = self.graph.graph
        taken = {value.name for value in [*graph.inputs, *graph.initializers.values()]}
        self.graph.scopes = [("", 0)] if "" in self.graph.modules else []
        for name, given in self.source.outputs:
            found = self._find(given)
            if not isinstance(found, Value):
                raise ModelError(f"the model gives {given!r:.80}: expected tensors that it computes")
            order = plain(found.rank)
            tensor = found.forms[order] if order in found.forms else self.graph.transposed(found, order)
            if tensor.value.producer() is None or tensor.value.is_graph_output():
                tensor = self.graph.node("Identity", [tensor], tensor.shape)
            if name and name not in taken:
                tensor.value.name = name
            taken.add(tensor.value.name)
            graph.outputs.append(tensor.value)


def _title(event: Any) -> str:
    operation = event.operation
    kind = type(operation)
    if hasattr(operation, "trainable_variables"):
        return f"{kind.__name__} {operation.name!r}"
    return f"keras.ops {kind.__name__}"


def _place(event: Any) -> str:
    return event.place or (event.scope[-1][0] if event.scope and event.scope[-1][0] else "the model's graph")


def numpy_type(dtype: Any) -> str:
    """The type as NumPy calls it; an error for those that it lacks."""
    name = str(dtype)
    try:
        np.dtype(name)
    except TypeError as error:
        raise ModelError(f"the model computes in {name}: bring it with the policy float32") from error
    return name

"""Follows a Keras model symbolically: which layers and operations it calls, in order, and inside which layers.

A model is called once with `KerasTensor`s. Layers that assay knows are recorded as one call; the `call` of any other layer
is run in place, so that what it calls is recorded with it around. While that happens, the variables that layers hold are
`KerasTensor`s too, so that an operation on a variable is recorded and not computed.
"""

from __future__ import annotations

import contextlib
import inspect
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

from assay.errors import ModelError
from assay.frameworks.keras.bring_paths import Paths
from assay.graph.names import class_name

Scope = tuple[tuple[str, int], ...]


# Layers that treat every step alike, whatever axes stand before the last one.
_BY_LAST_AXIS = ("Dense", "Activation", "ReLU", "LeakyReLU", "Dropout", "LayerNormalization", "Embedding")


class _Either:
    """The argument `training` while a model is followed: false, and yet not the `False` that a model gives itself."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "training or not"


EITHER = _Either()


class HeldWeight(keras.KerasTensor):  # type: ignore[misc]  # keras has no types
    """Stands for a variable of a layer while the model is followed."""

    def __init__(self, variable: Any) -> None:
        super().__init__(tuple(variable.shape), dtype=keras.backend.standardize_dtype(variable.dtype))
        self.variable = variable

    @property
    def value(self) -> HeldWeight:
        return self


@dataclass(frozen=True)
class Event:
    """One call of a layer or an operation."""

    operation: Any
    arguments: Mapping[str, Any]  # by the names of the operation's own `call`
    outputs: tuple[Any, ...]  # KerasTensors
    scope: Scope  # the layers around it, and itself if it is a layer
    place: str  # where the model's own code makes the call: "net.py:14"


@dataclass
class Trace:
    """What was called to get from a model's inputs to its outputs."""

    inputs: list[Any]
    outputs: Any  # a nest of KerasTensors
    events: list[Event] = field(default_factory=list)
    frames: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)  # path → class, names of its arguments
    constants: dict[int, np.ndarray] = field(default_factory=dict)  # id of a KerasTensor → the array that it stands for
    kept: list[Any] = field(default_factory=list)  # keeps ids from being used again


class Follower:
    """Calls a model and records what it calls."""

    def __init__(self, paths: Paths, is_known: Callable[[Any], bool]) -> None:
        self.paths, self.is_known = paths, is_known
        self.trace = Trace([], None)
        self.scope: list[tuple[str, int]] = []
        self.calls: dict[str, int] = {}
        self.paused = 0
        self.swapped = _Swap(paths)

    def follow(self, model: Any, inputs: Any) -> Trace:
        """`inputs`: a nest of KerasTensors as the model's `call` takes them: (args, kwargs)."""
        args, kwargs = inputs
        self.trace.inputs = keras.tree.flatten((args, kwargs))
        with _restored(model, self.trace.inputs), self._hooked(), self.swapped:
            self.trace.outputs = model(*args, **kwargs, training=EITHER)
        return self.trace

    # Hooks --------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _hooked(self) -> Iterator[None]:
        """Calls of layers and of operations come by here, while it lasts and in this thread's model only."""
        plain_call, plain_symbolic = keras.Operation.__call__, keras.Operation.symbolic_call

        def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            if self.paused or not isinstance(operation, keras.layers.Layer):
                return plain_call(operation, *args, **kwargs)
            return self._layer(operation, args, kwargs)

        def symbolic_call(operation: Any, *args: Any, **kwargs: Any) -> Any:
            if self.paused or isinstance(operation, keras.layers.Layer):
                return plain_symbolic(operation, *args, **kwargs)
            with self._pause():
                outputs = plain_symbolic(operation, *args, **kwargs)
            self._record(operation, args, kwargs, outputs, tuple(self.scope))
            return outputs

        keras.Operation.__call__, keras.Operation.symbolic_call = call, symbolic_call
        try:
            yield
        finally:
            keras.Operation.__call__, keras.Operation.symbolic_call = plain_call, plain_symbolic

    @contextlib.contextmanager
    def _pause(self) -> Iterator[None]:
        self.paused += 1
        try:
            yield
        finally:
            self.paused -= 1

    def _layer(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        args, kwargs = keras.tree.map_structure(self._symbolic, (args, kwargs))
        entry = self._enter(layer)
        if self.is_known(layer):
            with self._pause(), self.swapped.back(layer):
                outputs = layer.compute_output_spec(*args, **kwargs)
            self._record(layer, args, kwargs, outputs, (*self.scope, entry))
            return outputs
        self.trace.frames[entry[0]] = (class_of(layer), _tensor_arguments(layer))
        self.scope.append(entry)
        try:
            if _is_plain(layer, keras.Sequential):
                return self._run_sequential(layer, args[0] if args else next(iter(kwargs.values())))
            if _is_plain(layer, keras.Model) and hasattr(layer, "_run_through_graph"):
                return self._run_functional(layer, args[0] if args else kwargs["inputs"])
            if type(layer).__name__ == "TimeDistributed" and type(layer).call.__module__.startswith("keras.src."):
                return self._run_over_time(layer, args[0] if args else kwargs["inputs"])
            return layer.call(*args, **kwargs)
        finally:
            self.scope.pop()

    def _enter(self, layer: Any) -> tuple[str, int]:
        path = self.paths.of(layer, self.scope[-1][0] if self.scope else None)
        number = self.calls.get(path, 0)
        self.calls[path] = number + 1
        return path, number

    def _symbolic(self, given: Any) -> Any:
        """A layer called with numbers that are known is followed like any other."""
        if isinstance(given, keras.KerasTensor) or not (keras.ops.is_tensor(given) or isinstance(given, np.ndarray)):
            return given
        array = np.asarray(keras.ops.convert_to_numpy(given))
        tensor = keras.KerasTensor(array.shape, dtype=str(array.dtype))
        self.trace.constants[id(tensor)] = array
        self.trace.kept.append(tensor)
        return tensor

    def _record(
        self, operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Any, scope: Scope
    ) -> None:
        arguments = _bound(operation, args, kwargs)
        flat = tuple(item for item in keras.tree.flatten(outputs) if isinstance(item, keras.KerasTensor))
        self.trace.events.append(Event(operation, arguments, flat, scope, calling_line()))

    # Models that are graphs ---------------------------------------------------------------------------------------

    def _run_sequential(self, model: Any, x: Any) -> Any:
        for layer in model.layers:
            if type(layer).__name__ != "InputLayer":
                x = layer(x)
        return x

    def _run_over_time(self, layer: Any, x: Any) -> Any:
        """Steps as more examples: what a layer does to each, where Keras runs it once for every step."""
        inner, steps = layer.layer, x.shape[1]
        if type(inner).__name__ in _BY_LAST_AXIS:
            return inner(x)
        if steps is None:
            raise ModelError(
                f"{layer.name}: TimeDistributed over an open number of steps; give Input a number of steps"
            )
        y = inner(keras.ops.reshape(x, (-1, *x.shape[2:])))
        return keras.ops.reshape(y, (-1, steps, *y.shape[1:]))

    def _run_functional(self, model: Any, inputs: Any) -> Any:
        """The model's graph, one branch after the other, as a person writes it."""
        given = model._standardize_inputs(inputs)
        values = {id(tensor): value for tensor, value in zip(model.inputs, given, strict=True)}
        for node in _in_order(model.outputs, set(values)):
            args, kwargs = node.arguments.fill_in(values)
            if _knows_training(node.operation):  # as Keras does, whatever was given when the graph was made
                kwargs["training"] = EITHER
            results = node.operation(*args, **kwargs)
            values.update((id(old), new) for old, new in zip(node.outputs, keras.tree.flatten(results), strict=True))
        return keras.tree.map_structure(lambda tensor: values[id(tensor)], model._outputs_struct)


def _knows_training(operation: Any) -> bool:
    return "training" in getattr(operation, "_call_context_args", ()) or bool(
        getattr(operation, "_call_has_training_arg", False)
    )


def _in_order(outputs: list[Any], known: set[int]) -> Iterator[Any]:
    """The nodes of a graph such that each stands after those that it needs, branch by branch."""
    done: set[int] = set()
    waiting = [(tensor, False) for tensor in reversed(outputs)]
    while waiting:
        tensor, ready = waiting.pop()
        if id(tensor) in known:
            continue
        history = tensor._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            if not node.is_input:
                yield node
            continue
        waiting.append((tensor, True))
        waiting.extend((item, False) for item in reversed(node.arguments.keras_tensors))


def _is_plain(layer: Any, kind: Any) -> bool:
    """Whether a layer is such a model whose `call` is Keras' own."""
    return isinstance(layer, kind) and type(layer).call.__module__.startswith("keras.src.models.")


def class_of(layer: Any) -> str:
    """What the class of a layer is called; a functional model has no class but its own name."""
    if _is_plain(layer, keras.Sequential):
        return "Sequential"
    if _is_plain(layer, keras.Model):
        own = type(layer).__name__
        return own if own not in ("Functional", "Model") else class_name(layer.name)
    return type(layer).__name__


def _tensor_arguments(layer: Any) -> tuple[str, ...]:
    if _is_plain(layer, keras.Model):
        return input_names(layer)
    return call_arguments(layer)


def input_names(model: Any) -> tuple[str, ...]:
    """What the inputs of a functional or sequential model are called."""
    structure = getattr(model, "_inputs_struct", None)
    if structure is None and getattr(model, "_functional", None) is not None:
        structure = model._functional._inputs_struct
    if isinstance(structure, Mapping):
        return tuple(str(name) for name in structure)
    names = [tensor.name for tensor in keras.tree.flatten(structure)]
    automatic = [name.startswith(("keras_tensor", "input_layer")) for name in names]
    if all(automatic):
        return ("inputs",) if len(names) == 1 else tuple(f"input_{place}" for place in range(len(names)))
    return tuple(names)


def call_arguments(layer: Any) -> tuple[str, ...]:
    """What the `call` of a layer calls its inputs."""
    parameters = inspect.signature(layer.call).parameters.values()
    usual = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return tuple(item.name for item in parameters if item.kind in usual and item.name not in ("training", "mask"))


def _bound(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, defaults included."""
    bound = inspect.signature(operation.call).bind(*args, **kwargs)
    bound.apply_defaults()
    return dict(bound.arguments)


# Variables ------------------------------------------------------------------------------------------------------------


class _Swap:
    """Variables that layers hold are `HeldWeight`s inside this context; `back` gives one layer its own for a while."""

    def __init__(self, paths: Paths) -> None:
        held: dict[int, HeldWeight] = {}
        own = set(vars(keras.layers.Layer()))
        self.entries: dict[int, list[tuple[dict[str, Any], str, Any, Any]]] = {}
        for layer in paths.layers:
            for name, value in vars(layer).items():
                if name in own:
                    continue
                swapped = _with_held(value, held)
                if swapped is not value:
                    self.entries.setdefault(id(layer), []).append((vars(layer), name, value, swapped))

    def _put(self, entries: list[tuple[dict[str, Any], str, Any, Any]], own: bool) -> None:
        for attributes, name, value, swapped in entries:
            attributes[name] = value if own else swapped

    def __enter__(self) -> None:
        for entries in self.entries.values():
            self._put(entries, False)

    def __exit__(self, *_: object) -> None:
        for entries in self.entries.values():
            self._put(entries, True)

    @contextlib.contextmanager
    def back(self, layer: Any) -> Iterator[None]:
        own = [entry for part in layer._flatten_layers() for entry in self.entries.get(id(part), [])]
        self._put(own, True)
        try:
            yield
        finally:
            self._put(own, False)


def _with_held(value: Any, held: dict[int, HeldWeight]) -> Any:
    """A variable, or a list or dict of them, with stand-ins; anything else as it is."""
    if isinstance(value, keras.Variable):
        return held.setdefault(id(value), HeldWeight(value))
    if isinstance(value, (list, tuple)) and any(isinstance(item, keras.Variable) for item in value):
        return [_with_held(item, held) for item in value]
    if isinstance(value, dict) and any(isinstance(item, keras.Variable) for item in value.values()):
        return {key: _with_held(item, held) for key, item in value.items()}
    return value


@contextlib.contextmanager
def _restored(model: Any, inputs: list[Any]) -> Iterator[None]:
    """The records that layers keep of their calls are afterwards as they were."""
    lists = [
        getattr(layer, name) for layer in model._flatten_layers() for name in ("_inbound_nodes", "_outbound_nodes")
    ]
    lengths = [len(item) for item in lists]
    try:
        yield
    finally:
        for item, length in zip(lists, lengths, strict=True):
            del item[length:]


# Places in the user's code --------------------------------------------------------------------------------------------


def _is_own(path: str) -> bool:
    return "/keras/src/" not in path and "/assay/" not in path and "/site-packages/" not in path and path[:1] != "<"


def calling_line() -> str:
    """Where the model's own code is just now: `net.py:14`; empty inside a graph that Keras runs."""
    frame = inspect.currentframe()
    while frame is not None:
        path = frame.f_code.co_filename
        if path.endswith("bring.py"):
            return ""
        if _is_own(path):
            return f"{path}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


# Words of errors that functions raise which are given a tensor without numbers.
_OF_FOLLOWING = ("KerasTensor", "HeldWeight", "symbolic", "Symbolic", "Tracer", "ufunc")


def explained(error: BaseException, model: Any) -> ModelError:
    """What to say of an error while a model was followed: file and line of the user's code, and what to change."""
    while error.__context__ is not None:  # Keras raises errors of its own about the one that matters
        error = error.__context__
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [place for place in places if _is_own(place[0])]
    where = f"{own[-1][0]}:{own[-1][1]}" if own else f"{type(model).__name__}.call"
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    what = lines[0] if lines else type(error).__name__
    if any(word in f"{type(error).__name__} {error}" for word in _OF_FOLLOWING):
        return ModelError(
            f"{where}: a function that is not Keras' own is called with a tensor of the model ({type(error).__name__}: "
            f"{what[:160]}); use keras.ops in call, which can be followed on any backend"
        )
    return ModelError(f"{where}: {type(error).__name__}: {what}")

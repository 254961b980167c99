"""TensorFlow's models: `tf.Module`, `tf.function` and its concrete functions, and SavedModel folders."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf

from assay.errors import AssayError, ModelError
from assay.frameworks.base import InputSpec
from assay.frameworks.drafting import (
    Graph,
    NeedsStaticBatch,
    Untranslatable,
    Weight,
    record_structure,
    remove_unused,
)
from assay.frameworks.drafting_order import settle_transposes
from assay.frameworks.tensorflow.bring_graph import Source, Translation, tokens
from assay.frameworks.tensorflow.bring_saved import read
from assay.graph.names import unique
from assay.model import NOTES, Model
from assay.structure import structure_of, with_named_tuples

_CALL = "__call__"
_LOST = "dropout and other parts that are for training only are not in this graph"


def bring(found: Any, inputs: Any, name: str) -> Model:
    """The model of a `tf.Module` (its `__call__`), of a `tf.function` or of a concrete function.

    `inputs`: an array or tensor, a tuple of them, a dict by argument name, or `InputSpec`s; a concrete function needs none.
    """
    if hasattr(found, "structured_input_signature") and hasattr(found, "captured_inputs"):
        return _translated(_concrete(found, None, []), name, [_LOST])
    if inputs is None:
        raise ModelError(
            f"{type(found).__name__} is TensorFlow's: give an example of its inputs, as --input 1x28x28x1 "
            "(--input 1x128:int32 for integers; once for each input), as inputs= of assay.load, "
            "or let the callable return (module, inputs)"
        )
    args, kwargs = _example(inputs)
    module = found if isinstance(found, tf.Module) else None
    if module is not None and not callable(module):
        raise ModelError(
            f"{type(module).__name__} has no __call__: give a tf.function of it, or a module that can be called"
        )
    reason = ""
    try:
        return _translated(_traced(found, module, args, kwargs, True), name, [])
    except NeedsStaticBatch:
        pass
    except _NotTraced as error:
        reason = f" ({error})"
    note = f"the size of the batch is fixed at {_batch_of(args, kwargs)}, the example's: the module does not leave it open{reason}"
    try:
        return _translated(_traced(found, module, args, kwargs, False), name, [note])
    except _NotTraced as error:
        raise ModelError(str(error)) from error.__cause__
    except NeedsStaticBatch as error:
        raise ModelError(f"{name}: a size is not known before the model runs") from error


def load_file(path: Path, name: str) -> Model:
    """The model that a SavedModel folder gives as its serving signature."""
    signature = read(path)
    source = Source(
        signature.definition,
        signature.inputs,
        signature.captured,
        signature.outputs,
        signature.functions,
        lambda _: [("", 0)],
        {"": ("Model", ())},
        signature.nest,
    )
    notes = ["a SavedModel knows no classes and no dropout: it is written as one class"]
    try:
        return _translated(source, name, notes)
    except NeedsStaticBatch as error:
        raise ModelError(f"{path}: a size other than the batch's is open; save it with known sizes") from error


def _translated(source: Source, name: str, notes: Sequence[str]) -> Model:
    graph = Graph.empty(name)
    graph.notes.extend(notes)
    try:
        Translation(source, graph).run()
    except Untranslatable as error:
        raise ModelError(f"{name}: {error}") from error
    remove_unused(graph.graph)
    settle_transposes(graph.graph)
    graph.finish()
    if source.nest is not None:
        record_structure(graph, source.nest)
    if graph.notes:
        graph.graph.metadata_props[NOTES] = json.dumps(graph.notes)
    return Model(name, ir.Model(graph.graph, ir_version=11, producer_name="assay"))


# Tracing --------------------------------------------------------------------------------------------------------------


class _NotTraced(Exception):
    """TensorFlow could not follow the module; the message says where and why."""


def _traced(found: Any, module: tf.Module | None, args: Any, kwargs: Any, opened: bool) -> Source:
    """The module's own graph, with the calls of its parts as name scopes."""
    size = _batch_of(args, kwargs) if opened else None
    specs = tf.nest.map_structure(lambda item: _spec(item, size), (args, kwargs))
    named = dict(specs[1])
    if module is not None and "training" in inspect.signature(type(module).__call__).parameters:
        named.setdefault("training", False)
    calls: list[tuple[str, int]] = []
    parts = _parts(module)
    function = found
    if module is not None:
        function = tf.function(lambda *a, **k: with_named_tuples(found(*a, **k)), autograph=False)
    try:
        with _watching(parts, calls):
            concrete = function.get_concrete_function(*specs[0], **named)
    except AssayError:
        raise
    except Exception as error:  # the user's own code runs in there, and may raise anything
        raise _NotTraced(_explained(found, error)) from error
    source = _concrete(concrete, module, calls)
    source.classes = {path: (type(part).__name__, _arguments(part)) for path, part in parts.items()}
    arguments = [*(_arguments(module) if module is not None else ()), *(f"input_{n}" for n in range(99))]
    names = [label for name, item in zip(arguments, args, strict=False) for label in _labels(name, item)]
    names += [label for name in kwargs for label in _labels(name, kwargs[name])]
    source.inputs = [(label, shape, dtype) for label, (_, shape, dtype) in zip(names, source.inputs, strict=True)]
    return source


def _concrete(concrete: Any, module: tf.Module | None, calls: list[tuple[str, int]]) -> Source:
    graph = concrete.graph
    captured = list(concrete.captured_inputs)
    own = graph.inputs[: len(graph.inputs) - len(captured)]
    weights = _weights(module, concrete)
    held: list[Weight | np.ndarray] = []
    for formal, given in zip(graph.inputs[len(own) :], captured, strict=True):
        weight = next((item for handle, item in weights if handle is given), None)
        if weight is None and formal.dtype == tf.resource:
            raise ModelError(f"{formal.name} is no variable of the module: tables and iterators cannot be brought")
        held.append(weight if weight is not None else np.asarray(given))
    functions = {item.signature.name: item for item in graph.as_graph_def().library.function}

    def scopes(name: str) -> list[tuple[str, int]]:
        found = list(dict.fromkeys(calls[token] for token in tokens(name) if token < len(calls)))
        return found if found and found[0][0] == "" else [("", 0), *found]

    inputs = [(item.op.name, item.shape, item.dtype) for item in own]
    nest = _nest(concrete)
    outputs = _output_labels(nest)
    classes: dict[str, tuple[str, tuple[str, ...]]] = {
        "": (type(module).__name__ if module is not None else "Model", ())
    }
    return Source(concrete.function_def, inputs, held, outputs, functions, scopes, classes, nest)


def _weights(module: tf.Module | None, concrete: Any) -> list[tuple[Any, Weight]]:
    """Each variable's handle with the weight that it is, under the path that leads to it."""
    named: list[tuple[str, Any]] = []
    if module is not None:
        paths = module._flatten(predicate=lambda item: isinstance(item, tf.Variable), with_path=True)
        named = [(".".join(map(str, path)), item) for path, item in paths]
    known = {id(item) for _, item in named}
    for item in concrete.graph.variables:
        if id(item) not in known:  # variables that nobody holds may all be called "Variable"
            given = item.name.partition(":")[0].replace("/", ".")
            named.append((unique(given, [name for name, _ in named]), item))
    found: list[tuple[Any, Weight]] = []
    for name, variable in named:
        if any(handle is variable.handle for handle, _ in found):
            continue
        if variable.dtype in (tf.bfloat16, tf.float16, tf.float64):
            raise ModelError(f"{name} is of type {variable.dtype.name}: bring the model in float32")
        trained = bool(variable.trainable) and variable.dtype.is_floating
        weight = Weight(name, variable.numpy(), "parameter" if trained else "constant", 0, not trained)
        found.append((variable.handle, weight))
    return found


def _parts(module: tf.Module | None) -> dict[str, tf.Module]:
    """Path → module, for everything inside that can be called."""
    if module is None:
        return {}
    inside = module._flatten(predicate=lambda item: isinstance(item, tf.Module), with_path=True)
    found: dict[str, tf.Module] = {"": module}
    for path, item in inside:
        if callable(item) and all(item is not other for other in found.values()):
            found[".".join(map(str, path))] = item
    return found


@contextlib.contextmanager
def _watching(parts: Mapping[str, tf.Module], calls: list[tuple[str, int]]) -> Iterator[None]:
    """While this is open, every call of a part is a name scope that tells its path and number."""
    paths = {id(part): path for path, part in parts.items()}
    counts: dict[str, int] = {}
    replaced: list[tuple[type, Any]] = []
    stack: list[str] = []

    def watched(original: Any) -> Any:
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            bound, path = original.__get__(self, type(self)), paths.get(id(self))
            if path is None or (stack and stack[-1] == path):
                return bound(*args, **kwargs)
            number = counts.get(path, 0)
            counts[path] = number + 1
            calls.append((path, number))
            stack.append(path)
            try:
                with tf.name_scope(f"assay{len(calls) - 1}_"):
                    return bound(*args, **kwargs)
            finally:
                stack.pop()

        return call

    try:
        for owner in {base: None for part in parts.values() for base in type(part).__mro__}:
            if _CALL in vars(owner) and owner not in (object, tf.Module):
                replaced.append((owner, vars(owner)[_CALL]))
                setattr(owner, _CALL, watched(vars(owner)[_CALL]))
        yield
    finally:
        for owner, original in replaced:
            setattr(owner, _CALL, original)


def _explained(found: Any, error: Exception) -> str:
    """What to say of an error while the module was traced: file and line of the user's code, and what to change."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    own = [item for item in frames if "/tensorflow/" not in item[0] and "contextlib" not in item[0]]
    where = f"{own[-1][0]}:{own[-1][1]}" if own else type(found).__name__
    if "symbolic `tf.Tensor`" in str(error) or "OperatorNotAllowedInGraphError" in type(error).__name__:
        return f"{where}: which way the code goes here depends on the numbers in a tensor; choose with tf.where"
    return f"{where}: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


# Inputs and outputs ---------------------------------------------------------------------------------------------------


def _example(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    return (tuple(inputs), {}) if isinstance(inputs, (tuple, list)) else ((inputs,), {})


def _spec(item: Any, size: int | None) -> Any:
    """The shape and type that an input is traced with; the first axis open if it is as long as the batch."""
    if not hasattr(item, "shape"):
        return item
    shape = [int(extent) for extent in item.shape]
    try:
        kind = tf.as_dtype(item.dtype)
    except TypeError as error:
        raise ModelError(f"{item.dtype!r} is no type that TensorFlow knows: float32, int64, bool …") from error
    opened = [None, *shape[1:]] if shape and size is not None and shape[0] == size else shape
    return tf.TensorSpec(opened, tf.float32 if kind == tf.float64 else kind)


def _batch_of(args: Any, kwargs: Any) -> int:
    shapes = [item.shape for item in tf.nest.flatten((args, kwargs)) if hasattr(item, "shape") and len(item.shape)]
    return int(shapes[0][0]) if shapes else 1


def _labels(name: str, value: Any) -> list[str]:
    """Names for the tensors of a nest."""
    if isinstance(value, InputSpec) or not isinstance(value, (Mapping, tuple, list)):
        return [name] if hasattr(value, "shape") else []
    pairs = [(key, value[key]) for key in sorted(value)] if isinstance(value, Mapping) else list(enumerate(value))
    return [label for key, item in pairs for label in _labels(f"{name}_{key}" if name else str(key), item)]


def _nest(concrete: Any) -> Any:
    """What a function gives, as a nest of places."""
    structure, places = concrete.structured_outputs, itertools.count()
    leaves = [None if item is None else next(places) for item in tf.nest.flatten(structure)]
    return tf.nest.pack_sequence_as(structure, leaves)


def _output_labels(nest: Any) -> list[str]:
    """A name for each result, from the keys that lead to it; "" where these are numbers only."""
    found, _ = structure_of(nest)
    named = {} if found is None else {place: keys for keys, place in found.leaves()}
    return [
        "_".join(map(str, keys)) if any(isinstance(key, str) for key in keys) else ""
        for _, keys in sorted(named.items())
    ]


def _arguments(module: Any) -> tuple[str, ...]:
    """What a module's __call__ calls its arguments."""
    try:
        parameters = inspect.signature(type(module).__call__).parameters
    except (TypeError, ValueError):
        return ()
    return tuple(name for name in parameters if name not in ("self", "args", "kwargs", "training"))


__all__ = ["bring", "load_file"]

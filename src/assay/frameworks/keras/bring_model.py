"""Live Keras models as models of assay, by following what they call.

Functional, sequential and subclassed models, on any backend: layers come back as layers, with all their arguments; the
operations of `keras.ops` between them one by one. A model that is built knows its inputs; else an example is asked for.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx_ir as ir

from assay.errors import ModelError
from assay.frameworks.base import InputSpec
from assay.frameworks.drafting import record_structure
from assay.frameworks.keras.bring_graph import NeedsStaticBatch, Source, Translation, find
from assay.frameworks.keras.bring_ops.common import Graph, Weight
from assay.frameworks.keras.bring_paths import Paths
from assay.frameworks.keras.bring_trace import (
    Follower,
    Trace,
    call_arguments,
    explained,
    input_names,
)
from assay.frameworks.keras.bring_training import training_of
from assay.model import NOTES, ORIGIN, Model
from assay.write.weights import origins, to_native

__all__ = ["bring", "set_weights", "variables_by_path"]

_BATCH = (
    7919  # stands for the open size of the batch where a model computes with that size; no real size is likely to be it
)


def bring(found: Any, inputs: Any, name: str) -> Model:
    """The model of a Keras model (or layer). `inputs`, where it is not built: arrays, `InputSpec`s, or a dict of them.

    The size of the batch stays open unless the model fixes it; what is lost is said in `Model.notes`.
    """
    if not isinstance(found, keras.Model):
        raise ModelError(
            f"{type(found).__name__} is a layer of Keras, not a model: put it in keras.Sequential([keras.Input(...), layer])"
        )
    graph_name = found.name if name in ("Functional", "Sequential", "Model") else name
    with _quietly():
        given = _inputs(found, inputs)
        _build(found, given)
        try:
            graph, trace = _graph(found, given, graph_name, None)
        except (NeedsStaticBatch, _NotFollowed):
            graph, trace = _with_known_batch(found, given, graph_name)
        training = training_of(found, graph.notes, _logits(trace))
    _say_what_is_lost(found, graph)
    if graph.notes:
        graph.graph.metadata_props[NOTES] = json.dumps(graph.notes)
    return Model(graph_name, ir.Model(graph.graph, ir_version=11, producer_name="assay"), training)


# Weights, there and back ----------------------------------------------------------------------------------------------


def set_weights(found: Any, model: Model) -> None:
    """Puts a model's weights into the Keras model that it was brought from.

    Raises `ModelError` if it is not that model, or not of its shapes.
    """
    held = variables_by_path(found)
    for path, array in to_native(origins(model), model.weights()).items():
        variable = held.get(path)
        if variable is None or tuple(variable.shape) != array.shape:
            has = "has no such variable" if variable is None else f"has shape {tuple(variable.shape)}"
            raise ModelError(f"the weights have {path} of shape {array.shape}, and {type(found).__name__} {has}")
        variable.assign(array)


def variables_by_path(found: Any) -> dict[str, Any]:
    paths = Paths(found, is_known)
    held = [
        variable for layer in paths.layers for variable in layer._trainable_variables + layer._non_trainable_variables
    ]
    return {paths.variables[id(variable)].replace(".", "/"): variable for variable in held}


# Following ------------------------------------------------------------------------------------------------------------


class _NotFollowed(Exception):
    """The model could not be followed with an open size of the batch."""


def is_known(layer: Any) -> bool:
    """Whether a layer becomes one call."""
    return find(layer)[1] is not None


def _graph(found: Any, given: Any, name: str, batch: int | None) -> tuple[Graph, Trace]:
    paths = Paths(found, is_known)
    specs = keras.tree.map_structure(lambda spec: _tensor(spec, batch), given)
    try:
        trace = Follower(paths, is_known).follow(found, specs)
    except ModelError:
        raise
    except Exception as error:  # the model's own code runs in there, and may raise anything
        if batch is None and any(None in item.shape for item in keras.tree.flatten(specs)):
            raise _NotFollowed from error
        raise explained(error, found) from error
    graph = Graph.empty(name)
    names = _names(found, given)
    source = Source(
        trace.events,
        list(zip(names, trace.inputs, strict=True)),
        [(label, tensor) for label, tensor in _named("", trace.outputs)],
        _weights(paths),
        {**trace.frames, "": (trace.frames[""][0], tuple(names))},
        trace.constants,
        batch,
    )
    Translation(source, graph).run()
    places = range(len(keras.tree.flatten(trace.outputs)))
    record_structure(graph, keras.tree.pack_sequence_as(trace.outputs, list(places)))
    return graph, trace


def _with_known_batch(found: Any, given: Any, name: str) -> tuple[Graph, Trace]:
    """The model computes with the size of the batch: a number stands for it, or it is fixed."""
    try:
        return _graph(found, given, name, _BATCH)
    except NeedsStaticBatch:
        pass
    graph, trace = _graph(found, keras.tree.map_structure(lambda spec: _fixed(spec), given), name, None)
    graph.note("the size of the batch is fixed at 1: the model computes with it")
    return graph, trace


def _fixed(spec: Any) -> Any:
    return InputSpec(tuple(1 if size is None else size for size in spec.shape), spec.dtype)


def _tensor(spec: InputSpec, batch: int | None) -> Any:
    shape = tuple(batch if size is None and axis == 0 and batch else size for axis, size in enumerate(spec.shape))
    return keras.KerasTensor(shape, dtype=spec.dtype)


def _weights(paths: Paths) -> dict[int, Weight]:
    found = {}
    for layer in paths.layers:
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            own = layer._trainable_variables
            statistic = variable.name in ("moving_mean", "moving_variance")
            trained = any(item is variable for item in own)
            role = "statistic" if statistic else "parameter" if trained else "constant"
            array = np.asarray(keras.ops.convert_to_numpy(variable.value))
            found[id(variable)] = Weight(paths.variables[id(variable)], array, role, not variable.trainable)
    return found


def _names(found: Any, given: Any) -> list[str]:
    """What the inputs are called: by the model, or as arguments of its `call`."""
    args, kwargs = given
    if getattr(found, "_inputs_struct", None) is not None or getattr(found, "_functional", None) is not None:
        names = input_names(found)
        if len(names) == len(keras.tree.flatten(given)):
            return _identifiers(names)
    arguments = [*call_arguments(found), *(f"input_{place}" for place in range(len(args)))]
    listed = [_named(argument, value) for argument, value in zip(arguments, args, strict=False)]
    listed += [_named(argument, value) for argument, value in kwargs.items()]
    return _identifiers([label for group in listed for label, _ in group])


def _identifiers(names: Any) -> list[str]:
    return [str(name).replace("/", "_").replace(".", "_").replace("-", "_").replace(" ", "_") for name in names]


def _named(label: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Name and leaf of every leaf of a nest, in Keras' order."""
    if isinstance(value, Mapping):
        parts: Any = [(str(key), value[key]) for key in (sorted(value) if type(value) is dict else value)]
    elif isinstance(value, (tuple, list)):
        parts = [(str(place) if label else "", item) for place, item in enumerate(value)]
    else:
        yield label, value
        return
    for key, item in parts:
        yield from _named("_".join(part for part in (label, key) if part), item)


# Inputs ---------------------------------------------------------------------------------------------------------------


def _inputs(found: Any, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of the model's `call` as a nest of `InputSpec`s."""
    structure = getattr(found, "_inputs_struct", None)
    if structure is None and getattr(found, "_functional", None) is not None:
        structure = found._functional._inputs_struct
    if structure is not None and inputs is None:
        spec = keras.tree.map_structure(lambda item: InputSpec(tuple(item.shape), str(item.dtype)), structure)
        return (spec,), {}
    if inputs is not None:
        return _example(found, inputs)
    shapes = getattr(found, "_build_shapes_dict", None)
    if found.built and shapes:
        return _built_with(found, shapes)
    arguments = ", ".join(call_arguments(found)) or "its inputs"
    raise ModelError(
        f"{type(found).__name__} is a Keras model that is not built: give an example of {arguments}, as --input "
        "1x224x224x3 (--input 1x128:int32 for integers; once for each input), as inputs= of assay.load, call the model "
        "once, or let the callable return (model, inputs)"
    )


def _example(found: Any, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        known = set(call_arguments(found))
        specs = {str(key): _spec_of(value) for key, value in inputs.items()}
        return ((), specs) if set(specs) <= known else ((specs,), {})
    if isinstance(inputs, (tuple, list)):
        specs_list = tuple(_spec_of(item) for item in inputs)
        takes_list = len(call_arguments(found)) == 1 and len(specs_list) > 1
        return ((list(specs_list),), {}) if takes_list else (specs_list, {})
    return (_spec_of(inputs),), {}


def _spec_of(value: Any) -> Any:
    """The shape and type of an example, its first size left open."""
    if isinstance(value, Mapping):
        return {str(key): _spec_of(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_spec_of(item) for item in value]
    shape = tuple(getattr(value, "shape", ()))
    dtype = keras.backend.standardize_dtype(getattr(value, "dtype", "float32"))
    return InputSpec((None, *shape[1:]), dtype)  # type: ignore[arg-type]  # an open size


def _built_with(found: Any, shapes: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The shapes that a subclassed model was built with; it takes integers where it looks them up."""
    if not isinstance(shapes, Mapping):
        shapes = {"input_shape": shapes}
    kind = "int32" if _begins_with_table(found) else "float32"
    given: dict[str, Any] = {}
    for name, shape in shapes.items():
        given[name.removesuffix("_shape")] = _shapes(shape, kind)
    arguments = call_arguments(found)
    if len(given) == 1 and not set(given) <= set(arguments):
        return (next(iter(given.values())),), {}
    return (), given


def _begins_with_table(found: Any) -> bool:
    layers = [layer for layer in found._flatten_layers(include_self=False)]
    return bool(layers) and any(type(layer).__name__ == "Embedding" for layer in layers[:3])


def _shapes(shape: Any, kind: str) -> Any:
    if isinstance(shape, Mapping):
        return {key: _shapes(item, kind) for key, item in shape.items()}
    if isinstance(shape, (tuple, list)) and shape and isinstance(shape[0], (tuple, list)):
        return [_shapes(item, kind) for item in shape]
    return InputSpec((None, *shape[1:]), kind)  # type: ignore[arg-type]  # an open size


def _build(found: Any, given: Any) -> None:
    """Makes the model's variables, by calling it once with shapes alone, where it has none yet."""
    if found.built and all(layer.built for layer in found._flatten_layers()):
        return
    args, kwargs = keras.tree.map_structure(lambda spec: _tensor(spec, None), given)
    try:
        found(*args, **kwargs)
    except Exception as error:  # the model's own code runs in there, and may raise anything
        raise explained(error, found) from error


# What is said ---------------------------------------------------------------------------------------------------------


def _say_what_is_lost(found: Any, graph: Graph) -> None:
    maps = [json.loads(value.metadata_props.get(ORIGIN, "[]")) for value in graph.graph.initializers.values()]
    used = {item["native"] for items in maps for item in items}
    paths = Paths(found, is_known)
    frozen, penalised = [], []
    for layer in paths.layers:
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            path = paths.variables[id(variable)].replace(".", "/")
            if path in used and any(item is variable for item in layer._trainable_variables):
                frozen += [path] if not variable.trainable or not layer.trainable else []
                penalised += [path] if getattr(variable, "regularizer", None) is not None else []
        policy = getattr(layer, "dtype_policy", None)
        if policy is not None and policy.compute_dtype != policy.variable_dtype:
            graph.note(
                f"the policy {policy.name} computes in {policy.compute_dtype}; written code in the variables' type"
            )
    _note_all(graph, frozen, "is not trained in the source (trainable=False), and is here")
    _note_all(graph, penalised, "has a regularizer in the source, whose penalty is not brought")


def _note_all(graph: Graph, paths: list[str], what: str) -> None:
    if paths:
        graph.note(f"{paths[0]}{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}: {what}")


def _logits(trace: Trace) -> dict[int, str]:
    """What makes the model's outputs: id of the tensor → name of the last activation."""
    found = {}
    for event in trace.events:
        for tensor in event.outputs:
            activation = getattr(event.operation, "activation", None)
            name = type(event.operation).__name__.lower()
            found[id(tensor)] = getattr(activation, "__name__", name)
    return {place: found.get(id(tensor), "") for place, tensor in enumerate(keras.tree.flatten(trace.outputs))}


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """What Keras and its backend log while a model is followed is no business of the user's."""
    before, filtered = logging.root.manager.disable, keras.config.is_traceback_filtering_enabled()
    logging.disable(logging.CRITICAL)
    keras.config.disable_traceback_filtering()  # or the user's own line is not in it
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if filtered:
            keras.config.enable_traceback_filtering()

"""SavedModel folders, read as data: nothing of them is executed, and nothing is loaded before it has been looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from assay.errors import ModelError
from assay.frameworks.drafting import Weight
from assay.frameworks.tensorflow.bring_graph import CALLS
from assay.frameworks.tensorflow.bring_ops import TABLE

_LARGEST = 2 << 30  # bytes of a graph: what a protocol buffer can hold
_HARMLESS = {
    *TABLE,
    *CALLS,
    "ReadVariableOp",
    "Const",
    "NoOp",
    "Placeholder",
    "Shape",
    "Size",
    "Rank",
    "Range",
    "If",
    "StatelessIf",
    "While",
}
_UNNAMED = re.compile(r"output_\d+")  # what TensorFlow calls the results of a function that gives no dict
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"


@dataclass
class Signature:
    """A function of a SavedModel: what it computes, its own inputs, what it captures, its results."""

    definition: Any
    inputs: list[tuple[str, Any, Any]]
    captured: list[Weight | np.ndarray]
    outputs: list[str]
    functions: Mapping[str, Any]
    nest: Any = None  # the dict that it gives, with the places of its results, where these were named


def read(folder: Path, key: str = "serving_default") -> Signature:
    """The function that a SavedModel gives under a key; refused if it holds operations that could do more than compute."""
    content = _proto(folder)
    if not content.meta_graphs:
        raise ModelError(f"{folder} holds no graph")
    meta = content.meta_graphs[0]
    functions = {item.signature.name: item for item in meta.graph_def.library.function}
    objects = meta.object_graph_def
    function, bound = _function(folder, objects, key)
    if function not in functions:
        raise ModelError(f"{folder}: its function {function!r} is missing")
    _refuse(folder, function, functions)
    arrays = _variables(folder, objects)
    definition = functions[function]
    own = list(definition.signature.input_arg)[: len(definition.signature.input_arg) - len(bound)]
    missing = [str(node) for node in bound if node not in arrays]
    if missing:
        raise ModelError(f"{folder}: its function captures what is no variable (objects {', '.join(missing)})")
    inputs = [(item.name, _shape(definition, place), tf.as_dtype(item.type)) for place, item in enumerate(own)]
    outputs = [item.name for item in definition.signature.output_arg]
    named = sorted(objects.concrete_functions[function].output_signature.dict_value.fields)
    nest = None
    if len(named) == len(outputs) and not all(_UNNAMED.fullmatch(name) for name in named):
        outputs, nest = named, {name: place for place, name in enumerate(named)}
    return Signature(definition, inputs, [arrays[node] for node in bound], outputs, functions, nest)


def _shape(definition: Any, place: int) -> Any:
    """The shape that a function was made for."""
    listed = definition.arg_attr[place].attr["_output_shapes"].list.shape
    return tf.TensorShape(listed[0]) if listed else tf.TensorShape(None)


def _proto(folder: Path) -> Any:
    path = folder / "saved_model.pb"
    found = saved_model_pb2.SavedModel()
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"{path} is larger than a graph can be")
        found.ParseFromString(path.read_bytes())
    except ModelError:
        raise
    except Exception as error:  # protobuf's errors, and the file system's
        raise ModelError(f"{path} cannot be read as a SavedModel: {error}") from error
    return found


def _function(folder: Path, objects: Any, key: str) -> tuple[str, list[int]]:
    """The name of a signature's function, and the numbers of the objects that it captures."""
    nodes = objects.nodes
    named = {child.local_name: child.node_id for child in nodes[0].children} if nodes else {}
    signatures = nodes[named["signatures"]].children if "signatures" in named else []
    known = {child.local_name: nodes[child.node_id] for child in signatures}
    if key not in known:
        raise ModelError(
            f"{folder} has no signature {key!r}: save it with tf.saved_model.save(module, path, signatures=…)"
        )
    function = known[key].bare_concrete_function.concrete_function_name
    function = function or next(iter(known[key].function.concrete_functions), "")
    return function, list(objects.concrete_functions[function].bound_inputs)


def _refuse(folder: Path, start: str, functions: Mapping[str, Any]) -> None:
    """Refuses operations that read or write files, run Python, or are not known to be without effect."""
    pending, seen, foreign = [start], set(), []
    while pending:
        name = pending.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in functions[name].node_def:
            pending.extend(item.func.name for item in node.attr.values() if item.HasField("func"))
            if node.op not in _HARMLESS:
                foreign.append(f"{node.op} ({node.name})")
    if foreign:
        listed = ", ".join(sorted(set(foreign))[:8])
        raise ModelError(f"{folder} holds operations that assay does not bring, so nothing of it is run: {listed}")


def _variables(folder: Path, objects: Any) -> dict[int, Weight]:
    """Number of an object → the variable that it is, with its numbers from the checkpoint."""
    paths: dict[int, tuple[str, ...]] = {0: ()}
    pending = [0]
    while pending:
        current = pending.pop(0)
        for child in objects.nodes[current].children:
            if child.node_id not in paths and child.local_name != "signatures":
                paths[child.node_id] = (*paths[current], child.local_name)
                pending.append(child.node_id)
    try:
        reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        stored = trackable_object_graph_pb2.TrackableObjectGraph()
        stored.ParseFromString(reader.get_tensor(_OBJECTS))
    except Exception as error:  # TensorFlow's reader has errors of many kinds
        raise ModelError(f"{folder} has no variables that can be read: {str(error).splitlines()[0]}") from error
    found = {}
    for number, path in paths.items():
        item = objects.nodes[number]
        if not item.HasField("variable"):
            continue
        key = _checkpoint_key(stored, path)
        if key is None:
            raise ModelError(f"{folder}: the numbers of {'.'.join(path)} are missing")
        array = np.asarray(reader.get_tensor(key))
        if array.dtype not in (np.float32, np.int32, np.int64, np.bool_):
            raise ModelError(f"{'.'.join(path)} is of type {array.dtype}: bring the model in float32")
        trained = bool(item.variable.trainable) and array.dtype == np.float32
        name = ".".join(part.replace(".", "_") for part in path)
        found[number] = Weight(name, array, "parameter" if trained else "constant", 0, not trained)
    return found


def _checkpoint_key(stored: Any, path: tuple[str, ...]) -> str | None:
    number = 0
    for part in path:
        children = {child.local_name: child.node_id for child in stored.nodes[number].children}
        if part not in children:
            return None
        number = children[part]
    return next((str(item.checkpoint_key) for item in stored.nodes[number].attributes), None)

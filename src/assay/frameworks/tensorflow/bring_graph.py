"""From the graph of a concrete function to an ONNX graph. Functions that it calls are opened."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
import tensorflow as tf
from tensorflow.core.framework import graph_pb2, node_def_pb2
from tensorflow.python.framework import function_def_to_graph

from assay.errors import ModelError, UnsupportedError
from assay.frameworks.drafting import Graph, NeedsStaticBatch, Untranslatable, Weight
from assay.frameworks.tensorflow.bring_ops import TABLE, Call, Operand
from assay.nn.tensor import Shape, Tensor, graph_input

CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_TOKEN = re.compile(r"assay(\d+)_")
_SILENT = ("NoOp", "Placeholder", "Assert", "AssertV2")


@dataclass
class Source:
    """A function of TensorFlow in plain terms."""

    definition: Any  # its FunctionDef
    inputs: list[tuple[str, Any, Any]]  # name in the model, shape and type
    captured: list[Weight | np.ndarray]  # what it takes besides
    outputs: list[str]  # names (or "") of the results
    functions: Mapping[str, Any]  # name → FunctionDef
    scopes: Callable[[str], list[tuple[str, int]]]  # name of an operation → the module calls around it
    classes: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    nest: Any = None  # what it gives, with the places of its results


@dataclass
class Translation:
    """The ONNX graph in the making."""

    source: Source
    graph: Graph
    missing: dict[str, list[str]] = field(default_factory=dict)
    sizes: dict[str, tuple[Tensor, int]] = field(default_factory=dict)

    def run(self) -> Graph:
        """Translates every operation that leads to an output; raises one error that names all that cannot be."""
        source = self.source
        flat, given, results = flattened(source)
        values: dict[str, Operand] = {}
        for (name, shape, dtype), place in zip(source.inputs, given, strict=False):
            tensor = graph_input(self.graph.graph, name, _shape(shape), _dtype(dtype))
            values[place] = tensor
            for axis, size in enumerate(tensor.shape):
                if isinstance(size, str):
                    self.sizes.setdefault(size, (tensor, axis))
        values.update(zip(given[len(source.inputs) :], source.captured, strict=True))
        needed = _leading_to(flat, results)
        _count_users(flat, values, needed)
        for op in flat.get_operations():
            if op.name in needed and op.type not in _SILENT:
                if op.type == "Const":
                    values[op.outputs[0].name] = tf.make_ndarray(op.get_attr("value"))
                else:
                    self._operation(op, values)
        self.graph.scopes = []
        if self.missing:
            listed = [f"{what} at {', '.join(dict.fromkeys(places))}" for what, places in self.missing.items()]
            raise UnsupportedError(
                f"this model uses operations that assay cannot bring yet: {'; '.join(listed)}", listed
            )
        self._outputs(values, results)
        return self.graph

    def _operation(self, op: Any, values: dict[str, Operand]) -> None:
        self.graph.scopes = self.source.scopes(op.name)
        for path, _ in self.graph.scopes:
            class_name, arguments = self.source.classes.get(path, (_class_name(path), ()))
            self.graph.modules.setdefault(path, {"class": class_name, "arguments": list(arguments)})
        try:
            if (known := _computed(op, [values.get(item.name) for item in op.inputs])) is not None:
                values[op.outputs[0].name] = known
                return
            inputs = tuple(values.get(item.name, np.zeros(0)) for item in op.inputs)
            translate = TABLE.get(op.type)
            if translate is None:
                raise Untranslatable(_reason(op.type))
            size = _open_size(op, inputs)
            shapes = tuple(
                _shape(item.shape, size) if item.consumers() or not place else ()
                for place, item in enumerate(op.outputs)
            )
            dtypes = tuple(_dtype(item.dtype) for item in op.outputs)
            attributes = {name: op.get_attr(name) for name in op.node_def.attr if not name.startswith("_")}
            result = translate(Call(op.type, attributes, inputs, self.graph, shapes, dtypes, self.sizes))
            results = result if isinstance(result, tuple) else (result,)
            values.update(zip([item.name for item in op.outputs], results, strict=False))
        except Untranslatable as error:
            reason = f" ({error})" if str(error) else ""
            self.missing.setdefault(f"{op.type}{reason}", []).append(op.name)
            for item in op.outputs:
                values[item.name] = Tensor(ir.Value(name=self.graph.name("missing")), _shape(item.shape), "float32")

    def _outputs(self, values: dict[str, Operand], results: Sequence[str]) -> None:
        graph = self.graph.graph
        taken = {value.name for value in [*graph.inputs, *graph.initializers.values()]}
        for name, place in zip(self.source.outputs, results, strict=True):
            found = values[place]
            if isinstance(found, np.ndarray):
                found = self.graph.constant(found)
            tensor = found.plain(self.graph) if isinstance(found, Weight) else found
            if tensor.value.producer() is None or tensor.value.is_graph_output():
                tensor = self.graph.node("Identity", [tensor], tensor.shape)
            if name and name not in taken:
                tensor.value.name = name
            taken.add(tensor.value.name)
            graph.outputs.append(tensor.value)
        if not graph.outputs:
            raise ModelError("the function gives no tensor")


# One graph from a function and those that it calls ---------------------------------------------------------------------


@dataclass
class _Flattening:
    """Nodes of all functions in one graph; variables are its inputs, and reading one is no node."""

    functions: Mapping[str, Any]
    nodes: list[Any] = field(default_factory=list)

    def inline(self, definition: Any, given: Sequence[str], prefix: str) -> list[str]:
        """Adds a function's nodes; gives the names of its results."""
        body, names = function_def_to_graph.function_def_to_graph_def(definition)
        arguments = [item.name for item in definition.signature.input_arg]
        alias = dict(zip(arguments, given, strict=True))
        for node in body.node:
            if node.name in alias:
                continue
            inputs = [self.mapped(name, alias, prefix) for name in node.input if not name.startswith("^")]
            if node.op in CALLS:
                results = self.inline(self.functions[node.attr["f"].func.name], inputs, f"{prefix}{node.name}/")
                alias.update({f"{node.name}:{place}": result for place, result in enumerate(results)})
            elif node.op == "ReadVariableOp":
                alias[f"{node.name}:0"] = inputs[0]
            else:
                self.add(node, inputs, prefix)
        return [
            self.mapped(names[definition.ret[item.name]], alias, prefix) for item in definition.signature.output_arg
        ]

    @staticmethod
    def mapped(name: str, alias: Mapping[str, str], prefix: str) -> str:
        """The name in the one graph of a value of a function."""
        stem, _, place = name.partition(":")
        full = f"{stem}:{place or 0}"
        return alias.get(full) or alias.get(stem) or f"{prefix}{full}"

    def add(self, node: Any, inputs: Sequence[str], prefix: str) -> None:
        made = node_def_pb2.NodeDef()
        made.CopyFrom(node)
        made.name, made.device = f"{prefix}{node.name}", ""
        if node.op == "ResourceGather":
            axis = self.constant(f"{made.name}/axis", np.array(0, np.int32))
            made.op, inputs = "GatherV2", [*inputs, axis]
            kinds = {"Tparams": node.attr["dtype"].type, "Tindices": node.attr["Tindices"].type}
            made.ClearField("attr")
            for name, kind in kinds.items():
                made.attr[name].type = kind
            made.attr["Taxis"].type = tf.int32.as_datatype_enum
        made.ClearField("input")
        made.input.extend(inputs)
        for name in [item for item in made.attr if item.startswith("_")]:
            del made.attr[name]
        self.nodes.append(made)

    def constant(self, name: str, array: np.ndarray) -> str:
        made = node_def_pb2.NodeDef(name=name, op="Const")
        made.attr["dtype"].type = tf.as_dtype(array.dtype).as_datatype_enum
        made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(array))
        self.nodes.append(made)
        return f"{name}:0"

    def placeholder(self, name: str, shape: Any, dtype: Any) -> str:
        made = node_def_pb2.NodeDef(name=name, op="Placeholder")
        made.attr["dtype"].type = tf.as_dtype(dtype).as_datatype_enum
        made.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
        self.nodes.append(made)
        return f"{name}:0"


def flattened(source: Source) -> tuple[Any, list[str], list[str]]:
    """One graph without calls, in which every shape is known; the names of its inputs and of its results."""
    making = _Flattening(source.functions)
    given = [making.placeholder(f"given_{n}", shape, dtype) for n, (_, shape, dtype) in enumerate(source.inputs)]
    for number, item in enumerate(source.captured):
        array = item.array if isinstance(item, Weight) else item
        given.append(making.placeholder(f"held_{number}", array.shape, array.dtype))
    results = making.inline(source.definition, given, "")
    definition = graph_pb2.GraphDef(node=making.nodes, versions={"producer": tf.version.GRAPH_DEF_VERSION})
    graph = tf.Graph()
    try:
        with graph.as_default():
            tf.graph_util.import_graph_def(definition, name="")
    except Exception as error:  # TensorFlow's reader has errors of many kinds
        raise ModelError(f"a graph that TensorFlow cannot read: {str(error).strip().splitlines()[0]}") from error
    return graph, given, results


def _leading_to(graph: Any, wanted: Sequence[str]) -> set[str]:
    """The names of the operations that some tensors depend on; shapes that are known are asked of no operation."""
    pending = [graph.get_tensor_by_name(name).op for name in wanted]
    found: set[str] = set()
    while pending:
        op = pending.pop()
        if op.name in found:
            continue
        found.add(op.name)
        skip = 1 if op.type in ("Reshape", "BroadcastTo", "Tile") else 0 if op.type == "Fill" else None
        pending.extend(item.op for place, item in enumerate(op.inputs) if place != skip or item.op.type == "Const")
    return found


def _count_users(graph: Any, values: Mapping[str, Operand], needed: set[str]) -> None:
    """How many operations read each weight."""
    for op in graph.get_operations():
        for item in op.inputs if op.name in needed else ():
            held = values.get(item.name)
            if isinstance(held, Weight):
                held.users += 1


def _computed(op: Any, inputs: Sequence[Any]) -> np.ndarray | None:
    """What an operation says of a shape, or computes of a few known numbers."""
    if op.type in ("Shape", "Size", "Rank"):
        shape = op.inputs[0].shape
        if op.type == "Rank":
            return np.array(shape.rank, np.int32)
        if not shape.is_fully_defined():
            return None
        sizes = np.array(shape.as_list(), np.int32)
        return sizes if op.type == "Shape" else np.array(sizes.prod(), np.int32)
    if op.type not in _PURE or not all(isinstance(item, np.ndarray) for item in inputs):
        return None
    found = np.asarray(_PURE[op.type](op, inputs))
    return found.astype(op.outputs[0].dtype.as_numpy_dtype)


def _strided(op: Any, inputs: Sequence[Any]) -> Any:
    x, starts, stops, steps = inputs
    if op.get_attr("ellipsis_mask") or op.get_attr("new_axis_mask"):
        raise Untranslatable("an ellipsis in what is known beforehand")
    index: list[Any] = []
    for place, (start, stop, step) in enumerate(zip(starts, stops, steps, strict=True)):
        if op.get_attr("shrink_axis_mask") >> place & 1:
            index.append(int(start))
            continue
        first = None if op.get_attr("begin_mask") >> place & 1 else int(start)
        last = None if op.get_attr("end_mask") >> place & 1 else int(stop)
        index.append(slice(first, last, int(step)))
    return x[tuple(index)]


_PURE: dict[str, Callable[[Any, Sequence[Any]], Any]] = {
    "AddV2": lambda _, x: x[0] + x[1],
    "Cast": lambda _, x: x[0],
    "ConcatV2": lambda _, x: np.concatenate(x[:-1], int(x[-1])),
    "ExpandDims": lambda _, x: np.expand_dims(x[0], int(x[1])),
    "Mul": lambda _, x: x[0] * x[1],
    "Pack": lambda op, x: np.stack(x, op.get_attr("axis")),
    "Prod": lambda op, x: x[0].prod(tuple(x[1].reshape(-1)), keepdims=op.get_attr("keep_dims")),
    "Range": lambda _, x: np.arange(*(item.item() for item in x)),
    "Reshape": lambda _, x: x[0].reshape(x[1]),
    "StridedSlice": _strided,
    "Sub": lambda _, x: x[0] - x[1],
}


def _reason(kind: str) -> str:
    if "Random" in kind or "Multinomial" in kind:
        return "numbers are drawn at random: give them as an input"
    if kind in ("If", "StatelessIf", "While", "StatelessWhile", "Case"):
        return "a loop or a choice that depends on numbers: unroll it, or choose with tf.where"
    return "there is no translation"


def _open_size(op: Any, inputs: Sequence[Operand]) -> str:
    """The name of the size that is open in the result of an operation: that of its operands, times what a reshape joins."""
    for item in inputs:
        if isinstance(item, Tensor) and (found := [size for size in item.shape if isinstance(size, str)]):
            if op.type != "Reshape" or op.outputs[0].shape.rank is None:
                return found[0]
            kept = math.prod(size for size in op.outputs[0].shape.as_list() if size is not None)
            have = math.prod(size for size in item.shape if isinstance(size, int))
            factor, _, stem = found[0].rpartition("*")
            times = have * int(factor or 1)
            if times % max(kept, 1):
                raise NeedsStaticBatch
            return stem if times == kept else f"{times // kept}*{stem}"
    return "batch"


def _shape(shape: Any, size: str = "batch") -> Shape:
    if shape.rank is None:
        raise NeedsStaticBatch
    found: list[int | str] = []
    for axis, extent in enumerate(shape.as_list()):
        if extent is None and axis:
            raise NeedsStaticBatch
        found.append(size if extent is None else int(extent))
    return tuple(found)


def _dtype(dtype: Any) -> str:
    name = dtype.base_dtype.name
    if name in ("bfloat16", "half", "float16", "float64", "complex64", "complex128", "string", "variant"):
        raise Untranslatable(f"numbers of type {name}: bring the model in float32")
    return str(name)


def _class_name(path: str) -> str:
    """`dense_1` → `Dense`: what a name scope was probably made by."""
    stem = re.sub(r"_\d+$", "", path.rpartition(".")[2])
    return "".join(part.capitalize() for part in re.split(r"[^0-9a-zA-Z]+", stem) if part) or "Module"


def tokens(name: str) -> list[int]:
    """The module calls that the name of an operation speaks of."""
    return [int(token) for token in _TOKEN.findall(name)]

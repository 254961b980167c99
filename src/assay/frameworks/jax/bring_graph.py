"""From the operations of a followed module to an ONNX graph with module scopes, parameter names and roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir
from jax._src import source_info_util

from assay.errors import ModelError, UnsupportedError
from assay.frameworks.drafting import Draft, Graph, Untranslatable, Weight, line_of_code
from assay.frameworks.jax.bring_flat import Flat, Operation, Ref
from assay.frameworks.jax.bring_functions import Finder, Function
from assay.frameworks.jax.bring_ops import (  # noqa: F401  they register themselves
    arithmetic,
    indexing,
    layers,
    linear,
    recurrent,
    reduction,
    shaping,
)
from assay.frameworks.jax.bring_ops.common import TABLE, Call, Operand, Total, graph_dtype
from assay.frameworks.jax.bring_trace import Watch
from assay.nn.tensor import Shape, Tensor, graph_input

_LARGEST = 1 << 16  # elements of a result that is computed beforehand
_RANDOM = (
    "random_bits",
    "random_seed",
    "random_wrap",
    "random_fold_in",
    "random_split",
    "random_unwrap",
    "threefry2x32",
)


@dataclass
class Source:
    """A followed module in plain terms."""

    flat: Flat
    watch: Watch
    weights: dict[int, Weight]  # by the number of their value
    inputs: list[tuple[str, int]]  # name and number of every array that the user gives
    outputs: list[tuple[str, Ref]]  # name (or "") and value of every array that the module gives
    classes: dict[str, tuple[str, tuple[str, ...]]]  # module path → class name, names of the arguments of __call__


@dataclass
class Sizes(Draft):
    """Where symbolic sizes can be read, for what is written outside of any operation."""

    tracer: Graph
    sizes: Mapping[str, tuple[Tensor, int]]


@dataclass
class Translation:
    """The ONNX graph in the making."""

    source: Source
    graph: Graph
    values: dict[int, Operand] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)  # what cannot be translated → where it is used
    sizes: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    totals: dict[int, Total] = field(default_factory=dict)
    open_paths: set[str] = field(default_factory=set)

    def run(self) -> Graph:
        """Translates every operation; raises one error that names all that cannot be."""
        flat = self.source.flat
        for number, users in flat.uses().items():
            if number in self.source.weights:
                self.source.weights[number].users = users
        self.values.update(self.source.weights)
        self.open_paths = self._written_modules()
        for name, number in self.source.inputs:
            self._input(name, number)
        for number in flat.inputs:  # random keys, of which nothing can be made
            self.values.setdefault(number, self._stand_in(()))
        finder, place = Finder(flat), 0
        while place < len(flat.operations):
            operation = flat.operations[place]
            self._enter(operation)
            found = finder.found(place)
            if found is None or isinstance(self._read(found[1]), np.ndarray):
                self._operation(operation)
                place += 1
            else:
                self._function(found[0], found[1], found[2], found[4], flat.operations[place + found[3] - 1])
                place += found[3]
        self.graph.scopes = []
        if self.missing:
            listed = [f"{what} at {', '.join(dict.fromkeys(places))}" for what, places in self.missing.items()]
            raise UnsupportedError(
                f"this model uses operations that assay cannot bring yet: {'; '.join(listed)}", listed
            )
        self._outputs()
        return self.graph

    # Shapes -------------------------------------------------------------------------------------------------------

    def shape(self, aval: Any) -> Shape:
        return tuple(int(size) if isinstance(size, (int, np.integer)) else str(size) for size in aval.shape)

    def _input(self, name: str, number: int) -> None:
        aval = self.source.flat.avals[number]
        tensor = graph_input(self.graph.graph, name, self.shape(aval), graph_dtype(aval.dtype))
        self.values[number] = tensor
        for axis, size in enumerate(tensor.shape):
            if isinstance(size, str):
                self.sizes.setdefault(size, (tensor, axis))

    # Modules ------------------------------------------------------------------------------------------------------

    def _written_modules(self) -> set[str]:
        """The modules that become scopes: not those without weights that are called again and again."""
        calls: dict[str, set[int]] = {}
        for operation in self.source.flat.operations:
            for path, number in self.source.watch.scopes(*operation.scopes):
                calls.setdefault(path, set()).add(number)
        held = [weight.name for weight in self.source.weights.values()]
        return {
            path
            for path, numbers in calls.items()
            if len(numbers) == 1 or any(name.startswith(f"{path}.") for name in held)
        }

    def _enter(self, operation: Operation) -> None:
        found = self.source.watch.scopes(*operation.scopes)
        self.graph.scopes = [(path, number) for path, number in found if path in self.open_paths or path == ""]
        self.graph.line = line_of_code(user_line(operation.place))
        for path, _ in self.graph.scopes:
            class_name, arguments = self.source.classes.get(path, ("Module", ()))
            self.graph.modules.setdefault(path, {"class": class_name, "arguments": list(arguments)})

    # Operations ---------------------------------------------------------------------------------------------------

    def _read(self, item: Ref) -> Operand:
        return self.values[item] if isinstance(item, int) else item

    def _operation(self, operation: Operation) -> None:
        inputs = tuple(self._read(item) for item in operation.inputs)
        if (known := _computed(operation, inputs)) is not None:
            self.values.update(zip(operation.outputs, known, strict=True))
            return
        name, params = operation.name, operation.params
        if name == "layer":
            name, params = f"layer:{params['kind']}", dict(params["options"])
        try:
            call = self._call(name, params, inputs, operation)
            translate = TABLE.get(name)
            if translate is None:
                raise Untranslatable(_reason(name))
            found = translate(call)
        except Untranslatable as error:
            self._refused(name, error, operation)
            return
        results = found if isinstance(found, tuple) else (found,)
        self.values.update(zip(operation.outputs, results, strict=False))

    def _call(self, name: str, params: Mapping[str, Any], inputs: tuple[Operand, ...], operation: Operation) -> Call:
        shapes = tuple(self.shape(aval) for aval in operation.avals)
        dtypes = tuple(graph_dtype(aval.dtype) for aval in operation.avals)
        return Call(name, params, inputs, self.graph, shapes, dtypes, self.sizes, self.totals)

    def _refused(self, name: str, error: Untranslatable, operation: Operation) -> None:
        reason = f" ({error})" if str(error) else ""
        self.missing.setdefault(f"{name.removeprefix('layer:')}{reason}", []).append(user_line(operation.place))
        for number, aval in zip(operation.outputs, operation.avals, strict=True):
            self.values[number] = self._stand_in(self.shape(aval))

    def _stand_in(self, shape: Shape) -> Tensor:
        """A value for what cannot be translated, so that the rest can be looked at."""
        return Tensor(ir.Value(name=self.graph.name("missing")), shape, "float32")

    def _function(self, item: Function, argument: Ref, number: float | None, axis: int, last: Operation) -> None:
        """A function of `jax.nn` as its operator."""
        call = self._call(item.op_type, {}, (self._read(argument),), last)
        x = call.tensor()
        attributes = dict(item.attributes)
        if item.number is not None and number is not None:
            attributes[item.number] = number
        if item.op_type in ("Clip6", "Clip1"):
            bounds = (0.0, 6.0) if item.op_type == "Clip6" else (-1.0, 1.0)
            found = call.result("Clip", [x, *(call.scalar(bound, call.dtype) for bound in bounds)])
        elif item.op_type == "LogSigmoid":
            inner = call.node("Softplus", [call.node("Neg", [x], x.shape)], x.shape)
            found = call.result("Neg", [inner])
        elif item.op_type == "LogSumExp":
            found = call.result("ReduceLogSumExp", [x, call.integers([axis])], keepdims=0)
        elif item.over_axis:
            found = call.result(item.op_type, [x], axis=-1 if axis == x.rank - 1 else axis)
        else:
            found = call.result(item.op_type, [x], **attributes)
        self.values[last.outputs[0]] = found

    # Outputs ------------------------------------------------------------------------------------------------------

    def _outputs(self) -> None:
        graph = self.graph.graph
        taken = {value.name for value in [*graph.inputs, *graph.initializers.values()]}
        draft = Sizes(self.graph, self.sizes)
        for name, item in self.source.outputs:
            found = self._read(item)
            if isinstance(found, np.ndarray):
                found = self.graph.constant(found.astype(graph_dtype(found.dtype)))
            tensor = found.plain(self.graph) if isinstance(found, Weight) else found
            if tensor.value.producer() is None or tensor.value.is_graph_output():
                tensor = draft.node("Identity", [tensor], tensor.shape)
            if name and name not in taken:
                tensor.value.name = name
            taken.add(tensor.value.name)
            graph.outputs.append(tensor.value)
        if not graph.outputs:
            raise ModelError("the module gives no array")


def _computed(operation: Operation, inputs: tuple[Operand, ...]) -> list[np.ndarray] | None:
    """The results of an operation on what is known, computed by jax."""
    if operation.primitive is None or not all(isinstance(item, np.ndarray) for item in inputs):
        return None
    for aval in operation.avals:
        sizes = getattr(aval, "shape", ())
        if not all(isinstance(size, (int, np.integer)) for size in sizes) or np.prod(sizes, dtype=float) > _LARGEST:
            return None
        if str(aval.dtype).startswith("key"):
            return None
    if operation.name in _RANDOM or operation.name == "layer":
        return None
    try:
        found = operation.primitive.bind(*inputs, **operation.params)
    except NotImplementedError:
        return None
    results = found if operation.primitive.multiple_results else [found]
    return [np.asarray(item) for item in results]


def _reason(name: str) -> str:
    if name in _RANDOM:
        return "numbers are drawn at random in evaluation: give them as an input"
    if name in ("while", "cond", "scan"):
        return "a loop or a choice that depends on numbers: unroll it, or choose with jnp.where"
    return "there is no translation"


def user_line(place: Any) -> str:
    """Where in the user's own code an operation stands: `net.py:14`."""
    for item in [] if place is None else source_info_util.user_frames(place.traceback):
        if not any(part in item.file_name for part in ("/flax/", "/assay/frameworks/", "/jax/")):
            return f"{item.file_name}:{item.start_line}"
    return "code without a known place"

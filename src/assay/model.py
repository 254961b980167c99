"""`Model`: what bringing hands over, an ONNX graph with what training needs riding along."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir

from assay.errors import ModelError, unknown
from assay.structure import Structure, from_data

if TYPE_CHECKING:
    from assay.nn.optimizers import Training
    from assay.show.summary import Summary
    from assay.write.package import Package

# Metadata keys. They travel inside the ONNX file, so that a model written to disk and brought back keeps its structure.
SCOPE = "assay.scope"  # on a node: JSON list of [path, call number] from the outermost module to the innermost
MODULES = "assay.modules"  # on the graph: JSON object path → {"class": name, "arguments": [names]}
WORKLOAD = "assay.workload"  # on the graph: the built-in workload whose training and data the model has
TRAINING = "assay.training"  # on the graph: JSON of the loss, the optimizer and their numbers (see `nn.records`)
TARGET = "assay.target"  # on the graph: what the targets of the loss are called
ROLE = "assay.role"  # on an initializer: "parameter", "statistic" or "constant"
EXACT = "assay.exact"  # on a constant of one floating number: the number meant, where the graph's type cannot hold it
ORIGIN = (
    "assay.origin"  # on an initializer: JSON list of maps, the source's parameters that it is made of, if not itself
)
ALIASES = "assay.aliases"  # on an initializer: JSON list of other names that the source has for the same parameter
KEPT = (
    "assay.kept"  # on a constant that is part of the source's state: a buffer ("1"), an unused parameter ("parameter")
)
VARIANCE = "assay.running_variance"  # on a batch normalisation: "unbiased" where the source averages that one
DROPS = "assay.drops"  # on a dropout: "examples" where whole ones are dropped (stochastic depth), not elements
LINE = "assay.line"  # on a node: the line of the source's code that it comes from, as `net.py:14: x = torch.tanh(x)`
SOURCE = "assay.source"  # on the graph: the framework whose model it was
STRUCTURE = "assay.structure"  # on the graph: JSON of how the outputs lie in one another (see `structure`), if not flat
NOTES = "assay.notes"  # on the graph: JSON list of what is not as in the source


@dataclass(frozen=True)
class ModuleInfo:
    """A module of the source: its class, and what its forward method calls its arguments."""

    class_name: str
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model in ONNX, in evaluation form, with module paths, parameter roles and (optionally) how it is trained.

    Batch normalisation keeps its running statistics as initializers and dropout stays in the graph with its ratio, so
    that every framework's trainable form can be written from it.
    """

    name: str
    ir: onnx_ir.Model
    training: Training | None = None
    dataset: str | None = None  # the name of the workload whose data it is trained on
    target: str = "targets"  # what the targets of the loss are called in written code
    _modules: dict[str, ModuleInfo] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _plain(self.name))

    @property
    def graph(self) -> onnx_ir.Graph:
        return self.ir.graph

    @property
    def modules(self) -> dict[str, ModuleInfo]:
        """Module path → its class and argument names; the root is the empty path."""
        if not self._modules:
            recorded = json.loads(self.graph.metadata_props.get(MODULES, "{}"))
            found = {path: ModuleInfo(info["class"], tuple(info["arguments"])) for path, info in recorded.items()}
            self._modules.update(found or {"": ModuleInfo("Model")})
        return self._modules

    @property
    def notes(self) -> tuple[str, ...]:
        """What is not as in the source, said when the model was brought."""
        return tuple(json.loads(self.graph.metadata_props.get(NOTES, "[]")))

    @property
    def structure(self) -> Structure:
        """How the outputs lie in one another: what the source's forward method gives, and written ones too."""
        count = len(self.graph.outputs)
        noted = self.graph.metadata_props.get(STRUCTURE)
        return Structure.flat(count) if noted is None else from_data(json.loads(noted), count)

    def role(self, value: onnx_ir.Value) -> str:
        """`parameter` (trained), `statistic` (a running average) or `constant`."""
        return value.metadata_props.get(ROLE, "parameter" if _is_floating(value) else "constant")

    def parameters(self) -> Iterator[onnx_ir.Value]:
        """The initializers that training changes, in the graph's order."""
        return (value for value in self.graph.initializers.values() if self.role(value) == "parameter")

    def weights(self) -> dict[str, np.ndarray]:
        """Name → array of every parameter and statistic."""
        return {
            name: value.const_value.numpy()
            for name, value in self.graph.initializers.items()
            if value.const_value is not None and self.role(value) != "constant"
        }

    def with_weights(self, arrays: dict[str, np.ndarray]) -> Model:
        """A copy of the model that holds these arrays, by initializer name; shapes must agree."""
        copy = self.ir.clone()
        for name, array in arrays.items():
            value = copy.graph.initializers.get(name)
            if value is None or value.const_value is None:
                raise ModelError(f"{self.name} has no parameter {name!r}")
            expected = tuple(value.const_value.shape.numpy())
            if expected != array.shape:
                raise ModelError(f"{self.name}: {name} has shape {expected}, the array given has {array.shape}")
            value.const_value = onnx_ir.tensor(array.astype(value.const_value.dtype.numpy(), copy=False), name=name)
        return replace(self, ir=copy, _modules={})

    def trained_by(self, training: Training, notes: Sequence[str] = (), output: str | None = None) -> Model:
        """A copy of the model that is trained like this; its loss reads the first output, or the one of this name, which
        is the graph's first then. Raises `NotFoundError` for a name that no output has.
        """
        copy = self.ir.clone()
        said = [*self.notes, *notes]
        before = list(copy.graph.outputs)
        names = [value.name or "" for value in before]
        if output is not None and output not in names:
            raise unknown("output", output, names)
        first = before[0 if output is None else names.index(output)]
        others = [value for value in before if value is not first]
        if others:
            said.append(f"the loss reads {first.name}, not {', '.join(value.name or '' for value in others)}")
        if first is not before[0]:
            after = [first, *others]
            moved = {place: after.index(value) for place, value in enumerate(before)}
            copy.graph.outputs.clear()
            copy.graph.outputs.extend(after)
            copy.graph.metadata_props[STRUCTURE] = json.dumps(self.structure.moved(moved).to_data())
        if said:
            copy.graph.metadata_props[NOTES] = json.dumps(said)
        return replace(self, ir=copy, training=training, dataset=None, _modules={})

    def to_onnx(self, path: str | Path) -> tuple[Path, ...]:
        """Saves the model as an ONNX file that comes back as it was; returns the files written. See `assay.graph.export`."""
        from assay.graph.export import to_onnx

        return to_onnx(self, Path(path))

    def write(self, framework: str) -> Package:
        """The native code for a framework; see `assay.write.write`."""
        from assay.write import write

        return write(self, framework)

    def summary(self, sizes: Mapping[str, int] | None = None) -> Summary:
        """The modules with their outputs, parameters and multiply-accumulates; see `assay.verbs.summary.summary`."""
        from assay.verbs.summary import summary

        return summary(self, sizes)


def lift_constants(model: Model) -> None:
    """Every `Constant` becomes an initializer of the main graph that is not trained."""
    from onnx_ir.passes.common import LiftConstantsToInitializersPass, LiftSubgraphInitializersToMainGraphPass

    for node in onnx_ir.traversal.RecursiveGraphIterator(model.graph):
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            node.outputs[0].metadata_props[ROLE] = "constant"
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model.ir)
    LiftSubgraphInitializersToMainGraphPass()(model.ir)


def shape_of(value: onnx_ir.Value) -> tuple[int | str, ...]:
    """A value's shape: an int for a known size, a name for a symbolic one."""
    if value.shape is None:
        raise ModelError(f"the shape of {value.name!r} is not known")
    return tuple(dim if isinstance(dim, int) else str(dim.value or "?") for dim in value.shape)


def sizes_of(value: onnx_ir.Value) -> tuple[int, ...]:
    """The shape of a value whose every size is known, such as a parameter."""
    shape = shape_of(value)
    known = tuple(size for size in shape if isinstance(size, int))
    if len(known) != len(shape):
        raise ModelError(f"{value.name!r} has shape {shape}, of which every size must be known here")
    return known


def constant_of(value: onnx_ir.Value | None) -> np.ndarray | None:
    """The array a value always has (an initializer, or a Constant node's), or None."""
    if value is None:
        return None
    if value.const_value is not None:
        return value.const_value.numpy()
    producer = value.producer()
    if producer is not None and producer.op_type == "Constant":
        return next(iter(producer.attributes.values())).as_tensor().numpy()
    return None


def exact_of(value: onnx_ir.Value) -> float | None:
    """The one number that a constant stands for, in full precision, if the source's is known."""
    text = value.metadata_props.get(EXACT)
    return None if text is None else float(text)


def scope_of(node: onnx_ir.Node) -> tuple[tuple[str, int], ...]:
    """The module calls around a node, outermost first: (path, call number)."""
    return tuple((path, call) for path, call in json.loads(node.metadata_props.get(SCOPE, "[]")))


def subgraphs_of(node: onnx_ir.Node) -> list[onnx_ir.Graph]:
    """The graphs that a node holds itself, such as the branches of an `If`; those inside them are `graph.subgraphs()`."""
    return [item.as_graph() for item in node.attributes.values() if item.type == onnx_ir.AttributeType.GRAPH]


def aliases_of(value: onnx_ir.Value) -> list[str]:
    """The names that the source has for a parameter: the graph's own, then those of other modules that hold it too."""
    return [value.name or "", *json.loads(value.metadata_props.get(ALIASES, "[]"))]


def attributes_of(node: onnx_ir.Node) -> dict[str, Any]:
    """A node's attributes as plain values; float32 numbers come back as they were meant (see `intended`)."""
    found: dict[str, Any] = {}
    for name, attribute in node.attributes.items():
        value = attribute.value
        if attribute.type == onnx_ir.AttributeType.FLOAT:
            value = intended(value)
        elif attribute.type == onnx_ir.AttributeType.FLOATS:
            value = [intended(item) for item in value]
        found[name] = value
    return found


def intended(number: float) -> float:
    """The number that somebody stored as a float32 attribute: 1e-5, not 9.999999747e-06; 1/6, not 0.16666667163.

    A small fraction if the float32 is that of one with a denominator up to 12, else the shortest decimal.
    """
    single = np.float32(number)
    decimal = float(str(single))
    if len(str(single).strip("-0.").replace(".", "")) < 7:
        return decimal
    fraction = Fraction(float(single)).limit_denominator(12)
    return float(fraction) if np.float32(float(fraction)) == single else decimal


def meant(array: np.ndarray) -> Any:
    """The numbers of an array as Python's own, nested as its axes are; those in float32 as they were meant (see `intended`)."""
    if array.dtype != np.float32:
        return array.tolist()
    finite = np.vectorize(lambda item: intended(item) if math.isfinite(item) else float(item), otypes=[object])
    return finite(array).tolist() if array.size else array.tolist()


def _plain(name: str) -> str:
    """A name that can stand in a docstring and on a line: nothing that ends a string, begins an escape or breaks the line."""
    text = " ".join("".join(" " if c in '"\\' or not c.isprintable() else c for c in name).split())
    return text[:80].strip() or "model"


def _is_floating(value: onnx_ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()

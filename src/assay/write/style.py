"""How a framework's people write classes: what is the same for every model and differs between frameworks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from assay.graph.calls import Call
from assay.model import Model
from assay.write.table import Argument, NativeWeight
from assay.write.weights import Step

if TYPE_CHECKING:
    from assay.write.body import Builder
    from assay.write.parts import Index, LayerConstruct, Path


@dataclass(frozen=True)
class Parameter:
    """An argument of a written class: `channels: int`."""

    name: str
    type: str


@dataclass
class Style:
    """The base of all styles. Text is given without indentation; a class's body is indented by the renderer."""

    framework: str
    array: str  # the type of an array, in annotations
    has_sequential: bool  # a container that can be called
    imports: dict[str, str]  # a regular expression → the import that code matching it needs
    reserved: frozenset[str] = frozenset()  # attribute names that the framework's base classes use
    forward: str = "forward"
    line_length: int = 120
    ties: bool = False  # whether layers of two modules can hold one parameter
    elements: str = ""  # the attribute of a callable container that holds its elements; "" for the container itself
    nests: bool = False  # whether a container can be an element of another
    elements_of_one: int = 1  # how many elements of a container may stand for one of the source
    saves_attributes: bool = False  # whether users know parameters by the attributes that lead to them (`state_dict`)
    names_elements: bool = False  # whether the elements of a container can have names (`named_sequential`)
    has_records: bool = True  # whether a model may give a named tuple
    local_file: str | None = None  # a file (or folder of files) beside the style with local classes, copied where used
    layers: frozenset[str] = frozenset()  # kinds of call that are layers even without weights (Dropout)
    root_takes_training: bool = False  # whether the model's own forward method has `training` in any case
    trained: frozenset[str] = field(default_factory=lambda: frozenset({"Dropout", "BatchNormalization"}))

    def is_layer(self, call: Call) -> bool:
        """Whether a call becomes an attribute that can be called with one value."""
        return (bool(call.weights) or call.kind in self.layers) and not call.kind.startswith("Recurrent")

    def differs_in_training(self, kind: str) -> bool:
        return kind in self.trained

    def can_hold(self, kinds: Sequence[str]) -> bool:
        """Whether a container can hold elements of these kinds (see `Builder._kind_of`)."""
        if self.has_sequential:
            return "function" not in kinds
        return len(set(kinds)) == 1 and kinds[0].startswith(("layer", "module"))

    def class_line(self, name: str, is_root: bool, is_dictionary: bool = False) -> str:
        """`class Block(nn.Module):`; the root is the whole model. `is_dictionary`: its parts are items of itself."""
        raise NotImplementedError

    def before_class(self, model: Model, name: str) -> list[str]:
        """Decorators."""
        return []

    def init_line(self, parameters: Sequence[Parameter]) -> str:
        """`def __init__(self, channels: int) -> None:`."""
        listed = "".join(f", {parameter.name}: {parameter.type}" for parameter in parameters)
        return f"def __init__(self{listed}) -> None:"

    def init_start(self) -> list[str]:
        """The first lines of the constructor."""
        return ["super().__init__()"]

    def after_init(self, parameters: Sequence[Parameter]) -> list[str]:
        """More methods after the constructor, such as `get_config`."""
        return []

    def forward_line(
        self, arguments: Sequence[str], returns: str, needs_training: bool, lists: Collection[str] = ()
    ) -> str:
        """`def forward(self, x: Tensor) -> Tensor:`, with the type of the result; `lists`: the arguments that are lists."""
        raise NotImplementedError

    def module_call(self, reference: str, operands: Sequence[str], needs_training: bool) -> str:
        """A call of a module that is written too."""
        return f"{reference}({', '.join(operands)})"

    def extra_arguments(self, construct: LayerConstruct | None, name: str | None) -> list[str]:
        """Arguments that every construct gets: `rngs=rngs`, `name="conv1"`. `construct` is None for a written class."""
        return []

    def sequential(self, elements: list[str], name: str) -> tuple[str, list[str], str]:
        """A callable container as (opening, elements, closing)."""
        return "nn.Sequential(", elements, ")"

    def named_sequential(self, names: Sequence[str]) -> tuple[str, list[str], str]:
        """A callable container whose elements have names: its opening, what stands before each element, with a bracket to be
        closed after it, and its closing."""
        raise NotImplementedError

    def module_list(self, elements: list[str]) -> tuple[str, list[str], str]:
        """A container that only holds."""
        return "[", elements, "]"

    def dictionary(self) -> str:
        """What makes a module of a dictionary of modules, if `saves_attributes`."""
        raise NotImplementedError

    def repeated(self, element: str, count: int | str, sequential: bool, variable: str = "_") -> str:
        """The same construct several times, in a container. `variable`: what counts them, where the construct speaks of it."""
        return f"[{element} for {variable} in range({count})]"

    def numbered(self, names: Sequence[str], element: str, count: str) -> list[str]:
        """The lines of the constructor that make attributes `layer1`, `layer2` …, each from the one element, which may speak of
        its place from 0 on as `i`. `count`: how many, where it differs between instances of the class."""
        raise NotImplementedError

    def named_repeated(self, names: Sequence[str], element: str, count: str) -> str:
        """A callable container of elements that are called `layer1`, `layer2` …, as `numbered` makes attributes."""
        raise NotImplementedError

    def sizes(self, builder: Builder, array: np.ndarray) -> str:
        """The shape of a parameter as source text; sizes that differ between instances become arguments of the class."""
        sizes = [builder.literal(size, "size") for size in array.shape]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    def parameter(
        self, builder: Builder, name: str, value: ir.Value, role: str, steps: tuple[Step, ...]
    ) -> tuple[str, NativeWeight | None]:
        """The construct of a bare parameter (or of a constant array), and where its value comes from: None if it is all there."""
        raise NotImplementedError

    def holder(self, parameters: Mapping[str, str]) -> str | None:
        """The construct of something that only holds parameters, by name; None where there is no such thing."""
        return None

    def constant(self, value: ir.Value) -> str | None:
        """A constant array as an expression, where a person would write its numbers; None for one to be kept as an attribute."""
        return None

    def build_line(self, arguments: Sequence[str]) -> str:
        """The method that makes the parameters of a class inside the model, if the constructor does not: `def build(…):`."""
        return ""

    def method_line(self, name: str, arguments: Sequence[str], returns: str) -> str:
        """The line of a further method: `def body(self, x: Tensor) -> Tensor:`."""
        return self.forward_line(arguments, returns, False).replace(f"def {self.forward}(", f"def {name}(", 1)

    def parameter_reference(self, name: str) -> str:
        """How the forward method refers to a bare parameter."""
        return f"self.{name}"

    def turned(self, text: str, order: Sequence[int]) -> str:
        """A parameter with its axes in another order."""
        raise NotImplementedError

    def attribute_path(self, path: Path, leaf: str) -> str:
        """The attributes that lead from a module to a parameter inside it: `blocks[0].linear.weight`."""
        from assay.write.parts import Index

        text = ""
        for part in (*path, *([leaf] if leaf else [])):
            if isinstance(part, Index):
                text += f"{self.elements if part.sequential else ''}[{part.number}]"
            elif part.isidentifier():
                text += f".{part}" if text else part
            else:  # in a dictionary of modules
                text += f'["{part}"]'
        return text

    def native_path(self, path: Path, leaf: str) -> str:
        """The key of a parameter in weights.safetensors."""
        from assay.write.parts import Index

        parts = [str(part.number) if isinstance(part, Index) else part for part in path]
        return ".".join(filter(None, [*parts, leaf]))

    def root_path(self, model: Model) -> str:
        """What stands before every native path."""
        return ""

    def header(self, model: Model) -> str:
        """The module docstring of model.py."""
        return f'"""{model.name} in {self.framework}."""'

    def footer(self, model: Model, class_name: str, argument_names: Sequence[str], tied: bool = False) -> str:
        """`load()` and whatever else stands below the classes. `tied`: layers hold parameters together."""
        raise NotImplementedError


def element_name(path: str | Index) -> str:
    """A part of a path as text."""
    return path if isinstance(path, str) else str(path.number)


__all__ = ["Argument", "Parameter", "Style", "element_name"]

"""The parts of a class body in the making: constructs for the constructor, statements for the forward method.

Values and literals stand in the text of statements as tokens, until the names of variables and the arguments of classes
are known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from assay.graph.layout import stored_shape
from assay.structure import Structure
from assay.write.table import Argument, NativeWeight

TOKEN = re.compile("\x01([vl]):(\\d+):(\\d+)\x02")
REFERENCE = re.compile("\x01r:(\\d+):(\\d+)\x02")  # to a weight that a module inside holds


HEAVY = {"Linear", "Conv", "ConvTranspose", "RecurrentLSTM", "RecurrentGRU", "Attention"}


@dataclass(eq=False)
class Temporary:
    """A value that exists in written code only."""

    hint: str
    shape: tuple[int | str, ...] | None = None


@dataclass(eq=False)
class ListOf(Temporary):
    """Several values in one list: what a module takes, or what a list holds before more is appended to it."""

    elements: list[Value] = field(default_factory=list)


Value = ir.Value | Temporary


@dataclass(eq=False)
class Literal:
    """A number (or other constant) in written code that may become an argument of its class."""

    value: Any
    hint: str
    default: Any = None
    has_default: bool = False


@dataclass(frozen=True)
class Index:
    """A place in a container, as part of a native path."""

    number: int
    sequential: bool


Path = tuple["str | Index", ...]


class Construct:
    """What stands on the right of `self.attribute =`."""


@dataclass(eq=False)
class LayerConstruct(Construct):
    """A layer of the framework, or a local one."""

    callee: str
    arguments: list[tuple[Argument, Literal]]


@dataclass(eq=False)
class TextConstruct(Construct):
    """Source text, possibly with literal tokens: a parameter, a function as an object."""

    text: str


@dataclass(eq=False)
class InstanceConstruct(Construct):
    """An instance of a class that is written too."""

    body: Body


@dataclass(eq=False)
class Series:
    """The instances of one class that a container holds, where their arguments are the same or grow by steps of one size."""

    count: Literal
    first: list[Literal]
    steps: list[Literal | None]  # None: the same for all


@dataclass(eq=False)
class SequenceConstruct(Construct):
    """Several constructs in a container: called one after another (`sequential`), or only held."""

    elements: list[Construct]
    sequential: bool
    names: list[str] | None = None  # the source's names of its elements, where they are not 0, 1, 2 …
    labels: list[str] | None = None  # what tells the elements apart where each has a name; None: 0, 1, 2 …
    series: Series | None = None  # known once the classes of its elements are


@dataclass(eq=False)
class DictConstruct(Construct):
    """Constructs in a dictionary of modules, by the source's names. Under the name "" the module itself is that dictionary."""

    elements: dict[str, Construct]


@dataclass(eq=False)
class Statement:
    """`targets = text`, with the nodes it comes from. A light one may be nested into another; a nestable result too."""

    targets: list[Value | None]
    text: str
    nodes: tuple[ir.Node, ...]
    precedence: int = 100
    light: bool = False
    loop: str | None = None  # `for … in …:`, the line that stands before it
    heavy: bool = False  # a layer that mixes features, or a module: two of them in one expression are hard to read
    cost: int = 1  # how much of an expression's depth it takes
    chained: Value | None = None  # what the first turn of the loop takes, and every other from the one before
    appends_to: ListOf | None = None  # the list that the result is put into, instead of a variable
    in_place: str | None = None  # the sign of `a + b` where the result may take the memory of `a`: `a += b`


@dataclass(eq=False)
class Method:
    """A further method of a class: the body of a subgraph. Its attributes, literals and values are those of the class."""

    name: str
    body: Body
    captured: list[ir.Value]  # values from outside, the last arguments

    def call(self, *arguments: str) -> str:
        return f"self.{self.name}({', '.join(arguments)})"


@dataclass(eq=False)
class Body:
    """The body of one module instance."""

    class_name: str
    path: str
    arguments: list[str]
    inputs: list[Value]
    outputs: list[Value]
    attributes: dict[str, Construct] = field(default_factory=dict)
    statements: list[Statement] = field(default_factory=list)
    needs_training: bool = False
    weights: list[tuple[Path, NativeWeight]] = field(default_factory=list)
    literals: list[Literal] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    references: list[tuple[ir.Value, tuple[int, ...]]] = field(
        default_factory=list
    )  # weights of modules inside that are read from here, and the order of their axes; () for ONNX's
    nodes: list[ir.Node] = field(default_factory=list)
    instance_arguments: list[Literal] = field(default_factory=list)  # known once classes are unified
    written_class: str = ""
    methods: list[Method] = field(default_factory=list)
    structure: Structure | None = None  # of the outputs, where these are no plain tuple
    ties: list[str] = field(
        default_factory=list
    )  # lines that make layers hold one parameter, at the end of the constructor

    def children(self) -> list[Body]:
        """The bodies of the classes that this one instantiates, in order."""
        found: list[Body] = []

        def collect(construct: Construct) -> None:
            if isinstance(construct, InstanceConstruct):
                found.append(construct.body)
            elif isinstance(construct, SequenceConstruct):
                for element in construct.elements:
                    collect(element)
            elif isinstance(construct, DictConstruct):
                for element in construct.elements.values():
                    collect(element)

        for construct in self.attributes.values():
            collect(construct)
        return found


def operands(body: Body, text: str) -> list[Value]:
    """The values that the tokens of a text stand for, in order."""
    return [body.values[int(found.group(2))] for found in TOKEN.finditer(text) if found.group(1) == "v"]


def structure_of_body(body: Body) -> Structure:
    """How the outputs of a body lie in one another."""
    return body.structure or Structure.flat(len(body.outputs))


def shape_of_value(value: Value) -> tuple[int | str, ...] | None:
    """The stored shape of a value, for comments."""
    if isinstance(value, Temporary):
        return value.shape
    return stored_shape(value) if value.shape is not None else None

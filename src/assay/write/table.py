"""The lowering table of a framework, and the words in which its rules speak.

A *row* is an operator that is one function call under another name. A *rule* is a Python function that writes statements
for a call. A rule that adds a layer also says where the layer's weights come from. Registering an operator twice raises;
a rule that leaves an attribute unread refuses the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from assay.errors import UnsupportedError
from assay.graph.calls import Call
from assay.write.weights import Step

if TYPE_CHECKING:
    from assay.write.body import Builder

NO_DEFAULT: Any = object()
Rule = Callable[[Call, "Builder"], None]
Condition = Callable[[Call], bool]


@dataclass(frozen=True)
class Raw:
    """Source text where a literal value is expected: `rngs=rngs`, `dtype=tf.int64`."""

    text: str


@dataclass(frozen=True)
class Argument:
    """An argument of a constructor. It is left out where its value is the framework's own default."""

    value: Any
    name: str | None = None  # None: positional
    default: Any = NO_DEFAULT
    hint: str = "value"  # what it is called if it becomes an argument of the class around it


def positional(value: Any, hint: str) -> Argument:
    """An argument given by place."""
    return Argument(value, None, hint=hint)


def keyword(name: str, value: Any, default: Any = NO_DEFAULT) -> Argument:
    """An argument given by name; left out where it equals `default`."""
    return Argument(value, name, default, name)


@dataclass(frozen=True)
class NativeWeight:
    """A parameter of a layer: its name in the layer, and where its value comes from."""

    leaf: str
    source: ir.Value
    steps: tuple[Step, ...] = ()
    index: tuple[tuple[int, int] | None, ...] = ()
    rows: tuple[int, int] | None = None  # of the parameter, where several sources stand in it one below the other


@dataclass(frozen=True)
class Row:
    """An operator that is one expression. `{0}`, `{1}` … stand for its inputs, in order; `{all}` for all of them, with commas."""

    template: str
    module: str | None = None  # the same as an object, for containers: nn.ReLU()
    precedence: int = 100


@dataclass
class Table:
    """How one framework says each kind of call."""

    framework: str
    rows: dict[str, Row] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    conditions: dict[str, Condition] = field(default_factory=dict)  # which calls of its kind a rule is for

    def row(self, kind: str, template: str, module: str | None = None, precedence: int = 100) -> None:
        """Registers an operator that is one expression."""
        self._refuse_duplicate(kind)
        self.rows[kind] = Row(template, module, precedence)

    def rule(self, *kinds: str, when: Condition | None = None) -> Callable[[Rule], Rule]:
        """Registers a function that writes these kinds of call.

        `when` says which calls it is for; others are written by the operators that ONNX defines theirs with.
        """

        def register(function: Rule) -> Rule:
            for kind in kinds:
                self._refuse_duplicate(kind)
                self.rules[kind] = function
                if when is not None:
                    self.conditions[kind] = when
            return function

        return register

    def _refuse_duplicate(self, kind: str) -> None:
        if kind in self.rows or kind in self.rules:
            raise ValueError(f"{self.framework}: {kind} is registered twice")

    def knows(self, kind: str) -> bool:
        return kind in self.rows or kind in self.rules

    def takes(self, call: Call) -> bool:
        """Whether there is a row or a rule for this call."""
        return self.knows(call.kind) and (call.kind not in self.conditions or self.conditions[call.kind](call))

    def check(self, calls: Iterable[Call]) -> None:
        """Raises one error that names every operator without a row or rule."""
        missing: dict[str, int] = {}
        for call in calls:
            if not self.knows(call.kind):
                missing[call.kind] = missing.get(call.kind, 0) + 1
        if missing:
            listed = [f"{kind} ({count}×)" for kind, count in missing.items()]
            raise UnsupportedError(f"{self.framework} has no way to write: {', '.join(listed)}", listed)

    def write(self, call: Call, builder: Builder) -> None:
        """Writes one call; refuses it if anything about it was not taken into account."""
        if call.kind in self.rows:
            self._write_row(self.rows[call.kind], call, builder)
        else:
            self.rules[call.kind](call, builder)
        if unread := call.unread():
            raise UnsupportedError(
                f"{self.framework} cannot write {call.kind} with {', '.join(f'{name}={call.attributes.get(name)!r}' for name in unread)}",
                [f"{call.kind}: {name}" for name in unread],
            )

    def _write_row(self, row: Row, call: Call, builder: Builder) -> None:
        level = row.precedence if row.precedence < 100 else 0
        given = [value for value in call.inputs if value is not None]
        # Between signs a number may stand for an array; a function may want arrays only.
        use = builder.use if level and builder.may_be_numbers(given) else builder.array
        operands = [use(value, level + (index > 0 and level > 0)) for index, value in enumerate(given)]
        builder.emit(
            call.y,
            row.template.format(*operands, all=", ".join(operands)),
            precedence=row.precedence,
            light=True,
            module=row.module,
        )

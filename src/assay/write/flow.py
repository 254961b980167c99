"""The statements of a body as a person writes them: short calls nested, variables named and reused."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import onnx_ir as ir

from assay.graph.names import identifier, unique
from assay.write.parts import (
    TOKEN,
    Body,
    ListOf,
    Statement,
    Temporary,
    Value,
    shape_of_value,
    structure_of_body,
)
from assay.write.parts import operands as operands_of
from assay.write.results import expression

HINT = "assay.hint"  # in `value.meta`: what a person would call this value
_GENERIC = ("x", "y", "z", "u", "w")
_DEEPEST = 3  # calls nested in one expression
_METHOD = re.compile("^\x01v:\\d+:\\d+\x02\\.\\w+\\(")
_LONGEST = 64  # columns of an expression that may still be nested


@dataclass(frozen=True)
class Line:
    """A line of a forward method: text with literal tokens, the value it makes (for the comment), its nodes."""

    text: str
    value: Value | None
    nodes: tuple[ir.Node, ...]
    indent: int = 0


_ITSELF = re.compile(r"(\w+) = \1")


def forward_lines(body: Body) -> tuple[list[str], list[Line]]:
    """The names of the arguments and the lines of the forward method, `return` included."""
    names = _Names(body)
    structure = structure_of_body(body)
    whole = structure.is_flat or len(body.outputs) == 1  # one call may give everything
    lines: list[Line] = []
    for place, statement in enumerate(body.statements):
        last = place == len(body.statements) - 1
        if last and whole and statement.loop is None and _gives(statement, body.outputs):
            given = names.render(statement.text)
            result = given if structure.is_flat else expression(structure, [given])
            lines.append(Line(f"return {result}", _shown(statement), statement.nodes))
            return names.arguments, lines
        for line in names.lines(place, statement):
            if lines and _ITSELF.fullmatch(line.text):  # a change of layout that is none in this order of axes
                lines[-1] = replace(lines[-1], nodes=(*lines[-1].nodes, *line.nodes))
            else:
                lines.append(line)
    result = expression(structure, [names.of(value) for value in body.outputs])
    return names.arguments, [*lines, Line(f"return {result}", None, ())]


def _gives(statement: Statement, outputs: list[Value]) -> bool:
    wanted = [value for value in statement.targets if value is not None]
    return (
        len(wanted) == len(outputs)
        and all(a is b for a, b in zip(wanted, outputs, strict=True))
        and len(wanted) == len(statement.targets)
    )


def _shown(statement: Statement) -> Value | None:
    made = [value for value in statement.targets if value is not None]
    return made[0] if len(made) == 1 else None


def nest(body: Body) -> None:
    """Writes a result that is used once, by the very next statement, into that statement, while it stays easy to read."""
    counts: dict[int, int] = {}
    for statement in body.statements:
        for value in operands_of(body, statement.text):
            counts[id(value)] = counts.get(id(value), 0) + 1
    outputs = {id(value) for value in body.outputs}
    kept: list[Statement] = []
    for statement in body.statements:
        # A method call on a plain variable, `x.flatten(1)`, reads like the variable itself.
        method = _METHOD.match(statement.text) is not None
        own = statement.cost
        units = 0 if method else own
        while kept:
            before = kept[-1]
            target = before.targets[0] if len(before.targets) == 1 else None
            total = max(units, own) + before.cost
            if (
                target is None
                or counts.get(id(target), 0) != 1
                or id(target) in outputs
                or not any(value is target for value in operands_of(body, statement.text))
                or not (statement.light and before.light and before.loop is None and statement.loop is None)
                or total > _DEEPEST
                or (statement.heavy and before.heavy)
                or (isinstance(target, ir.Value) and HINT in target.meta)
                or before.in_place is not None
                or (statement.in_place is not None and target is operands_of(body, statement.text)[0])
            ):
                break
            merged = _substitute(body, statement.text, target, before)
            if len(_plain(merged)) > _LONGEST:
                break
            statement.text = merged
            statement.nodes = (*before.nodes, *statement.nodes)
            statement.heavy |= before.heavy
            units = total
            kept.pop()
        statement.cost = units
        kept.append(statement)
    body.statements = kept


def _plain(text: str) -> str:
    """The text with tokens as short names, to judge its length independently of an instance's numbers."""
    return TOKEN.sub(lambda found: "x" if found.group(1) == "v" else "123", text)


def _substitute(body: Body, text: str, target: Value, statement: Statement) -> str:
    def replace(found: re.Match[str]) -> str:
        if found.group(1) == "v" and body.values[int(found.group(2))] is target:
            needed = 100 if text[found.end() : found.end() + 1] in (".", "[") else int(found.group(3))
            return f"({statement.text})" if statement.precedence < needed else statement.text
        return found.group(0)

    return TOKEN.sub(replace, text)


def _assignment(targets: list[str], right: str, in_place: str | None) -> str:
    """`y = x + z`; `y += z` where the statement overwrites its first operand."""
    if in_place is not None and right.startswith(start := f"{targets[0]} {in_place} "):
        return f"{targets[0]} {in_place}= {right.removeprefix(start)}"
    return f"{', '.join(targets)} = {right}"


class _Names:
    """Variables of a forward method: a name is taken over as soon as its value is used up."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.names: dict[int, str] = {}
        self.last_use: dict[int, int] = {}
        for place, statement in enumerate(body.statements):
            for value in operands_of(body, statement.text):
                self.last_use[id(value)] = place
        for value in body.outputs:
            self.last_use[id(value)] = len(body.statements)
        self.arguments = self._argument_names()
        for name, value in zip(self.arguments, body.inputs, strict=True):
            self.names[id(value)] = name

    def _argument_names(self) -> list[str]:
        """The source's own names where they are known; else the graph input's, a hint, or x, y, z …"""
        wanted = [identifier(name) for name in self.body.arguments]
        if len(wanted) != len(self.body.inputs):
            wanted = [
                self._hint(value) or (_GENERIC[place] if place < len(_GENERIC) else f"x{place}")
                for place, value in enumerate(self.body.inputs)
            ]
        found: list[str] = []
        for name in wanted:
            found.append(unique(name, found))
        return found

    @staticmethod
    def _hint(value: Value) -> str | None:
        if isinstance(value, Temporary):
            return identifier(value.hint)
        if value.is_graph_input():
            return identifier(value.name or "x")
        hint = value.meta.get(HINT)
        return identifier(hint) if hint else None

    def of(self, value: Value) -> str:
        return self.names[id(value)]

    def render(self, text: str) -> str:
        """Value tokens replaced by variables; literal tokens stay."""
        return TOKEN.sub(
            lambda found: self.of(self.body.values[int(found.group(2))]) if found.group(1) == "v" else found.group(0),
            text,
        )

    def lines(self, place: int, statement: Statement) -> list[Line]:
        """One statement as lines; a loop is two, and a third before it where the variable changes."""
        if statement.appends_to is not None:
            return self._append(place, statement, statement.appends_to)
        right = self.render(statement.text)
        operands = operands_of(self.body, statement.text)
        before = {id(value): self.of(value) for value in operands}
        if statement.loop is not None:  # what every turn reads must last
            steady = [value for value in operands if value is not (statement.chained or operands[0])]
            operands = [value for value in operands if value not in steady]
            self.last_use.update({id(value): max(self.last_use[id(value)], place + 1) for value in steady})
        targets = [self._name(place, value, operands, right) for value in statement.targets]
        shown = _shown(statement)
        if statement.loop is None:
            return [Line(_assignment(targets, right, statement.in_place), shown, statement.nodes)]
        chained = operands[0] if statement.chained is None else statement.chained
        start = before[id(chained)]
        lines = [] if start == targets[0] else [Line(f"{targets[0]} = {start}", None, ())]

        def name(found: re.Match[str]) -> str:
            value = self.body.values[int(found.group(2))] if found.group(1) == "v" else None
            return found.group(0) if value is None else targets[0] if value is chained else before[id(value)]

        right = TOKEN.sub(name, statement.text)
        return [*lines, Line(statement.loop, None, ()), Line(f"{targets[0]} = {right}", shown, statement.nodes, 1)]

    def _append(self, place: int, statement: Statement, to: ListOf) -> list[Line]:
        """`features.append(…)`, or a loop of it."""
        line = f"{self.of(to)}.append({self.render(statement.text)})"
        if statement.loop is None:
            return [Line(line, _shown(statement), statement.nodes)]
        return [Line(statement.loop, None, ()), Line(line, _shown(statement), statement.nodes, 1)]

    def _name(self, place: int, value: Value | None, operands: list[Value], right: str) -> str:
        if value is None or id(value) not in self.last_use:
            return "_"
        if hint := self._hint(value):
            name = unique(hint, self._live(place))
            self.names[id(value)] = name
            return name
        name = self._take_over(place, operands)
        self.names[id(value)] = name
        return name

    def _live(self, place: int) -> set[str]:
        return {name for key, name in self.names.items() if self.last_use.get(key, -1) > place}

    def _take_over(self, place: int, operands: list[Value]) -> str:
        live = self._live(place)
        for operand in operands:
            name = self.of(operand)
            if name in _GENERIC and name not in live:
                return name
        for name in _GENERIC:
            if name not in live:
                return name
        return unique("value", live)


def shape_comment(value: Value | None) -> tuple[int | str, ...] | None:
    """The shape that a comment shows."""
    return None if value is None else shape_of_value(value)

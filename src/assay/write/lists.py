"""Lists of values: modules that take one, and lists that grow from call to call.

A source's module that takes a list of tensors arrives as one that takes each of them. Where its instances take different
numbers of them, and use them together only, the list comes back, or every number of inputs would be a class of its own. And
where calls one after another take everything made before, `[x]`, `[x, y]`, `[x, y, z]`, a person keeps one list and appends.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from assay.graph.modules import Frame
from assay.write.parts import Body, ListOf, Statement, Value, operands

_NAME = "features"  # what a list is called where the source has no name for it
_FEWEST = 3  # lists, each longer by one, that are one list which grows
# Values in brackets, but no index (`x[i]`).
_LIST = re.compile("(?<![\\w)\\]\x02])\\[\x01v:\\d+:\\d+\x02(?:, \x01v:\\d+:\\d+\x02)*\\]")


def variadic_classes(root: Frame) -> frozenset[str]:
    """The classes whose instances take different numbers of values, though the source's forward method does not."""
    frames: dict[str, list[Frame]] = {}
    waiting = [item for item in root.items if isinstance(item, Frame)]
    while waiting:
        frame = waiting.pop()
        frames.setdefault(frame.class_name, []).append(frame)
        waiting.extend(item for item in frame.items if isinstance(item, Frame))
    found = set()
    for name, members in frames.items():
        counts = {len(frame.inputs()) for frame in members} if len(members) > 1 else set()
        if len(counts) > 1 and any(len(frame.info.arguments) < max(counts) for frame in members):
            found.add(name)
    return frozenset(found)


def take_lists(body: Body) -> None:
    """Inputs that are used only together, in order, in one pair of brackets become one argument, a list."""
    if body.methods:  # which take values of their own from outside
        return
    uses = Counter(id(value) for statement in body.statements for value in operands(body, statement.text))
    uses.update(id(value) for value in body.outputs)
    for bracket in _brackets(body):
        place = next((place for place, item in enumerate(body.inputs) if item is bracket.values[0]), None)
        if place is None or any(uses[id(value)] != 1 for value in bracket.values):
            continue
        run = body.inputs[place : place + len(bracket.values)]
        if len(run) == len(bracket.values) and all(a is b for a, b in zip(run, bracket.values, strict=True)):
            listed = ListOf(_NAME, None, bracket.values)
            body.inputs[place : place + len(run)] = [listed]
            bracket.replace(body, listed)


def grow_lists(body: Body) -> None:
    """Lists of which each is the one before and one value more become a list that grows: `features.append(…)`."""
    tried: set[str] = set()
    while (first := next((item for item in _brackets(body) if item.text not in tried), None)) is not None:
        tried.add(first.text)
        chain = _growing(body, first)
        if len({len(item.values) for item in chain}) >= _FEWEST:
            _grow(body, chain)


@dataclass(frozen=True)
class _Bracket:
    """A list of values as it stands in a statement."""

    statement: Statement
    text: str
    values: list[Value]

    def replace(self, body: Body, value: Value) -> None:
        body.values.append(value)
        self.statement.text = self.statement.text.replace(self.text, f"\x01v:{len(body.values) - 1}:0\x02")


def _brackets(body: Body) -> list[_Bracket]:
    return [
        _Bracket(statement, found.group(0), operands(body, found.group(0)))
        for statement in body.statements
        for found in _LIST.finditer(statement.text)
    ]


def _growing(body: Body, first: _Bracket) -> list[_Bracket]:
    """The lists from the first on that are the one before, or that and one value more; none if they cannot be one that grows."""
    chain = [first]
    brackets = _brackets(body)
    for bracket in brackets[next(place for place, item in enumerate(brackets) if item.text == first.text) + 1 :]:
        before = chain[-1].values
        if _same(bracket.values[: len(before)], before) and len(bracket.values) <= len(before) + 1:
            chain.append(bracket)
    places = {id(statement): place for place, statement in enumerate(body.statements)}
    appended = {id(value) for value in chain[-1].values[len(first.values) :]}
    for one, other in pairwise(chain):
        maker = one.statement if len(one.values) == len(other.values) else _maker(body, other.values[-1])
        if maker is None or not places[id(one.statement)] <= places[id(maker)] <= places[id(other.statement)]:
            return []
    uses = Counter(id(value) for item in chain for value in item.values)
    everywhere = Counter(id(value) for statement in body.statements for value in operands(body, statement.text))
    everywhere.update(id(value) for value in body.outputs)
    return chain if all(everywhere[key] == uses[key] for key in appended) else []


def _maker(body: Body, value: Value) -> Statement | None:
    """The statement that makes nothing but a value."""
    for statement in body.statements:
        if len(statement.targets) == 1 and statement.targets[0] is value:
            return statement if statement.loop is None else None
    return None


def _same(first: Iterable[Value], second: Iterable[Value]) -> bool:
    return [id(value) for value in first] == [id(value) for value in second]


def _grow(body: Body, chain: list[_Bracket]) -> None:
    first, last = chain[0], chain[-1]
    listed = ListOf(_NAME, None, first.values)
    for value in last.values[len(first.values) :]:
        maker = _maker(body, value)
        assert maker is not None
        maker.appends_to = listed
    place = next(place for place, statement in enumerate(body.statements) if statement is first.statement)
    body.statements.insert(place, Statement([listed], first.text, ()))
    for bracket in chain:
        bracket.replace(body, listed)


__all__ = ["grow_lists", "take_lists", "variadic_classes"]

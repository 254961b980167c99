"""Attributes that come from a list of the source become one list, and calls one after another a loop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay.graph.names import singular, unique
from assay.write.parts import TOKEN, Body, Construct, Index, SequenceConstruct, Statement, Value

if TYPE_CHECKING:
    from assay.write.style import Style


def gather_loops(body: Body, style: Style, list_names: Mapping[str, tuple[str, int]]) -> None:
    """Attributes `blocks_0`, `blocks_1` … that come from a list of the source become one list.

    `list_names`: attribute → the list that its name speaks of, and its place in it.
    """
    lists: dict[str, list[str]] = {}
    for name, source in list_names.items():
        lists.setdefault(source[0], []).append(name)
    for stem, names in lists.items():
        ordered = sorted(names, key=lambda name: list_names[name][1])
        if [list_names[name][1] for name in ordered] == list(range(len(ordered))):
            _make_list(body, style, stem, ordered)


def _make_list(body: Body, style: Style, stem: str, names: list[str]) -> None:
    elements = [body.attributes[name] for name in names]
    attributes: dict[str, Construct] = {}
    wanted = f"{stem}_list" if stem in style.reserved else stem
    listed = unique(wanted, [name for name in body.attributes if name not in names])
    first = next(name for name in body.attributes if name in names)
    for name, construct in body.attributes.items():
        if name == first:
            attributes[listed] = SequenceConstruct(elements, False)
        if name not in names:
            attributes[name] = construct
    body.attributes = attributes
    places = {name: number for number, name in enumerate(names)}
    body.weights = [
        ((listed, Index(places[str(path[0])], False), *path[1:]), weight)
        if path and path[0] in places
        else (path, weight)
        for path, weight in body.weights
    ]
    positions = [_calls_to(body, name) for name in names]
    if len(names) > 1 and all(len(found) == 1 for found in positions):
        chained = _chain(body, [found[0] for found in positions])
        if chained is not None:
            _fold_chain(body, listed, names, [found[0] for found in positions], chained)
            return
    for name, number in places.items():
        pattern = re.compile(rf"self\.{name}\b")
        for statement in body.statements:
            statement.text = pattern.sub(f"self.{listed}[{number}]", statement.text)


def _calls_to(body: Body, name: str) -> list[int]:
    pattern = re.compile(rf"self\.{name}\b")
    return [place for place, statement in enumerate(body.statements) if pattern.search(statement.text)]


def _chain(body: Body, places: list[int]) -> Value | None:
    """What the first of some statements takes from before, where each is a call on the result of the one before and on
    nothing else that changes; None if they are no such chain."""
    if places != list(range(places[0], places[0] + len(places))):
        return None
    statements = [body.statements[place] for place in places]
    operands = [
        [body.values[int(found.group(2))] for found in TOKEN.finditer(item.text) if found.group(1) == "v"]
        for item in statements
    ]
    if any(len(item.targets) != 1 or item.targets[0] is None for item in statements):
        return None
    if len({len(listed) for listed in operands}) != 1 or not operands[0]:
        return None
    texts = {TOKEN.sub("", re.sub(r"self\.\w+", "", item.text)) for item in statements}
    if len(texts) != 1:
        return None
    moving = {
        place for place in range(len(operands[0])) if any(row[place] is not operands[0][place] for row in operands)
    }
    for number, row in enumerate(operands[1:], start=1):
        if any(row[place] is not statements[number - 1].targets[0] for place in moving):
            return None
    started = {id(operands[0][place]): operands[0][place] for place in moving}
    later = {id(value) for place in range(len(operands[0])) if place not in moving for value in [operands[0][place]]}
    return next(iter(started.values())) if len(started) == 1 and not later & started.keys() else None


def _fold_chain(body: Body, listed: str, names: list[str], places: list[int], chained: Value) -> None:
    first, last = body.statements[places[0]], body.statements[places[-1]]
    variable = singular(listed)
    text = re.sub(rf"self\.{names[0]}\b", variable, first.text)
    nodes = tuple(node for place in places for node in body.statements[place].nodes)
    folded = Statement(last.targets, text, nodes, loop=f"for {variable} in self.{listed}:", chained=chained)
    body.statements[places[0] : places[-1] + 1] = [folded]


__all__ = ["gather_loops"]

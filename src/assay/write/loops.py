"""Attributes that come from a list of the source become one list, and calls one after another a loop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from assay.graph.names import attribute, plural, singular, unique
from assay.write.parts import TOKEN, Body, Construct, Index, ListOf, SequenceConstruct, Statement, Value
from assay.write.parts import operands as operands_of

if TYPE_CHECKING:
    from assay.write.style import Style


def gather_loops(
    body: Body,
    style: Style,
    list_names: dict[str, tuple[str, int]],
    sources: dict[str, str],
    chains_only: bool = False,
) -> None:
    """Attributes `blocks_0`, `blocks_1` … that come from a list of the source become one list, and a list of lists where the
    source's names speak of one (`blocks.0.1`).

    `list_names`: attribute → the list that its name speaks of, and its place in it; what is gathered is taken out. `sources`: attribute
    → where the source has it; the lists are put in.
    `chains_only`: only lists whose elements are called one after another, which become a loop.
    """
    done: set[str] = set()
    while True:
        lists: dict[str, list[str]] = {}
        for name, source in list_names.items():
            lists.setdefault(source[0], []).append(name)
        stems = [
            stem
            for stem, names in lists.items()
            if stem not in done and _is_whole(names, list_names) and not _has_others(stem, names, sources)
        ]
        if not stems:
            return
        stem = max(stems, key=lambda item: item.count("."))
        done.add(stem)
        names = sorted(lists[stem], key=lambda name: list_names[name][1])
        chain = _chained_calls(body, names)
        if chain is None and chains_only:
            continue
        listed = _make_list(body, style, stem, names)
        if chain is None:
            _number(body, listed, names)
        else:
            _fold_chain(body, f"self.{listed}", singular(listed), names, *chain)
        for name in names:
            del list_names[name]
        if listed != stem and all(name in sources for name in names):
            sources[listed] = stem
        outer, _, number = stem.rpartition(".")
        if outer and number.isdigit():
            list_names[listed] = (outer, int(number))


def _is_whole(names: list[str], list_names: Mapping[str, tuple[str, int]]) -> bool:
    """Whether the places are 0, 1, 2 … without a gap."""
    return sorted(list_names[name][1] for name in names) == list(range(len(names)))


def _has_others(stem: str, names: list[str], sources: Mapping[str, str]) -> bool:
    """Whether the source keeps parts of other names at the same place: it is a dictionary."""
    return any(place.rpartition(".")[0] == stem and name not in names for name, place in sources.items())


def _make_list(body: Body, style: Style, stem: str, names: list[str]) -> str:
    """Puts attributes into one list, where the first of them stands; gives the list's name."""
    elements = [body.attributes[name] for name in names]
    plain = attribute(stem, "layers")
    wanted = f"{plain}_list" if plain in style.reserved else plain
    listed = unique(wanted, [name for name in body.attributes if name not in names])
    first = next(name for name in body.attributes if name in names)
    attributes: dict[str, Construct] = {}
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
    return listed


def _number(body: Body, listed: str, names: list[str]) -> None:
    """Calls of `self.blocks_1` are calls of `self.blocks[1]` from now on."""
    for number, name in enumerate(names):
        pattern = re.compile(rf"self\.{name}\b")
        for statement in body.statements:
            statement.text = pattern.sub(f"self.{listed}[{number}]", statement.text)
            if statement.loop is not None:
                statement.loop = pattern.sub(f"self.{listed}[{number}]", statement.loop)


def _chained_calls(body: Body, names: list[str]) -> tuple[list[int], Value] | None:
    """Where the elements of a list are called one after another, and what the first of them takes."""
    positions = [_calls_to(body, name) for name in names]
    if len(names) < 2 or any(len(found) != 1 for found in positions):
        return None
    places = [found[0] for found in positions]
    if not _alike([body.statements[place] for place in places], names):
        return None
    chained = _chain(body, places) if body.statements[places[0]].appends_to is None else _appended(body, places)
    return None if chained is None else (places, chained)


def _calls_to(body: Body, name: str) -> list[int]:
    pattern = re.compile(rf"self\.{name}\b")
    whole = [f"{statement.loop or ''} {statement.text}" for statement in body.statements]
    return [place for place, text in enumerate(whole) if pattern.search(text)]


def _chain(body: Body, places: list[int]) -> Value | None:
    """What the first of some statements takes from before, where each is a call on the result of the one before and on
    nothing else that changes; None if they are no such chain."""
    if places != list(range(places[0], places[0] + len(places))):
        return None
    statements = [body.statements[place] for place in places]
    operands = [operands_of(body, item.text) for item in statements]
    if any(len(item.targets) != 1 or item.targets[0] is None or item.loop is not None for item in statements):
        return None
    between = {id(item.targets[0]) for item in statements[:-1]}
    others = [item for place, item in enumerate(body.statements) if place not in places]
    if any(
        id(value) in between for value in [*body.outputs, *(v for item in others for v in operands_of(body, item.text))]
    ):
        return None
    if len({len(listed) for listed in operands}) != 1 or not operands[0]:
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


def _alike(statements: list[Statement], names: list[str]) -> bool:
    """Whether calls of attributes, one each, differ in the attribute and in values only."""
    texts = [re.sub(rf"self\.{name}\b", "", item.text) for item, name in zip(statements, names, strict=True)]
    return len({TOKEN.sub("", text) for text in texts}) == 1


def _appended(body: Body, places: list[int]) -> ListOf | None:
    """The list that each of some statements appends to, where they follow on each other and compute from the same values."""
    statements = [body.statements[place] for place in places]
    listed = statements[0].appends_to
    used = {tuple(id(value) for value in operands_of(body, item.text)) for item in statements}
    same = all(item.appends_to is listed for item in statements) and len(used) == 1
    return listed if same and places == list(range(places[0], places[0] + len(places))) else None


def gather_families(body: Body, style: Style) -> None:
    """Attributes `layer1`, `layer2` … whose results are appended to one list, one after another, are called in a loop.

    Where the framework's people save parameters by attribute, the attributes stay, and the loop is over all parts of the
    module, if it has no others; elsewhere they become one list.
    """
    for place, names in reversed(_families(body)):
        chain = _chained_calls(body, names)
        if chain is None or chain[0][0] != place:
            continue
        stem = plural(_NUMBERED.sub(r"\1", names[0]).rstrip("_"))
        if not style.saves_attributes:
            listed = _make_list(body, style, stem, names)
            _fold_chain(body, f"self.{listed}", singular(listed), names, *chain)
        elif list(body.attributes) == names:
            body.attributes = {stem: SequenceConstruct(list(body.attributes.values()), False, names)}
            _fold_chain(body, "self.children()", singular(stem), names, *chain)


def _families(body: Body) -> list[tuple[int, list[str]]]:
    """The numbered attributes that statements one after another call, and the place of the first statement."""
    found: list[tuple[int, list[str]]] = []
    for place, statement in enumerate(body.statements):
        called = re.findall(r"self\.(\w+)\(", statement.text) if statement.appends_to is not None else []
        if len(called) != 1 or statement.loop is not None or called[0] not in body.attributes:
            continue
        if found and place == found[-1][0] + len(found[-1][1]) and _follows(found[-1][1][-1], called[0]):
            found[-1][1].append(called[0])
        elif _NUMBERED.fullmatch(called[0]):
            found.append((place, [called[0]]))
    return found


def _follows(before: str, name: str) -> bool:
    """Whether `layer3` comes after `layer2`."""
    first, second = _NUMBERED.fullmatch(before), _NUMBERED.fullmatch(name)
    if first is None or second is None:
        return False
    return first.group(1) == second.group(1) and int(first.group(2)) + 1 == int(second.group(2))


_NUMBERED = re.compile(r"(\w*[A-Za-z]_?)(0|[1-9]\d*)")


def _fold_chain(body: Body, over: str, variable: str, names: list[str], places: list[int], chained: Value) -> None:
    first, last = body.statements[places[0]], body.statements[places[-1]]
    text = re.sub(rf"self\.{names[0]}\b", variable, first.text)
    nodes = tuple(node for place in places for node in body.statements[place].nodes)
    appends_to = first.appends_to
    loop = f"for {variable} in {over}:"
    folded = Statement(last.targets, text, nodes, loop=loop, chained=chained, appends_to=appends_to)
    body.statements[places[0] : places[-1] + 1] = [folded]


__all__ = ["gather_families", "gather_loops"]

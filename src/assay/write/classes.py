"""Bodies that differ in numbers only become one class; the numbers that differ become its constructor's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from typing import Any

from assay.graph.names import identifier, unique
from assay.write.flow import Line, forward_lines
from assay.write.parts import (
    TOKEN,
    Body,
    Construct,
    DictConstruct,
    InstanceConstruct,
    LayerConstruct,
    Literal,
    SequenceConstruct,
    Series,
    TextConstruct,
)
from assay.write.style import Parameter


@dataclass(frozen=True)
class WrittenMethod:
    """A further method of a class, from the template's body."""

    name: str
    arguments: list[str]
    lines: list[Line]
    returns: int


@dataclass
class WrittenClass:
    """A class to be written, from all the bodies that it serves. The first one is the template."""

    name: str
    bodies: list[Body]
    arguments: list[str]
    lines: list[Line]
    other_lines: list[list[Line]]
    parameters: list[Parameter] = field(default_factory=list)
    slots: dict[int, str] = field(default_factory=dict)  # place in `literals` → parameter
    methods: list[WrittenMethod] = field(default_factory=list)

    @property
    def template(self) -> Body:
        return self.bodies[0]


def classes_of(root: Body, reserved: Iterable[str] = ()) -> list[WrittenClass]:
    """The classes to write, children before parents, the root last. No class takes a reserved name."""
    groups: dict[tuple[str, str], list[tuple[Body, list[str], list[Line]]]] = {}
    found: dict[tuple[str, str], WrittenClass] = {}
    for level in reversed(_levels(root)):
        fresh: list[tuple[str, str]] = []
        texts = [(body, *forward_lines(body)) for body in level]
        _find_series(texts)
        for body, arguments, lines in texts:
            key = (body.class_name, _skeleton(body, arguments, lines))
            if key not in groups:
                fresh.append(key)
            groups.setdefault(key, []).append((body, arguments, lines))
        for key in fresh:
            members = groups[key]
            _drop_short_series([member[0] for member in members])
            taken = [*reserved, *(other.name for other in found.values())]
            name = next(
                wanted for number in count(1) if (wanted := f"{key[0]}{number if number > 1 else ''}") not in taken
            )
            written = WrittenClass(
                name,
                [member[0] for member in members],
                members[0][1],
                members[0][2],
                [member[2] for member in members[1:]],
            )
            written.methods = methods_of(written.template)
            _parametrise(written)
            found[key] = written
    return list(found.values())


def methods_of(body: Body) -> list[WrittenMethod]:
    """The further methods of a body as lines."""
    found = []
    for method in body.methods:
        arguments, lines = forward_lines(method.body)
        found.append(WrittenMethod(method.name, arguments, lines, len(method.body.outputs)))
    return found


def _levels(root: Body) -> list[list[Body]]:
    """Bodies by depth, such that every body stands below each that holds it, and equal classes at one level where they can."""
    height: dict[int, int] = {}
    order: list[Body] = []

    def visit(body: Body) -> int:
        tallest = max((visit(child) for child in body.children()), default=-1) + 1
        height[id(body)] = tallest
        order.append(body)
        return tallest

    top = visit(root)
    levels: list[list[Body]] = [[] for _ in range(top + 1)]
    for body in order:
        levels[top - height[id(body)]].append(body)
    return levels


def _skeleton(body: Body, arguments: list[str], lines: list[Line]) -> str:
    """The text of a body without its numbers: bodies with the same skeleton are one class."""
    constructs = [f"{name} = {_shape(construct)}" for name, construct in body.attributes.items()]
    further = [line for method in methods_of(body) for line in method.lines]
    statements = [TOKEN.sub("□", line.text) for line in [*lines, *further]]
    return "\n".join([", ".join(arguments), *constructs, *statements])


def _shape(construct: Construct) -> str:
    match construct:
        case LayerConstruct():
            return f"{construct.callee}({', '.join(argument.name or '□' for argument, _ in construct.arguments)})"
        case TextConstruct():
            return TOKEN.sub("□", construct.text)
        case InstanceConstruct():
            return f"{construct.body.written_class}({len(construct.body.instance_arguments)})"
        case SequenceConstruct(series=Series() as series):
            steps = ", ".join("□" if step is None else "□ + □ * i" for step in series.steps)
            stem = construct.names[0] if construct.names is not None else ""
            return f"{stem}[{_first_class(construct)}({steps}) × □]"
        case SequenceConstruct():
            return f"{construct.names or ''}[{'; '.join(_shape(element) for element in construct.elements)}]"
        case DictConstruct():
            return f"{{{'; '.join(f'{name!r}: {_shape(item)}' for name, item in construct.elements.items())}}}"
    raise TypeError(construct)


def _parametrise(written: WrittenClass) -> None:
    """Finds the literals that differ between the bodies, and makes each distinct series of values one argument."""
    for body in written.bodies:
        body.literals.extend(_instance_literals(body))
    series: dict[tuple[Any, ...], list[int]] = {}
    for place in range(len(written.template.literals)):
        values = tuple(_hashable(body.literals[place].value) for body in written.bodies)
        if len(set(values)) > 1:
            series.setdefault(values, []).append(place)
    for places in series.values():
        hints = [written.template.literals[place].hint for place in places]
        taken = [*(parameter.name for parameter in written.parameters), *written.arguments]
        taken += [*written.template.attributes, *(method.name for method in written.methods)]  # it may be kept as one
        name = unique(identifier(_common_name(hints)), taken)
        kinds = dict.fromkeys(_type_name(body.literals[places[0]].value) for body in written.bodies)
        written.parameters.append(Parameter(name, " | ".join(kinds)))
        for place in places:
            written.slots[place] = name
        for body in written.bodies:
            body.instance_arguments.append(Literal(body.literals[places[0]].value, name))
    for body in written.bodies:
        body.written_class = written.name


def _instance_literals(body: Body) -> list[Literal]:
    """The arguments given to the classes that a body instantiates; known only now that those classes are."""
    found: list[Literal] = []

    def collect(construct: Construct) -> None:
        match construct:
            case InstanceConstruct():
                found.extend(construct.body.instance_arguments)
            case SequenceConstruct(series=Series() as series):
                found.extend([*series.first, *(step for step in series.steps if step is not None), series.count])
            case SequenceConstruct():
                for element in construct.elements:
                    collect(element)
            case DictConstruct():
                for element in construct.elements.values():
                    collect(element)

    for construct in body.attributes.values():
        collect(construct)
    return found


def _find_series(texts: Sequence[tuple[Body, list[str], list[Line]]]) -> None:
    """Finds the containers that hold a series, unless the bodies of one class would need more classes then."""
    by_name: dict[str, list[tuple[Body, list[str], list[Line]]]] = {}
    for item in texts:
        by_name.setdefault(item[0].class_name, []).append(item)
    for members in by_name.values():
        plain = {_skeleton(*item) for item in members}
        containers = [
            (name, construct)
            for body, _, _ in members
            for name, construct in body.attributes.items()
            if isinstance(construct, SequenceConstruct)
        ]
        for name, construct in containers:
            construct.series = _series_of(name, construct)
        if any(construct.series for _, construct in containers) and len({_skeleton(*m) for m in members}) > len(plain):
            for _, construct in containers:
                construct.series = None


def _series_of(name: str, construct: SequenceConstruct) -> Series | None:
    """The elements of a container as a series, if they are one."""
    bodies = [element.body for element in construct.elements if isinstance(element, InstanceConstruct)]
    if not 2 <= len(bodies) == len(construct.elements) or len({body.written_class for body in bodies}) > 1:
        return None
    if construct.sequential and construct.names is not None and not _are_numbered(construct.names):
        return None
    first: list[Literal] = []
    steps: list[Literal | None] = []
    for place, literal in enumerate(bodies[0].instance_arguments):
        values = [body.instance_arguments[place].value for body in bodies]
        first.append(Literal(literal.value, literal.hint))
        if all(_hashable(value) == _hashable(values[0]) for value in values):
            steps.append(None)
            continue
        if any(type(value) is not int for value in values):
            return None
        gaps = {after - before for before, after in pairwise(values)}
        if len(gaps) > 1:
            return None
        steps.append(Literal(gaps.pop(), f"{literal.hint}_step"))
    return Series(Literal(len(bodies), f"num_{name}"), first, steps)


def _are_numbered(names: Sequence[str]) -> bool:
    """`encoder_layer_0`, `encoder_layer_1` …"""
    stem = names[0].rstrip("0123456789")
    first = names[0].removeprefix(stem)
    return first == str(int(first or "-1")) and list(names) == [f"{stem}{int(first) + i}" for i in range(len(names))]


def _drop_short_series(bodies: list[Body]) -> None:
    """Two elements are a series of steps only beside a longer one: alone they are read more easily one by one."""
    for name, construct in bodies[0].attributes.items():
        if not isinstance(construct, SequenceConstruct) or construct.series is None:
            continue
        same = [body.attributes[name] for body in bodies]
        grows = any(step is not None for step in construct.series.steps)
        if grows and all(isinstance(c, SequenceConstruct) and len(c.elements) == 2 for c in same):
            for item in same:
                assert isinstance(item, SequenceConstruct)
                item.series = None


def _first_class(construct: SequenceConstruct) -> str:
    first = construct.elements[0]
    return first.body.written_class if isinstance(first, InstanceConstruct) else ""


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _common_name(hints: list[str]) -> str:
    """`in_channels` and `out_channels` together are `channels`."""
    if len(set(hints)) == 1:
        return hints[0]
    endings = {hint.rpartition("_")[2] for hint in hints}
    if "channels" in endings:
        return "channels"
    if "features" in endings:
        return "features"
    return endings.pop() if len(endings) == 1 else hints[0]


def _type_name(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return f"tuple[{', '.join(_type_name(item) for item in value)}]"
    return type(value).__name__

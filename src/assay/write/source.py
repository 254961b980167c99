"""Classes as text: constructors, forward methods, shape comments, imports, and which line comes from which node."""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from assay.model import Model
from assay.structure import Structure
from assay.write.classes import WrittenClass
from assay.write.flow import Line, shape_comment
from assay.write.named import OWN
from assay.write.parts import (
    TOKEN,
    Body,
    Construct,
    DictConstruct,
    InstanceConstruct,
    LayerConstruct,
    ListOf,
    SequenceConstruct,
    Series,
    TextConstruct,
    shape_of_value,
    structure_of_body,
)
from assay.write.results import annotation, record_classes
from assay.write.style import Style
from assay.write.text import Nested, Tree, broken, call_tree, flat, literal_text


@dataclass
class _Renderer:
    style: Style
    written: WrittenClass

    def slot(self, place: int, attribute: bool) -> str:
        """A literal's text: its value, or the argument that it has become."""
        if name := self.written.slots.get(place):
            return f"self.{name}" if attribute else name
        return literal_text(self.written.template.literals[place].value)

    def place_of(self, literal: Any) -> int:
        return next(index for index, item in enumerate(self.written.template.literals) if item is literal)

    def construct(self, construct: Construct, name: str | None, late: bool = False) -> Tree:
        match construct:
            case TextConstruct():
                return TOKEN.sub(lambda found: self.slot(int(found.group(2)), late), construct.text)
            case LayerConstruct():
                return Nested(f"{construct.callee}(", tuple(self._arguments(construct, name)), ")")
            case InstanceConstruct():
                listed = [self.slot(self.place_of(literal), False) for literal in construct.body.instance_arguments]
                elements = (*listed, *self.style.extra_arguments(None, name))
                return Nested(f"{construct.body.written_class}(", elements, ")")
            case SequenceConstruct():
                return self._sequence(construct, name)
            case DictConstruct():
                return self.dictionary(construct, self.style.dictionary())
        raise TypeError(construct)

    def _arguments(self, construct: LayerConstruct, name: str | None) -> list[str]:
        found = []
        for argument, literal in construct.arguments:
            place = self.place_of(literal)
            constant = place not in self.written.slots
            if constant and literal.has_default and literal.value == literal.default:
                continue
            text = self.slot(place, False)
            found.append(text if argument.name is None else f"{argument.name}={text}")
        return [*found, *self.style.extra_arguments(construct, name)]

    def dictionary(self, construct: DictConstruct, callee: str) -> Nested:
        """A call with the items of a dictionary of modules."""
        items = [
            _between(f"{literal_text(name)}: ", self.construct(element, name), "")
            for name, element in construct.elements.items()
        ]
        return Nested(f"{callee}(", (Nested("{", tuple(items), "}"),), ")")

    def _sequence(self, construct: SequenceConstruct, name: str | None) -> Tree:
        if construct.series is not None:
            element = self._series_element(construct.series, construct, f"{name}_{{}}")
            count = self.slot(self.place_of(construct.series.count), False)
            if construct.sequential and construct.names is not None:
                return self.style.named_repeated(construct.names, element, count)
            variable = "_" if not any(step is not None for step in construct.series.steps) else "i"
            return self.style.repeated(element, count, construct.sequential, variable)
        elements = [self.construct(element, f"{name}_{{}}") for element in construct.elements]
        if construct.names is not None:
            opening, pairs, closing = self.style.named_sequential(construct.names)
            return Nested(opening, tuple(map(_between, pairs, elements, [")"] * len(pairs))), closing)
        texts = [flat(element) for element in elements]
        if len(set(texts)) == 1 and len(texts) > 1:
            return self.style.repeated(texts[0], len(texts), construct.sequential)
        labels = construct.labels or [str(number) for number in range(len(elements))]
        numbered = [_numbered(element, label) for element, label in zip(elements, labels, strict=True)]
        container = self.style.sequential if construct.sequential else lambda items, _: self.style.module_list(items)
        opening, _, closing = container([flat(element) for element in numbered], name or "")
        if not opening.endswith("(["):
            return Nested(opening, tuple(numbered), closing)
        more = closing[1:-1].removeprefix(", ")
        return Nested(opening[:-1], (Nested("[", tuple(numbered), "]"), *([more] if more else [])), ")")

    def _series_element(self, series: Series, construct: SequenceConstruct, name: str) -> str:
        """What stands for every element of a series: `Layer(channels + 32 * i)`."""
        first = construct.elements[0]
        assert isinstance(first, InstanceConstruct)
        listed = []
        for start, step in zip(series.first, series.steps, strict=True):
            text = self.slot(self.place_of(start), False)
            if step is not None:
                grown = self.slot(self.place_of(step), False)
                factor = "i" if grown in ("1", "-1") else f"{grown.removeprefix('-')} * i"
                sign = "-" if grown.startswith("-") else "+"
                text = factor if text == "0" and sign == "+" else f"{text} {sign} {factor}"
            listed.append(text)
        return flat(Nested(f"{first.body.written_class}(", (*listed, *self.style.extra_arguments(None, name)), ")"))

    def members(self, construct: SequenceConstruct) -> list[str]:
        """The lines of the constructor for parts that are attributes of their own but called in a loop."""
        assert construct.names is not None
        if construct.series is not None:
            count = self.slot(self.place_of(construct.series.count), False)
            element = self._series_element(construct.series, construct, "")
            return self.style.numbered(construct.names, element, count)
        trees = [
            self.construct(element, name) for name, element in zip(construct.names, construct.elements, strict=True)
        ]
        listed = zip(construct.names, trees, strict=True)
        return [
            line for name, tree in listed for line in broken(f"self.{name} = ", tree, "", 0, self.style.line_length - 8)
        ]

    def comment(self, line: Line, others: list[Line]) -> str:
        """The shape of what a line makes; a size that differs between instances by the name of the argument it equals."""
        shapes = [shape_comment(item.value) for item in [line, *others]]
        first = shapes[0]
        if first is None or any(shape is None or len(shape) != len(first) for shape in shapes):
            return ""
        sizes = []
        for axis in range(len(first)):
            series = tuple(shape[axis] for shape in shapes if shape is not None)
            sizes.append(str(series[0]) if len(set(series)) == 1 else self._named(series))
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    def _named(self, series: tuple[Any, ...]) -> str:
        for place, name in self.written.slots.items():
            if tuple(body.literals[place].value for body in self.written.bodies) == series:
                return name
        return "…"

    def forward_text(self, text: str) -> str:
        return TOKEN.sub(lambda found: self.slot(int(found.group(2)), True), text)

    def stored_arguments(self) -> list[str]:
        """Arguments that the forward method reads, and that the constructor must keep therefore."""
        further = [line for method in self.written.methods for line in method.lines]
        used = {int(found.group(2)) for line in [*self.written.lines, *further] for found in TOKEN.finditer(line.text)}
        names = [self.written.slots[place] for place in sorted(used) if place in self.written.slots]
        return list(dict.fromkeys(names))


def _between(before: str, tree: Tree, after: str) -> Tree:
    """A tree with text around it that stays with its first and its last line."""
    if isinstance(tree, str):
        return f"{before}{tree}{after}"
    return Nested(f"{before}{tree.opening}", tree.elements, f"{tree.closing}{after}")


def _numbered(tree: Tree, label: str) -> Tree:
    """`{}` in the name of a container's element is its place: the last one, of those of containers around it."""
    if isinstance(tree, str):
        return _PLACE.sub(label, tree)
    return Nested(tree.opening, tuple(_numbered(element, label) for element in tree.elements), tree.closing)


_PLACE = re.compile(r"\{\}(?=(?:_\d+|_before|_\{[ij]\})*\")")


def class_lines(model: Model, style: Style, written: WrittenClass, is_root: bool) -> list[tuple[str, tuple[str, ...]]]:
    """A class as (line, names of the nodes that the line comes from)."""
    renderer = _Renderer(style, written)
    body = written.template
    parameters = [*written.parameters]
    lines: list[tuple[str, tuple[str, ...]]] = [(text, ()) for text in style.before_class(model, written.name)]
    own = body.attributes.get(OWN)  # parts that are items of the module itself
    lines.append((style.class_line(written.name, is_root, own is not None), ()))
    lines.extend((text, ()) for text in _docstring(_describe(model, written, renderer, is_root), style.line_length))
    lines.append(("", ()))
    if body.attributes or parameters or style.init_line([]) != "def __init__(self) -> None:":
        lines.extend((text, ()) for text in _signature(style.init_line(parameters), style.line_length))
        start = len(lines)
        if isinstance(own, DictConstruct):
            items = renderer.dictionary(own, "super().__init__")
            lines.extend((text, ()) for text in broken("", items, "", 8, style.line_length))
        else:
            lines.extend((f"        {text}", ()) for text in style.init_start())
        stored = list(dict.fromkeys([*renderer.stored_arguments(), *style_kept(style, parameters)]))
        lines.extend((f"        self.{name} = {name}", ()) for name in stored)
        later: list[str] = []
        for name, construct in body.attributes.items():
            if name == OWN:
                continue
            if isinstance(construct, SequenceConstruct) and construct.names is not None and not construct.sequential:
                lines.extend((f"        {text}", ()) for text in renderer.members(construct))
                continue
            late = bool(style.build_line(written.arguments)) and not is_root and isinstance(construct, TextConstruct)
            tree = renderer.construct(construct, name, late)
            tree = call_tree(tree) if isinstance(tree, str) else tree
            written_as = broken(f"self.{name} = ", tree, "", 8, style.line_length)
            if late:
                later.extend(written_as)
            else:
                lines.extend((text, ()) for text in written_as)
        lines.extend((f"        {text}", ()) for text in body.ties)
        if len(lines) == start:  # called like every other module, though it holds nothing
            lines.append(("        pass", ()))
        if later:
            lines.extend((text, ()) for text in ["", f"    {style.build_line(written.arguments)}", *later])
        for text in style.after_init(parameters):
            lines.append((f"    {text}" if text else "", ()))
        lines.append(("", ()))
    needs_training = body.needs_training or (is_root and style.root_takes_training)
    lists = [name for name, value in zip(written.arguments, body.inputs, strict=True) if isinstance(value, ListOf)]
    returns = annotation(structure_of_body(body), style.array)
    signature = style.forward_line(written.arguments, returns, needs_training, lists)
    lines.extend((text, ()) for text in _signature(signature, style.line_length))
    for number, line in enumerate(written.lines):
        others = [other[number] for other in written.other_lines]
        lines.extend(_forward_line(style, renderer, line, others))
    for method in written.methods:
        returns = annotation(Structure.flat(method.returns), style.array)
        signature = style.method_line(method.name, method.arguments, returns)
        lines.extend([("", ()), *((text, ()) for text in _signature(signature, style.line_length))])
        for line in method.lines:
            lines.extend(_forward_line(style, renderer, line, []))
    return lines


def style_kept(style: Style, parameters: Iterable[Any]) -> list[str]:
    """Arguments that the style itself needs again (for `get_config`)."""
    return [parameter.name for parameter in parameters] if style.after_init(list(parameters)) else []


def _forward_line(
    style: Style, renderer: _Renderer, line: Line, others: list[Line]
) -> list[tuple[str, tuple[str, ...]]]:
    nodes = tuple(node.name or "" for item in [line, *others] for node in item.nodes)
    indent = 8 + 4 * line.indent
    text = renderer.forward_text(line.text)
    comment = renderer.comment(line, others)
    whole = f"{' ' * indent}{text}"
    if comment and len(whole) + 2 + len(f"# {comment}") <= style.line_length:
        whole += f"  # {comment}"
    if len(whole) <= style.line_length:
        return [(whole, nodes)]
    return [(part, nodes) for part in broken("", call_tree(text), "", indent, style.line_length)]


def _signature(text: str, width: int) -> list[str]:
    """The first line of a method; its arguments on lines of their own where it is too long."""
    *decorators, definition = text.split("\n    ")
    opening, _, rest = definition.partition("(")
    arguments, closing, result = rest.rpartition(")")
    if " -> " in rest:  # the result may have brackets of its own
        arguments, closing, result = rest.rpartition(") -> ")
    tree = Nested(f"{opening}(", tuple(_split(arguments)), f"{closing}{result}")
    return [*(f"    {line}" for line in decorators), *broken("", tree, "", 4, width)]


def _split(arguments: str) -> list[str]:
    """Arguments separated by commas outside brackets."""
    found, depth, start = [], 0, 0
    for place, sign in enumerate(arguments):
        depth += (sign in "([{") - (sign in ")]}")
        if sign == "," and depth == 0:
            found.append(arguments[start:place].strip())
            start = place + 1
    return [*found, arguments[start:].strip()] if arguments.strip() else []


def _docstring(text: str, width: int) -> list[str]:
    """A class's docstring, on several lines where it is too long for one."""
    whole = f'    """{text}"""'
    if len(whole) <= width:
        return [whole]
    first, *rest = textwrap.wrap(text, width - 7, break_long_words=False)
    return [f'    """{first}', *(f"    {line}" for line in rest), '    """']


def _describe(model: Model, written: WrittenClass, renderer: _Renderer, is_root: bool) -> str:
    """The docstring: what goes in and what comes out, with shapes."""
    body = written.template

    def shown(values: list[Any], names: list[str] | None = None) -> str:
        parts = []
        for place, value in enumerate(values):
            alike = [(other.inputs if values is body.inputs else other.outputs)[place] for other in written.bodies]
            if isinstance(value, ListOf):
                alike = [element for other in alike if isinstance(other, ListOf) for element in other.elements]
            first, *others = [Line("", item, ()) for item in alike]
            shape = renderer.comment(first, others) if shape_of_value(alike[0]) is not None else ""
            shape = f"[{shape}, …]" if isinstance(value, ListOf) else shape
            parts.append(f"{names[place]} {shape}".strip() if names else shape or "…")
        return ", ".join(parts)

    labels = None
    if body.structure is not None and not body.structure.is_flat:
        found = {place: ".".join(map(str, keys)) for keys, place in body.structure.leaves()}
        labels = [found[place] for place in range(len(body.outputs))]
    text = f"{shown(body.inputs, written.arguments)} → {shown(body.outputs, labels)}."
    return f"{model.name}: {text}" if is_root else text


HOST = Path(__file__).with_name("host")  # definitions in NumPy, for every framework
_HOST_IMPORTS = {
    r"(?<![\w.])np\.": "import numpy as np",
    r"\bre\.(compile|error|match|sub)\b": "import re",
    r"\bio\.BytesIO": "import io",
}


def local_source(definitions: Mapping[str, str], text: str) -> str:
    """The local definitions that `text` uses, with those that they use in turn; constants first."""
    wanted: set[str] = set()
    waiting = [text]
    while waiting:
        used = {node.id for node in ast.walk(ast.parse(waiting.pop())) if isinstance(node, ast.Name)}
        for name in used & definitions.keys() - wanted:
            wanted.add(name)
            waiting.append(definitions[name])
    chosen = [code for name, code in definitions.items() if name in wanted]
    constants = [code for code in chosen if not code.startswith(("def ", "class ", "@"))]
    return "\n\n\n".join(
        [*(["\n".join(constants)] if constants else []), *(code for code in chosen if code not in constants)]
    )


def definitions_of(style: Style) -> dict[str, str]:
    """Name → source of everything local that written code of a style may use."""
    own = {} if style.local_file is None else _definitions_in(Path(style.local_file))
    return {**_definitions_in(HOST), **own}


@lru_cache
def _definitions_in(path: Path) -> dict[str, str]:
    """Name → source of every class, function and constant at the top level of a file, or of the files of a folder."""
    definitions: dict[str, str] = {}
    for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
        source = file.read_text(encoding="utf-8")
        for node in ast.parse(source).body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                start = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                definitions[node.name] = "\n".join(source.splitlines()[start - 1 : node.end_lineno])
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                definitions[node.targets[0].id] = "\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno])
    return definitions


def import_lines(style_imports: dict[str, str], text: str) -> str:
    """The imports that the text needs, in the usual order: standard library, then the rest."""
    needed = list(dict.fromkeys(line for pattern, line in style_imports.items() if re.search(pattern, text)))
    plain = sorted({line for line in needed if line.startswith("import ")}, key=str.lower)
    grouped: dict[str, set[str]] = {}
    for line in needed:
        if line.startswith("from "):
            module, _, names = line[5:].partition(" import ")
            grouped.setdefault(module, set()).update(name.strip() for name in names.split(","))
    from_lines = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(grouped.items())]
    standard: list[str] = []
    others: list[str] = []
    for line in [*plain, *from_lines]:
        (standard if line.split()[1].split(".")[0] in sys.stdlib_module_names else others).append(line)
    return "\n".join([*standard, *([""] if standard and others else []), *others])


def model_source(
    model: Model, style: Style, classes: list[WrittenClass], root: Body
) -> tuple[str, dict[int, tuple[str, ...]]]:
    """The text of model.py, and line number → names of the nodes that the line comes from."""
    rendered: list[tuple[str, tuple[str, ...]]] = []
    for record in record_classes(structure_of_body(root), style.array, root.written_class):
        rendered.extend((text, ()) for text in ["", "", *record])
    for written in classes:
        rendered.extend([("", ()), ("", ())])
        rendered.extend(class_lines(model, style, written, written.template is root))
    classes_text = "\n".join(text for text, _ in rendered)
    arguments = next(written.arguments for written in classes if written.template is root)
    footer = style.footer(model, root.written_class, arguments, tied=bool(root.ties))
    local = local_source(definitions_of(style), classes_text)
    imports = import_lines({**_HOST_IMPORTS, **style.imports}, "\n".join([local, classes_text, footer]))
    head = [style.header(model), "", imports]
    if local:
        gap = ["", ""] if local.startswith(("class ", "def ", "@")) else [""]  # as is usual before a constant
        head.extend([*gap, local])
    top = "\n".join(head)
    offset = top.count("\n") + 1
    lines = {offset + number: nodes for number, (_, nodes) in enumerate(rendered, start=1) if nodes}
    text = f"{top}\n{classes_text}\n\n\n{footer.rstrip()}\n"
    return text, lines

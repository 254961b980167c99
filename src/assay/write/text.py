"""Source text: constants as a person writes them, and lines broken where they are too long."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from assay.write.table import Raw


@dataclass(frozen=True)
class Nested:
    """Source text that can be broken: an opening, elements, a closing."""

    opening: str
    elements: tuple[str | Nested, ...]
    closing: str

    def flat(self) -> str:
        return self.opening + ", ".join(flat(element) for element in self.elements) + self.closing


Tree = str | Nested


def flat(tree: Tree) -> str:
    """The text on one line."""
    return tree if isinstance(tree, str) else tree.flat()


def broken(prefix: str, tree: Tree, suffix: str, indent: int, width: int) -> list[str]:
    """The text in as few lines as fit: whole, or its elements on one line of their own, or one line each."""
    pad = " " * indent
    whole = f"{pad}{prefix}{flat(tree)}{suffix}"
    if isinstance(tree, str) or len(whole) <= width:
        return [whole]
    inner = ", ".join(flat(element) for element in tree.elements)
    if indent + 4 + len(inner) <= width and " in range(" not in inner:
        return [f"{pad}{prefix}{tree.opening}", f"{pad}    {inner}", f"{pad}{tree.closing}{suffix}"]
    lines = [f"{pad}{prefix}{tree.opening}"]
    only = len(tree.elements) == 1 and (tree.opening.endswith("*[") or " in range(" in flat(tree.elements[0]))
    for element in tree.elements:
        lines.extend(broken("", element, "" if only else ",", indent + 4, width))
    return [*lines, f"{pad}{tree.closing}{suffix}"]


def literal_text(value: Any) -> str:
    """A constant as a person writes it."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, bool) or value is None:
        return repr(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            return f'float("{value}")'
        text = repr(value)
        mantissa, e, exponent = text.partition("e")
        return f"{mantissa}e{int(exponent)}" if e else text
    if isinstance(value, str):
        return '"' + repr(value)[1:-1].replace('"', '\\"') + '"'
    if isinstance(value, (tuple, list)):
        inner = ", ".join(literal_text(item) for item in value)
        closing = ("(", ",)" if len(value) == 1 else ")") if isinstance(value, tuple) else ("[", "]")
        return f"{closing[0]}{inner}{closing[1]}"
    return repr(value)


def call_tree(text: str) -> Tree:
    """An over-long `target = call(arguments)` or `return {…}` as a tree that can be broken at the parts, and at theirs."""
    display = _DISPLAY.match(text)
    opening = display.end() - 1 if display else text.find("(")
    if opening < 0 or text[-1] != _CLOSING[text[opening]]:
        return text
    depth, start, elements, quoted = 0, opening + 1, [], False
    for place in range(opening, len(text)):
        if text[place] == '"' and text[place - 1] != "\\":
            quoted = not quoted
        if quoted:
            continue
        depth += text[place] in "([{"
        depth -= text[place] in ")]}"
        if depth == 0:
            if place != len(text) - 1:
                return text
            elements.append(text[start:place].strip())
        elif depth == 1 and text[place] == ",":
            elements.append(text[start:place].strip())
            start = place + 1
    if not elements[-1]:  # a tuple of one, whose comma is part of it
        return text
    inner = (call_tree(item) if _CALL.match(item) or _DISPLAY.match(item) else item for item in elements)
    return Nested(text[: opening + 1], tuple(inner), text[-1])


_CALL = re.compile(r"(\w+=)?[\w.]+\(")  # an argument that is a call itself
_DISPLAY = re.compile(r"(return |\"[^\"]*\": |\w+=)?[\[{]|\"[^\"]*\": \(|\w+=\(")  # a dict, list or tuple
_CLOSING = {"(": ")", "[": "]", "{": "}"}

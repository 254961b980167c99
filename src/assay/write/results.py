"""What a written model gives: its type, the expression after `return`, and the classes of records."""

from __future__ import annotations

from collections.abc import Sequence

from assay.structure import Key, Structure
from assay.write.text import literal_text


def annotation(structure: Structure, array: str) -> str:
    """The type of a result: `dict[str, Tensor]`, `tuple[Tensor, Detections]`."""
    match structure.kind:
        case "array":
            return array
        case "record":
            return structure.name
        case "tuple":
            return f"tuple[{', '.join(annotation(part, array) for _, part in structure.parts)}]"
    values = " | ".join(dict.fromkeys(annotation(part, array) for _, part in structure.parts))
    if structure.kind == "list":
        return f"list[{values}]"
    keys = " | ".join(dict.fromkeys(type(key).__name__ for key, _ in structure.parts))
    return f"dict[{keys}, {values}]"


def expression(structure: Structure, arrays: Sequence[str]) -> str:
    """The nest around arrays that are given as text, by place; a tuple that is the whole stands without parentheses."""
    text = _nested(structure, arrays)
    return text[1:-1] if structure.kind == "tuple" and len(structure.parts) > 1 else text


def _nested(structure: Structure, arrays: Sequence[str]) -> str:
    if structure.kind == "array":
        return arrays[structure.place]
    parts = [(key, _nested(part, arrays)) for key, part in structure.parts]
    match structure.kind:
        case "record":
            return f"{structure.name}({', '.join(f'{key}={text}' for key, text in parts)})"
        case "dict":
            return f"{{{', '.join(f'{literal_text(key)}: {text}' for key, text in parts)}}}"
        case "list":
            return f"[{', '.join(text for _, text in parts)}]"
    return f"({', '.join(text for _, text in parts)}{',' if len(parts) == 1 else ''})"


def access(structure: Structure, place: int) -> str:
    """How one array is read from a result: `["logits"]`, `.logits`, `[0]`."""
    steps = structure.path_to(place)
    return "".join(f".{key}" if kind == "record" else f"[{literal_text(key)}]" for kind, key in steps)


def record_classes(structure: Structure, array: str, source: str) -> list[list[str]]:
    """The classes of the records inside, each as lines; inner ones first."""
    return [
        [
            f"class {item.name}(NamedTuple):",
            f'    """What {source} gives."""' if item is structure else f'    """Part of what {source} gives."""',
            "",
            *(f"    {key}: {annotation(part, array)}" for key, part in item.parts),
        ]
        for item in structure.records()
    ]


def hint(keys: Sequence[Key]) -> str | None:
    """What a person calls the array that these keys lead to; None where they are numbers."""
    named = [place for place, key in enumerate(keys) if isinstance(key, str)]
    return "_".join(str(key) for key in keys[named[-1] :]) if named else None


def with_free_names(structure: Structure, taken: Sequence[str]) -> Structure:
    """The same with records called otherwise than what is taken, and each set of fields by a name of its own."""
    names: dict[tuple[str, tuple[str, ...]], str] = {}

    def renamed(item: Structure) -> Structure:
        parts = tuple((key, renamed(part)) for key, part in item.parts)
        key = (item.name, item.fields)
        if item.kind == "record" and key not in names:
            used, number, name = {*taken, *names.values()}, 2, item.name
            while name in used:
                name, number = f"{item.name}{number}", number + 1
            names[key] = name
        return Structure(item.kind, parts, item.place, names.get(key, "") if item.kind == "record" else "")

    return renamed(structure)

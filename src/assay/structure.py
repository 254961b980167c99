"""How the arrays that a model gives lie in one another: dicts, tuples, lists, and records with named fields."""

from __future__ import annotations

import json
import keyword
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

KINDS = ("array", "tuple", "list", "dict", "record")
Key = str | int


@dataclass(frozen=True)
class Structure:
    """An array, or a nest of structures.

    `parts` are pairs of a key and what lies there: of a dict its keys, of a record its fields, else places. The arrays are
    numbered: `place` is which output of the graph one is. A record is a dataclass or a named tuple of the source.
    """

    kind: str
    parts: tuple[tuple[Key, Structure], ...] = ()
    place: int = 0
    name: str = ""  # of a record's class

    @classmethod
    def flat(cls, count: int) -> Structure:
        """One array, or a tuple of several."""
        if count == 1:
            return cls("array")
        return cls("tuple", tuple((place, cls("array", place=place)) for place in range(count)))

    @property
    def is_flat(self) -> bool:
        """Whether it is what `flat` gives for as many arrays."""
        return self == Structure.flat(len(self.places()))

    def leaves(self) -> Iterator[tuple[tuple[Key, ...], int]]:
        """The keys that lead to each array, and its place."""
        if self.kind == "array":
            yield (), self.place
        for key, part in self.parts:
            yield from (((key, *keys), place) for keys, place in part.leaves())

    def places(self) -> list[int]:
        return [place for _, place in self.leaves()]

    def path_to(self, place: int) -> tuple[tuple[str, Key], ...]:
        """(kind, key) of every step to the array at a place."""
        for key, part in self.parts:
            if place in part.places():
                return ((self.kind, key), *part.path_to(place))
        return ()

    def arrays(self, value: Any) -> tuple[Any, ...]:
        """The arrays of a nest of this structure, in the order of their places.

        A value that is no nest at all, such as a loss, is the only array. A record may be a dict by now.
        """
        if not isinstance(value, (Mapping, tuple, list)):
            return (value,)
        found = dict(self._found(value))
        return tuple(found[place] for place in sorted(found))

    def named(self, value: Any) -> dict[str, Any]:
        """The arrays of a nest by the keys that lead to them, `boxes_0`; for file formats without nests."""
        names = {place: "_".join(map(str, keys)) for keys, place in self.leaves()}
        return {names[place]: array for place, array in enumerate(self.arrays(value))}

    def _found(self, value: Any) -> Iterator[tuple[int, Any]]:
        if self.kind == "array":
            yield self.place, value
        for key, part in self.parts:
            by_name = self.kind == "record" and not isinstance(value, Mapping)
            yield from part._found(getattr(value, str(key)) if by_name else value[key])

    def moved(self, places: Mapping[int, int]) -> Structure:
        """The same nest with its arrays at other places: old → new."""
        if self.kind == "array":
            return replace(self, place=places[self.place])
        return replace(self, parts=tuple((key, part.moved(places)) for key, part in self.parts))

    def records_as_dicts(self) -> Structure:
        """The same nest where there are no records."""
        kind = "dict" if self.kind == "record" else self.kind
        return replace(self, kind=kind, parts=tuple((key, part.records_as_dicts()) for key, part in self.parts))

    def records(self) -> list[Structure]:
        """Every record inside, inner ones first; those of one name and the same fields once."""
        found = [item for _, part in self.parts for item in part.records()]
        own = [self] if self.kind == "record" else []
        return list({(item.name, item.fields): item for item in [*found, *own]}.values())

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(str(key) for key, _ in self.parts)

    # As data ------------------------------------------------------------------------------------------------------

    def to_data(self) -> Any:
        """As JSON has it: a number for an array, `{"dict": [[key, part], …]}` and the like for a nest."""
        if self.kind == "array":
            return self.place
        parts = [[key, part.to_data()] for key, part in self.parts]
        return {self.kind: parts, **({"name": self.name} if self.kind == "record" else {})}


def from_data(data: Any, count: int) -> Structure:
    """A structure of `count` arrays from data that may come from anywhere; raises `ValueError` if it is none."""
    found = _read(data)
    if sorted(found.places()) != list(range(count)):
        raise ValueError(f"it has the outputs {sorted(found.places())}, expected 0 to {count - 1}")
    return found


def _read(data: Any, depth: int = 0) -> Structure:
    if isinstance(data, int) and not isinstance(data, bool):
        return Structure("array", place=data)
    kind = next((kind for kind in KINDS[1:] if isinstance(data, dict) and kind in data), None)
    if kind is None or depth > 50 or not isinstance(data[kind], list):
        raise ValueError(f"{str(data)[:40]!r} is no structure")
    parts: list[tuple[Key, Structure]] = []
    for number, item in enumerate(data[kind]):
        if not isinstance(item, list) or len(item) != 2 or isinstance(item[0], bool):
            raise ValueError(f"{str(item)[:40]!r} is no part of a structure")
        if not isinstance(item[0], (str, int)) or (kind in ("tuple", "list") and item[0] != number):
            raise ValueError(f"{str(item[0])[:40]!r} is no key of a {kind}")
        parts.append((item[0], _read(item[1], depth + 1)))
    if not parts or len({key for key, _ in parts}) < len(parts):
        raise ValueError(f"a {kind} without parts, or with one twice")
    name = data.get("name", "")
    if kind == "record" and not (isinstance(name, str) and is_name(name) and all(is_name(key) for key, _ in parts)):
        raise ValueError(f"{str(name)[:40]!r} is no record with fields")
    return Structure(kind, tuple(parts), name=name if kind == "record" else "")


def is_name(name: Key) -> bool:
    """Whether a record can have this as its name or a field."""
    return isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_")


def of_package(folder: Path) -> Structure | None:
    """What a written package notes of its outputs; None where it notes nothing."""
    path = folder / "assay.json"
    if not path.exists():
        return None
    noted = json.loads(path.read_text(encoding="utf-8"))
    return from_data(noted["structure"], len(noted["outputs"])) if "structure" in noted else None


def arrays_of(structure: Structure | None, value: Any) -> tuple[Any, ...]:
    """The arrays that a written model gave, in the graph's order; without a structure it is one, or a tuple of them."""
    if structure is not None:
        return structure.arrays(value)
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def plain(structure: Structure | None, value: Any) -> Any:
    """What a written model gave, for formats that know no nests: as it is if it is flat, else a dict of all its arrays."""
    return value if structure is None or structure.is_flat else structure.named(value)


# From a nest of values ------------------------------------------------------------------------------------------------


def structure_of(nest: Any) -> tuple[Structure | None, list[str]]:
    """The structure of a nest of places (whole numbers), and what of it is no array and is left out, such as `cache (None)`.

    None for a nest without any array.
    """
    left: list[str] = []
    return _built(nest, "", left), left


def _built(nest: Any, label: str, left: list[str]) -> Structure | None:
    if isinstance(nest, int) and not isinstance(nest, bool):
        return Structure("array", place=nest)
    kind, pairs = _opened(nest)
    parts: list[tuple[Key, Structure]] = []
    for key, item in pairs:
        part = _built(item, f"{label}.{key}".lstrip("."), left)
        if part is not None:
            parts.append((len(parts) if kind in ("tuple", "list") else key, part))
    if not parts:
        left.append(f"{label or 'the whole'} ({'None' if nest is None else type(nest).__name__})")
        return None
    return Structure(kind, tuple(parts), name=type(nest).__name__ if kind == "record" else "")


def _opened(nest: Any) -> tuple[str, Sequence[tuple[Key, Any]]]:
    """The kind of a nest, and its parts by key."""
    if hasattr(nest, "__dataclass_fields__") and not isinstance(nest, type):
        held = nest if isinstance(nest, Mapping) else {name: getattr(nest, name) for name in _fields(nest)}
        return _record(nest, list(held.items()))
    if isinstance(nest, Mapping):
        keys = {key: key if type(key) in (str, int) else str(key) for key in nest}
        return "dict", [(keys[key], item) for key, item in nest.items()]
    if isinstance(nest, tuple) and hasattr(nest, "_fields"):
        return _record(nest, list(zip(nest._fields, nest, strict=True)))
    if isinstance(nest, (tuple, list)):
        return "list" if isinstance(nest, list) else "tuple", list(enumerate(nest))
    return "array", []


def _record(nest: Any, pairs: list[tuple[Key, Any]]) -> tuple[str, list[tuple[Key, Any]]]:
    """A record; a dict where a named tuple could not have these names."""
    named = is_name(type(nest).__name__) and all(is_name(key) for key, _ in pairs)
    return "record" if named else "dict", pairs


def _fields(nest: Any) -> list[str]:
    return list(nest.__dataclass_fields__)


def with_named_tuples(value: Any, each: Callable[[Any], Any] = lambda item: item) -> Any:
    """A nest with its dataclasses as named tuples of the same name, which every framework takes for nests, and `each` of
    what is in it."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(with_named_tuples(item, each) for item in value))
    if type(value) in (tuple, list):
        return type(value)(with_named_tuples(item, each) for item in value)
    if type(value) is dict:
        return {key: with_named_tuples(item, each) for key, item in value.items()}
    is_dataclass = hasattr(value, "__dataclass_fields__") and not isinstance(value, (type, Mapping))
    if not is_dataclass or hasattr(value, "dtype"):
        return each(value)
    parts = {name: with_named_tuples(getattr(value, name), each) for name in _fields(value)}
    if not all(map(is_name, [type(value).__name__, *parts])):
        return parts
    return namedtuple(type(value).__name__, list(parts))(**parts)


def batch_axes_of_package(folder: Path) -> tuple[int | None, ...]:
    """For each input of a written package the axis of the batch, the first open size; None where all sizes are fixed."""
    path = folder / "assay.json"
    if not path.exists():
        return ()
    noted = json.loads(path.read_text(encoding="utf-8")).get("inputs", [])
    shapes = [item.get("shape", []) for item in noted]
    batch = next((size for shape in shapes for size in shape if isinstance(size, str)), None)
    return tuple(shape.index(batch) if batch in shape else None for shape in shapes)

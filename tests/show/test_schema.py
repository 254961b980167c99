"""The published JSON Schema says exactly what the facts are."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from assay.show import facts
from assay.show.facts import Comparison

SCHEMA = json.loads(files("assay.show").joinpath("schema/comparison.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
SIMPLE: dict[Any, str] = {float: "number", int: "integer", str: "string", bool: "boolean"}
CONSTRAINTS = ("description", "minimum", "format")  # said by the schema alone


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_comparison_fits(any_comparison: Comparison) -> None:
    VALIDATOR.validate(json.loads(any_comparison.to_json()))


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain.pop("proofs"),
        lambda plain: plain.update(format=2),
        lambda plain: plain["proofs"][0].update(status="fine"),
        lambda plain: plain["proofs"][0]["worst"].pop("tensor"),
        lambda plain: plain["measurements"][0].update(task="training"),
        lambda plain: plain["measurements"][0].update(median_s="0.1"),
        lambda plain: plain["measurements"][0].update(samples_s=["NaN"]),
        lambda plain: plain["measurements"][0].update(interval_s=[1, 2, 3]),
        lambda plain: plain["measurements"][0].update(batch_size=0),
        lambda plain: plain["training"]["curves"][0].update(losses=["nan"]),
    ],
)
def test_what_does_not_fit_is_refused(change: Callable[[Any], object], sample: Callable[[str], Comparison]) -> None:
    plain = json.loads(sample("all").to_json())
    change(plain)
    assert not VALIDATOR.is_valid(plain)


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(facts).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type)]
)
def test_the_schema_follows_the_annotations(kind: type) -> None:
    """A field added to the facts and not to the schema (or the other way round) fails here."""
    said = SCHEMA if kind is Comparison else SCHEMA["$defs"][kind.__name__]
    hints = typing.get_type_hints(kind)
    assert said["required"] == list(hints)
    assert said["properties"].keys() == hints.keys()
    assert said["description"]
    for name, hint in hints.items():
        expected = {"const": facts.FORMAT} if (kind, name) == (Comparison, "format") else _of(hint)
        assert _bare(said["properties"][name]) == expected, f"{kind.__name__}.{name}"


def _of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of an annotation."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if origin in (types.UnionType, typing.Union):
        return _of_union(arguments)
    if origin is typing.Literal:
        return {"enum": list(arguments)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _of(arguments[0])}
    if origin is tuple:
        items = [_of(argument) for argument in arguments]
        return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}
    return {"type": "object", "additionalProperties": _of(arguments[1])} if origin else {"type": SIMPLE[kind]}


def _of_union(arguments: tuple[Any, ...]) -> dict[str, Any]:
    optional = type(None) in arguments
    found = [_of(argument) for argument in arguments if argument is not type(None)]
    if len(found) > 1:
        return {"type": [each["type"] for each in found]}
    if "enum" in found[0]:
        return {"enum": [*found[0]["enum"], None]}
    if "$ref" in found[0]:
        return {"anyOf": [found[0], {"type": "null"}]}
    return found[0] | {"type": [found[0]["type"], "null"]} if optional else found[0]


def _bare(said: Any) -> Any:
    """A property without what only the schema says; a number that may be not finite counts as a number."""
    if isinstance(said, list):
        return [_bare(each) for each in said]
    if not isinstance(said, dict):
        return said
    if said.get("$ref") == "#/$defs/number":
        return {"type": "number"}
    bare = {name: _bare(value) for name, value in said.items() if name not in CONSTRAINTS}
    return {"type": ["number", "null"]} if bare == {"anyOf": [{"type": "number"}, {"type": "null"}]} else bare

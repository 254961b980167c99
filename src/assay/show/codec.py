"""Frozen dataclasses ↔ plain JSON values, by their type annotations.

JSON has no NaN or infinities, and a broken training run produces them: they travel as the strings in `NOT_FINITE`.
Unknown fields are ignored, so that an older assay reads what a newer one added, and missing ones have their default, so
that a newer one reads what an older one kept; those without a default, and ill-typed ones, are refused.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from assay.errors import DataError

T = TypeVar("T")

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def encode(value: Any) -> Any:
    """A dataclass, and everything in it, as dictionaries, lists, strings and finite numbers."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item) for item in value]
    if isinstance(value, float):
        return _encode_float(float(value))  # float() turns NumPy's float64, a subclass, into Python's
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(
        f"facts hold plain values only, not {type(value).__name__}: convert {value!r} with float(), int() or tuple()"
    )


def _encode_float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def decode(kind: type[T], plain: Any) -> T:
    """The dataclass `kind` read from plain values; DataError names the field that does not fit."""
    return typing.cast(T, _decode(kind, plain, ""))


def _decode(kind: Any, plain: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, plain, path)
    if origin in (types.UnionType, typing.Union):
        return _decode_union(arguments, plain, path)
    if origin is Literal:
        return plain if plain in arguments else _refuse(path, f"one of {', '.join(map(repr, arguments))}", plain)
    if origin is tuple:
        return _decode_tuple(arguments, plain, path)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(plain, Mapping):
            _refuse(path, "an object", plain)
        return {str(key): _decode(arguments[1], item, f"{path}.{key}") for key, item in plain.items()}
    return _decode_scalar(kind, plain, path)


def _decode_dataclass(kind: Any, plain: Any, path: str) -> Any:
    if not isinstance(plain, Mapping):
        _refuse(path, "an object", plain)
    hints = typing.get_type_hints(kind)
    absent = [f.name for f in dataclasses.fields(kind) if f.name not in plain and not _optional(f)]
    if absent:
        raise DataError(
            f"{path.lstrip('.') or 'the top level'} lacks {', '.join(absent)}: not a comparison that assay wrote"
        )
    present = [f.name for f in dataclasses.fields(kind) if f.name in plain]
    return kind(**{name: _decode(hints[name], plain[name], f"{path}.{name}") for name in present})


def _optional(item: dataclasses.Field[Any]) -> bool:
    return item.default is not dataclasses.MISSING or item.default_factory is not dataclasses.MISSING


def _decode_union(choices: tuple[Any, ...], plain: Any, path: str) -> Any:
    if plain is None and type(None) in choices:
        return None
    real = [choice for choice in choices if choice is not type(None)]
    for choice in real[:-1]:
        try:
            return _decode(choice, plain, path)
        except DataError:
            continue
    return _decode(real[-1], plain, path)


def _decode_tuple(arguments: tuple[Any, ...], plain: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(plain, list | tuple):
        _refuse(path, "a list", plain)
    if arguments[-1] is Ellipsis:
        return tuple(_decode(arguments[0], item, f"{path}[{i}]") for i, item in enumerate(plain))
    if len(plain) != len(arguments):
        _refuse(path, f"a list of {len(arguments)}", plain)
    return tuple(
        _decode(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(arguments, plain, strict=True))
    )


def _decode_scalar(kind: Any, plain: Any, path: str) -> Any:
    if kind is float:
        if isinstance(plain, str) and plain in NOT_FINITE:
            return NOT_FINITE[plain]
        if isinstance(plain, int | float) and not isinstance(plain, bool):
            return float(plain)
        _refuse(path, "a number", plain)
    if isinstance(plain, kind) and not (kind is int and isinstance(plain, bool)):
        return plain
    return _refuse(path, {"int": "a whole number", "str": "a string", "bool": "true or false"}[kind.__name__], plain)


def _refuse(path: str, expected: str, plain: Any) -> typing.NoReturn:
    raise DataError(f"{path.lstrip('.') or 'the top level'} should be {expected}, not {str(plain)[:60]!r}")
